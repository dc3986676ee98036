"""Movies of the lattice gas at the published parameters, and at others near them."""

from __future__ import annotations

import numpy as np

import tumble as tb
from tumble.models import FitzHughNagumoLatticeGas

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
START = {"k1": 0.355, "k2": 0.91, "k3": 0.059, "D_A": 0.35, "D_B": 0.73}


def movies(
    model: FitzHughNagumoLatticeGas, truths: list[dict[str, float]], times: list[float]
) -> np.ndarray:
    """Return a movie [frames, 2, rows, columns] for each truth."""
    kept = tb.simulate(
        model, {name: np.array([t[name] for t in truths]) for name in model.parameters},
        times=times, seed=0, outputs=tb.outputs.Frames(),
    )  # fmt: skip
    return np.stack([kept.states["A"][:, 0], kept.states["B"][:, 0]], axis=2)


def evenly(frames: int, interval: int) -> list[float]:
    """Return times of the start and of ``frames`` frames after it."""
    return [float(interval * k) for k in range(frames + 1)]


def other_truths(count: int) -> list[dict[str, float]]:
    """Return the published parameters, each times a factor of its own, U(0.7, 1.3)."""
    rng = np.random.default_rng(1)
    return [{k: float(v * rng.uniform(0.7, 1.3)) for k, v in TRUTH.items()} for _ in range(count)]
