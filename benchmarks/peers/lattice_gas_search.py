"""Searches for the parameters of a lattice gas by simulation alone, until their time is up.

All see the same: the statistics of the frame after each frame of a movie, simulated once by the
same compiled loop, in units of their noise. ``cma``, doi:10.5281/zenodo.2559634, with its defaults;
pyABC, doi:10.1093/bioinformatics/bty361, likewise, with 100 particles; and Gauss–Newton steps with
central differences of runs that share their noise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from peers._worker import serve

_LOW, _HIGH = 0.02, 1.0
_BEFORE_STEP, _LARGEST_STEP, _DAMPING = 0.05, 0.5, 0.1


def search(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the best parameters so far, as a line for each step."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import _lattice_gas_kernel as kernel
    import numpy as np

    truth = np.array(question["truth"])
    frames = kernel.movie(truth, question["frames"], question["interval"], 0, question["size"])
    observed = np.array([_statistics(*pair) for pair in pairwise(frames)])
    noise = np.sqrt((np.diff(observed, axis=0) ** 2).mean(0) / 2)
    kernel.after(frames[0], truth, 1, 0)
    count = [0]

    def residuals(z: Any, seed: int = 0) -> Any:
        count[0] += 1
        params = np.exp(z)
        after = [
            kernel.after(frame, params, question["interval"], [1, *np.ravel(seed), k])
            for k, frame in enumerate(frames[:-1])
        ]
        seen = np.array([_statistics(*pair) for pair in zip(frames, after, strict=False)])
        return ((seen - observed) / noise).ravel()

    began = time.process_time()
    way = {"cma": _by_cma, "abc": _by_abc, "coupled": _by_differences}[question["way"]]
    start = np.log(np.array(question["start"]))
    for z in way(residuals, start, question["seed"]):
        spent = time.process_time() - began
        yield {"params": np.exp(z).tolist(), "evaluations": count[0], "seconds": spent}
        if spent > question["budget"]:
            return


def _statistics(first: Any, frame: Any) -> Any:
    """Return means, variances, covariance, roughness, wall length and log of squared change."""
    import numpy as np

    a, b = frame.astype(float)
    side = np.tanh(4 * a / 50 - 2)
    rough = sum(((a - np.roll(a, -1, k)) ** 2).mean() for k in (0, 1)) / 2
    wall = sum(np.abs(side - np.roll(side, -1, k)).mean() for k in (0, 1)) / 2
    change = np.log(((frame - first) ** 2).sum())
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    return np.array([a.mean(), b.mean(), a.var(), b.var(), covariance, rough, wall, change])


def _by_cma(residuals: Any, start: Any, seed: int) -> Iterator[Any]:
    import cma
    import numpy as np

    bounds = [np.log(_LOW), np.log(_HIGH)]
    options = {"bounds": bounds, "seed": seed + 1, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(start, 0.5, options)
    while not strategy.stop():
        points = strategy.ask()
        strategy.tell(points, [float((residuals(z) ** 2).mean()) for z in points])
        yield strategy.result.xfavorite


def _by_abc(residuals: Any, start: Any, seed: int) -> Iterator[Any]:
    import numpy as np
    import pyabc

    np.random.seed(seed)  # noqa: NPY002 - what pyABC draws from
    low, high = np.log(_LOW), np.log(_HIGH)
    names = [f"z{p}" for p in range(len(start))]
    prior = pyabc.Distribution(**{n: pyabc.RV("uniform", low, high - low) for n in names})
    calls = [0]

    def simulate(p: Any) -> dict[str, Any]:
        calls[0] += 1  # every run has a noise of its own
        return {"seen": residuals(np.array([p[n] for n in names]), 1 + calls[0])}

    smc = pyabc.ABCSMC(
        simulate, prior, distance_function=_root_mean_square, population_size=100,
        sampler=pyabc.SingleCoreSampler(),
    )  # fmt: skip
    smc.new("sqlite://", {"seen": np.zeros_like(residuals(start))})
    generation = smc.initialize_components_before_run(0.0, np.inf, 0.0, np.inf, None, 0.0)
    while True:
        smc.run_generation(generation)
        points, weights = smc.history.get_distribution(t=smc.history.max_t)
        yield weights @ points[names].to_numpy()
        generation += 1


def _root_mean_square(one: dict[str, Any], other: dict[str, Any]) -> float:
    return float(((one["seen"] - other["seen"]) ** 2).mean() ** 0.5)


def _by_differences(residuals: Any, start: Any, seed: int) -> Iterator[Any]:
    import numpy as np

    z, low, high = start, np.log(_LOW), np.log(_HIGH)
    step = 0
    while True:
        step += 1
        noise = (seed, step)
        at = residuals(z, noise)
        slopes = []
        for p in range(len(z)):
            move = np.zeros(len(z))
            move[p] = _BEFORE_STEP
            slopes.append((residuals(z + move, noise) - residuals(z - move, noise)) / 0.1)
        jacobian = np.array(slopes)
        normal = jacobian @ jacobian.T
        newton = np.linalg.solve(normal + _DAMPING * np.diag(np.diag(normal)), -jacobian @ at)
        newton *= min(1.0, _LARGEST_STEP / np.abs(newton).max()) / max(1.0, (step - 10) / 3)
        z = np.clip(z + newton, low, high)
        yield z


if __name__ == "__main__":
    serve({"search": search})
