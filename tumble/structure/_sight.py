"""What a design sees of a network, and which networks it cannot tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._binding import Binding
from tumble._problem import Problem
from tumble._typing import FloatArray, IntArray
from tumble.models import Reaction
from tumble.priors import AbstractPrior
from tumble.structure._library import equation

_ZERO = 1e-9
_SAME = 1e-7  # of a norm
_SYMMETRIES = 24  # that are tried at most
_DEGREE = 2  # of propensities


@dataclass(frozen=True)
class Sight:
    """What the experiments of a problem see of a state: ``look`` [O, S], sums of the ``species``.

    ``starts`` [E, S] are their initial states, some of them where these are drawn; ``known``,
    equations whose rates an experiment has by its conditions, which nothing can take the place of.
    """

    species: tuple[str, ...]
    look: FloatArray
    starts: FloatArray
    known: frozenset[str] = frozenset()

    @classmethod
    def of(cls, problem: Problem, candidates: Sequence[Reaction]) -> Sight:
        """Return the sight of a problem whose observables are linear."""
        rows = [row for binding in problem.bindings for row in _looks(problem, binding)]
        starts = [state for binding in problem.bindings for state in _starts(binding)]
        names = {name for b in problem.bindings for name in b.experiment.conditions}
        known = frozenset(equation(r) for r in candidates if str(r.rate) in names)
        look = np.unique(np.array(rows), axis=0)
        return cls(tuple(problem.model.species), look, np.array(starts), known)

    def alike(self, left: Sequence[Reaction], right: Sequence[Reaction]) -> bool:
        """Return whether two networks give the same laws to all data, each at rates of its own.

        Definition: the smallest set of sums of species is taken that holds all that is observed and
        all that the rates of change of these sums depend on. As a process of its own, it has jumps,
        each with a cone of propensities, Σ θ h(x) for θ ≥ 0, over the states with the conserved
        totals of the initial states. The networks are alike where jumps and cones are the same, as
        they are or with species exchanged that start alike and are not seen.

        Guarantee: where it says so, the likelihoods of both are equal for every data set of the
        design, at suitable rates. It may miss networks that are alike for another reason.
        """
        if self._visible_jumps(left) != self._visible_jumps(right):
            return False
        one, other = self._table(left), self._table(right)
        return any(self._same(one, other.exchanged(order)) for order in self._symmetries)

    def expressed(
        self, reaction: Reaction, others: Sequence[Reaction], among: Sequence[Reaction]
    ) -> dict[int, float]:
        """Return rates of ``others``, by position, that act as ``reaction`` at rate 1 does.

        In every network of the reactions ``among``; empty where there are none.
        """
        whole = self._table(among)
        rows = self._sufficient(whole)
        jump = self._jumps(rows, self._table([reaction]))[0]
        jumps = self._jumps(rows, self._table(others))
        alike = [i for i, other in enumerate(jumps) if other == jump and jump]
        if not alike:
            return {}
        states = self._states(whole)
        target = self._table([reaction]).propensities(states)[:, 0]
        rates = _combined(target, self._table([others[i] for i in alike]).propensities(states))
        if rates is None:
            return {}
        return {i: float(c) for i, c in zip(alike, rates, strict=True) if c > _ZERO}

    def jump_of(self, reaction: Reaction, among: Sequence[Reaction]) -> tuple[object, ...]:
        """Return the visible change by a reaction in a network, empty where there is none."""
        return self._jumps(self._sufficient(self._table(among)), self._table([reaction]))[0]

    def unseen(self, among: Sequence[Reaction]) -> list[str]:
        """Return the species whose counts do not follow from what is seen and is conserved."""
        known = np.concatenate([self.look, _orthogonal(self._table(among).change)])
        unit = np.eye(len(self.species))
        return [s for s, row in zip(self.species, unit, strict=True) if not _spanned(row, known)]

    @property
    def words(self) -> str:
        """What is observed, such as ``I, S + R``."""
        sums = []
        for row in self.look:
            parts = [
                name if weight == 1 else f"{weight:.4g} {name}"
                for name, weight in zip(self.species, row, strict=True)
                if abs(weight) > _ZERO
            ]
            sums.append(" + ".join(parts))
        return ", ".join(sorted(text for text in sums if text))

    # -- private -----------------------------------------------------

    def _table(self, reactions: Sequence[Reaction]) -> _Table:
        counts = np.zeros((2, len(reactions), len(self.species)), np.int64)
        for r, reaction in enumerate(reactions):
            for side, given in enumerate((reaction.reactants, reaction.products)):
                for name, count in given.items():
                    counts[side, r, self.species.index(name)] = count
        names = [equation(reaction) for reaction in reactions]
        own = tuple(name if name in self.known else "" for name in names)
        return _Table(counts[0], (counts[1] - counts[0]).astype(float), own)

    def _visible_jumps(self, reactions: Sequence[Reaction]) -> frozenset[object]:
        return frozenset(self._jumps(self.look, self._table(reactions))) - {()}

    def _jumps(self, rows: FloatArray, table: _Table) -> list[tuple[object, ...]]:
        """Return the changes of sums by each reaction, empty where there is none."""
        moved = np.rint(1e6 * table.change @ rows.T).astype(np.int64)
        return [
            (name, *move.tolist()) if np.any(move) else ()
            for name, move in zip(table.own, moved, strict=True)
        ]

    def _same(self, one: _Table, other: _Table) -> bool:
        both = one.joined(other)
        rows = self._sufficient(both)
        first, second = self._jumps(rows, one), self._jumps(rows, other)
        if {*first} - {()} != {*second} - {()}:
            return False
        states = None
        for jump in {*first} - {()}:
            mine = one.only([r for r, j in enumerate(first) if j == jump])
            yours = other.only([r for r, j in enumerate(second) if j == jump])
            if mine.takes == yours.takes:
                continue
            if states is None:
                states = self._states(both)
            if not _same_cone(mine.propensities(states), yours.propensities(states)):
                return False
        return True

    def _sufficient(self, table: _Table) -> FloatArray:
        """Return sums of species [W, S] that move as a process of their own, the observed first."""
        laws = _orthogonal(table.change)
        rows = self.look
        while True:
            seen = np.any(np.abs(table.change @ rows.T) > _ZERO, axis=1)
            needed = np.flatnonzero(np.any(table.taken[seen] > 0, axis=0))
            known = np.concatenate([rows, laws])
            new = [s for s in needed if not _spanned(np.eye(len(self.species))[s], known)]
            if not new:
                return rows
            rows = np.concatenate([rows, np.eye(len(self.species))[new]])

    def _states(self, table: _Table) -> FloatArray:
        """Return states [M, S] in which polynomials of propensities differ if they do at all.

        They have the conserved totals of the initial states; they need not be whole numbers.
        """
        basis = _orthogonal(_orthogonal(table.change))
        size = len(basis)
        count = 2 * ((size + 1) * (size + _DEGREE)) // _DEGREE
        places = np.random.default_rng(0).standard_normal((count, size))
        return np.concatenate(
            [start + max(float(start.max()), 10.0) * places @ basis for start in self.starts]
        )

    @cached_property
    def _symmetries(self) -> list[IntArray]:
        """Orders of the species that change nothing in what is observed and how it starts."""
        size = len(self.species)
        columns = np.concatenate([self.look, self.starts]).T
        kinds = np.unique(columns, axis=0, return_inverse=True)[1].ravel()
        groups = [np.flatnonzero(kinds == k) for k in range(kinds.max(initial=0) + 1)]
        found = []
        for orders in itertools.islice(_orders(groups), _SYMMETRIES):
            order = np.arange(size)
            for group, members in zip(groups, orders, strict=True):
                order[group] = members
            found.append(order)
        return found


@dataclass(frozen=True)
class _Table:
    """Reactions: copies ``taken`` and ``change`` [R, S], and names of those with known rates."""

    taken: IntArray
    change: FloatArray
    own: tuple[str, ...]

    @property
    def takes(self) -> set[tuple[int, ...]]:
        """What they take, each once."""
        return {tuple(row) for row in self.taken.tolist()}

    def only(self, keep: Sequence[int]) -> _Table:
        """Return some of the reactions."""
        return _Table(self.taken[keep], self.change[keep], tuple(self.own[r] for r in keep))

    def joined(self, other: _Table) -> _Table:
        """Return the reactions of both."""
        return _Table(
            np.concatenate([self.taken, other.taken]),
            np.concatenate([self.change, other.change]),
            (*self.own, *other.own),
        )

    def exchanged(self, order: IntArray) -> _Table:
        """Return the reactions with their species exchanged."""
        return _Table(self.taken[:, order], self.change[:, order], self.own)

    def propensities(self, states: FloatArray) -> FloatArray:
        """Return the combinations of reactants [M, R] as polynomials, also of negative counts."""
        x = states[:, None, :]
        each = np.where(self.taken == 2, x * (x - 1) / 2, np.where(self.taken == 1, x, 1.0))
        return np.asarray(each.prod(-1))


def _looks(problem: Problem, binding: Binding) -> FloatArray:
    space, size = problem.space, len(problem.model.species)
    theta = np.asarray(space.from_fit((space.lower + space.upper) / 2))
    seen = np.asarray(binding.observe(np.concatenate([np.zeros((1, size)), np.eye(size)]), theta))
    there = np.isfinite(binding.observed.values).any(axis=(0, 1))
    return np.asarray((seen[1:] - seen[0]).T[there])


def _starts(binding: Binding) -> list[FloatArray]:
    """Return an initial state, and further ones where some of it is drawn."""
    given = [binding.experiment.initial[name] for name in binding.model.initial_names]
    mean = np.array([v.mean if isinstance(v, AbstractPrior) else float(v) for v in given])
    spread = np.array([v.variance if isinstance(v, AbstractPrior) else 0.0 for v in given])
    aside = np.sqrt(spread) * np.eye(len(mean))
    return [mean, *(mean + row for row in aside if np.any(row))]


def _orders(groups: Sequence[IntArray]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Return permutations within groups, the one that changes nothing first."""
    return itertools.product(*(itertools.permutations(group.tolist()) for group in groups))


