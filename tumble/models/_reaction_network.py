"""Reaction networks with mass-action kinetics."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from numbers import Real
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_known
from tumble._typing import FloatArray, IntArray
from tumble.models._reaction_text import check_name, format_side, parse_reactions

_MAX_COEFFICIENT = 10**6


@dataclass(frozen=True)
class Reaction:
    """One reaction, ``reactants -> products`` at rate constant ``rate``.

    Arguments: ``reactants`` and ``products`` map species names to whole numbers; ``rate`` is the
    name of a parameter or a number ≥ 0 (per unit of time).

    The propensity of a reaction that takes m copies of a species of which there are n contains
    the number of distinct combinations n (n-1) … (n-m+1) / m!, so ``2 A -> B ; k`` fires at
    k n (n-1) / 2. This is the convention of Gillespie (1976), doi:10.1016/0021-9991(76)90041-3;
    software that leaves the 1/m! out needs its constant halved for ``2 A``.
    """

    reactants: Mapping[str, int]
    products: Mapping[str, int]
    rate: str | float

    def __post_init__(self) -> None:
        for label in ("reactants", "products"):
            side = dict(getattr(self, label))
            for name, count in side.items():
                check_name(name, f"a species in `{label}`")
                if not isinstance(count, (int, np.integer)) or not 0 < count <= _MAX_COEFFICIENT:
                    raise ModelError(
                        f"`{label}` takes {count!r} copies of {name!r}, expected a whole number "
                        f"from 1 to {_MAX_COEFFICIENT}."
                    )
            object.__setattr__(self, label, side)
        if isinstance(self.rate, str):
            check_name(self.rate, "a rate")
        elif not isinstance(self.rate, Real):
            raise ModelError(f"rate of '{self}' is {self.rate!r}, expected a name or a number.")
        elif not 0 <= self.rate < np.inf:
            raise ModelError(f"rate of '{self}' is {self.rate}, expected a finite number ≥ 0.")

    def __hash__(self) -> int:
        sides = (frozenset(self.reactants.items()), frozenset(self.products.items()))
        return hash((sides, self.rate))

    def __str__(self) -> str:
        left, right = format_side(dict(self.reactants)), format_side(dict(self.products))
        return f"{left} -> {right} ; {self.rate}"


@dataclass(frozen=True)
class ConservationLaw:
    """A weighted sum of species that no reaction changes.

    Arguments: ``weights`` maps species names to whole numbers.
    """

    weights: Mapping[str, int]

    def __str__(self) -> str:
        terms = []
        for name, weight in self.weights.items():
            sign = "-" if weight < 0 else "+"
            terms.append(f"{sign} {name}" if abs(weight) == 1 else f"{sign} {abs(weight)} {name}")
        text = " ".join(terms)
        return (text[2:] if text.startswith("+ ") else text) + " = constant"


@dataclass(frozen=True)
class ReactionNetwork:
    """A stochastic reaction network with mass-action kinetics.

    Arguments:

    - ``reactions``: the `Reaction` objects, in order.
    - ``species``: names in order; by default those of the reactions in order of appearance.
      Naming them makes a misspelt species an error.
    - ``parameters``: names of the rate constants in order; by default by appearance.

    Raises `ModelError`. See `Reaction` for the combinatorial convention of the propensities.

    >>> sir = ReactionNetwork.from_text('''
    ...     S + I -> 2 I ; beta
    ...     I -> R       ; gamma
    ... ''')
    >>> sir.species, sir.parameters
    (('S', 'I', 'R'), ('beta', 'gamma'))
    >>> print(sir.conservation_laws[0])
    S + I + R = constant
    """

    reactions: tuple[Reaction, ...]
    species: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reactions", tuple(self.reactions))
        if not self.reactions:
            raise ModelError("`reactions` is empty; a network needs at least one reaction.")
        sides = [side for r in self.reactions for side in (r.reactants, r.products)]
        used_species = _unique(name for side in sides for name in side)
        used_rates = _unique(r.rate for r in self.reactions if isinstance(r.rate, str))
        self._declare("species", used_species)
        self._declare("parameters", used_rates)
        clash = set(self.species) & set(self.parameters)
        if clash:
            raise ModelError(f"{sorted(clash)[0]!r} names both a species and a parameter.")
        for reaction in self.reactions:
            if reaction.reactants == reaction.products:
                raise ModelError(f"reaction '{reaction}' changes nothing; leave it out.")

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        species: Sequence[str] = (),
        parameters: Sequence[str] = (),
    ) -> ReactionNetwork:
        """Read a network from lines ``reactants -> products ; rate``.

        ``A <-> B ; k1, k2`` gives both directions, ``0`` (or ``∅``) stands for nothing, ``#``
        starts a comment. ``species`` and ``parameters`` as in the class. Raises `ModelError`
        naming the line.
        """
        reactions = tuple(Reaction(*parsed) for parsed in parse_reactions(text))
        return cls(reactions, tuple(species), tuple(parameters))

    # -- structure ---------------------------------------------------

    @cached_property
    def stoichiometry(self) -> IntArray:
        """Net change of each species by each reaction, shape [S, R]."""
        return self._coefficients("products") - self._coefficients("reactants")

    @cached_property
    def reactant_orders(self) -> IntArray:
        """Copies of each species that each reaction takes, shape [S, R]."""
        return self._coefficients("reactants")

    @cached_property
    def conservation_laws(self) -> tuple[ConservationLaw, ...]:
        """Independent weighted sums of species that every reaction leaves unchanged."""
        laws = []
        for row in _left_null_space(self.stoichiometry):
            weights = {s: int(w) for s, w in zip(self.species, row, strict=True) if w}
            laws.append(ConservationLaw(weights))
        return tuple(laws)

    @cached_property
    def rate_index(self) -> IntArray:
        """Index into ``parameters`` of each reaction's rate, -1 for a constant; shape [R]."""
        position = {name: i for i, name in enumerate(self.parameters)}
        index = [position[r.rate] if isinstance(r.rate, str) else -1 for r in self.reactions]
        return np.array(index, dtype=np.int64)

    @cached_property
    def rate_constants(self) -> FloatArray:
        """Each reaction's rate where it is a number, else 0; shape [R]."""
        return np.array([0.0 if isinstance(r.rate, str) else float(r.rate) for r in self.reactions])

    def rates(self, params: Any, xp: Any = np) -> Any:
        """Return the rate constant of each reaction, [..., R], from parameters [..., Q]."""
        picked = (
            xp.take(params, np.maximum(self.rate_index, 0), axis=-1) if self.parameters else 0.0
        )
        return xp.where(self.rate_index >= 0, picked, self.rate_constants)

    def combinations(self, state: Any, xp: Any = np) -> Any:
        """Return h_r, the combinatorial factor of each reaction, [..., R], from state [..., S].

        The propensity is ``rates * combinations``. Real-valued states are continued by
        max(0, n (n-1) … (n-m+1) / m!).
        """
        columns = []
        for reaction in self.reactions:
            factor = xp.ones(state.shape[:-1], dtype=xp.result_type(state.dtype, float))
            for name, order in reaction.reactants.items():
                count = state[..., self.species.index(name)]
                for k in range(order):
                    factor = factor * xp.maximum(count - k, 0) / (k + 1)
            columns.append(factor)
        return xp.stack(columns, axis=-1)

    def params_vector(self, params: Mapping[str, float]) -> FloatArray:
        """Return the values of ``params`` in the network's order, shape [Q]; checks the names."""
        require_known(params, self.parameters, what="`params` has parameter", owner="the network",
                      error=ModelError)  # fmt: skip
        missing = [name for name in self.parameters if name not in params]
        if missing:
            raise ModelError(
                f"`params` has no value for {missing[0]!r}; give one for each of "
                f"{', '.join(self.parameters)}."
            )
        values = np.array([float(params[name]) for name in self.parameters])
        for name, value in zip(self.parameters, values, strict=True):
            if not (np.isfinite(value) and value >= 0):
                raise ModelError(f"`params[{name!r}]` is {value}, expected a finite number ≥ 0.")
        return values

    # -- display -----------------------------------------------------

    def to_text(self) -> str:
        """Return the network in the notation that `from_text` reads."""
        return "\n".join(str(r) for r in self.reactions)

    def __repr__(self) -> str:
        head = f"ReactionNetwork: {len(self.species)} species, {len(self.reactions)} reactions"
        width = max(len(str(r).split(" ; ")[0]) for r in self.reactions)
        lines = []
        for r in self.reactions:
            equation, rate = str(r).split(" ; ")
            lines.append(f"  {equation:<{width}} ; {rate}")
        laws = [f"  conserved: {law}" for law in self.conservation_laws]
        return "\n".join([head, *lines, *laws])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{_side_html(r.reactants)}</td><td>→</td>"
            f"<td style='text-align:left'>{_side_html(r.products)}</td>"
            f"<td><i>{html.escape(str(r.rate))}</i></td></tr>"
            for r in self.reactions
        )
        laws = "".join(
            f"<div>conserved: {html.escape(str(x))}</div>" for x in self.conservation_laws
        )
        return (
            f"<div><b>ReactionNetwork</b> · {len(self.species)} species · "
            f"{len(self.reactions)} reactions<table>{rows}</table>{laws}</div>"
        )

    # -- private -----------------------------------------------------

    def _declare(self, label: str, used: list[str]) -> None:
        declared = tuple(getattr(self, label))
        for name in declared:
            check_name(name, f"an entry of `{label}`")
        if len(set(declared)) != len(declared):
            raise ModelError(f"`{label}` names something twice: {', '.join(declared)}.")
        if declared:
            require_known(
                used,
                declared,
                what=f"a reaction uses {label} name",
                owner=f"`{label}`",
                error=ModelError,
            )
        object.__setattr__(self, label, declared or tuple(used))

    def _coefficients(self, side: str) -> IntArray:
        table = np.zeros((len(self.species), len(self.reactions)), dtype=np.int64)
        for r, reaction in enumerate(self.reactions):
            for name, count in getattr(reaction, side).items():
                table[self.species.index(name), r] = count
        return table


