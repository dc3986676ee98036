"""Writing SBML: Level 3 version 2."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tumble._errors import ModelError, ParameterError, require_known
from tumble._expressions import Call, Expression, Name, Node, Number
from tumble.formats._imported_model import ImportedModel
from tumble.formats._mathml_write import MathWriter
from tumble.models import Event, Reaction, ReactionNetwork

_NAMESPACE = "http://www.sbml.org/sbml/level3/version2/core"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def write_sbml(
    model: ReactionNetwork | ImportedModel,
    path: str | os.PathLike[str] | None = None,
    *,
    params: Mapping[str, float] | None = None,
    initial: Mapping[str, int] | None = None,
    name: str = "",
) -> str:
    """Write a model in the Systems Biology Markup Language, Level 3 version 2 core.

    Species have only substance units and are counted in items, in one compartment of size 1; the
    law of mass action is written with its combinations, ``k * P * (P - 1) / 2``. Definitions become
    assignment rules. Numbers are written with all their digits.

    Guarantee: `read_sbml` reads the text as a network with the same species, reactions, events and
    variables, and propensities that are equal but for rounding.

    Arguments:

    - ``model``: a `ReactionNetwork` or an `ImportedModel`.
    - ``path``: of a file to write; default none.
    - ``params``, ``initial``: values and counts at time 0; default those of an `ImportedModel`.
    - ``name``: of the model; default that of an `ImportedModel`.

    Returns the text. Raises `ModelError` for names that are no ids in SBML and for functions that
    MathML does not have, `ParameterError` for values that are missing.

    Reference: Hucka et al., J. Integr. Bioinform. 15 (2018), doi:10.1515/jib-2017-0081.
    """
    if not isinstance(model, ImportedModel):
        model = ImportedModel(model, params or {}, initial or {}, (), name)
    values = {**model.params, **(params or {})}
    counts = {**model.initial, **(initial or {})}
    _check(model.network, values, counts)
    text = _Writer(model.network, values, counts, model.reaction_ids).text(name or model.name)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _check(
    network: ReactionNetwork, params: Mapping[str, float], initial: Mapping[str, int]
) -> None:
    network.params_vector(params)
    require_known(initial, network.species, what="`initial` has species", owner="the network",
                  error=ParameterError)  # fmt: skip
    for species in network.species:
        if species not in initial:
            raise ParameterError(
                f"`initial` has no value for species {species!r}; give 0 if absent."
            )
    names = (*network.species, *network.parameters, *network.variables, *network.definitions)
    for name in names:
        if not _ID.match(name):
            raise ModelError(
                f"{name!r} cannot be an id in SBML, which has the letters A to Z, digits and '_'; "
                "rename it."
            )


class _Writer:
    """Makes the elements of one model."""

    def __init__(
        self,
        network: ReactionNetwork,
        params: Mapping[str, float],
        initial: Mapping[str, int],
        reaction_ids: tuple[str, ...],
    ) -> None:
        self.network, self.params, self.initial = network, params, initial
        names = (*network.species, *network.parameters, *network.variables, *network.definitions)
        self.taken = set(names)
        self.math = MathWriter(frozenset(names))
        self.reaction_ids = reaction_ids

    def text(self, name: str) -> str:
        root = Element("sbml", {"xmlns": _NAMESPACE, "level": "3", "version": "2"})
        units = {"substanceUnits": "item", "extentUnits": "item"}
        model = SubElement(root, "model", {**({"name": name} if name else {}), **units})
        compartment = self._free("compartment")
        SubElement(
            SubElement(model, "listOfCompartments"),
            "compartment",
            {"id": compartment, "spatialDimensions": "3", "size": "1", "constant": "true"},
        )
        species = SubElement(model, "listOfSpecies")
        for s in self.network.species:
            SubElement(species, "species", self._species(s, compartment))
        self._add_parameters(model)
        self._add_initial_assignments(model)
        self._add_rules(model)
        reactions = SubElement(model, "listOfReactions")
        for i, reaction in enumerate(self.network.reactions):
            self._add_reaction(reactions, reaction, self._reaction_id(i))
        if self.network.events:
            events = SubElement(model, "listOfEvents")
            for i, event in enumerate(self.network.events):
                self._add_event(events, event, self._free(event.name or f"event{i + 1}"))
        indent(root)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return head + tostring(root, encoding="unicode") + "\n"

    def _species(self, name: str, compartment: str) -> dict[str, str]:
        return {
            "id": name,
            "compartment": compartment,
            "initialAmount": str(int(self.initial[name])),
            "substanceUnits": "item",
            "hasOnlySubstanceUnits": "true",
            "boundaryCondition": "false",
            "constant": "false",
        }

    def _add_parameters(self, model: Element) -> None:
        network = self.network
        if not (network.parameters or network.variables or network.definitions):
            return
        parameters = SubElement(model, "listOfParameters")
        for name in network.parameters:
            value = repr(float(self.params[name]))
            SubElement(parameters, "parameter", {"id": name, "value": value, "constant": "true"})
        for name, variable in network.variables.items():
            attributes = {"id": name, "constant": "false"}
            if isinstance(variable.initial.tree, Number):
                attributes["value"] = repr(variable.initial.tree.value)
            SubElement(parameters, "parameter", attributes)
        for name in network.definitions:
            SubElement(parameters, "parameter", {"id": name, "constant": "false"})

    def _add_initial_assignments(self, model: Element) -> None:
        given = {k: v.initial for k, v in self.network.variables.items() if not v.initial.is_number}
        if given:
            assignments = SubElement(model, "listOfInitialAssignments")
            for name, formula in given.items():
                element = SubElement(assignments, "initialAssignment", {"symbol": name})
                element.append(self.math.number(formula))

    def _add_rules(self, model: Element) -> None:
        rules = Element("listOfRules")
        for name, formula in self.network.definitions.items():
            rule = SubElement(rules, "assignmentRule", {"variable": name})
            rule.append(self.math.number(formula))
        for name, variable in self.network.variables.items():
            if variable.rate is not None:
                rule = SubElement(rules, "rateRule", {"variable": name})
                rule.append(self.math.number(variable.rate))
        if len(rules):
            model.append(rules)

    def _add_reaction(self, reactions: Element, reaction: Reaction, name: str) -> None:
        element = SubElement(reactions, "reaction", {"id": name, "reversible": "false"})
        for tag, side in (("Reactants", reaction.reactants), ("Products", reaction.products)):
            references = SubElement(element, f"listOf{tag}") if side else element
            for species, count in side.items():
                SubElement(
                    references,
                    "speciesReference",
                    {"species": species, "stoichiometry": str(count), "constant": "true"},
                )
        law = _law(reaction)
        known = {*reaction.reactants, *reaction.products}
        modifiers = [s for s in law.names if s in self.network.species and s not in known]
        references = SubElement(element, "listOfModifiers") if modifiers else element
        for species in modifiers:
            SubElement(references, "modifierSpeciesReference", {"species": species})
        SubElement(element, "kineticLaw").append(self.math.number(law))

    def _add_event(self, events: Element, event: Event, name: str) -> None:
        values_from_trigger = _flag(event.values_from_trigger)
        attributes = {"id": name, "useValuesFromTriggerTime": values_from_trigger}
        element = SubElement(events, "event", attributes)
        flags = {
            "initialValue": _flag(event.initially),
            "persistent": _flag(event.persistent),
        }
        SubElement(element, "trigger", flags).append(self.math.truth(event.trigger))
        if event.priority is not None:
            SubElement(element, "priority").append(self.math.number(event.priority))
        if event.delay != Expression(Number(0.0)):
            SubElement(element, "delay").append(self.math.number(event.delay))
        assignments = SubElement(element, "listOfEventAssignments")
        for variable, formula in event.assignments.items():
            assignment = SubElement(assignments, "eventAssignment", {"variable": variable})
            assignment.append(self.math.number(formula))

    def _reaction_id(self, index: int) -> str:
        known = index < len(self.reaction_ids) and _ID.match(self.reaction_ids[index])
        return self._free(self.reaction_ids[index] if known else f"reaction{index + 1}")

    def _free(self, name: str) -> str:
        """Return ``name``, or one like it that nothing else has."""
        candidate, k = name, 1
        while candidate in self.taken:
            k += 1
            candidate = f"{name}_{k}"
        self.taken.add(candidate)
        return candidate


def _law(reaction: Reaction) -> Expression:
    """Return the whole propensity of a reaction."""
    rate = reaction.rate.expression
    if not reaction.is_mass_action:
        return rate
    law: Node = rate.tree
    divisor = 1
    for name, count in reaction.reactants.items():
        for k in range(count):
            n = Name(name)
            factor = Call("subtract", (n, Number(float(k)))) if k else n
            law = Call("multiply", (law, factor))
            divisor *= k + 1
    return Expression(Call("divide", (law, Number(float(divisor)))) if divisor > 1 else law)


def _flag(value: bool) -> str:
    return "true" if value else "false"
