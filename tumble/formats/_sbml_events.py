"""The events of an SBML model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tumble._errors import ModelError
from tumble._expressions import Call, Expression
from tumble.formats._sbml_document import each, where
from tumble.formats._sbml_symbols import Role, SymbolTable, math_of, without_ones

if TYPE_CHECKING:
    from tumble.models import Event


def read_events(model: Any, table: SymbolTable) -> tuple[Event, ...]:
    """Return the events, in order of the file. Raises `ModelError`.

    What Level 2 does not say has its meaning there: triggers count as true before the start, and an
    event that was triggered takes place.
    """
    events = []
    for element in each(model.getListOfEvents()):
        if element.getNumEventAssignments() == 0:
            table.notes.append(f"Event {element.getId()!r} assigns nothing and is left out.")
            continue
        events.append(_event(element, table))
    return tuple(events)


def _event(element: Any, table: SymbolTable) -> Event:
    from tumble.models import Event

    owner = where(element, "event")
    trigger = element.getTrigger()
    delay, priority = element.getDelay(), element.getPriority()
    in_level_3 = element.getLevel() > 2
    try:
        return Event(
            _formula(table, trigger, f"the trigger of {owner}"),
            _assignments(element, table, owner),
            name=table.names.get(element.getId(), element.getId()),
            delay=0 if delay is None else _formula(table, delay, f"the delay of {owner}"),
            priority=None
            if priority is None
            else _formula(table, priority, f"the priority of {owner}"),
            persistent=bool(trigger.getPersistent()) if in_level_3 else True,
            initially=bool(trigger.getInitialValue()) if in_level_3 else True,
            values_from_trigger=bool(element.getUseValuesFromTriggerTime()),
        )
    except ModelError as error:
        raise ModelError(str(error) if owner in str(error) else f"{owner}: {error}") from None


def _formula(table: SymbolTable, element: Any, owner: str) -> Expression:
    return table.written(table.reader.read(math_of(element, owner), owner), owner)


def _assignments(element: Any, table: SymbolTable, owner: str) -> dict[str, Expression]:
    given = {}
    for assignment in each(element.getListOfEventAssignments()):
        i = assignment.getVariable()
        given[table.names.get(i, i)] = _formula(table, assignment, owner)
    for name in given:
        symbol = table.symbols.get(name)
        if symbol is None or symbol.role not in (Role.SPECIES, Role.VARIABLE):
            raise ModelError(f"{owner} assigns {name!r}, which cannot change.")
        if symbol.kind == "species" and symbol.meaning is not None:
            quotient = symbol.meaning.tree
            if isinstance(quotient, Call):  # a concentration: its amount is that times the volume
                volume = Expression(quotient.arguments[1]).substitute(given)
                product = Call("multiply", (given[name].tree, volume.tree))
                given[name] = without_ones(Expression(product))
    return given
