"""The equivalence test by which a gradient is called right or wrong."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from tumble._typing import FloatArray


class Verdict(enum.Enum):
    """RIGHT: within the margin. WRONG: outside it. UNDECIDED: more runs would tell."""

    RIGHT = "RIGHT"
    WRONG = "WRONG"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Equivalence:
    """The outcome for each of P components.

    ``verdicts`` [P]; ``margins`` [P]; ``half_widths`` [P] of the simultaneous interval of the
    difference; ``more`` [P], the factor by which runs would have to grow to decide (1 if decided).
    """

    verdicts: tuple[Verdict, ...]
    margins: FloatArray
    half_widths: FloatArray
    more: FloatArray


def margins(reference: FloatArray, fraction: float) -> FloatArray:
    """Return m_j = fraction · max(|ref_j|, 0.1 ‖ref‖)."""
    return fraction * np.maximum(np.abs(reference), 0.1 * np.linalg.norm(reference))


def equivalence_test(
    estimate: FloatArray,
    estimate_error: FloatArray,
    reference: FloatArray,
    reference_error: FloatArray,
    *,
    fraction: float = 0.1,
    level: float = 0.01,
    num_looks: int = 1,
) -> Equivalence:
    """Compare a gradient [P] with a reference [P], both with standard errors [P].

    Definition: UNDECIDED until the half-width of the interval of the difference is at most the
    margin m_j; then RIGHT when the interval lies inside ±m_j, WRONG when wholly outside, and
    UNDECIDED in between. Intervals hold together for all components and ``num_looks`` repeated
    looks (Bonferroni), with total error probability ``level``.

    Reference: Lakens, Soc. Psychol. Personal. Sci. 8 (2017), doi:10.1177/1948550617697177.
    """
    from scipy.special import ndtri

    size = len(estimate)
    quantile = ndtri(1 - level / (2 * size * num_looks))
    half = quantile * np.hypot(estimate_error, reference_error)
    bound = margins(reference, fraction)
    gap = np.abs(estimate - reference)
    verdicts = []
    more = np.ones(size)
    for j in range(size):
        if half[j] > bound[j]:
            verdict = Verdict.UNDECIDED
            more[j] = (half[j] / max(bound[j], 1e-150)) ** 2
        elif gap[j] + half[j] <= bound[j]:
            verdict = Verdict.RIGHT
        elif gap[j] - half[j] > bound[j]:
            verdict = Verdict.WRONG
        else:
            verdict = Verdict.UNDECIDED
            more[j] = (half[j] / max(abs(gap[j] - bound[j]), 1e-3 * bound[j], 1e-150)) ** 2
        verdicts.append(verdict)
    return Equivalence(tuple(verdicts), bound, half, more)
