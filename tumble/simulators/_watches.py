"""What is made of declared draws while a run goes on: its score, or places for alternatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._draw_laws import AbstractLaw
from tumble._errors import DerivativeError
from tumble._typing import FloatArray
from tumble.choices import AbstractUniforms, AbstractWatch, Forced


class ScoreWatch(AbstractWatch):
    """Adds up ∂ log p of all draws of each run so far: ``score`` [B, Q]. Final."""

    def __init__(self, num_rows: int, num_params: int) -> None:
        self.score = np.zeros((num_rows, num_params))

    def see(self, index: int, law: AbstractLaw, outcome: Any, args: Any, slopes: Any) -> None:
        """See `AbstractWatch.see`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = law.score(outcome, args, slopes)
        if found.ndim > 1:
            found = found.reshape(len(self.score), -1, found.shape[-1]).sum(1)
        self.score += found


class PlaceWatch(AbstractWatch):
    """Chooses M alternatives among all that the draws of each run have. Final.

    One of weight w [Q] is chosen with probability |w| / W, where W is the sum of the lengths |w|
    of all of them, and weighs W w / (M |w|) then. Draws pass by once: each new one takes the place
    of the one kept so far with the probability that it has among those seen (a weighted reservoir).

    Arguments: ``extra``, uniforms of their own, so that the run is what it is without.
    """

    def __init__(self, scales: FloatArray, num_places: int, extra: AbstractUniforms) -> None:
        shape = (extra.num_rows, num_places)
        self._scales, self._extra = scales, extra
        self._total = np.zeros(extra.num_rows)
        self._direction = np.zeros((*shape, len(scales)))
        self._index = np.full(shape, -1)
        self._element = np.zeros(shape, np.int64)
        self._outcome = np.zeros(shape)

    @property
    def weights(self) -> FloatArray:
        """Weights [B, M, Q], 0 where no draw depends on a parameter."""
        return self._direction * (self._total / self._index.shape[1])[:, None, None]

    @property
    def forced(self) -> Forced:
        """What to force in the alternatives, [B M], those of a run side by side."""
        return Forced(self._index.ravel(), self._element.ravel(), self._outcome.ravel())

    def see(self, index: int, law: AbstractLaw, outcome: Any, args: Any, slopes: Any) -> None:
        """See `AbstractWatch.see`."""
        if not any(slope is not None and slope.any() for slope in slopes):
            return
        rows, places = self._index.shape
        shape = np.shape(outcome)
        width = int(np.prod(shape, dtype=int)) // rows if shape else 1
        extra = self._extra.take(width * law.num_extra + 2 * places)
        more = extra[:, 2 * places :].reshape(*shape, law.num_extra)
        with np.errstate(divide="ignore", invalid="ignore"):
            weights, outcomes = law.alternatives(outcome, args, slopes, more)
        per_draw = weights.shape[-2]
        weights = weights.reshape(rows, width * per_draw, -1)
        outcomes = np.reshape(outcomes, (rows, width * per_draw))
        lengths = np.sqrt(np.square(weights * self._scales).sum(-1))
        if not np.all(np.isfinite(lengths)):
            raise DerivativeError(
                f"a draw {type(law).__name__.strip('_').lower()} has a rate of 0 whose derivative "
                "is not 0, where its alternatives are not defined; keep the rate above 0."
            )
        edges = np.cumsum(lengths, axis=1)
        new = edges[:, -1]
        self._total += new
        taken = extra[:, :places] * self._total[:, None] < new[:, None]
        row, place = np.nonzero(taken)
        if len(row) == 0:
            return
        aim = extra[row, places + place] * new[row]
        found = np.minimum((edges[row] <= aim[:, None]).sum(1), width * per_draw - 1)
        length = lengths[row, found]
        self._direction[row, place] = weights[row, found] / length[:, None]
        self._index[row, place] = index
        self._element[row, place] = found // per_draw
        self._outcome[row, place] = outcomes[row, found]
