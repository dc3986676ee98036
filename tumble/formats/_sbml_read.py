"""Reading SBML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tumble._errors import ModelError
from tumble._expressions import TIME, Call, Expression, Name
from tumble.formats._imported_model import ImportedModel
from tumble.formats._sbml_document import each, open_sbml, where
from tumble.formats._sbml_events import read_events
from tumble.formats._sbml_reactions import ReactionReader, reacts, read_laws
from tumble.formats._sbml_symbols import Role, Symbol, SymbolTable, event_targets, read_symbols
from tumble.formats._sbml_units import conversion_factors, substance_unit, unit_notes
from tumble.formats._sbml_values import InitialValues, has_amount, is_concentration
from tumble.formats._signs import Signs
from tumble.formats._source import load_text
from tumble.models import Reaction, ReactionNetwork, Variable
from tumble.models._definitions import expand

_WHOLE = 1e-9


def read_sbml(path_or_text: str | os.PathLike[str]) -> ImportedModel:
    """Read a model in the Systems Biology Markup Language.

    Core SBML of Level 2 version 1 to 5 and Level 3 version 1 and 2. State is counted in items: a
    species is its amount, and stands for amount over volume in formulas unless it has only
    substance units. A kinetic law that is mass action becomes `MassAction`, any other `RateLaw` as
    it is written. Assignment rules become definitions, rate rules and what events assign variables.

    Guarantee: the propensities are those of the file; what cannot be read so is refused.

    Arguments: ``path_or_text``, the path of a file, or the text itself.

    Returns an `ImportedModel`. Raises `ModelError` that names the element and its line: for what is
    not valid, and for algebraic rules, fast reactions, delays in formulas, stoichiometries that
    vary, reversible reactions whose directions cannot be told apart, initial amounts that are no
    whole numbers, and packages that are required. Needs ``pip install "tumble[sbml]"``.

    Reference: Keating et al., Mol. Syst. Biol. 16 (2020), doi:10.15252/msb.20199110.
    """
    name, text = load_text(path_or_text, "<")
    try:
        return parse_sbml(text, name)
    except RecursionError:
        raise ModelError(f"{name} holds formulas that nest too deep; split them up.") from None


def parse_sbml(text: str, name: str) -> ImportedModel:
    """Return the model of a text that errors call ``name``."""
    document, notes = open_sbml(text, name)
    model = document.getModel()
    try:
        return _read(model, notes)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def _read(model: Any, notes: list[str]) -> ImportedModel:
    table = read_symbols(model)
    table.notes[:0] = [*notes, *unit_notes(model)]
    laws = read_laws(model, table)
    table.reaction_rates.update({table.names.get(i, i): law for i, law in laws.items()})
    values = InitialValues(table, _elements(model, table))
    _add_species(model, table, values)
    _define_what_is_constant(table, values)
    definitions = _definitions(table)
    reader = _reaction_reader(model, table, values, definitions)
    reactions: list[Reaction] = []
    ids: list[str] = []
    for element in each(model.getListOfReactions()):
        found = reader.read(element, laws[element.getId()])
        reactions += found
        ids += [element.getId()] * len(found)
    if not reactions:
        raise ModelError(
            "the model has no reaction that changes a count; tumble simulates reactions."
        )
    network = _network(model, table, values, definitions, reactions)
    return ImportedModel(
        network,
        {p: values.value(p) if not _is_amount(table, p) else values.amount(p)
         for p in network.parameters if values.has_value(p)},
        {s: round(values.amount(s)) for s in network.species},
        tuple(table.notes),
        model.getName() or model.getId(),
        tuple(ids),
        substance_unit(model),
    )  # fmt: skip


def _network(
    model: Any,
    table: SymbolTable,
    values: InitialValues,
    definitions: Mapping[str, Expression],
    reactions: list[Reaction],
) -> ReactionNetwork:
    expanded = expand(definitions)
    variables = {
        s.name: _variable(table, values, s, expanded) for s in table.by_role(Role.VARIABLE)
    }
    events = read_events(model, table)
    extra: dict[str, Any] = {"variables": variables} if variables else {}
    extra |= {"events": events} if events else {}
    species = tuple(s.name for s in table.by_role(Role.SPECIES))
    used = set(ReactionNetwork(tuple(reactions), species, (), definitions, **extra).parameters)
    parameters = []
    for symbol in table.by_role(Role.PARAMETER):
        if symbol.name in used:
            parameters.append(symbol.name)
            if not values.has_value(symbol.name):
                table.notes.append(f"Parameter {symbol.name!r} has no value; give it one.")
        elif symbol.kind == "parameter" and values.has_value(symbol.name):
            parameters.append(symbol.name)
    return ReactionNetwork(tuple(reactions), species, tuple(parameters), definitions, **extra)


def _elements(model: Any, table: SymbolTable) -> dict[str, Any]:
    """Elements with a value at time 0, by name."""
    elements = {s.name: s.element for s in table.symbols.values() if s.kind != "stoichiometry"}
    for species in each(model.getListOfSpecies()):
        elements[table.names.get(species.getId(), species.getId())] = species
    return elements


def _add_species(model: Any, table: SymbolTable, values: InitialValues) -> None:
    named = {
        reference.getSpecies()
        for reaction in each(model.getListOfReactions())
        for side in (reaction.getListOfReactants(), reaction.getListOfProducts())
        for reference in each(side)
    }
    assigned = event_targets(model)
    for element in each(model.getListOfSpecies()):
        i = element.getId()
        name = table.names.get(i, i)
        meaning: Expression | None = Expression(Name(name))
        if name in table.assigned or name in table.rates:
            role = Role.DEFINITION if name in table.assigned else Role.VARIABLE
            if is_concentration(element) and _volume(table, element) is not None:
                table.notes.append(f"{name!r} is a concentration, as its rule says.")
        else:
            if not has_amount(element) and name not in table.initially:
                table.notes.append(f"Species {name!r} has no initial amount; it starts with 0.")
            amount = values.amount(name)
            role = Role.SPECIES
            if not _is_whole(amount):
                if i in named and reacts(element):
                    raise ModelError(
                        f"{where(element, 'species')} starts with {amount:g}, expected a whole "
                        "number ≥ 0 of items; give its amount in items."
                    )
                role = Role.VARIABLE if i in assigned else Role.PARAMETER
                table.notes.append(
                    f"Species {name!r} starts with {amount:g}, and no reaction changes it: it is "
                    f"a {role.value}."
                )
            volume = _volume(table, element) if is_concentration(element) else None
            if volume is not None:
                meaning = Expression(Call("divide", (Name(name), volume.tree)))
        table.symbols[name] = Symbol(name, "species", element, role, meaning)


def _volume(table: SymbolTable, species: Any) -> Expression | None:
    """Return the size of the compartment of a species; None if that is always 1."""
    i = species.getCompartment()
    symbol = table.symbols[table.names.get(i, i)]
    return None if symbol.role is Role.NUMBER else symbol.meaning


def _is_amount(table: SymbolTable, name: str) -> bool:
    return table.symbols[name].kind == "species"


def _is_whole(amount: float) -> bool:
    return 0 <= amount < 2**53 and abs(amount - round(amount)) <= _WHOLE * max(1.0, amount)


def _define_what_is_constant(table: SymbolTable, values: InitialValues) -> None:
    """Make definitions of initial assignments that read constants, so that they follow them."""
    waiting = [s for s in table.by_role(Role.PARAMETER) if s.name in table.initially]
    for symbol in waiting:
        name = symbol.name
        formula = table.initially[name].substitute(table.reaction_rates)
        roles = {table.symbols[n].role for n in formula.names if n in table.symbols}
        if (
            TIME not in formula.names
            and roles <= {Role.PARAMETER, Role.NUMBER}
            and (symbol.kind != "species")
        ):
            values.value(name)  # refuses circles and unknown names
            table.assigned[name] = formula
        else:
            table.notes.append(
                f"{name!r} is {values.value(name):g}, the value of its initial assignment "
                f"'{formula}' at time 0."
            )
    for symbol in waiting:
        if symbol.name in table.assigned:
            table.symbols[symbol.name] = replace(symbol, role=Role.DEFINITION)


def _definitions(table: SymbolTable) -> dict[str, Expression]:
    found = {}
    for symbol in table.by_role(Role.DEFINITION):
        owner = f"the rule of {symbol.name!r}"
        found[symbol.name] = table.written(table.assigned[symbol.name], owner)
    return found


def _variable(
    table: SymbolTable,
    values: InitialValues,
    symbol: Symbol,
    definitions: Mapping[str, Expression],
) -> Variable:
    name = symbol.name
    amount = symbol.kind == "species" and name not in table.rates
    initial = values.amount(name) if amount else values.value(name)
    rate = None
    if name in table.rates:
        rate = table.written(table.rates[name], f"the rule of {name!r}")
    if name in table.initially and not amount:
        formula = table.written(table.initially[name], f"the initial assignment of {name!r}")
        roles = {table.symbols[n].role for n in formula.substitute(definitions).names
                 if n in table.symbols}  # fmt: skip
        if Role.VARIABLE not in roles:
            return Variable(formula, rate)
    if name in table.initially:
        table.notes.append(
            f"Variable {name!r} starts at {initial:g}, the value of its initial assignment."
        )
    return Variable(initial, rate)


def _reaction_reader(
    model: Any, table: SymbolTable, values: InitialValues, definitions: Mapping[str, Expression]
) -> ReactionReader:
    species = tuple(s.name for s in table.by_role(Role.SPECIES))
    variables = {s.name for s in table.by_role(Role.VARIABLE)}
    expanded = expand(definitions)
    moving = {
        name: formula
        for name, formula in expanded.items()
        if {*species, *variables} & set(formula.names)
    }
    positive = {*species, "pi", "e", TIME}
    positive |= {s.name for s in table.symbols.values() if _is_positive(s, values)}
    known = Signs(frozenset(positive), species)
    positive |= {name for name, formula in expanded.items() if known.nonnegative(formula)}
    signs = Signs(frozenset(positive), species)
    factors = conversion_factors(model, table, values)
    return ReactionReader(model, table, frozenset(variables), moving, factors, signs)


def _is_positive(symbol: Symbol, values: InitialValues) -> bool:
    """Whether a symbol is taken never to be negative: by its nature, or by its value at time 0.

    A variable may still turn negative later. Then the run says so.
    """
    if symbol.role is Role.DEFINITION:
        return False
    if symbol.kind in ("species", "compartment"):
        return True
    valued = symbol.role in (Role.PARAMETER, Role.VARIABLE)
    return valued and (not values.has_value(symbol.name) or values.value(symbol.name) >= 0)
