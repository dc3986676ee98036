"""What each id of an SBML model becomes in a network."""

from __future__ import annotations

import enum
import keyword
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tumble._errors import ModelError
from tumble._expressions import TIME, Call, Expression, Name, Node, Number
from tumble.formats._mathml_read import FunctionDefinition, MathReader
from tumble.formats._sbml_document import each, where
from tumble.models._names import EMPTY


class Role(enum.Enum):
    """What an id becomes."""

    SPECIES = "species"
    PARAMETER = "parameter"
    VARIABLE = "variable"
    DEFINITION = "definition"
    NUMBER = "number"


@dataclass(frozen=True)
class Symbol:
    """One id of the model.

    Arguments: ``name`` in the network; ``kind``, ``"species"``, ``"compartment"``, ``"parameter"``
    or ``"stoichiometry"``; ``element`` of libSBML; ``role``; ``meaning``, what the id stands for in
    formulas: a concentration is a count over a volume; None where it has no value.
    """

    name: str
    kind: str
    element: Any
    role: Role
    meaning: Expression | None


@dataclass
class SymbolTable:
    """All ids of a model, by their names in the network, and the formulas that give them values.

    Arguments: ``names``, id → name; ``reader`` of formulas; ``assigned``, name → formula of the
    assignment rule; ``rates``, of the rate rule; ``initially``, of the initial assignment;
    ``reaction_rates``, name of a reaction → its kinetic law, as formulas may refer to it.
    """

    names: dict[str, str]
    reader: MathReader
    symbols: dict[str, Symbol] = field(default_factory=dict)
    assigned: dict[str, Expression] = field(default_factory=dict)
    rates: dict[str, Expression] = field(default_factory=dict)
    initially: dict[str, Expression] = field(default_factory=dict)
    reaction_rates: dict[str, Expression] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def by_role(self, role: Role) -> Iterator[Symbol]:
        """Yield the symbols of a role, in order of the file."""
        return (symbol for symbol in self.symbols.values() if symbol.role is role)

    def written(self, formula: Expression, owner: str) -> Expression:
        """Return a formula in the terms of the network. Raises `ModelError` for unknown names."""
        formula = formula.substitute(self.reaction_rates)
        by = {}
        for name in formula.names:
            symbol = self.symbols.get(name)
            if symbol is None and name not in (TIME, "pi", "e"):
                raise ModelError(f"{owner} uses {name!r}, which the model does not declare.")
            if symbol is not None and symbol.meaning is None:
                raise ModelError(
                    f"{owner} uses {symbol.kind} {name!r}, which has no value; give it one in the "
                    "model."
                )
            if symbol is not None and symbol.meaning is not None:
                by[name] = symbol.meaning
        return without_ones(formula.substitute(by))


def without_ones(formula: Expression) -> Expression:
    """Return a formula in which nothing is multiplied or divided by the number 1."""
    return Expression(_without_ones(formula.tree))


def _without_ones(node: Node) -> Node:
    if not isinstance(node, Call):
        return node
    arguments = tuple(_without_ones(argument) for argument in node.arguments)
    one = Number(1.0)
    if node.function in ("multiply", "divide") and arguments[1] == one:
        return arguments[0]
    if node.function == "multiply" and arguments[0] == one:
        return arguments[1]
    return Call(node.function, arguments)


def read_symbols(model: Any) -> SymbolTable:
    """Return the table of a model, without initial values. Raises `ModelError`."""
    names = _names(model)
    functions = {f.getId(): _function(f, names) for f in each(model.getListOfFunctionDefinitions())}
    declared = frozenset(names.get(i, i) for i in _declared_ids(model))
    table = SymbolTable(names, MathReader(functions, names, declared))
    table.notes += [f"{i!r} is called {name!r}, since the id means something else in formulas."
                    for i, name in names.items()]  # fmt: skip
    _read_rules(model, table)
    _read_initial_assignments(model, table)
    events = event_targets(model)
    for element in each(model.getListOfCompartments()):
        _add_compartment(table, element, element.getId() in events)
    for element in each(model.getListOfParameters()):
        name = names.get(element.getId(), element.getId())
        role = _role(table, name, element.getId() in events)
        table.symbols[name] = Symbol(name, "parameter", element, role, Expression(Name(name)))
    _add_stoichiometries(table, model)
    return table


