"""SBML by hand: a model from its parts, with formulas as in other languages."""

from __future__ import annotations

import re
from collections.abc import Mapping

MATH = "http://www.w3.org/1998/Math/MathML"
_LEVELS = {
    (2, 1): "http://www.sbml.org/sbml/level2",
    (3, 1): "http://www.sbml.org/sbml/level3/version1/core",
    (3, 2): "http://www.sbml.org/sbml/level3/version2/core",
}


def math(formula: str) -> str:
    """Return the MathML of a formula, or of what is MathML already."""
    if formula.startswith("<"):
        return f'<math xmlns="{MATH}">{formula}</math>'
    import libsbml

    node = libsbml.parseL3Formula(formula)
    assert node is not None, libsbml.getLastParseL3Error()
    text = libsbml.writeMathMLToString(node)
    return re.sub(r"<\?xml.*?\?>", "", text)


def species(name: str, amount: float | None = 0, **attributes: str) -> str:
    """Return a species, counted in items unless something else is said."""
    given = {} if amount is None else {"initialAmount": str(amount)}
    standard = {
        "compartment": "cell",
        "hasOnlySubstanceUnits": "true",
        "boundaryCondition": "false",
        "constant": "false",
    }
    return _element("species", {"id": name, **given, **standard, **attributes})


def parameter(name: str, value: float | None = None, constant: bool = True) -> str:
    """Return a parameter."""
    given = {} if value is None else {"value": str(value)}
    return _element("parameter", {"id": name, **given, "constant": str(constant).lower()})


def compartment(name: str, size: float | None = 1, constant: bool = True) -> str:
    """Return a compartment."""
    given = {} if size is None else {"size": str(size)}
    return _element(
        "compartment",
        {"id": name, "spatialDimensions": "3", **given, "constant": str(constant).lower()},
    )


def reaction(
    name: str,
    reactants: Mapping[str, float],
    products: Mapping[str, float],
    law: str,
    *,
    modifiers: tuple[str, ...] = (),
    local: Mapping[str, float] | None = None,
    reversible: bool = False,
    **attributes: str,
) -> str:
    """Return a reaction with its kinetic law."""
    parts = []
    for tag, side in (("Reactants", reactants), ("Products", products)):
        inside = "".join(
            f'<speciesReference species="{s}" stoichiometry="{n}" constant="true"/>'
            for s, n in side.items()
        )
        parts.append(f"<listOf{tag}>{inside}</listOf{tag}>" if side else "")
    inside = "".join(f'<modifierSpeciesReference species="{s}"/>' for s in modifiers)
    parts.append(f"<listOfModifiers>{inside}</listOfModifiers>" if modifiers else "")
    values = "".join(f'<localParameter id="{k}" value="{v}"/>' for k, v in (local or {}).items())
    values = f"<listOfLocalParameters>{values}</listOfLocalParameters>" if local else ""
    parts.append(f"<kineticLaw>{math(law)}{values}</kineticLaw>")
    flags = {"id": name, "reversible": str(reversible).lower(), **attributes}
    return _element("reaction", flags, "".join(parts))


def rule(kind: str, name: str, formula: str) -> str:
    """Return a rule: ``assignment`` or ``rate``."""
    return f'<{kind}Rule variable="{name}">{math(formula)}</{kind}Rule>'


def initially(name: str, formula: str) -> str:
    """Return an initial assignment."""
    return f'<initialAssignment symbol="{name}">{math(formula)}</initialAssignment>'


def function(name: str, formula: str) -> str:
    """Return a function definition; the formula is ``lambda(x, …)``."""
    return f'<functionDefinition id="{name}">{math(formula)}</functionDefinition>'


def event(
    name: str,
    trigger: str,
    assignments: Mapping[str, str],
    *,
    delay: str = "",
    priority: str = "",
    persistent: bool = True,
    initial: bool = True,
    values_from_trigger: bool = True,
) -> str:
    """Return an event."""
    flags = f'persistent="{str(persistent).lower()}" initialValue="{str(initial).lower()}"'
    parts = [f"<trigger {flags}>{math(trigger)}</trigger>"]
    parts += [f"<delay>{math(delay)}</delay>"] if delay else []
    parts += [f"<priority>{math(priority)}</priority>"] if priority else []
    inside = "".join(
        f'<eventAssignment variable="{v}">{math(f)}</eventAssignment>'
        for v, f in assignments.items()
    )
    parts.append(f"<listOfEventAssignments>{inside}</listOfEventAssignments>")
    values = {"useValuesFromTriggerTime": str(values_from_trigger).lower()}
    return _element("event", {"id": name, **values}, "".join(parts))


def model(
    *elements: str, level: tuple[int, int] = (3, 2), root: str = "", attributes: str = ""
) -> str:
    """Return a document; each element goes to the list it belongs to."""
    lists = {
        "listOfFunctionDefinitions": ("<functionDefinition",),
        "listOfUnitDefinitions": ("<unitDefinition",),
        "listOfCompartments": ("<compartment",),
        "listOfSpecies": ("<species",),
        "listOfParameters": ("<parameter",),
        "listOfInitialAssignments": ("<initialAssignment",),
        "listOfRules": ("<assignmentRule", "<rateRule", "<algebraicRule"),
        "listOfReactions": ("<reaction",),
        "listOfEvents": ("<event",),
    }
    if not any(element.startswith("<compartment") for element in elements):
        elements = (compartment("cell"), *elements)
    text = ""
    for tag, starts in lists.items():
        inside = "\n".join(e for e in elements if e.startswith(starts))
        text += f"<{tag}>\n{inside}\n</{tag}>\n" if inside else ""
    namespace = _LEVELS.get(level, f"http://www.sbml.org/sbml/level2/version{level[1]}")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="{namespace}" level="{level[0]}" '
        f'version="{level[1]}" {root}>\n<model id="the_model" {attributes}>\n{text}'
        "</model>\n</sbml>\n"
    )


def _element(tag: str, attributes: Mapping[str, str], inside: str = "") -> str:
    shown = " ".join(f'{k}="{v}"' for k, v in attributes.items())
    return f"<{tag} {shown}>{inside}</{tag}>" if inside else f"<{tag} {shown}/>"
