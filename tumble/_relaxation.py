"""What a pathwise derivative takes for the derivative of a discrete outcome."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np


class AbstractRelaxation(abc.ABC):
    """Says how the outcomes of discrete draws are differentiated by their probabilities.

    Outcomes themselves are never changed. Arguments are arrays of one shape [...], of NumPy or of
    JAX, as ``xp`` says, so that any simulator can take it. Results are NaN where the derivative is
    not defined. Continuous draws need no relaxation.
    """

    noisy: ClassVar[bool] = False
    """Whether `pick` needs uniforms of its own."""

    @abc.abstractmethod
    def flip(self, x: Any, p: Any, u: Any, xp: Any = np) -> Any:
        """Return ∂x/∂p [...] of flips x [...] that are 1 where uniforms u < p, else 0."""

    @abc.abstractmethod
    def count(self, x: Any, rate: Any, xp: Any = np) -> Any:
        """Return ∂x/∂rate [...] of Poisson numbers x [...]."""

    @abc.abstractmethod
    def pick(self, index: Any, p: Any, slopes: Any, extra: Any, xp: Any = np) -> Any:
        """Return ∂e [..., n, Q], where e has a 1 at ``index`` [...] and else 0.

        ``p`` [..., n], probabilities that sum to 1, with ``slopes`` [..., n, Q] that sum to 0;
        ``extra`` [..., n], uniforms, or None where it is not `noisy`.
        """

    def tuned(self, num_runs: int) -> AbstractRelaxation:
        """Return the relaxation for an estimate from ``num_runs`` runs."""
        return self