def event_targets(model: Any) -> set[str]:
    """Return the ids that events assign."""
    return {
        assignment.getVariable()
        for event in each(model.getListOfEvents())
        for assignment in each(event.getListOfEventAssignments())
    }


def _declared_ids(model: Any) -> Iterator[str]:
    for elements in (
        model.getListOfCompartments(),
        model.getListOfSpecies(),
        model.getListOfParameters(),
        model.getListOfReactions(),
    ):
        yield from (element.getId() for element in each(elements))


def _names(model: Any) -> dict[str, str]:
    """Return new names for ids that mean something else to us."""
    taken = set(_declared_ids(model))
    return rename(taken, taken)


def rename(ids: Iterable[str], taken: set[str]) -> dict[str, str]:
    """Return a name for each of ``ids`` that cannot be one in a formula, not among ``taken``."""
    names = {}
    for i in sorted(ids):
        if i == TIME or i in EMPTY or (keyword.iskeyword(i) and i != "lambda"):
            name = f"{i}_" if i.strip("_") else "underscore"
            while name in taken:
                name += "_"
            names[i] = name
    return names


def _function(element: Any, names: dict[str, str]) -> FunctionDefinition:
    if element.getBody() is None:
        raise ModelError(f"{where(element, 'function')} has no body; give it one.")
    arguments = [element.getArgument(k).getName() for k in range(element.getNumArguments())]
    return FunctionDefinition(tuple(names.get(a, a) for a in arguments), element.getBody())


def _read_rules(model: Any, table: SymbolTable) -> None:
    for rule in each(model.getListOfRules()):
        if rule.isAlgebraic():
            raise ModelError(
                f"an algebraic rule{_at(rule)} is not supported; solve it for one quantity and "
                "write an assignment rule."
            )
        target = rule.getVariable()
        owner = f"the rule of {target!r}{_at(rule)}"
        name = table.names.get(target, target)
        formula = table.reader.read(math_of(rule, owner), owner)
        (table.rates if rule.isRate() else table.assigned)[name] = formula


def _read_initial_assignments(model: Any, table: SymbolTable) -> None:
    for element in each(model.getListOfInitialAssignments()):
        target = element.getSymbol()
        owner = f"the initial assignment of {target!r}{_at(element)}"
        name = table.names.get(target, target)
        table.initially[name] = table.reader.read(math_of(element, owner), owner)


def math_of(element: Any, owner: str) -> Any:
    """Return the formula of an element. Raises `ModelError` where there is none."""
    node = element.getMath() if element is not None else None
    if node is None:
        raise ModelError(f"{owner} has no formula; give it one, or leave it out.")
    return node


def _at(element: Any) -> str:
    line = element.getLine()
    return f" (line {line})" if line else ""


def _role(table: SymbolTable, name: str, by_event: bool) -> Role:
    if name in table.assigned:
        return Role.DEFINITION
    return Role.VARIABLE if by_event or name in table.rates else Role.PARAMETER


def _add_compartment(table: SymbolTable, element: Any, by_event: bool) -> None:
    name = table.names.get(element.getId(), element.getId())
    role = _role(table, name, by_event)
    given = name in table.initially or role is Role.DEFINITION
    meaning: Expression | None = Expression(Name(name))
    if not given and not element.isSetSize():
        meaning = None
    elif not given and element.getSize() == 1 and role is Role.PARAMETER:
        # Then concentrations are counts, and formulas stay as short as they are.
        role, meaning = Role.NUMBER, Expression(Number(1.0))
    table.symbols[name] = Symbol(name, "compartment", element, role, meaning)


def _add_stoichiometries(table: SymbolTable, model: Any) -> None:
    """Add the ids of references to species; their values are numbers, or they are refused."""
    targets = {*table.assigned, *table.rates, *table.initially, *event_targets(model)}
    for reaction in each(model.getListOfReactions()):
        for side in (reaction.getListOfReactants(), reaction.getListOfProducts()):
            for reference in each(side):
                i = reference.getId()
                if not i:
                    continue
                if i in targets:
                    raise ModelError(
                        f"{where(reaction, 'reaction')} has a stoichiometry {i!r} that a rule, an "
                        "event or an initial assignment sets, which is not supported; expected a "
                        "whole number."
                    )
                number = Expression(Number(float(reference.getStoichiometry())))
                table.symbols[i] = Symbol(i, "stoichiometry", reference, Role.NUMBER, number)
