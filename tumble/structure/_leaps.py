"""Networks two exchanges away, as a quadratic model of the log likelihood sees them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.structure._posterior import Network, NetworkPosterior, Weighed

_LOOKED_AT = 150  # candidates that may be taken in, those of the most gain
_PAIRS = 40  # of these, where they come with their reverses
_TRIED = 30  # for every choice of members that go
_OFFERED = 10  # networks
_EVEN = 1e-10


def leaps(
    posterior: NetworkPosterior, here: Weighed, worth: FloatArray, least: float
) -> list[tuple[Network, dict[int, float]]]:
    """Return networks that may have a log posterior of ``least``, and logarithms of their rates.

    Definition: of the members up to two go, and one or two candidates come. Their log posteriors
    are those of a log likelihood that is quadratic in the rates, with the slopes and the Fisher
    information at ``here``: right where the means of increments are linear in rates, and their
    variances alike. The ten best are returned, most promising first.

    A pair of reactions may stand in for another pair, such as births of two and deaths by an
    encounter for births and deaths, where half of the exchange is far worse than either.

    Arguments: what single candidates are ``worth`` [R]: the best of them are looked at.
    """
    library, required = posterior.library, posterior.required
    most = 2 * _PAIRS if library.reversible else _LOOKED_AT
    others = [int(r) for r in np.argsort(-worth)[:most] if worth[r] > -np.inf]
    others = sorted(library.closed(others) - here.network)
    order = [*here.members, *others]
    rates = np.zeros(len(library))
    rates[here.members] = np.exp(here.log_rates)
    found = posterior.likelihood.evaluate(rates, order)
    if not np.isfinite(found.value) or not here.members or not others:
        return []
    model = _Quadratic(posterior, order, rates[order], found.slope, found.information)
    count = len(here.members)
    level = here.log_posterior - model.scores(np.arange(count)[None])[0][0]
    place = {r: i for i, r in enumerate(order)}
    free = sorted({min(library.units[r]) for r in here.network - required})
    comes = sorted({tuple(sorted(place[q] for q in library.units[r])) for r in others})
    offers: list[tuple[float, list[int], FloatArray]] = []
    for gone in itertools.chain(*(itertools.combinations(free, n) for n in range(3))):
        left = frozenset().union(*(library.units[r] for r in gone))
        kept = [place[r] for r in here.members if r not in left]
        for come in (1, 2):
            rows = (
                _all_with(kept, comes, come) if library.reversible
                else model.best_with(kept, come, count)
            )  # fmt: skip
            values, best = model.scores(rows) if len(rows) else (np.zeros(0), np.zeros((0, 0)))
            if not library.reversible:
                values = np.where(np.isfinite(best).all(1), values, -np.inf)
            offers += [
                (float(values[i]), rows[i].tolist(), best[i])
                for i in np.flatnonzero(values + level > least)
            ]
    offers.sort(key=lambda offer: -offer[0])
    return [
        (frozenset(order[j] for j in row),
         {order[j]: math.log(x) for j, x in zip(row, best, strict=True) if np.isfinite(x)})
        for _, row, best in offers[:_OFFERED]
    ]  # fmt: skip


def _all_with(kept: list[int], comes: list[tuple[int, ...]], come: int) -> IntArray:
    """Return all networks [n, k] of those ``kept`` and ``come`` of the pairs that may come."""
    rows = [[*kept, *itertools.chain(*chosen)] for chosen in itertools.combinations(comes, come)]
    return np.array(rows, np.int64)


class _Quadratic:
    """log p(data, rates) of subsets of candidates, quadratic in their rates. Final."""

    def __init__(
        self,
        posterior: NetworkPosterior,
        order: Sequence[int],
        rates: FloatArray,
        slope: FloatArray,
        information: FloatArray,
    ) -> None:
        self._posterior = posterior
        self._scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
        self._matrix = information / np.outer(self._scale, self._scale)
        self._matrix[np.diag_indices(len(order))] += _EVEN
        self._right = slope / self._scale + self._matrix @ (rates * self._scale)
        self._centers = posterior.centers[list(order)]
        self._order = list(order)

    def best_with(self, kept: list[int], come: int, first: int) -> IntArray:
        """Return the best networks [n, k] of those ``kept`` and one or two others, from ``first``.

        By the log likelihood alone, with rates of the others that are positive.
        """
        matrix, right = self._matrix[first:, first:], self._right[first:]
        if kept:
            across = self._matrix[first:, kept]
            solved = np.linalg.solve(self._matrix[np.ix_(kept, kept)], across.T)
            matrix, right = matrix - across @ solved, right - self._right[kept] @ solved
        own = np.maximum(np.diag(matrix), _EVEN)
        if come == 1:
            values = np.where(right > 0, right**2 / own, -np.inf)
            chosen = np.argsort(-values)[:_TRIED]
            others = chosen[values[chosen] > -np.inf][:, None]
        else:
            one, two = np.triu_indices(len(right), 1)
            both, a, b = matrix[one, two], right[one], right[two]
            det = np.maximum(own[one] * own[two] - both**2, _EVEN**2)
            x, y = (own[two] * a - both * b) / det, (own[one] * b - both * a) / det
            values = np.where((x > 0) & (y > 0), a * x + b * y, -np.inf)
            count = min(_TRIED, len(values))
            chosen = np.argpartition(-values, count - 1)[:count] if count else np.zeros(0, int)
            chosen = chosen[values[chosen] > -np.inf]
            others = np.stack([one[chosen], two[chosen]], axis=1)
        return np.hstack([np.tile(np.array(kept, int), (len(others), 1)), others + first])

    def scores(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return log posteriors [n] of networks [n, k], but for a constant, and rates [n, k].

        Reactions whose best rates are not positive are left out, and have the rate NaN.
        """
        matrix = self._matrix[rows[:, :, None], rows[:, None, :]]
        right = self._right[rows]
        best = np.linalg.solve(matrix, right[..., None])[..., 0]
        out = best <= 0
        if out.any():
            inside = ~out[:, :, None] & ~out[:, None, :]
            matrix = np.where(inside, matrix, np.eye(rows.shape[1]))
            right = np.where(out, 0.0, right)
            best = np.linalg.solve(matrix, right[..., None])[..., 0]
            out |= best <= 0
        scale = self._scale[rows]
        rates = np.where(out, np.nan, best) / scale
        spread = self._posterior.prior.spread
        with np.errstate(invalid="ignore"):
            logs = np.log(rates)
        away = np.where(out, 0.0, (logs - self._centers[rows]) / spread)
        # Laplace's method, with the information in logarithms: that in rates, times rates.
        bend = np.linalg.slogdet(matrix)[1] + 2 * np.where(out, 0.0, np.log(scale) + logs).sum(1)
        values = 0.5 * ((right * best).sum(1) - bend - (away**2).sum(1))
        values -= (~out).sum(1) * np.log(spread)
        values += self._posterior.log_prior(frozenset(self._order[j] for j in rows[0]))
        return values, rates
