"""Reaction networks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_known
from tumble._expressions import TIME, Expression
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.models._conservation import ConservationLaw, left_null_space
from tumble.models._definitions import expand
from tumble.models._kinetics import Kinetics, RateSlope
from tumble.models._names import check_name
from tumble.models._rate_laws import as_expression
from tumble.models._reaction import Reaction, format_side
from tumble.models._reaction_text import parse_network


@dataclass(frozen=True)
class ReactionNetwork:
    """A stochastic reaction network.

    Arguments:

    - ``reactions``: the `Reaction` objects, in order.
    - ``species``: names in order; by default those of the reactions in order of appearance.
      Naming them makes a misspelt species an error, and lets a rate law read one that no reaction
      changes.
    - ``parameters``: names of what else the rates use, in order; by default by appearance.
    - ``definitions``: name → expression of species, parameters, ``time`` and other definitions,
      for use in rates and as observables.

    In rates, ``time`` is the model's time, and ``pi`` and ``e`` are numbers unless something is
    declared by that name.

    Raises `ModelError`. See `Reaction` for the combinatorial convention of the propensities.

    >>> sir = ReactionNetwork.from_text('''
    ...     S + I -> 2 I ; beta
    ...     I -> R       ; gamma
    ... ''')
    >>> sir.species, sir.parameters
    (('S', 'I', 'R'), ('beta', 'gamma'))
    >>> print(sir.conservation_laws[0])
    S + I + R = constant
    >>> sis = ReactionNetwork.from_text('''
    ...     N = S + I
    ...     S + I => 2 I ; beta * S * I / N
    ...     I -> S       ; gamma
    ... ''')
    >>> sis.propensities(np.array([90, 10]), np.array([2.0, 1.0]))
    array([18., 10.])
    """

    reactions: tuple[Reaction, ...]
    species: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    definitions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reactions", tuple(self.reactions))
        if not self.reactions:
            raise ModelError("`reactions` is empty; a network needs at least one reaction.")
        object.__setattr__(self, "definitions", _checked_definitions(self.definitions))
        sides = [side for r in self.reactions for side in (r.reactants, r.products)]
        self._declare("species", _unique(name for side in sides for name in side))
        places = [f"reaction '{reaction}'" for reaction in self.reactions]
        check_mass_action(self.reactions, places, self.species, self.definitions)
        self._declare("parameters", self._used_parameters())
        clash = set(self.species) & set(self.parameters)
        if clash:
            raise ModelError(f"{sorted(clash)[0]!r} names both a species and a parameter.")
        clash = set(self.definitions) & {*self.species, *self.parameters}
        if clash:
            kind = "species" if set(self.species) & clash else "parameter"
            raise ModelError(f"{sorted(clash)[0]!r} names both a {kind} and a definition.")
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

        ``->`` takes the constant of mass action: a number, a parameter, or an expression of
        parameters. ``=>`` takes the whole propensity: ``S => P ; Vmax * S / (Km + S)``. Both have a
        reversible form, ``A <-> B ; k1, k2``. ``N = S + I`` defines a name. ``mm(S, V, K)``,
        ``hill(S, V, K, n)`` and ``hillr(S, V, K, n)`` are the laws of `MichaelisMenten` and `Hill`.
        ``0`` (or ``∅``) stands for nothing, ``#`` starts a comment. ``species`` and ``parameters``
        as in the class. Raises `ModelError` naming the line.
        """
        read = parse_network(text)
        sides = [side for r in read.reactions for side in (r.reactants, r.products)]
        known = [*species, *(name for side in sides for name in side)]
        check_mass_action(read.reactions, read.places, known, read.definitions)
        return cls(read.reactions, tuple(species), tuple(parameters), read.definitions)

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
        for row in left_null_space(self.stoichiometry):
            weights = {s: int(w) for s, w in zip(self.species, row, strict=True) if w}
            laws.append(ConservationLaw(weights))
        return tuple(laws)

    @property
    def is_mass_action(self) -> BoolArray:
        """Whether each reaction follows mass action, else a rate law; shape [R]."""
        return self._kinetics.is_mass_action

    @property
    def is_autonomous(self) -> bool:
        """Whether no rate depends on ``time``."""
        return self._kinetics.is_autonomous

    @property
    def reads(self) -> BoolArray:
        """Which species each propensity depends on, shape [S, R]."""
        return self._kinetics.reads

    @cached_property
    def resolved_definitions(self) -> dict[str, Expression]:
        """Each definition as an expression of species, parameters and ``time``."""
        return {k: self._resolve(v) for k, v in self.definitions.items()}

    @property
    def rate_expressions(self) -> tuple[Expression, ...]:
        """Each reaction's rate as an expression of species, parameters and ``time``.

        The constant of mass action, or the whole propensity: see `is_mass_action`.
        """
        return self._kinetics.rates

    @property
    def rate_slopes(self) -> tuple[RateSlope, ...]:
        """∂ `rate_expressions` / ∂ parameters, as far as they are not zero: (r, q, expression)."""
        return self._kinetics.slopes

    @property
    def rate_index(self) -> IntArray:
        """Index into ``parameters`` of each mass-action constant that is one, else -1; [R]."""
        return self._kinetics.index

    # -- propensities ------------------------------------------------

    def propensities(self, state: Any, params: Any, time: Any = 0.0, xp: Any = np) -> Any:
        """Return how often each reaction fires per unit of time, [..., R].

        Arguments: ``state`` [..., S] counts, ``params`` [..., Q], ``time``, and the namespace
        ``xp`` to compute with, NumPy or `jax.numpy`. Real-valued states are allowed: combinations
        are continued by max(0, n (n-1) … (n-m+1) / m!), and rate laws read 0 for a count below 0.

        The value of a rate law is returned as it is, be it negative or infinite.
        """
        return self._kinetics.propensities(state, params, time, xp)

    def rates(self, params: Any, time: Any = 0.0, xp: Any = np) -> Any:
        """Return the constant of each mass-action reaction, and 1 for rate laws; [..., R].

        `propensities` is this times `combinations`, but for the rate laws. Whoever simulates many
        events in one place can keep the two factors apart.
        """
        return self._kinetics.constants(params, time, xp)

    def combinations(self, state: Any, xp: Any = np) -> Any:
        """Return the combinations of reactants of each mass-action reaction, and 1 for rate laws.

        Of states [..., S], shape [..., R]; see `propensities`.
        """
        return self._kinetics.combinations(state, xp)

    def rate_values(self, state: Any, params: Any, time: Any = 0.0, xp: Any = np) -> dict[str, Any]:
        """Return what the names in `rate_expressions` stand for, to compute them or `rate_slopes`.

        ``state`` may be None where only parameters are needed.
        """
        return self._kinetics.values(state, params, time, xp)

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
            if not self.allows(name, value):
                raise ModelError(
                    f"`params[{name!r}]` is {value}, expected {self.expected_value(name)}."
                )
        return values

    def allows(self, name: str, value: float) -> bool:
        """Return whether parameter ``name`` may have this value."""
        return bool(np.isfinite(value) and (value >= 0 or name not in self._rate_constants))

    def expected_value(self, name: str) -> str:
        """Return what `allows` asks of parameter ``name``, in words."""
        return f"a finite number{' ≥ 0' if name in self._rate_constants else ''}"

    # -- display -----------------------------------------------------

    def to_text(self) -> str:
        """Return the network in the notation that `from_text` reads."""
        return "\n".join([*self._definition_lines(), *(str(r) for r in self.reactions)])

    def __repr__(self) -> str:
        head = f"ReactionNetwork: {len(self.species)} species, {len(self.reactions)} reactions"
        width = max(len(r.equation) for r in self.reactions)
        lines = [f"  {line}" for line in self._definition_lines()]
        lines += [f"  {r.equation:<{width}} ; {r.rate}" for r in self.reactions]
        laws = [f"  conserved: {law}" for law in self.conservation_laws]
        return "\n".join([head, *lines, *laws])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{_side_html(r.reactants)}</td>"
            f"<td>{'→' if r.is_mass_action else '⇒'}</td>"
            f"<td style='text-align:left'>{_side_html(r.products)}</td>"
            f"<td><i>{html.escape(str(r.rate))}</i></td></tr>"
            for r in self.reactions
        )
        notes = [*self._definition_lines(), *(f"conserved: {x}" for x in self.conservation_laws)]
        return (
            f"<div><b>ReactionNetwork</b> · {len(self.species)} species · "
            f"{len(self.reactions)} reactions<table>{rows}</table>"
            + "".join(f"<div>{html.escape(note)}</div>" for note in notes)
            + "</div>"
        )

    def __hash__(self) -> int:
        return self._hash

    # -- private -----------------------------------------------------

    @cached_property
    def _hash(self) -> int:
        definitions = frozenset(self.definitions.items())
        return hash((self.reactions, self.species, self.parameters, definitions))

    @cached_property
    def _kinetics(self) -> Kinetics:
        return Kinetics(
            self.species,
            self.parameters,
            tuple(r.reactants for r in self.reactions),
            tuple(self._resolve(r.rate.expression) for r in self.reactions),
            np.array([r.is_mass_action for r in self.reactions]),
        )

    @cached_property
    def _rate_constants(self) -> frozenset[str]:
        """Parameters that are a constant of mass action by themselves: they cannot be negative."""
        return frozenset(self.parameters[q] for q in self.rate_index if q >= 0)

    @cached_property
    def _expanded(self) -> dict[str, Expression]:
        return expand(self.definitions)

    def _resolve(self, expression: Expression) -> Expression:
        """Return an expression of the network without definitions, ``pi`` and ``e``."""
        return expression.substitute(self._expanded).with_constants(self._declared)

    @cached_property
    def _declared(self) -> frozenset[str]:
        """Names that are what the network says, even if they are called ``e``."""
        plain = [
            str(r.rate) for r in self.reactions if r.is_mass_action and r.rate.expression.is_name
        ]
        return frozenset([*self.species, *self.parameters, *self.definitions, *plain])

    def _used_parameters(self) -> list[str]:
        rates = [self._resolve(r.rate.expression) for r in self.reactions]
        rates += [self._resolve(definition) for definition in self.definitions.values()]
        others = {TIME, *self.species}
        return _unique(name for rate in rates for name in rate.names if name not in others)

    def _definition_lines(self) -> list[str]:
        return [f"{name} = {formula}" for name, formula in self.definitions.items()]

    def _declare(self, label: str, used: list[str]) -> None:
        declared = tuple(getattr(self, label))
        for name in declared or used:
            check_name(name, f"an entry of `{label}`" if declared else f"a name in `{label}`")
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


