"""The tasks of sbibm (doi:10.48550/arXiv.2101.04653) that are compared: models, priors, answers.

Observations and reference draws are those of the package sbibm 1.1.0, read from where it is
installed; of its code nothing is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

_WEEKS = np.arange(10) * 17.0
_TWENTIETHS = np.arange(10) * 2.1
_SIR_STEP, _LV_STEP = 0.25, 0.01  # of Runge and Kutta's method, days


@dataclass(frozen=True)
class Task:
    """A task: ``prior`` by parameter, ("uniform", low, high) or ("lognormal", mean, sd).

    ``run(theta [P], rng)`` returns data [T, O] at ``times``. Imports nothing of tumble, so that
    other packages can be asked the same.
    """

    name: str
    prior: dict[str, tuple[str, float, float]]
    times: np.ndarray
    num_outputs: int
    run: Callable[[np.ndarray, np.random.Generator], np.ndarray]

    @property
    def outputs(self) -> list[str]:
        """Names of what is seen."""
        return [f"x{i}" for i in range(self.num_outputs)]

    def flat(self, data: np.ndarray) -> np.ndarray:
        """Return data [T, O] as sbibm orders them: output by output."""
        return np.asarray(data, dtype=float).T.ravel()


def _two_moons(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2), rng.normal(0.1, 0.01)
    first = radius * np.cos(angle) + 0.25 - abs(theta[0] + theta[1]) / np.sqrt(2)
    second = radius * np.sin(angle) + (theta[1] - theta[0]) / np.sqrt(2)
    return np.array([[first, second]])


def _slcp(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    s1, s2, rho = theta[2] ** 2, theta[3] ** 2, np.tanh(theta[4])
    first, second = rng.standard_normal((2, 4))
    x = theta[0] + s1 * first
    y = theta[1] + s2 * (rho * first + np.sqrt(1 - rho**2) * second)
    return np.stack([x, y], axis=1).ravel()[None]


@numba.njit
def _infected(beta: float, gamma: float, step: float) -> np.ndarray:
    """Return the share of infected at the ten times."""
    s, i = 1 - 1e-6, 1e-6
    seen = np.empty(10)
    seen[0] = i
    for k in range(1, 10):
        for _ in range(round(17 / step)):
            a1, b1 = beta * s * i, gamma * i
            s2, i2 = s - step / 2 * a1, i + step / 2 * (a1 - b1)
            a2, b2 = beta * s2 * i2, gamma * i2
            s3, i3 = s - step / 2 * a2, i + step / 2 * (a2 - b2)
            a3, b3 = beta * s3 * i3, gamma * i3
            s4, i4 = s - step * a3, i + step * (a3 - b3)
            a4, b4 = beta * s4 * i4, gamma * i4
            a, b = (a1 + 2 * a2 + 2 * a3 + a4) / 6, (b1 + 2 * b2 + 2 * b3 + b4) / 6
            s, i = s - step * a, i + step * (a - b)
        seen[k] = i
    return seen


def _sir(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = _infected(theta[0], theta[1], _SIR_STEP)
    return rng.binomial(1000, np.clip(share, 0.0, 1.0))[:, None]


@numba.njit
def _animals(a: float, b: float, c: float, d: float, step: float) -> np.ndarray:
    """Return prey and predators [10, 2] at the ten times."""
    x, y = 30.0, 1.0
    seen = np.empty((10, 2))
    for k in range(10):
        if k:
            for _ in range(round(2.1 / step)):
                f1, g1 = (a - b * y) * x, (d * x - c) * y
                x2, y2 = x + step / 2 * f1, y + step / 2 * g1
                f2, g2 = (a - b * y2) * x2, (d * x2 - c) * y2
                x3, y3 = x + step / 2 * f2, y + step / 2 * g2
                f3, g3 = (a - b * y3) * x3, (d * x3 - c) * y3
                x4, y4 = x + step * f3, y + step * g3
                f4, g4 = (a - b * y4) * x4, (d * x4 - c) * y4
                x = x + step / 6 * (f1 + 2 * f2 + 2 * f3 + f4)
                y = y + step / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
        seen[k, 0], seen[k, 1] = x, y
    return seen


def _lotka_volterra(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # Parameters are α, β, γ, δ: of prey, being eaten, of predators, eating.
    animals = np.maximum(_animals(*theta, _LV_STEP), 1e-10)
    return animals * np.exp(0.1 * rng.standard_normal(animals.shape))


_RATE, _EATING = ("lognormal", -0.125, 0.5), ("lognormal", -3.0, 0.5)
TASKS = {
    task.name: task
    for task in (
        Task(
            "two_moons", {f"theta{i}": ("uniform", -1.0, 1.0) for i in range(2)}, np.zeros(1), 2,
            _two_moons,
        ),
        Task(
            "slcp", {f"theta{i}": ("uniform", -3.0, 3.0) for i in range(5)}, np.zeros(1), 8,
            _slcp,
        ),
        Task(
            "sir",
            {"beta": ("lognormal", np.log(0.4), 0.5), "gamma": ("lognormal", np.log(0.125), 0.2)},
            _WEEKS, 1, _sir,
        ),
        Task(
            "lotka_volterra",
            {"alpha": _RATE, "beta": _EATING, "gamma": _RATE, "delta": _EATING},
            _TWENTIETHS, 2, _lotka_volterra,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Observation:
    """Data of a task, flat, and draws [N, P] of the posterior given these."""

    number: int
    data: np.ndarray
    reference: np.ndarray


def observations(folder: Path, task: str) -> list[Observation]:
    """Return all of a task that are in the folder of the package sbibm, or of a part of it."""
    found = []
    for file in sorted(folder.glob(f"**/{task}/**/observation.csv")):
        reference = file.with_name("reference_posterior_samples.csv.bz2")
        number = int(file.parent.name.rsplit("_", 1)[-1])
        found.append(Observation(number, _read(file)[0], _read(reference)))
    return sorted(found, key=lambda o: o.number)


def _read(file: Path) -> np.ndarray:
    return np.atleast_2d(np.loadtxt(file, delimiter=",", skiprows=1))
