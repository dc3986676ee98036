"""What has to fit together in a network, said at the place where it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tumble._errors import ModelError, did_you_mean, require_known
from tumble._expressions import Expression
from tumble._typing import FloatArray
from tumble.inputs import AbstractInput
from tumble.models._definitions import expand
from tumble.models._events import Event
from tumble.models._names import check_name
from tumble.models._rate_laws import as_expression
from tumble.models._reaction import Reaction
from tumble.models._variables import Variable


def checked_definitions(definitions: Mapping[str, Any]) -> dict[str, Expression]:
    """Return the definitions as expressions. Raises `ModelError`."""
    checked = {}
    for name, formula in dict(definitions).items():
        check_name(name, "a name in `definitions`")
        checked[name] = as_expression(formula, f"`definitions[{name!r}]`")
    return checked


def checked_variables(variables: Mapping[str, Any]) -> dict[str, Variable]:
    """Return the variables by name. Raises `ModelError` for what is none."""
    for name, variable in dict(variables).items():
        check_name(name, "a name in `variables`")
        if not isinstance(variable, Variable):
            raise ModelError(
                f"`variables[{name!r}]` is {variable!r}, expected a Variable such as "
                "Variable('V0', rate='-k * V')."
            )
    return dict(variables)


def check_distinct(kinds: Mapping[str, Iterable[str]]) -> None:
    """Raise `ModelError` when a name is of two kinds, such as a species and a parameter."""
    seen: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            if name in seen:
                raise ModelError(f"{name!r} names both a {seen[name]} and a {kind}.")
            seen[name] = kind


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


def check_initial_values(
    variables: Mapping[str, Variable], definitions: Mapping[str, Expression]
) -> None:
    """Raise `ModelError` for a variable whose initial value reads a variable."""
    expanded = expand(definitions)
    for name, variable in variables.items():
        for used in variable.initial.substitute(expanded).names:
            if used in variables:
                raise ModelError(
                    f"the initial value of variable {name!r} is '{variable.initial}', which reads "
                    f"variable {used!r}; expected parameters and initial counts."
                )


def check_assigned(
    events: Sequence[Event],
    places: Sequence[str],
    species: Collection[str],
    variables: Collection[str],
    fixed: Collection[str] = (),
) -> None:
    """Raise `ModelError` at the place of an event that assigns what cannot be assigned.

    ``fixed`` are names of parameters and definitions, for the advice.
    """
    known = [*species, *variables]
    for event, place in zip(events, places, strict=True):
        for name in event.assignments:
            if name in known:
                continue
            if name in fixed:
                advice = f" Declare it as a variable that starts at a value: '{name}(0) = …'."
            else:
                advice = did_you_mean(name, known)
            raise ModelError(
                f"{place} assigns {name!r}, but what can be assigned are the species and variables "
                f"{', '.join(known)}.{advice}"
            )


def vector_of(
    params: Mapping[str, float], names: Sequence[str], owner: str = "the network"
) -> FloatArray:
    """Return the values of ``params`` in the order of ``names``. Raises `ModelError`."""
    require_known(params, names, what="`params` has parameter", owner=owner,
                  error=ModelError)  # fmt: skip
    missing = [name for name in names if name not in params]
    if missing:
        raise ModelError(
            f"`params` has no value for {missing[0]!r}; give one for each of {', '.join(names)}."
        )
    return np.array([float(params[name]) for name in names])


def check_inputs(inputs: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise `ModelError` unless ``inputs`` are members of `tumble.inputs` for some parameters."""
    require_known(inputs, names, what="`inputs` has parameter", owner="the network",
                  error=ModelError)  # fmt: skip
    for name, given in inputs.items():
        if not isinstance(given, AbstractInput):
            raise ModelError(
                f"`inputs[{name!r}]` is {given!r}, expected a member of tumble.inputs such as "
                "StepInput([0, 10], [2.0, 0.5])."
            )
