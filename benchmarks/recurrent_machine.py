"""The recurrent inference machine of ALFI on its own problems, beside the exact answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _rows import Rows

import tumble as tb
from tumble._random import Stream
from tumble.machines import RecurrentInferenceMachine
from tumble.machines._trained import log_density
from tumble.posteriors import DataSets, JointPrior
from tumble.problems import (
    AbstractReferenceProblem,
    MixedSources,
    MuonAngles,
    NoisyLine,
    PoissonCounts,
)

_CASES: dict[str, tuple[AbstractReferenceProblem, dict[str, Any]]] = {
    "Poisson": (PoissonCounts(), {"clip": 0.5}),
    "line": (NoisyLine(), {"clip": 0.25}),
    "mixed sources": (MixedSources(), {"clip": 0.2}),
    "muons": (
        MuonAngles(),
        {
            "num_draws": 8, "num_replicates": 64, "rate": 2e-4, "clip": 0.2, "encoder": (50, 60),
            "joint": (50, 60), "memory": (50, 40),
        },
    ),
}  # fmt: skip
_DRAWS = 1000  # of a posterior


def row_of(name: str, runs: int, num_problems: int, seed: int) -> dict[str, Any]:
    """Return errors and log densities of the machine, and of the exact answer."""
    reference, options = _CASES[name]
    # What the machine is tried on by `train` is apart from the runs that it learns from.
    batch = _runs_of_batch(reference, options)
    machine = RecurrentInferenceMachine(num_batches=max(runs // batch, 1), **options)
    began = time.perf_counter()

    def told(done: Any) -> None:
        progress(f"{name}: {time.perf_counter() - began:.0f} s, {done}")

    trained = tb.train(machine, reference.problem, seed=seed, callback=told)
    learnt_in = time.perf_counter() - began
    problem = reference.problem
    stream = Stream.from_seed(seed).child("recurrent_machine")
    prior = JointPrior(problem.space)
    z = prior.sample(num_problems, stream.child("truth").numpy())
    data, _ = DataSets(problem, stream.child("data")).simulate(z, 0)
    theta = np.asarray(problem.space.from_fit(z))
    drawn = trained.inference.sample(data, _DRAWS, stream.child("draws"))
    means = np.array([problem.space.from_fit(prior.from_normal(w)).mean(0) for w in drawn])
    logs = log_density(problem, trained.inference, z, data)
    sets = [np.asarray(one)[:, 0] for one in data[0]]
    best = np.array([reference.estimate(one) for one in sets])
    exact = [reference.log_posterior(t, one) for t, one in zip(theta, sets, strict=True)]
    return {
        "machine": _summary(means, theta, logs), "exact": _summary(best, theta, np.array(exact)),
        "runs": machine.num_batches * batch, "learning": learnt_in,
        "to infer": machine.runs_to_infer(problem), "nats": trained.stats["nats"],
    }  # fmt: skip


def _runs_of_batch(reference: AbstractReferenceProblem, options: dict[str, Any]) -> int:
    machine = RecurrentInferenceMachine(**options)
    own = DataSets(reference.problem, Stream.from_seed(0)).runs_each
    return machine.batch_size * (own + machine.runs_of_a_roll_out(reference.problem))


def _summary(means: np.ndarray, theta: np.ndarray, logs: np.ndarray) -> dict[str, float]:
    errors = np.sqrt(((means - theta) ** 2).sum(1))
    return {
        "median": float(np.median(errors)), "mean": float(errors.mean()),
        "max": float(errors.max()), "nll": float(-logs.mean()),
        "nll median": float(-np.median(logs)),
    }  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--cases", nargs="*", choices=list(_CASES), default=["Poisson"])
    parser.add_argument("--runs", type=float, default=1e8, help="of the simulator, to learn from")
    parser.add_argument("--problems", type=int, default=500, help="fresh ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("recurrent_machine", "The recurrent inference machine of ALFI")
    kept, rows = Rows(options.rows), []
    for name in options.cases:
        found = kept.get(
            (f"{name}, seed {options.seed}", int(options.runs)),
            lambda name=name: row_of(name, int(options.runs), options.problems, options.seed),
        )
        for who in ("machine", "exact"):
            own = found[who]
            cost = [f"{found['runs']:.2g}", f"{found['learning']:.0f}", f"{found['to infer']:,}"]
            rows.append(
                [name, who, *(own[k] for k in ("median", "mean", "max", "nll", "nll median")),
                 *(cost if who == "machine" else ["", "", ""])]
            )  # fmt: skip
    page.text(
        f"""The problems of Pesah, Wehenkel, Louppe (2018), arXiv:1811.12932, 500 observations each,
        with the settings published for each but for the number of batches and what the
        documentation of `RecurrentInferenceMachine` names. *Error*: the distance of
        the posterior mean (exact: the usual estimate) from the truth, of {options.problems} fresh
        problems; *NLL*: minus the log density of the truth, mean and median. *Runs* and *seconds*
        are those of learning, on one core, and what `train` checks; *an answer* are the runs that
        each posterior takes. {settings(options)}"""
    )
    page.table(
        ["problem", "", "median error", "mean", "max", "NLL", "median NLL", "runs", "seconds",
         "an answer"], rows,
    )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()
