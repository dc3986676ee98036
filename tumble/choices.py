"""Declared random draws: they give a simulator in plain Python its exact gradients.

A simulator that draws through `Choices` is ordinary code, and stays so: each call returns plain
numbers. But the library sees with which probability each outcome was drawn, and how that depends on
the parameters. That is all that two unbiased estimators need: the score of a run, and runs in which
one draw has another outcome.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tumble._draw_laws import CHOOSE, COUNT, FLIP, NORMAL, WAIT, AbstractLaw
from tumble._duals import Dual, split_dual
from tumble._errors import DerivativeError
from tumble._relaxation import AbstractRelaxation
from tumble._typing import FloatArray, IntArray

__all__ = ["Choices"]


class AbstractUniforms(abc.ABC):
    """A source of uniforms for rows of runs, each run with its own."""

    num_rows: int
    """B."""

    @abc.abstractmethod
    def take(self, count: int) -> FloatArray:
        """Return the next ``count`` uniforms of each row, [B, count]."""

    @abc.abstractmethod
    def take_one(self) -> float:
        """Return the next uniform, where there is one row."""


class AbstractWatch(abc.ABC):
    """Is shown each draw whose probabilities depend on a parameter."""

    @abc.abstractmethod
    def see(self, index: int, law: AbstractLaw, outcome: Any, args: Any, slopes: Any) -> None:
        """Take note of draw ``index`` (which call it was): its arguments and ∂ args [..., Q]."""


class Forced(NamedTuple):
    """Outcomes to be had instead of drawn ones, a row each.

    Draw ``draw`` [B] (-1: none), counted from 0, gets ``outcome`` [B] at its ``element`` [B].
    """

    draw: IntArray
    element: IntArray
    outcome: FloatArray

    def rows(self, rows: IntArray) -> Forced:
        """Return some of the rows."""
        return Forced(self.draw[rows], self.element[rows], self.outcome[rows])


class Relaxed(NamedTuple):
    """That outcomes are to carry pathwise derivatives, by a relaxation of discrete ones.

    ``extra``, uniforms of their own, so that the run is what it is without.
    """

    relaxation: AbstractRelaxation
    extra: AbstractUniforms


class Choices:
    """Random draws with declared probabilities. Final.

    A black box declared with ``choices=True`` gets one in place of a random generator.
    Probabilities and rates may be computed from the parameters by ordinary arithmetic and NumPy
    functions. Draws return plain numbers.

    Guarantee: draws follow their law to 52 bits, and are a function of the seed, the run and the
    position of the draw in the run alone; runs at other parameters that share a seed share their
    uniforms, through the inverse of the distribution function. Derivatives from the score and from
    alternative outcomes are exact as long as parameters reach the outputs through the draws alone,
    and nothing else jumps where a parameter moves: a branch on an *outcome* is what they are for,
    a branch such as ``if p > 0.5`` hides its jump from them.

    For a *pathwise* derivative (`tumble.gradients.Pathwise`) draws return numbers that carry the
    derivatives of their outcomes through the arithmetic that follows. A comparison, and so a
    branch, sees the outcome alone, and what depends on it that way is missing from the derivative.

    Shapes: ``size`` is a shape, by default that of the arguments: with ``flip(p, 100)``, or with
    an array of 100 probabilities, 100 draws are one call. In a ``batched`` function every array has
    the runs as its first dimension, and ``size`` is what each run draws.

    References: Glynn, Commun. ACM 33 (1990), doi:10.1145/84537.84552 (score); Heidergott,
    Vázquez-Abad, J. Optim. Theory Appl. 136 (2008), doi:10.1007/s10957-007-9318-6 (measure-valued
    derivatives, of which the alternative outcomes are samples).
    """

    __slots__ = ("_batched", "_count", "_forced", "_relaxed", "_source", "_watch", "_widest")

    def __init__(
        self,
        source: AbstractUniforms,
        batched: bool = False,
        watch: AbstractWatch | None = None,
        forced: Forced | None = None,
        relaxed: Relaxed | None = None,
    ) -> None:
        self._source = source
        self._batched = batched
        self._watch = watch
        self._forced = {} if forced is None else _by_draw(forced)
        self._relaxed = relaxed
        self._count = -1
        self._widest = 1

    @property
    def widest(self) -> int:
        """The most numbers that a run has needed for one call of a draw so far."""
        return self._widest

    def flip(self, p: Any, size: Any = None) -> Any:
        """Return True with probability ``p``, else False."""
        return self._number(FLIP, size, p)

    def choose(self, weights: Any, size: Any = None) -> Any:
        """Return i with probability weights[..., i] / Σ weights, or i < n for a whole number n.

        Weights are ≥ 0, along the last dimension of an array, or a list of numbers or arrays.
        """
        index, slope = self._draw(CHOOSE, size, _as_weights(weights))
        if slope is not None:
            raise DerivativeError(
                "`choose` returns a label, which has no pathwise derivative, and its weights "
                "depend on a parameter here. Draw a number with `pick(values, weights)` instead, "
                "or take another gradient: ScoreFunction and AlternativePath allow any use of it."
            )
        return index

    def pick(self, values: Any, weights: Any, size: Any = None) -> Any:
        """Return values[i] with i drawn as by `choose`.

        ``values`` [n, …]: numbers, or arrays such as steps on axes, the same for all runs, that do
        not depend on a parameter. A number x moves by a random step with ``x + pick(steps, …)``.
        """
        if any(isinstance(part, Dual) for part in (values, *values)):
            raise DerivativeError(
                "`pick(values, weights)` got values that depend on a parameter, expected plain "
                "numbers; put what depends outside, as in x + scale * pick([-1, 1], weights)."
            )
        table = np.asarray(values)
        weights = _as_weights(weights)
        index, slope = self._draw(CHOOSE, size, weights)
        num_weights = np.shape(split_dual(weights)[0])[-1]
        if len(table) != num_weights:
            raise ValueError(
                f"pick(values, weights) got {len(table)} values and {num_weights} weights, "
                "expected as many of both"
            )
        value = table[index]
        if isinstance(index, int) and table.ndim == 1:
            value = value.item()
        if slope is None:
            return value
        return Dual(value, np.moveaxis(np.tensordot(slope, table, (-2, 0)), slope.ndim - 2, -1))

    def count(self, rate: Any, size: Any = None) -> Any:
        """Return a whole number with the Poisson law of mean ``rate`` ≥ 0."""
        return self._number(COUNT, size, rate)

    def wait(self, rate: Any, size: Any = None) -> Any:
        """Return a time with the exponential law of ``rate`` ≥ 0, so mean 1 / rate; ∞ for 0."""
        return self._number(WAIT, size, rate)

    def normal(self, mean: Any, sd: Any, size: Any = None) -> Any:
        """Return a number with the normal law of ``mean`` and standard deviation ``sd`` > 0."""
        return self._number(NORMAL, size, mean, sd)

    # -- private -----------------------------------------------------

    def _number(self, law: AbstractLaw, size: Any, *given: Any) -> Any:
        outcome, slope = self._draw(law, size, *given)
        return outcome if slope is None else Dual(outcome, slope)

    def _draw(self, law: AbstractLaw, size: Any, *given: Any) -> tuple[Any, FloatArray | None]:
        """Return the outcome, and its pathwise derivative if there is one and it is asked for."""
        self._count += 1
        values: Sequence[Any]
        slopes: Sequence[Any]
        values, slopes = zip(*map(split_dual, given), strict=True)
        if size is None and not self._batched and _are_single(law, values):
            u: Any = self._source.take_one()
            outcome = law.draw_one(u, *values)
        else:
            values, slopes = self._fitted(law, size, values, slopes)
            shape = np.shape(values[0])[: np.ndim(values[0]) - law.categories]
            width = math.prod(shape[1:] if self._batched else shape)
            self._widest = max(self._widest, width * np.size(values[0]) // max(math.prod(shape), 1))
            u = self._source.take(width).reshape(shape)
            outcome = law.draw(u, *values)
        if self._count in self._forced:
            outcome = self._replaced(outcome)
        has_slopes = any(slope is not None for slope in slopes)
        if self._watch is not None and has_slopes and np.size(outcome):
            self._watch.see(self._count, law, outcome, values, slopes)
        if self._relaxed is not None and any(s is not None and s.any() for s in slopes):
            return outcome, _relaxed_slope(self._relaxed, law, outcome, u, values, slopes)
        return outcome, None

    def _fitted(
        self, law: AbstractLaw, size: Any, values: Sequence[Any], slopes: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Return the arguments and their slopes in the shape of the draws."""
        num_rows, batched = self._source.num_rows, self._batched
        shapes = [np.shape(value) for value in values]
        middles = [shape[: len(shape) - law.categories] for shape in shapes]
        if batched:
            middles = [middle or (1,) for middle in middles]
            for middle in middles:
                if middle[0] not in (1, num_rows):
                    raise ValueError(
                        f"an argument of a draw has shape {middle}, expected the {num_rows} runs "
                        "of the batch as its first dimension"
                    )
        own = [middle[1:] if batched else middle for middle in middles]
        whole = np.broadcast_shapes(*own) if size is None else _as_shape(size)
        fitted_values, fitted_slopes = [], []
        for v, (value, slope) in enumerate(zip(values, slopes, strict=True)):
            inner = shapes[v][len(shapes[v]) - law.categories :]
            gap = (1,) * (len(whole) - len(own[v]))
            before = (*middles[v][:1], *gap, *own[v]) if batched else middles[v]
            after = (num_rows, *whole, *inner) if batched else (*whole, *inner)
            fitted_values.append(np.broadcast_to(np.reshape(value, before + inner), after))
            if slope is not None:
                last = slope.shape[-1:]
                slope = np.broadcast_to(np.reshape(slope, before + inner + last), after + last)
            fitted_slopes.append(slope)
        return fitted_values, fitted_slopes

    def _replaced(self, outcome: Any) -> Any:
        rows, elements, outcomes = self._forced[self._count]
        if np.ndim(outcome) == 0:
            return type(outcome)(outcomes[0])
        table = np.array(outcome).reshape(self._source.num_rows, -1)
        table[rows, elements] = outcomes
        return table.reshape(np.shape(outcome))


