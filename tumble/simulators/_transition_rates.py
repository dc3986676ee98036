"""How fast the transitions between states are, and how that depends on the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tumble._errors import ModelError, ParameterError
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.models import ReactionNetwork

if TYPE_CHECKING:
    from tumble.simulators._state_space import StateSpace

_LARGEST_RATE = 1e300


class TransitionSlope(NamedTuple):
    """The derivative of some transitions' rates with respect to a parameter, by its index."""

    parameter: int
    transitions: IntArray
    values: FloatArray


def transition_rates(space: StateSpace, model: ReactionNetwork, params: FloatArray) -> FloatArray:
    """Return the propensity of each transition.

    Raises `ParameterError` where one is negative or not finite, and `ModelError` where a rate law
    is not 0 although the reaction would make a count negative, unless no path leads there.
    """
    rates = model.rates(params)
    for reaction, rate in zip(model.reactions, rates, strict=True):
        if not 0 <= rate < _LARGEST_RATE:
            raise ParameterError(
                f"the rate of reaction '{reaction}' is {rate:g} at these parameters, expected a "
                "finite number ≥ 0."
            )
    propensity = rates[space.reactions] * space.factors
    values = model.rate_values(space.states, params)
    wrong: dict[int, tuple[FloatArray, BoolArray]] = {}
    for r in np.flatnonzero(~model.is_mass_action):
        law = np.broadcast_to(model.rate_expressions[r](values), space.num_states)
        valid = (law >= 0) & (law < _LARGEST_RATE)
        lacking = (space.states + model.stoichiometry[:, r] < 0).any(axis=1)
        here = space.reactions == r
        propensity[here] = np.where(valid, law, 0.0)[space.sources[here]]
        if not valid.all() or np.any(law[lacking] != 0):
            wrong[int(r)] = law, ~valid | (lacking & (law != 0))
    if wrong:
        _require_unreachable(space, model, propensity, wrong)
    return propensity


def transition_slopes(
    space: StateSpace, model: ReactionNetwork, params: FloatArray
) -> list[TransitionSlope]:
    """Return the derivatives of `transition_rates` that are not zero everywhere."""
    values = model.rate_values(space.states, params)
    found = []
    for r, q, expression in model.rate_slopes:
        here = np.flatnonzero(space.reactions == r)
        slope = np.broadcast_to(expression(values), space.num_states)[space.sources[here]]
        found.append(TransitionSlope(q, here, slope * space.factors[here]))
    return found


def _require_unreachable(
    space: StateSpace,
    model: ReactionNetwork,
    propensity: FloatArray,
    wrong: dict[int, tuple[FloatArray, BoolArray]],
) -> None:
    """Raise unless no path leads to the states [n] where the propensities of reactions are wrong.

    Which states a network without laws reaches does not depend on parameters. Laws may close ways
    that the space still holds, and what they are beyond is nobody's business.
    """
    reached = np.zeros(space.num_states + space.num_sinks, bool)
    reached[: space.num_seeds] = True
    sources, targets = space.sources[propensity > 0], space.targets[propensity > 0]
    count = 0
    while count < reached.sum():
        count = reached.sum()
        reached[targets[reached[sources]]] = True
    for r, (law, where) in wrong.items():
        at = np.flatnonzero(where & reached[: space.num_states])
        if not len(at):
            continue
        state = ", ".join(
            f"{s} = {x}" for s, x in zip(model.species, space.states[at[0]], strict=True)
        )
        found = f"reaction '{model.reactions[r]}' has propensity {law[at[0]]:g} at {state}"
        if not 0 <= law[at[0]] < _LARGEST_RATE:
            raise ParameterError(f"{found}, expected a finite number ≥ 0; check the parameters.")
        raise ModelError(
            f"{found}, where it would make a count negative; its rate law has to be 0 there."
        )
