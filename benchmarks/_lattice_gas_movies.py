"""The lattice gas in benchmarks: the published parameters, and others near them."""

from __future__ import annotations

import numpy as np

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
START = {"k1": 0.355, "k2": 0.91, "k3": 0.059, "D_A": 0.35, "D_B": 0.73}


def other_truths(count: int) -> list[dict[str, float]]:
    """Return the published parameters, each times a factor of its own, U(0.7, 1.3)."""
    rng = np.random.default_rng(1)
    return [{k: float(v * rng.uniform(0.7, 1.3)) for k, v in TRUTH.items()} for _ in range(count)]
