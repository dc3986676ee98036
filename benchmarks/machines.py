"""Machines that learn to infer, on four problems with known answers: how near they come."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, settings
from _rows import Rows
from scipy.stats import kstest

import tumble as tb
from tumble._random import Stream
from tumble.posteriors import DataSets, JointPrior
from tumble.problems import (
    AbstractReferenceProblem,
    MixedSources,
    MuonAngles,
    NoisyLine,
    PoissonCounts,
)

_TESTS = 500  # fresh problems
_DRAWS = 1000  # of the posterior of each
# Simulated observations that the published machine learnt from (arXiv:1811.12932).
PROBLEMS: dict[str, tuple[type[AbstractReferenceProblem], float]] = {
    "Poisson": (PoissonCounts, 1.8e10),
    "line": (NoisyLine, 1.8e10),
    "mixed sources": (MixedSources, 1.8e10),
    "muons": (MuonAngles, 1.0e9),
}


def tests(reference: AbstractReferenceProblem, seed: int) -> tuple[Any, Any]:
    """Return parameters [B, P] and data sets [B, N, 1, O] that no machine has learnt from."""
    stream = Stream.from_seed(10_000 + seed)
    theta = JointPrior(reference.problem.space).sample(_TESTS, stream.child("prior").numpy())
    (data,), _ = DataSets(reference.problem, stream).simulate(theta, 0)
    return theta, data


def errors(found: Any, theta: Any) -> list[float]:
    """Return median, mean and maximum of the distances of estimates [B, P]."""
    away = np.linalg.norm(found - theta, axis=1)
    return [float(np.median(away)), float(away.mean()), float(away.max())]


def asymmetry(reference: MuonAngles, theta: Any, found: Any) -> float:
    """Return the median error of what of muons is identified."""
    return float(np.median(np.abs(reference.asymmetry(theta[:, 0], theta[:, 1]) - found)))


def exact(name: str, seed: int) -> dict[str, Any]:
    """Return what the exact answer has."""
    reference = PROBLEMS[name][0]()
    theta, data = tests(reference, seed)
    rows = data[:, :, 0]
    found = np.array([reference.estimate(x) for x in rows])
    logs = [float(reference.log_posterior(t, x)) for t, x in zip(theta, rows, strict=True)]
    return {"errors": errors(found, theta), "nll": -float(np.mean(logs)),
            "asymmetry": asymmetry(reference, theta, [reference.mean_asymmetry(x) for x in rows])
            if isinstance(reference, MuonAngles) else None}  # fmt: skip


def amortized(name: str, draws: float, seed: int) -> dict[str, Any]:
    """Train a machine with default settings and try it."""
    reference = PROBLEMS[name][0]()
    runs = reference.num_observations
    budget = tb.Budget(simulations=draws)
    machine = tb.machines.AmortizedPosterior(num_data_sets=int(draws / runs))
    began, cpu = time.perf_counter(), time.process_time()
    trained = tb.train(machine, reference.problem, seed=seed, budget=budget, progress=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    theta, data = tests(reference, seed)
    prior = JointPrior(reference.problem.space)
    logs = [
        trained.log_density(t[None], reference.problem.with_data([x]))[0]
        for t, x in zip(theta, data, strict=True)
    ]
    trained.inference.sample([data[:1]], _DRAWS, Stream.from_seed(0))  # compiles
    at = time.perf_counter()
    w = trained.inference.sample([data], _DRAWS, Stream.from_seed(seed))
    each = (time.perf_counter() - at) / len(data)
    found = prior.from_normal(w.reshape(-1, w.shape[2])).reshape(w.shape)
    ranks = (found < theta[:, None]).mean(1)
    means = found.mean(1)
    away = None
    if isinstance(reference, MuonAngles):
        own = reference.asymmetry(found[..., 0], found[..., 1]).mean(1)
        away = asymmetry(reference, theta, own)
    return {
        "errors": errors(means, theta), "nll": -float(np.mean(logs)), "runs": trained.stats["runs"],
        "seconds": seconds, "cpu": cpu, "each": each,
        "p": min(float(kstest(r, "uniform").pvalue) for r in ranks.T) * ranks.shape[1],
        "asymmetry": away,
    }  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--problems", nargs="*", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--draws", nargs="*", type=float, default=[1e6, 1e7, 3e7])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("machines", "Machines that learn to infer")
    page.text(
        f"""The four problems of arXiv:1811.12932, with {PoissonCounts().num_observations}
        observations a data set. `AmortizedPosterior` with default settings learns from as many
        simulated observations as *draws* says, those of its checks included; the share is of what
        the published machine learnt from. Error: the distance of the posterior mean from the truth,
        in the units of the parameters, for {_TESTS} fresh problems; NLL: the mean of −log density
        of the truth. *Exact*: the estimate that each problem is measured by (of Poisson counts,
        the line and mixed sources the maximum of the likelihood; of muons the posterior mean), and
        the exact posterior. *p*: of ranks of the truth being uniform, the least of any parameter
        times how many there are. Medians over seeds {options.seeds}, of which each has a test set
        of its own. Seconds of training (and of processor time), milliseconds a data set.
        {settings(options)}"""
    )
    kept = Rows(options.rows)
    for name in options.problems:
        page.heading(name)
        whole = PROBLEMS[name][1]
        floor = [
            kept.get((f"{name}: exact", s), lambda name=name, s=s: exact(name, s))
            for s in options.seeds
        ]
        rows = [row("exact", floor, None)]
        for draws in options.draws:
            found = [
                kept.get((f"{name}: amortized {draws:g}", s),
                         lambda name=name, draws=draws, s=s: amortized(name, draws, s))
                for s in options.seeds
            ]  # fmt: skip
            rows.append(row(f"{draws:.0e}", found, draws / whole))
        head = ["draws", "of published", "error: median", "mean", "max", "NLL", "p", "seconds",
                "ms each"]  # fmt: skip
        if name == "muons":
            head.append("median error of a")
        page.table(head, [r[: len(head)] for r in rows])
    page.finish(options.save)


def row(label: str, found: list[dict[str, Any]], share: float | None) -> list[str]:
    """Return medians over seeds."""
    middle, mean, most = np.median([f["errors"] for f in found], axis=0)
    told = [label, "" if share is None else f"{100 * share:.2g} %",
            f"{middle:.4f}", f"{mean:.4f}", f"{most:.3f}",
            f"{np.median([f['nll'] for f in found]):.3f}"]  # fmt: skip
    if share is None:
        told += ["", "", ""]
    else:
        seconds, cpu, each = (np.median([f[k] for f in found]) for k in ("seconds", "cpu", "each"))
        told += [", ".join(f"{min(f['p'], 1):.2g}" for f in found), f"{seconds:.0f} ({cpu:.0f})",
                 f"{1e3 * each:.1f}"]  # fmt: skip
    away = [f["asymmetry"] for f in found if f["asymmetry"] is not None]
    return [*told, f"{np.median(away):.4f}" if away else ""]


if __name__ == "__main__":
    main()
