"""Units and conversion factors of an SBML model."""

from __future__ import annotations

from typing import Any

from tumble._errors import ModelError
from tumble.formats._sbml_document import each, where
from tumble.formats._sbml_symbols import Role, SymbolTable
from tumble.formats._sbml_values import InitialValues

_COUNTS = {"item", "dimensionless"}


def unit_notes(model: Any) -> list[str]:
    """Return a note for each unit of substance that is no count."""
    notes = []
    for unit, what in _substance_units(model).items():
        kind = _described(model, unit)
        if kind not in _COUNTS:
            notes.append(
                f"The substance unit of {what} is {kind}; amounts are taken as numbers of items, "
                "without conversion."
            )
    return notes


def substance_unit(model: Any) -> str:
    """Return the unit of amounts of the model, in words; ``item`` where it has none."""
    for unit, what in _substance_units(model).items():
        if what == "the model":
            return _described(model, unit)
    return "item"


def _substance_units(model: Any) -> dict[str, str]:
    """Return each unit of substance, with what is measured in it."""
    units: dict[str, str] = {}
    if model.getLevel() == 2:
        if not all(s.isSetSubstanceUnits() for s in each(model.getListOfSpecies())):
            units["substance"] = "the model"
    elif model.isSetSubstanceUnits():
        units[model.getSubstanceUnits()] = "the model"
    if model.isSetExtentUnits():
        units.setdefault(model.getExtentUnits(), "reactions")
    for species in each(model.getListOfSpecies()):
        if species.isSetSubstanceUnits():
            units.setdefault(species.getSubstanceUnits(), f"species {species.getId()!r}")
    return units


def _described(model: Any, unit: str) -> str:
    """Return a unit in words, such as ``1e-09 mole``."""
    definition = model.getUnitDefinition(unit)
    if definition is None:
        return "mole (the default of Level 2)" if unit == "substance" else unit
    parts = []
    for part in each(definition.getListOfUnits()):
        factor = part.getMultiplier() * 10.0 ** part.getScale()
        text = f"{factor:g} " * (factor != 1) + _kind_of(part)
        parts.append(text + f"^{part.getExponent()}" * (part.getExponent() != 1))
    return " ".join(parts) or "dimensionless"


def _kind_of(unit: Any) -> str:
    import libsbml

    return str(libsbml.UnitKind_toString(unit.getKind()))


def conversion_factors(model: Any, table: SymbolTable, values: InitialValues) -> dict[str, float]:
    """Return the factor from extents to amounts of each species that has one but 1."""
    factors = {}
    for species in each(model.getListOfSpecies()):
        factor = species.getConversionFactor() or model.getConversionFactor()
        if not factor:
            continue
        name = table.names.get(factor, factor)
        symbol = table.symbols.get(name)
        if symbol is None or symbol.kind != "parameter":
            raise ModelError(
                f"{where(species, 'species')} has the conversion factor {factor!r}, expected a "
                "parameter."
            )
        if symbol.role not in (Role.PARAMETER, Role.DEFINITION) or not symbol.element.getConstant():
            raise ModelError(
                f"{where(species, 'species')} has the conversion factor {factor!r}, which is not "
                "constant; expected one that is."
            )
        value = values.value(name)
        if value != 1:
            i = species.getId()
            factors[table.names.get(i, i)] = value
            table.notes.append(
                f"Reactions change species {i!r} by their stoichiometry times its conversion "
                f"factor, {value:g}."
            )
    return factors
