"""Reaction networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ModelError, require_known
from tumble._expressions import TIME, Expression
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.inputs import AbstractInput
from tumble.models._base import AbstractModel
from tumble.models._conservation import ConservationLaw, left_null_space
from tumble.models._definitions import expand
from tumble.models._events import Event
from tumble.models._kinetics import Kinetics, RateSlope
from tumble.models._names import check_name
from tumble.models._network_checks import (
    check_assigned,
    check_distinct,
    check_initial_values,
    check_inputs,
    check_mass_action,
    checked_definitions,
    checked_variables,
    vector_of,
)
from tumble.models._network_display import network_html, network_summary, network_text
from tumble.models._reaction import Reaction
from tumble.models._reaction_text import parse_network
from tumble.models._variables import Variable


@dataclass(frozen=True)
class ReactionNetwork(AbstractModel):
    """A stochastic reaction network.

    Arguments:

    - ``reactions``: the `Reaction` objects, in order.
    - ``species``: names in order; by default those of the reactions in order of appearance.
      Naming them makes a misspelt species an error, and lets a rate law read one that no reaction
      changes.
    - ``parameters``: names of what else the rates use, in order; by default by appearance.
    - ``definitions``: name → expression of species, parameters, variables, ``time`` and other
      definitions, for use in rates and as observables.
    - ``variables``: name → `Variable`, a real-valued quantity beside the counts.
    - ``events``: `Event` objects, assignments of species and variables when a condition becomes
      true.

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
    variables: Mapping[str, Variable] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    noun: ClassVar[str] = "the network"
    shows_counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "reactions", tuple(self.reactions))
        if not self.reactions:
            raise ModelError("`reactions` is empty; a network needs at least one reaction.")
        object.__setattr__(self, "definitions", checked_definitions(self.definitions))
        object.__setattr__(self, "variables", checked_variables(self.variables))
        object.__setattr__(self, "events", tuple(self.events))
        sides = [side for r in self.reactions for side in (r.reactants, r.products)]
        self._declare("species", _unique(name for side in sides for name in side))
        places = [f"reaction '{reaction}'" for reaction in self.reactions]
        check_mass_action(self.reactions, places, self.species, self.definitions)
        self._declare("parameters", self._used_parameters())
        check_distinct(
            {
                "species": self.species,
                "parameter": self.parameters,
                "variable": self.variables,
                "definition": self.definitions,
            }
        )
        check_initial_values(self.variables, self.definitions)
        places = [f"event '{event}'" for event in self.events]
        fixed = [*self.parameters, *self.definitions]
        check_assigned(self.events, places, self.species, self.variables, fixed)
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
        ``V(0) = V0`` and ``V' = -k * V`` make a `Variable`, ``at time >= 25: X = 50`` an `Event`.
        ``0`` (or ``∅``) stands for nothing, ``#`` starts a comment. ``species`` and ``parameters``
        as in the class. Raises `ModelError` naming the line.
        """
        read = parse_network(text)
        sides = [side for r in read.reactions for side in (r.reactants, r.products)]
        known = [*species, *(name for side in sides for name in side)]
        check_mass_action(read.reactions, read.places, known, read.definitions)
        constants = [name for r in read.reactions for name in r.rate.expression.names]
        fixed = [*parameters, *read.definitions, *constants]
        check_assigned(read.events, read.event_places, known, read.variables, fixed)
        names = (tuple(species), tuple(parameters))
        return cls(read.reactions, *names, read.definitions, read.variables, read.events)

    def with_inputs(self, inputs: Mapping[str, AbstractInput]) -> ReactionNetwork:
        """Return the network with parameters that are functions of time: they become definitions.

        Arguments: ``inputs``, parameter → a member of `tumble.inputs`. Raises `ModelError`.
        """
        check_inputs(inputs, self.parameters)
        for name, given in inputs.items():
            self._check_values(name, given.knots)
        definitions = {**{k: v.expression for k, v in inputs.items()}, **self.definitions}
        left = tuple(name for name in self.parameters if name not in inputs)
        return replace(self, parameters=left, definitions=definitions)

    @property
    def initial_names(self) -> tuple[str, ...]:
        """Names of what a run starts from: the species."""
        return self.species

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
        """Independent weighted sums of species that all reactions and events leave unchanged.

        What an event assigns is in none of them.
        """
        laws = []
        assigned = {name for event in self.events for name in event.assignments}
        columns = np.eye(len(self.species), dtype=np.int64)[
            :, [s in assigned for s in self.species]
        ]
        for row in left_null_space(np.hstack([self.stoichiometry, columns])):
            weights = {s: int(w) for s, w in zip(self.species, row, strict=True) if w}
            laws.append(ConservationLaw(weights))
        return tuple(laws)

    @property
    def is_mass_action(self) -> BoolArray:
        """Whether each reaction follows mass action, else a rate law; shape [R]."""
        return self._kinetics.is_mass_action

    @property
    def is_autonomous(self) -> bool:
        """Whether nothing depends on ``time``: neither rates, nor variables, nor events."""
        return not any(TIME in formula.names for formula in self._formulas)

    @property
    def is_jump_process(self) -> bool:
        """Whether rates change only when a reaction fires: no variables, no events, no ``time``.

        This is what methods for Markov jump processes with constant rates can take.
        """
        return self.is_autonomous and not self.variables and not self.events

    @property
    def reads(self) -> BoolArray:
        """Which species each propensity depends on, shape [S, R]."""
        return self._kinetics.reads

    @cached_property
    def resolved_definitions(self) -> dict[str, Expression]:
        """Each definition as an expression of species, parameters, variables and ``time``."""
        return {k: self._resolve(v) for k, v in self.definitions.items()}

    @cached_property
    def resolved_variables(self) -> dict[str, Variable]:
        """The variables with all definitions put in."""
        return {
            name: Variable(
                self._resolve(variable.initial),
                None if variable.rate is None else self._resolve(variable.rate),
            )
            for name, variable in self.variables.items()
        }

    @cached_property
    def resolved_events(self) -> tuple[Event, ...]:
        """The events with all definitions put in."""
        return tuple(event.mapped(self._resolve) for event in self.events)

    @property
    def rate_expressions(self) -> tuple[Expression, ...]:
        """Each reaction's rate as an expression of species, parameters, variables and ``time``.

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

    def propensities(
        self, state: Any, params: Any, time: Any = 0.0, xp: Any = np, variables: Any = None
    ) -> Any:
        """Return how often each reaction fires per unit of time, [..., R].

        Arguments: ``state`` [..., S] counts, ``params`` [..., Q], ``time``, the namespace ``xp`` to
        compute with, NumPy or `jax.numpy`, and the values of ``variables`` [..., V], needed if
        there are any. Real-valued states are allowed: combinations are continued by
        max(0, n (n-1) … (n-m+1) / m!), and rate laws read 0 for a count below 0.

        The value of a rate law is returned as it is, be it negative or infinite.
        """
        if self.variables and variables is None:
            raise ModelError(
                f"`variables` is None, but the network has {', '.join(self.variables)}; give their "
                "values [..., V]."
            )
        return self._kinetics.propensities(state, params, time, xp, variables)

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
        values = vector_of(params, self.parameters)
        for name, value in zip(self.parameters, values, strict=True):
            self._check_values(name, [value])
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
        return network_text(self)

    def __repr__(self) -> str:
        return network_summary(self)

    def _repr_html_(self) -> str:
        return network_html(self)

    def __hash__(self) -> int:
        return self._hash

    # -- private -----------------------------------------------------

    def _check_values(self, name: str, values: Iterable[float]) -> None:
        for value in values:
            if not self.allows(name, value):
                expected = self.expected_value(name)
                raise ModelError(f"`params[{name!r}]` is {value}, expected {expected}.")

    @cached_property
    def _hash(self) -> int:
        definitions = frozenset(self.definitions.items())
        variables = frozenset(self.variables.items())
        names = (self.species, self.parameters)
        return hash((self.reactions, *names, definitions, variables, self.events))

    @cached_property
    def _kinetics(self) -> Kinetics:
        return Kinetics(
            self.species,
            self.parameters,
            tuple(r.reactants for r in self.reactions),
            tuple(self._resolve(r.rate.expression) for r in self.reactions),
            np.array([r.is_mass_action for r in self.reactions]),
            tuple(self.variables),
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
        names = (*self.species, *self.parameters, *self.definitions, *self.variables)
        return frozenset([*names, *plain])

    @cached_property
    def _formulas(self) -> list[Expression]:
        """Everything that is computed, without definitions."""
        found = [r.rate.expression for r in self.reactions]
        found += [x for variable in self.variables.values() for x in variable.expressions]
        found += [x for event in self.events for x in event.expressions]
        return [self._resolve(formula) for formula in found]

    def _used_parameters(self) -> list[str]:
        formulas = [*self._formulas, *map(self._resolve, self.definitions.values())]
        others = {TIME, *self.species, *self.variables}
        return _unique(name for used in formulas for name in used.names if name not in others)

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


def _unique(names: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(names))
