"""The values of an SBML model at time 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._expressions import CONSTANTS, TIME, Expression
from tumble.formats._sbml_document import where
from tumble.formats._sbml_symbols import SymbolTable


@dataclass(frozen=True)
class InitialValues:
    """Values at time 0: those of attributes, initial assignments and assignment rules.

    A species stands for its concentration or its amount, as it does in formulas. Arguments:
    ``table``; ``elements``, name → the element with the attributes.
    """

    table: SymbolTable
    elements: Mapping[str, Any]
    _known: dict[str, float] = field(default_factory=dict)
    _above: list[str] = field(default_factory=list)

    def value(self, name: str) -> float:
        """Return what ``name`` is at time 0 in formulas. Raises `ModelError` without a value."""
        if name in self._known:
            return self._known[name]
        if name in self._above:
            circle = " uses ".join([*self._above[self._above.index(name) :], name])
            raise ModelError(f"the initial values go in a circle: {circle}.")
        self._above.append(name)
        self._known[name] = self._computed(name)
        self._above.pop()
        return self._known[name]

    def has_value(self, name: str) -> bool:
        """Whether an element has a value by itself, or by a formula."""
        if name in self.table.initially or name in self.table.assigned:
            return True
        element = self.elements[name]
        if is_species(element):
            return True  # without a value, it is taken to be absent
        return bool(element.isSetSize() if is_compartment(element) else element.isSetValue())

    def of_formula(self, formula: Expression, owner: str) -> float:
        """Return the value of a formula at time 0."""
        formula = formula.substitute(self.table.reaction_rates)
        values: dict[str, float] = {TIME: 0.0}
        for name in formula.names:
            if name in self.elements:
                values[name] = self.value(name)
            elif name in self.table.symbols:
                meaning = self.table.symbols[name].meaning
                values[name] = float(meaning({})) if meaning is not None else math.nan
            elif name in CONSTANTS:
                values[name] = CONSTANTS[name]
            elif name != TIME:
                raise ModelError(f"{owner} uses {name!r}, which the model does not declare.")
        found = float(formula({k: np.float64(v) for k, v in values.items()}))
        if not math.isfinite(found):
            raise ModelError(f"{owner} is {found} at time 0, expected a finite number.")
        return found

    def amount(self, name: str) -> float:
        """Return the amount of a species at time 0."""
        element = self.elements[name]
        value = self.value(name)
        return value * self._volume(element) if is_concentration(element) else value

    def _computed(self, name: str) -> float:
        for formulas, what in ((self.table.initially, "initial assignment"),
                               (self.table.assigned, "rule")):  # fmt: skip
            if name in formulas:
                return self.of_formula(formulas[name], f"the {what} of {name!r}")
        element = self.elements[name]
        kind = _kind(element)
        if not self.has_value(name):
            raise ModelError(
                f"{where(element, kind)} has no initial value; give it one in the model."
            )
        value = self._attribute(element)
        if not math.isfinite(value):
            raise ModelError(f"{where(element, kind)} is {value}, expected a finite number.")
        return value

    def _attribute(self, element: Any) -> float:
        if is_compartment(element):
            return float(element.getSize())
        if not is_species(element):
            return float(element.getValue())
        if not element.isSetInitialConcentration():
            amount = float(element.getInitialAmount()) if element.isSetInitialAmount() else 0.0
            return amount / self._volume(element) if is_concentration(element) else amount
        density = float(element.getInitialConcentration())
        return density if is_concentration(element) else density * self._volume(element)

    def _volume(self, element: Any) -> float:
        name = self.table.names.get(element.getCompartment(), element.getCompartment())
        if name not in self.elements or not self.has_value(name):
            raise ModelError(
                f"compartment {name!r} has no size, but {where(element, 'species')} is a "
                "concentration in it; set the size, or hasOnlySubstanceUnits."
            )
        size = self.value(name)
        if not size > 0:
            raise ModelError(f"compartment {name!r} has size {size:g}, expected one > 0.")
        return size


def has_amount(species: Any) -> bool:
    """Whether a species says with how much of it the model starts."""
    return bool(species.isSetInitialAmount() or species.isSetInitialConcentration())


def is_species(element: Any) -> bool:
    """Whether an element of libSBML is a species."""
    return element.getElementName() == "species"


def is_compartment(element: Any) -> bool:
    """Whether an element of libSBML is a compartment."""
    return element.getElementName() == "compartment"


def is_concentration(species: Any) -> bool:
    """Whether a species stands for its concentration in formulas."""
    if species.getHasOnlySubstanceUnits():
        return False
    compartment = species.getModel().getCompartment(species.getCompartment())
    # In Level 2, what has no dimensions has no size either.
    pointlike = species.getLevel() == 2 and compartment is not None
    return not (pointlike and compartment.getSpatialDimensions() == 0)


def _kind(element: Any) -> str:
    return str(element.getElementName()).replace("localParameter", "parameter")
