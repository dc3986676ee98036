"""A network as SBML, for the engines that read it."""

from __future__ import annotations

from collections.abc import Callable

from peers._engine import Network, ordered_rate


def sbml_of(network: Network, law: Callable[[dict[str, int]], str]) -> str:
    """Return the network as SBML in numbers of molecules.

    The volume ``cell`` is 1, so numbers and concentrations are the same. ``law`` gives the
    propensity for given reactants in MathML, with ``k`` for the rate, adapted by `ordered_rate`.
    """
    species = "".join(
        f'<species id="{name}" compartment="cell" initialAmount="{count}" '
        'hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>'
        for name, count in network.start.items()
    )
    reactions = "".join(
        f'<reaction id="reaction_{r}" reversible="false" fast="false">'
        f"{_references('listOfReactants', left)}{_references('listOfProducts', right)}"
        f'<kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML">{law(left)}</math>'
        f'<listOfLocalParameters><localParameter id="k" value="{ordered_rate(left, rate)!r}"/>'
        "</listOfLocalParameters></kineticLaw></reaction>"
        for r, (left, right, rate) in enumerate(network.reactions)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">'
        '<model id="network" substanceUnits="item" extentUnits="item"><listOfCompartments>'
        '<compartment id="cell" spatialDimensions="3" size="1" constant="true"/>'
        f"</listOfCompartments><listOfSpecies>{species}</listOfSpecies>"
        f"<listOfReactions>{reactions}</listOfReactions></model></sbml>"
    )


def _references(kind: str, side: dict[str, int]) -> str:
    inside = "".join(
        f'<speciesReference species="{name}" stoichiometry="{count}" constant="true"/>'
        for name, count in side.items()
    )
    return f"<{kind}>{inside}</{kind}>" if inside else ""