def check_mass_action(
    reactions: Sequence[Reaction],
    places: Sequence[str],
    species: Iterable[str],
    definitions: Mapping[str, Expression],
) -> None:
    """Raise `ModelError` at the place of a mass-action reaction whose constant reads a species."""
    known, expanded = set(species), expand(definitions)
    for reaction, place in zip(reactions, places, strict=True):
        read = reaction.rate.expression.substitute(expanded).names
        wrong = [name for name in read if name in known]
        if reaction.is_mass_action and wrong:
            law = f"{reaction.equation.replace('->', '=>')} ; {reaction.rate}"
            raise ModelError(
                f"{place}: the rate depends on species {wrong[0]!r}, but '->' is mass action, "
                "which multiplies the rate constant by the reactant counts itself. Leave them out, "
                f"or write '=>' if the rate is the whole propensity: '{law}'."
            )


def _checked_definitions(definitions: Mapping[str, Any]) -> dict[str, Expression]:
    checked = {}
    for name, formula in dict(definitions).items():
        check_name(name, "a name in `definitions`")
        checked[name] = as_expression(formula, f"`definitions[{name!r}]`")
    return checked


def _side_html(side: Mapping[str, int]) -> str:
    return html.escape(format_side(side)) if side else "∅"


def _unique(names: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(names))
