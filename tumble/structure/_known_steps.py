"""The likelihood of steps between states that are known, where some reactions hardly ever fire."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from tumble._errors import CapabilityError
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.structure._library import ReactionLibrary
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood, Steps

_FEW = 4.0  # firings in a step, on average, up to which each number of them is looked at
_TOO_MANY = 2.0  # times as many, by what was seen after the step, for which that would take long
_ROOM = 100  # numbers that matter in a step, for a start
_MOST_NUMBERS = 8000  # of firings of several reactions at once
_SHORT = 0.25  # times the fastest rate of relaxation, for which a short formula is good
_WIDTHS = (5, 4, 3, 2)  # standard deviations beyond which no number is looked at


@dataclass(frozen=True, eq=False)
class KnownSteps:
    """log p(data | rates) where all species are seen exactly, at all times.

    Definition: each step between two observations is by itself, as in a Markov chain. A reaction of
    which at most 4 firings are expected, as a step begins, has few there, and each number n of
    firings is taken into account with its probability, (rate a)ⁿ exp(−rate b) / n!; the others are
    normal given n, with the moments of `LinearNoise`, on the lattice of changes that they can make.
    Of few firings b = ∫h dt by the trapezoidal rule, between the states that were seen; a is that
    of h as it was before each firing, of which the state seen after shows what the others have left
    of its change. Which firings are few is decided at ``about``, rates [R], so that the likelihood
    is smooth in rates.

    Guarantee: exact up to order 1 / n² in the counts of reactants where one reaction fires and its
    firings are few; otherwise that of `LinearNoise`. -∞ where a network cannot make a step: what is
    not on the lattice of its changes, or would take few firings backward; the normal law of many
    allows any direction. Slopes are exact derivatives but for the relaxation after few firings,
    which is that at ``about``.

    Arguments: ``likelihood``; ``about`` [R], rates near those at which it is to be evaluated;
    ``members``, the candidates in the network. Raises `CapabilityError` where states are not known.

    References: Gillespie, J. Chem. Phys. 115 (2001), doi:10.1063/1.1378322 (Poisson numbers of
    firings); Louis, J. R. Stat. Soc. B 44 (1982), doi:10.1111/j.2517-6161.1982.tb01203.x
    (information).
    """

    likelihood: NetworkLikelihood
    about: FloatArray
    members: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.likelihood.known_steps is None:
            raise CapabilityError(
                "known steps need the exact counts of all species at all times, but the data have "
                "noise or gaps, or do not tell all species; weigh networks by linear noise."
            )

    def evaluate(self, rates: FloatArray) -> LogLikelihood:
        """Return the log likelihood at rates [R], with slopes by those of the members [k]."""
        size = len(self.members)
        value, slope, curvature = np.zeros(1), np.zeros(size), np.zeros(size)
        information = np.zeros((size, size))
        for group in self._groups:
            if value[0] == -np.inf:
                break
            group.add(self.library, rates, value, slope, information, curvature)
        return LogLikelihood(float(value[0]), slope, information, curvature)

    @property
    def library(self) -> ReactionLibrary:
        """The candidates."""
        return self.likelihood.library

    @cached_property
    def _groups(self) -> list[_Group]:
        """The steps, put together where the same reactions have few firings."""
        groups = []
        members = np.array(self.members, np.int64)
        for steps in self.likelihood.known_steps or ():
            about = self.about.copy()
            about[list(steps.given)] = list(steps.given.values())
            few = _few(self.library, steps, members, about[members])
            for pattern in np.unique(few, axis=0):
                rows = np.flatnonzero((few == pattern).all(1))
                groups.append(_group(self, steps, about, pattern, rows))
        return groups


class _Exposure(NamedTuple):
    """∫h dt of reactions in steps [M, F]: ``lasting``, by all times; ``ready``, before firings."""

    lasting: FloatArray
    ready: FloatArray


class _Group(NamedTuple):
    """Steps [M] in which the same members [k] have few firings, ``few`` [F] of them."""

    steps: Steps
    members: IntArray
    few: IntArray
    many: IntArray
    exposure: _Exposure  # [M, F]
    first: IntArray  # [M + 1]
    numbers: IntArray  # [N, F], of firings that matter
    shifts: FloatArray  # [M, F, S]
    coordinates: FloatArray  # [G, S]
    place: IntArray

    def add(
        self,
        library: ReactionLibrary,
        rates: FloatArray,
        value: FloatArray,
        slope: FloatArray,
        information: FloatArray,
        curvature: FloatArray,
    ) -> None:
        """Add what these steps say."""
        from tumble.kernels._few_firings import add_steps
        from tumble.kernels._network_filter import workspace

        own, given = np.array(rates, dtype=float), self.steps.given
        own[list(given)] = list(given.values())
        free = ~np.isin(self.members, list(given))
        own_slope, own_curvature = np.zeros_like(slope), np.zeros_like(curvature)
        own_information = np.zeros_like(information)
        work = workspace(len(library.species), len(self.coordinates), len(self.members))
        seldom = own[self.members[self.few]]
        add_steps(
            library.reactants, library.change, own, self.members[self.many], self.members,
            self.steps.before, self.steps.after, self.steps.spans, self.coordinates, self.few,
            self.exposure.lasting * seldom, self.exposure.ready * seldom, self.first, self.numbers,
            self.shifts, self.place, work, value, own_slope, own_information, own_curvature,
        )  # fmt: skip
        slope += own_slope * free
        curvature += own_curvature * free
        information += own_information * np.outer(free, free)


def _exposure(
    library: ReactionLibrary, steps: Steps, reactions: IntArray, shifts: FloatArray
) -> _Exposure:
    """Return that of reactions [M, F] by the trapezoidal rule, ``shifts`` [M, F, S] as they leave.

    Before a firing a reaction had not yet made its change, so of h at the end counts what it would
    be without what is left of that change there: were h as it is at the end counted, a reaction
    that uses up its reactants would seem to be slower than it is; were all of the change taken off
    where the others have long made up for it, faster.
    """
    before, after, half = steps.before, steps.after, steps.spans[:, None] / 2
    early = library.combinations(before)[:, reactions]
    lasting = early + library.combinations(after)[:, reactions]
    ready = early.copy()
    for place, r in enumerate(reactions):
        state = np.maximum(after - shifts[:, place], 0.0)
        ready[:, place] += library.combinations(state)[:, r]
    return _Exposure(lasting * half, ready * half)


def _few(library: ReactionLibrary, steps: Steps, members: IntArray, rates: FloatArray) -> BoolArray:
    """Return which members [M, k] have few firings, so that not too many numbers are looked at.

    That is for the state before a step to say: where what came of it decided which law it gets,
    neither would be a law.
    """
    before = library.combinations(steps.before)[:, members]
    after = library.combinations(steps.after)[:, members]
    expected = steps.spans[:, None] * rates
    early, lasting = before * expected, (before + after) / 2 * expected
    firings = np.maximum(early, lasting)
    order = np.argsort(firings, axis=1)
    numbers = _most(firings, _WIDTHS[-1]) + 1.0
    products = np.cumprod(np.take_along_axis(numbers, order, 1), 1)
    looked_at = np.empty(firings.shape, bool)
    np.put_along_axis(looked_at, order, products <= _MOST_NUMBERS, 1)
    return looked_at & (early <= _FEW) & (firings <= _TOO_MANY * _FEW)


def _limits(firings: FloatArray) -> IntArray:
    """Return up to which numbers of firings [F] to look, for averages [M, F]."""
    largest = firings.max(0, initial=0.0)
    wide = (_most(largest, width) for width in _WIDTHS)
    return next((m for m in wide if np.prod(m + 1.0) <= _MOST_NUMBERS), _most(largest, _WIDTHS[-1]))


def _most(firings: FloatArray, width: float) -> IntArray:
    return np.ceil(firings + width * np.sqrt(firings) + width).astype(np.int64)


def _group(
    known: KnownSteps, steps: Steps, about: FloatArray, pattern: BoolArray, rows: IntArray
) -> _Group:
    from tumble.kernels._few_firings import list_numbers
    from tumble.kernels._network_filter import workspace

    library, members = known.library, np.array(known.members, np.int64)
    few, many = np.flatnonzero(pattern), np.flatnonzero(~pattern)
    some = Steps(steps.before[rows], steps.after[rows], steps.spans[rows], steps.given)
    shifts = _shifts(library, some, about, members[many], members[few])
    own = _exposure(library, some, members[few], shifts)
    changes = tuple(tuple(change) for change in library.change[members[many]].tolist())
    coordinates, rest = _lattice(changes, len(library.species))
    first = np.zeros(len(rows) + 1, np.int64)
    expected, ready = own.lasting * about[members[few]], own.ready * about[members[few]]
    work = workspace(len(library.species), len(coordinates), len(members))
    room = _ROOM * len(rows)
    while True:
        numbers = np.zeros((room, len(few)), np.int64)
        list_numbers(
            library.reactants, library.change, about, members[many], members, some.before,
            some.after, some.spans, coordinates, rest, few, ready, _limits(expected), shifts,
            known.likelihood.place, work, first, numbers,
        )  # fmt: skip
        if first[-1] <= room:
            break
        room = first[-1]
    return _Group(
        some, members, few, many, own, first, numbers[: first[-1]], shifts, coordinates,
        known.likelihood.place,
    )  # fmt: skip


def _shifts(
    library: ReactionLibrary, steps: Steps, rates: FloatArray, many: IntArray, few: IntArray
) -> FloatArray:
    """Return what one firing [F] in a step [M] comes to at its end, on average, [M, F, S].

    The others take it on by exp(J t) in the time t that is left, any as probable as another, J
    being their Jacobian amid the step. What they conserve is not moved.
    """
    middle = (steps.before + steps.after) / 2
    slopes = np.zeros((len(middle), len(many), middle.shape[1]))
    for place, r in enumerate(many):
        i, j = library.reactants[r]
        if i >= 0:
            slopes[:, place, i] += 1.0 if j < 0 else middle[:, j] - 0.5 * (i == j)
        if j >= 0 and i != j:
            slopes[:, place, j] += middle[:, i]
    flow = np.einsum("r,rs,mru->msu", rates[many], library.change[many], slopes)
    moved = _mean_exponential(flow * steps.spans[:, None, None]) @ library.change[few].T
    return np.ascontiguousarray(np.swapaxes(moved, 1, 2))


def _mean_exponential(table: FloatArray) -> FloatArray:
    """Return ∫ exp(s A) ds over 0 … 1 of matrices A [M, S, S], by doubling of a short time."""
    one = np.eye(table.shape[1])
    largest = np.abs(table).sum(1).max(initial=0.0)
    doublings = max(0, math.ceil(math.log2(max(largest, 1e-300) / _SHORT)))
    small = table / 2.0**doublings
    mean = np.asarray(np.linalg.inv(one - small / 2 + small @ small / 12), dtype=float)
    for _ in range(doublings):
        mean = (2 * one + small @ mean) @ mean / 2  # exp(A) = 1 + A ∫ exp(s A) ds
        small = 2 * small
    return mean


@lru_cache(maxsize=4096)
def _lattice(changes: tuple[tuple[int, ...], ...], size: int) -> tuple[FloatArray, FloatArray]:
    """Return how to write a change [S] in a basis of the lattice of some, and what is not in it.

    The coordinates [G, S] of a change of the lattice are whole numbers.
    """
    rows = [list(change) for change in changes]
    basis = []
    for column in range(size):
        while True:
            here = sorted((r for r in rows if r[column]), key=lambda r: abs(r[column]))
            if len(here) < 2:
                break
            for row in here[1:]:
                times = row[column] // here[0][column]
                row[:] = [x - times * y for x, y in zip(row, here[0], strict=True)]
        for row in here:
            basis.append(row)
            rows = [r for r in rows if r is not row]
    table = np.array(basis, dtype=float).reshape(-1, size)
    coordinates = np.linalg.pinv(table.T) if len(table) else table
    return np.ascontiguousarray(coordinates), np.eye(size) - table.T @ coordinates
