"""ABC-SMC of pyABC, doi:10.1093/bioinformatics/bty361, on the rates of an SIR epidemic.

Distance (sum of absolute differences), thresholds (median of the last distances), population (100)
and transitions are its defaults. The sampler is that for one core, as there is one. The simulator
returns the mean of ``averaged`` runs; it is compiled C, or ``plain`` Python.
"""

from __future__ import annotations

import ctypes
import math
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from peers._worker import peak_mebibytes, serve
from peers.generated_c import FLAGS, compiler

_SOURCE = Path(__file__).with_name("sir_mean.c")
_NAMES = ("beta", "gamma")


def fit(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sample generations until the posterior is within the tolerance of the truth, and knows it.

    Ends as well after a generation that accepted less than ``least_acceptance`` of its particles.

    Yields a line for each: ``is_there`` where the posterior mean (of the logarithms, weighted) is
    within the tolerance, ``is_sure`` where the posterior standard deviations are too.
    """
    import numpy as np
    import pyabc

    np.random.seed(question["seed"])  # noqa: NPY002 - what pyABC draws from
    simulate = (_plain_simulator if question["plain"] else _simulator)(question)
    low, high = (np.log10(question[k]) for k in ("lower", "upper"))
    prior = pyabc.Distribution(
        **{
            name: pyabc.RV("uniform", a, b - a)
            for name, a, b in zip(_NAMES, low, high, strict=True)
        }
    )
    smc = pyabc.ABCSMC(
        lambda p: {"counts": simulate(*(10 ** p[name] for name in _NAMES))},
        prior,
        sampler=pyabc.SingleCoreSampler(),
    )
    smc.new("sqlite://", {"counts": np.array(question["means"]).ravel()})
    yield {"stage": "prepared"}
    truth = np.array(question["truth"])
    # What `ABCSMC.run` does, with another end. Calling it once a generation would draw a first
    # threshold anew each time.
    generation = smc.initialize_components_before_run(0.0, np.inf, 0.0, np.inf, None, 0.0)
    while True:
        outcome = smc.run_generation(generation)
        history = smc.history
        points, weights = history.get_distribution(t=history.max_t)
        logs = points[list(_NAMES)].to_numpy()
        mean = weights @ logs
        spreads = np.log(10) * np.sqrt(weights @ (logs - mean) ** 2)
        is_there = bool(np.all(np.abs(10**mean / truth - 1) <= question["tolerance"]))
        is_sure = is_there and bool(np.all(spreads <= question["tolerance"]))
        evaluations = int(history.total_nr_simulations)
        yield {
            "generation": generation,
            "rates": (10**mean).tolist(),
            "spreads": spreads.tolist(),
            "evaluations": evaluations,
            "runs": evaluations * question["averaged"],
            "is_there": is_there,
            "is_sure": is_sure,
        }
        if is_sure or outcome["acceptance_rate"] < question["least_acceptance"]:
            return
        generation += 1


def sample(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sample the posterior of one series of counts I through given tolerances.

    The distance is the root mean square of the differences divided by ``scale``, the population is
    ``num_particles``; the simulator is the compiled one, a run a call. Yields a line a generation.
    """
    import numpy as np
    import pyabc

    np.random.seed(question["seed"])  # noqa: NPY002 - what pyABC draws from
    simulate = _simulator({**question, "averaged": 1})
    observed, scale = np.array(question["observed"]), np.array(question["scale"])
    prior = pyabc.Distribution(
        **{
            name: pyabc.RV("uniform", np.log(low), np.log(high) - np.log(low))
            for name, (low, high) in zip(_NAMES, question["bounds"], strict=True)
        }
    )
    smc = pyabc.ABCSMC(
        lambda p: {"I": simulate(*(math.exp(p[name]) for name in _NAMES))[1::3]},
        prior,
        lambda x, y: float(np.sqrt(np.mean(((x["I"] - y["I"]) / scale) ** 2))),
        population_size=question["num_particles"],
        eps=pyabc.ListEpsilon(question["tolerances"]),
        sampler=pyabc.SingleCoreSampler(),
    )
    smc.new("sqlite://", {"I": observed})
    yield {"stage": "prepared"}
    history = smc.run(max_nr_populations=len(question["tolerances"]))
    points, weights = history.get_distribution(t=history.max_t)
    logs = points[list(_NAMES)].to_numpy()
    mean = weights @ logs
    yield {
        "mean": mean.tolist(),
        "sd": np.sqrt(weights @ (logs - mean) ** 2).tolist(),
        "data_sets": int(history.total_nr_simulations),
        "mebibytes": peak_mebibytes(),
    }


def _simulator(question: dict[str, Any]) -> Callable[..., Any]:
    """Return (beta, gamma) -> mean counts, flat, by the compiled program."""
    import numpy as np

    library = Path("sir_mean.so").absolute()
    subprocess.run(
        [compiler(), *FLAGS, "-shared", "-fPIC", str(_SOURCE), "-o", str(library), "-lm"],
        check=True,
    )
    program = ctypes.CDLL(str(library))
    program.seed(ctypes.c_uint64(question["seed"] + 1))
    array = np.ctypeslib.ndpointer
    program.sir_mean.argtypes = [
        ctypes.c_double, ctypes.c_double, array(np.int64, flags="C"), ctypes.c_int64,
        ctypes.c_int64, array(np.float64, flags="C"), array(np.float64, flags="C"),
    ]  # fmt: skip
    initial = np.array(question["initial"], dtype=np.int64)
    times = np.array(question["times"], dtype=float)

    def simulate(beta: float, gamma: float) -> Any:
        mean = np.empty(3 * len(times))
        program.sir_mean(beta, gamma, initial, question["averaged"], len(times), times, mean)
        return mean

    return simulate


def _plain_simulator(question: dict[str, Any]) -> Callable[..., Any]:
    """Return (beta, gamma) -> mean counts, flat, by a loop in Python, as one writes it first."""
    import numpy as np

    draw = random.Random(question["seed"]).random
    averaged, times = question["averaged"], [*question["times"], math.inf]

    def run(beta: float, gamma: float) -> list[tuple[int, int, int]]:
        s, i, r = question["initial"]
        t, seen = 0.0, []
        while len(seen) < len(times) - 1:
            infection, recovery = beta * s * i, gamma * i
            total = infection + recovery
            t = t - math.log(1.0 - draw()) / total if total > 0.0 else math.inf
            while times[len(seen)] < t:
                seen.append((s, i, r))
            if draw() * total < infection:
                s, i = s - 1, i + 1
            else:
                i, r = i - 1, r + 1
        return seen

    def simulate(beta: float, gamma: float) -> Any:
        return np.mean([run(beta, gamma) for _ in range(averaged)], axis=0).ravel()

    return simulate


if __name__ == "__main__":
    serve({"fit": fit, "sample": sample})
