"""Draws from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tumble._errors import DataError
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._base import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
    PosteriorTask,
)

_OUT = 1e-9  # of the width of the bounds


@dataclass(frozen=True)
class Elsewhere(AbstractBasis):
    """What given draws rest on: their ``source``, in words. Final."""

    cost: ClassVar[str] = "draws"
    source: str

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        return f"draws of {self.source}"


@dataclass(frozen=True)
class GivenDraws(AbstractPosteriorMethod):
    """Draws that another program has made, as a posterior that can be shown and compared.

    Arguments: ``theta`` [N, P], in the natural scale and in the order of ``problem.space.names``;
    ``weights`` [N], default even; ``source``, what made them, in words.

    Guarantee: none but that of their source. What is wrong with them is told as of every posterior.
    """

    citations: ClassVar[tuple[str, ...]] = ()
    theta: FloatArray = field(repr=False)
    weights: FloatArray | None = field(default=None, repr=False)
    source: str = "another program"

    def bind(self, task: PosteriorTask) -> AbstractSampler:
        """See `AbstractPosteriorMethod.bind`. Raises `DataError` for draws that cannot be."""
        theta = np.asarray(self.theta, dtype=float)
        space = task.problem.space
        if theta.ndim != 2 or theta.shape[1] != space.size or not len(theta):
            raise DataError(
                f"`theta` has shape {theta.shape}, expected [draws, {space.size}]: one column for "
                f"each of {', '.join(space.names)}."
            )
        weights = np.full(len(theta), 1 / len(theta))
        if self.weights is not None:
            weights = np.asarray(self.weights, dtype=float)
            known = weights.shape == (len(theta),) and np.isfinite(weights).all()
            if not known or weights.min() < 0 or weights.sum() <= 0:
                raise DataError(
                    f"`weights` has shape {weights.shape}, expected {len(theta)} numbers ≥ 0, one "
                    "for each draw, not all 0."
                )
        with np.errstate(all="ignore"):
            z = np.asarray(space.to_fit(theta), dtype=float)
        room = _OUT * (space.upper - space.lower)
        inside = np.isfinite(z) & (z >= space.lower - room) & (z <= space.upper + room)
        if not inside.all():
            p = int(np.flatnonzero(~inside.all(0))[0])
            odd = theta[np.flatnonzero(~inside[:, p])[0], p]
            raise DataError(
                f"{int((~inside[:, p]).sum())} draws of {space.names[p]!r} are outside its bounds, "
                f"such as {odd:g}; leave them out, or widen the bounds."
            )
        return _Given(space.clip(z), weights / weights.sum(), self.source)


@dataclass(frozen=True, kw_only=True)
class GivenState(AbstractState):
    """Whether the draws were taken."""

    rounds: tuple[int, ...] = ()

    @property
    def has_draws(self) -> bool:
        """See `AbstractState.has_draws`."""
        return True

    @property
    def costs(self) -> dict[str, float]:
        """See `AbstractState.costs`."""
        return {"draws": float(sum(self.rounds))}

    @property
    def news(self) -> str:
        """See `AbstractState.news`."""
        return "taken"


class _Given(AbstractSampler):
    """Hands out what was given. Final."""

    state_type = GivenState

    def __init__(self, z: FloatArray, weights: FloatArray, source: str) -> None:
        self._draws = Draws(z, weights, Elsewhere(source))

    def init(self) -> GivenState:
        """See `AbstractSampler.init`."""
        return GivenState(rounds=(len(self._draws.z),))

    def step(self, state: GivenState) -> GivenState:
        """See `AbstractSampler.step`."""
        return state.ended(ResultCode.SUCCESS, "the draws were taken as they are")

    def progress(self, state: Any) -> float:
        """See `AbstractSampler.progress`."""
        return 1.0

    def draws(self, state: Any) -> Draws:
        """See `AbstractSampler.draws`."""
        return self._draws