def _side_html(side: Mapping[str, int]) -> str:
    return html.escape(format_side(dict(side))) if side else "∅"


def _unique(names: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(names))


def _left_null_space(matrix: IntArray) -> list[list[int]]:
    """Return whole-number vectors w, a basis of {w : w @ matrix = 0}, by exact elimination."""
    num_rows = matrix.shape[0]
    rows = [
        [int(x) for x in matrix[i]] + [int(i == j) for j in range(num_rows)]
        for i in range(num_rows)
    ]
    # Eliminating with the last species first leaves laws on the first ones, S + I + R, positive.
    pivot_row = 0
    for column in range(matrix.shape[1]):
        pivot = next((i for i in range(pivot_row, num_rows) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[pivot_row], rows[pivot] = rows[pivot], rows[pivot_row]
        head = rows[pivot_row]
        for i in range(num_rows):
            if i != pivot_row and rows[i][column]:
                a, b = head[column], rows[i][column]
                rows[i] = _reduce([a * x - b * y for x, y in zip(rows[i], head, strict=True)])
        pivot_row += 1
    basis = [row[matrix.shape[1] :] for row in rows[pivot_row:]]
    return [_positive(_reduce(row)) for row in basis]


def _reduce(row: list[int]) -> list[int]:
    divisor = gcd(*row) or 1
    return [x // divisor for x in row]


def _positive(row: list[int]) -> list[int]:
    first = next((x for x in row if x), 1)
    return [-x for x in row] if first < 0 else row