def _orthogonal(rows: FloatArray) -> FloatArray:
    """Return a basis [K, S] of what is orthogonal to rows [R, S]."""
    from scipy.linalg import null_space

    if not len(rows):
        return np.eye(rows.shape[1])
    return np.asarray(null_space(rows, rcond=_ZERO).T)


def _spanned(vector: FloatArray, rows: FloatArray) -> bool:
    """Return whether a vector is a sum of rows with any weights."""
    if not len(rows):
        return False
    weights = np.linalg.lstsq(rows.T, vector, rcond=None)[0]
    return bool(np.abs(rows.T @ weights - vector).max() < _SAME)


def _same_cone(one: FloatArray, other: FloatArray) -> bool:
    """Return whether columns [M, k] and [M, l] have the same sums with weights ≥ 0."""
    pairs = ((one, other), (other, one))
    return all(_combined(col, cone) is not None for cols, cone in pairs for col in cols.T)


def _combined(target: FloatArray, columns: FloatArray) -> FloatArray | None:
    """Return weights ≥ 0 of columns [M, k] that sum up to a target [M], None if there are none."""
    from scipy.optimize import nnls

    # Experiments with few copies count as much as those with many.
    rows = _or_one(np.maximum(np.abs(columns).max(1), np.abs(target)))
    even, aim = columns / rows[:, None], target / rows
    norms, size = _or_one(np.linalg.norm(even, axis=0)), _or_one(np.linalg.norm(aim))
    weights, rest = nnls(even / norms, aim / size)
    return np.asarray(weights / norms * size) if rest < _SAME else None


def _or_one(sizes: Any) -> Any:
    """Return sizes to divide by: 1 for what is 0, such as the rate of what has no reactants."""
    return np.where(sizes > 0, sizes, 1.0)
