"""What looks odd in a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tumble._expressions import TIME, Expression
from tumble._typing import FloatArray
from tumble.formats._imported_model import ImportedModel
from tumble.models import Reaction, ReactionNetwork
from tumble.models._kinetics import BoolArray

# Counts at which rate laws are tried out: small, different, and none of them special.
_PROBES = (7, 3, 11, 5, 13, 2, 17)


def find_oddities(model: ImportedModel) -> tuple[str, ...]:
    """Return what is odd about a model, one sentence each; none of it need be a mistake.

    Parameters that nothing uses; species that never change; reactions that cannot fire from the
    initial state; propensities that are negative or infinite there, or that do not vanish where a
    reactant runs out; amounts that are not counted in items. What depends on values that the model
    does not have is not looked at.
    """
    looked = _Look(model)
    return (
        *looked.unused_parameters(),
        *looked.fixed_species(),
        *looked.bad_rates(),
        *looked.silent_reactions(),
        *looked.lasting_propensities(),
        *looked.units(),
    )


@dataclass(frozen=True)
class _Look:
    model: ImportedModel

    # -- findings ----------------------------------------------------

    def unused_parameters(self) -> Iterator[str]:
        used = {name for formula in self._formulas for name in formula.names}
        for name in self.network.parameters:
            if name not in used:
                yield f"Parameter {name!r} is not used."

    def fixed_species(self) -> Iterator[str]:
        assigned = {name for event in self.network.events for name in event.assignments}
        changed = np.any(self.network.stoichiometry != 0, axis=1)
        for name, changes in zip(self.network.species, changed, strict=True):
            if not changes and name not in assigned:
                yield f"Species {name!r} never changes."

    def bad_rates(self) -> Iterator[str]:
        if not self._has_values or not self._has_initial:
            return
        state = {s: float(self.model.initial[s]) for s in self.network.species}
        for label, value in zip(self._labels, self._propensities(state), strict=True):
            if not np.isfinite(value):
                yield f"{label}: the propensity at the initial state is {value:g}."
            elif value < 0:
                yield f"{label}: the propensity at the initial state is negative, {value:g}."

    def silent_reactions(self) -> Iterator[str]:
        if not self._has_initial:
            return
        most = {s: float(self.model.initial[s]) for s in self.network.species}
        for event in self.network.events:
            most |= {name: np.inf for name in event.assignments if name in most}
        fires = np.zeros(len(self._labels), dtype=bool)
        while True:
            able = fires | self._can_fire(most)
            if np.array_equal(able, fires):
                break
            fires = able
            gains = np.any(self.network.stoichiometry[:, fires] > 0, axis=1)
            most |= {s: np.inf for s, gain in zip(self.network.species, gains, strict=True) if gain}
        for label, able_to_fire in zip(self._labels, fires, strict=True):
            if not able_to_fire:
                yield f"{label}: it cannot fire from the initial state."

    def lasting_propensities(self) -> Iterator[str]:
        if not self._has_values:
            return
        for r, reaction in enumerate(self.network.reactions):
            if reaction.is_mass_action:
                continue
            for name in reaction.reactants:
                lost = -int(self.network.stoichiometry[self.network.species.index(name), r])
                for count in range(min(lost, 10)):
                    if self._propensities(self._probe(0) | {name: float(count)})[r] > 0:
                        yield (
                            f"{self._labels[r]}: the propensity does not vanish at {name} = "
                            f"{count}, where there is not enough of it."
                        )
                        break

    def units(self) -> Iterator[str]:
        if self.model.substance_unit not in ("item", "dimensionless"):
            yield (
                f"The unit of substance is {self.model.substance_unit}, but a stochastic model "
                "counts items: amounts and rate constants mean something else if it is taken "
                "literally."
            )

    # -- what they are made of ---------------------------------------

    @property
    def network(self) -> ReactionNetwork:
        return self.model.network

    @cached_property
    def _formulas(self) -> list[Expression]:
        network = self.network
        formulas = [*network.rate_expressions, *network.resolved_definitions.values()]
        formulas += [f for v in network.resolved_variables.values() for f in v.expressions]
        return formulas + [f for e in network.resolved_events for f in e.expressions]

    @cached_property
    def _labels(self) -> list[str]:
        ids = self.model.reaction_ids
        return [_label(r, ids[i] if ids else "") for i, r in enumerate(self.network.reactions)]

    @property
    def _has_values(self) -> bool:
        return all(name in self.model.params for name in self.network.parameters)

    @property
    def _has_initial(self) -> bool:
        return all(name in self.model.initial for name in self.network.species)

    def _probe(self, k: int) -> dict[str, float]:
        """A state in which nothing runs out, the k-th one."""
        return {
            s: float(_PROBES[(i + k) % len(_PROBES)]) for i, s in enumerate(self.network.species)
        }

    def _can_fire(self, most: Mapping[str, float]) -> BoolArray:
        """Which reactions may fire if there are at most so many of each species."""
        enough = np.array(
            [
                all(most[s] >= n for s, n in reaction.reactants.items())
                for reaction in self.network.reactions
            ]
        )
        if not self._has_values:
            return enough
        fires = np.zeros(len(enough), dtype=bool)
        for k in range(len(_PROBES)):
            state = {s: min(most[s], n) for s, n in self._probe(k).items()}
            fires |= self._propensities(state) > 0
        state = {s: min(most[s], 1000.0) for s in self.network.species}
        return enough & (fires | (self._propensities(state) > 0))

    def _propensities(self, state: Mapping[str, float]) -> FloatArray:
        network = self.network
        counts = np.array([state[s] for s in network.species])
        params = np.array([self.model.params[p] for p in network.parameters], dtype=float)
        values = {**state, **self.model.params, TIME: 0.0}
        values = {name: np.float64(value) for name, value in values.items()}
        started = [float(v.initial(values)) for v in network.resolved_variables.values()]
        with np.errstate(all="ignore"):
            return np.asarray(
                network.propensities(counts, params, variables=np.array(started)), dtype=float
            )


def _label(reaction: Reaction, name: str) -> str:
    return f"Reaction {name!r}, {reaction}" if name else f"Reaction {str(reaction)!r}"
