"""At which coefficients a relaxed likelihood is differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tumble._typing import FloatArray, IntArray
from tumble.structure._slots import Complexes


class AbstractCoefficientGradient(ABC):
    """Chooses the coefficients at which slopes are taken."""

    @abstractmethod
    def place(
        self, complexes: Complexes, picks: IntArray, c: FloatArray, d: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return those for coefficients c, d [K, S], the nearest candidates being ``picks`` [K]."""


@dataclass(frozen=True)
class RelaxedCoefficients(AbstractCoefficientGradient):
    """Slopes at the coefficients themselves, which are rounded for weighing alone.

    Guarantee: exact slopes of the relaxed likelihood, see `RelaxedLikelihood`. Its minimum need not
    be at whole numbers; where the data are many it is near those of the true network.

    When: by default.
    """

    def place(
        self, complexes: Complexes, picks: IntArray, c: FloatArray, d: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `AbstractCoefficientGradient.place`."""
        return c, d


@dataclass(frozen=True)
class StraightThroughCoefficients(AbstractCoefficientGradient):
    """Slopes at the rounded coefficients, passed on as if nothing had been rounded.

    Guarantee: none. The rounded loss is flat but for its jumps, so its own slopes say nothing.
    These are those of the relaxed one at the nearest whole numbers, whatever lies between: what a
    descent is told changes at jumps only, and need not lead to the true network.

    When: to compare with what others have done.

    Reference: Bengio, Léonard, Courville (2013), arXiv:1308.3432.
    """

    def place(
        self, complexes: Complexes, picks: IntArray, c: FloatArray, d: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `AbstractCoefficientGradient.place`."""
        return complexes.before[picks], complexes.after[picks]
