"""How often each reaction of a network fires in a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._expressions import TIME, Expression, Number
from tumble._typing import BoolArray, FloatArray, IntArray


class RateSlope(NamedTuple):
    """The derivative of a rate with respect to a parameter, both by their index."""

    reaction: int
    parameter: int
    expression: Expression


@dataclass(frozen=True)
class Kinetics:
    """The propensities of R reactions, functions of the state [S], the parameters [Q] and time.

    Arguments: ``species``, ``parameters``, names in order; ``reactants``, of each reaction;
    ``rates``, an expression of species, parameters and ``time`` for each: the constant of mass
    action, or the whole propensity; ``is_mass_action`` [R], which of the two; ``variables``, names
    of the real-valued quantities that rates may read beside the counts.
    """

    species: tuple[str, ...]
    parameters: tuple[str, ...]
    reactants: tuple[Mapping[str, int], ...]
    rates: tuple[Expression, ...]
    is_mass_action: BoolArray
    variables: tuple[str, ...] = ()

    # -- structure ---------------------------------------------------

    @cached_property
    def is_autonomous(self) -> bool:
        """Whether no rate depends on time."""
        return not any(TIME in rate.names for rate in self.rates)

    @cached_property
    def reads(self) -> BoolArray:
        """Which species each propensity depends on, [S, R]."""
        table = np.zeros((len(self.species), len(self.rates)), dtype=bool)
        for r, rate in enumerate(self.rates):
            names = self.reactants[r] if self.is_mass_action[r] else rate.names
            table[:, r] = [name in names for name in self.species]
        return table

    @cached_property
    def index(self) -> IntArray:
        """The parameter that is the constant of mass action by itself, else -1; [R]."""
        position = {name: i for i, name in enumerate(self.parameters)}
        return np.array(
            [
                position.get(str(rate), -1) if mass_action and rate.is_name else -1
                for rate, mass_action in zip(self.rates, self.is_mass_action, strict=True)
            ],
            dtype=np.int64,
        )

    @cached_property
    def slopes(self) -> tuple[RateSlope, ...]:
        """∂ rate / ∂ parameter, of those that are not zero, in order of the reactions."""
        return tuple(
            RateSlope(r, q, rate.derivative(name))
            for r, rate in enumerate(self.rates)
            for q, name in enumerate(self.parameters)
            if name in rate.names
        )

    # -- values ------------------------------------------------------

    def constants(self, params: Any, time: Any = 0.0, xp: Any = np, variables: Any = None) -> Any:
        """Return the constant of mass action of each reaction, 1 for a rate law; [..., R]."""
        if self.parameters:
            picked = xp.take(params, np.maximum(self.index, 0), axis=-1)
        else:
            picked = xp.zeros((*np.shape(params)[:-1], 1))
        plain = xp.where(self.index >= 0, picked, self._numbers)
        if not self._composed:
            return plain
        values = self.values(None, params, time, variables=variables)
        columns = [plain[..., r] for r in range(len(self.rates))]
        for r in self._composed:
            columns[r] = self.rates[r](values, xp)
        # An expression of numbers alone has no shape of its own.
        *columns, _ = xp.broadcast_arrays(*columns, plain[..., 0])
        return xp.stack(columns, axis=-1)

    def combinations(self, state: Any, xp: Any = np) -> Any:
        """Return the combinations of the reactants of each reaction, 1 for a rate law; [..., R]."""
        columns = []
        for r, reactants in enumerate(self.reactants):
            factor = xp.ones(state.shape[:-1], dtype=xp.result_type(state.dtype, float))
            for name, order in reactants.items() if self.is_mass_action[r] else ():
                count = state[..., self.species.index(name)]
                for k in range(order):
                    factor = factor * xp.maximum(count - k, 0) / (k + 1)
            columns.append(factor)
        return xp.stack(columns, axis=-1)

    def propensities(
        self, state: Any, params: Any, time: Any = 0.0, xp: Any = np, variables: Any = None
    ) -> Any:
        """Return the propensities [..., R] of states [..., S] at parameters [..., Q]."""
        constants = self.constants(params, time, xp, variables)
        mass_action = constants * self.combinations(state, xp)
        if np.all(self.is_mass_action):
            return mass_action
        values = self.values(state, params, time, xp, variables)
        columns = [
            mass_action[..., r] if self.is_mass_action[r] else rate(values, xp)
            for r, rate in enumerate(self.rates)
        ]
        *columns, _ = xp.broadcast_arrays(*columns, mass_action[..., 0])
        return xp.stack(columns, axis=-1)

    def values(
        self, state: Any, params: Any, time: Any = 0.0, xp: Any = np, variables: Any = None
    ) -> dict[str, Any]:
        """Return what the names in rates stand for; real counts below 0 stand for 0."""
        values: dict[str, Any] = {TIME: time}
        for q, name in enumerate(self.parameters):
            values[name] = params[..., q]
        for v, name in enumerate(self.variables if variables is not None else ()):
            values[name] = variables[..., v]
        if state is not None:
            counts = xp.where(state < 0, 0, state) * np.float64(1.0)
            values.update({name: counts[..., s] for s, name in enumerate(self.species)})
        return values

    # -- private -----------------------------------------------------

    @cached_property
    def _numbers(self) -> FloatArray:
        numbers = np.zeros(len(self.rates))
        for r, rate in enumerate(self.rates):
            if not self.is_mass_action[r]:
                numbers[r] = 1.0
            elif isinstance(rate.tree, Number):
                numbers[r] = rate.tree.value
        return numbers

    @cached_property
    def _composed(self) -> tuple[int, ...]:
        """The reactions whose constant of mass action is an expression."""
        return tuple(
            r
            for r, rate in enumerate(self.rates)
            if self.is_mass_action[r] and self.index[r] < 0 and not rate.is_number
        )
