"""Do two engines simulate the same process? Means and variances at the last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LIMIT = 5.0
FEWEST_FOR_VARIANCE = 100  # below, a variance is too skewed for a limit in standard errors


@dataclass(frozen=True)
class Moments:
    """Moments of each species over ``count`` runs, [species]; ``width`` is largest − least."""

    count: int
    mean: Any
    variance: Any
    fourth: Any
    width: Any

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Moments:
        """Read what an engine answered."""
        arrays = (np.array(answer[name]) for name in ("mean", "variance", "fourth", "width"))
        return cls(answer["count"], *arrays)


def pooled(parts: Sequence[Moments]) -> tuple[int, Any, Any]:
    """Return the count, means and variances of all runs together."""
    counts = np.array([part.count for part in parts])[:, None]
    means = np.array([part.mean for part in parts])
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    within = np.array([part.variance for part in parts])
    variance = (counts * (within + (means - mean) ** 2)).sum(0) / total
    return int(total), mean, variance * total / max(1, total - 1)


def worst_deviations(
    parts: Sequence[Moments], reference: Moments, species: Sequence[str]
) -> list[tuple[float, str]]:
    """Return the largest |z| of a mean and, of enough runs, of a variance, each with its species.

    The standard errors are those of the reference's moments, at both sizes. A species that takes
    two neighboring values has its variance from its mean, and is left out of the second.
    """
    count, mean, variance = pooled(parts)
    scale = 1 / count + 1 / reference.count
    error = np.sqrt(reference.variance * scale)
    spread = np.maximum(reference.fourth - reference.variance**2, 0.0)
    error_of_variance = np.sqrt(spread * scale)
    found = [_z(mean - reference.mean, error)]
    if count >= FEWEST_FOR_VARIANCE:
        of_variance = _z(variance - reference.variance, error_of_variance)
        of_variance[reference.width <= 1] = 0.0
        found.append(of_variance)
    return [(float(z.max()), species[int(z.argmax())]) for z in found]


def _z(difference: Any, error: Any) -> Any:
    """Return |difference| / error, infinite where only the error is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(difference) / error
    return np.where(error > 0, z, np.where(np.abs(difference) > 1e-9, np.inf, 0.0))