def _relaxed_slope(
    relaxed: Relaxed, law: AbstractLaw, outcome: Any, u: Any, values: Any, slopes: Any
) -> FloatArray:
    """Return the pathwise derivative of an outcome; raises where it is not defined."""
    extra = None
    if law.categories and relaxed.relaxation.noisy:
        shape = np.shape(values[0])
        extra = relaxed.extra.take(math.prod(shape) // relaxed.extra.num_rows).reshape(shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = law.relaxed(outcome, u, values, slopes, relaxed.relaxation, extra)
    if not np.all(np.isfinite(found)):
        raise DerivativeError(
            f"a draw {type(law).__name__.strip('_').lower()} has a probability of 0 or 1, or a "
            "rate of 0, that depends on a parameter, where its pathwise derivative by "
            f"{type(relaxed.relaxation).__name__} is not defined. Keep it away from there; "
            "StraightThrough() takes probabilities of 0 and 1."
        )
    return found


def _as_weights(weights: Any) -> Any:
    return np.ones(int(weights)) if isinstance(weights, (int, np.integer)) else weights


def _by_draw(forced: Forced) -> dict[int, tuple[IntArray, IntArray, FloatArray]]:
    """Return rows, elements and outcomes by the index of the draw."""
    found = {}
    for draw in np.unique(forced.draw[forced.draw >= 0]):
        rows = np.flatnonzero(forced.draw == draw)
        found[int(draw)] = (rows, forced.element[rows], forced.outcome[rows])
    return found


def _are_single(law: AbstractLaw, values: Sequence[Any]) -> bool:
    if law.categories:
        return np.ndim(values[0]) == 1
    return all(isinstance(value, (float, int)) or np.ndim(value) == 0 for value in values)


def _as_shape(size: Any) -> tuple[int, ...]:
    return (int(size),) if isinstance(size, (int, np.integer)) else tuple(size)
