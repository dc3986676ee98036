"""A network with time, variables and events as flat arrays, the form its kernel reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._expressions import TIME, Expression
from tumble._typing import IntArray
from tumble.kernels._modes import COMPARISONS, FLOOR, Mode, ModeFinder, mode_name
from tumble.kernels._programs import Programs, compile_programs
from tumble.kernels._tables import compressed_rows
from tumble.models import ReactionNetwork

KINDS = {name: np.int64(i) for i, name in enumerate((*COMPARISONS, FLOOR))}


# The rows of a table, whatever their lengths. Few arrays make calls between kernels cheap.
# They are NumPy numbers, since Numba compiles a function once more for each plain one that it gets.
# Sparse ones come as `*_PTR` and entries: those of reaction r are at ptr[r] … ptr[r+1]-1.
(
    LAYOUT,
    REACTANT_PTR, REACTANT_SPECIES, REACTANT_ORDER,
    CHANGE_PTR, CHANGE_SPECIES, CHANGE_AMOUNT,
    AFFECTED_PTR, AFFECTED,
    IS_LAW,
    FLOWING,
    KIND, IS_AFFINE, WATCHED,
    ASSIGNMENT_PTR, TARGET, HAS_PRIORITY, IS_PERSISTENT, STARTS_TRUE, IS_EARLY,
) = map(np.int64, range(20))  # fmt: skip

# The entries of the row LAYOUT.
(
    FIRST_RATE, FIRST_FLOW, FIRST_SLOPE, FIRST_LEVEL, FIRST_TRIGGER, FIRST_DELAY, FIRST_PRIORITY,
    FIRST_ASSIGNMENT, FIRST_INITIAL,
    NUM_PARAMS, NUM_VARIABLES, NUM_VALUES, INTEGRATES, MODES_READ_COUNTS,
) = map(np.int64, range(14))  # fmt: skip


class HybridTables(NamedTuple):
    """A network: programs, and rows of whole numbers: row i is ``data[ptr[i]:ptr[i+1]]``.

    The kernel keeps all real numbers of a run in one vector, its *values*: parameters, then
    variables, then modes. ``programs`` compute from them, the counts and the time, in groups that
    begin at ``FIRST_…``: rates (constants of mass action, or whole propensities), flows
    (derivatives of the variables that have one), slopes and levels of the modes, triggers, delays
    and priorities of the events, all assignments, and the initial values of the variables.

    Rows: reactants, changes and affected reactions as in `NetworkTables`; whether a program is the
    whole propensity; the places in the values of variables that flow; of the modes, kind, whether
    they are affine, and a list of the others, which are watched; of the events, their assignments,
    each to a species or to S plus a place in the values, and their options. ``INTEGRATES`` says
    whether anything changes continuously, ``MODES_READ_COUNTS`` whether a firing may change a mode.
    """

    programs: Programs
    ptr: IntArray
    data: IntArray


def hybrid_tables(network: ReactionNetwork) -> HybridTables:
    """Return the tables of ``network``."""
    variables, events = network.resolved_variables, network.resolved_events
    flowing = [name for name, variable in variables.items() if variable.rate is not None]
    finder = ModeFinder(frozenset([TIME, *flowing]))
    rates = [finder.smooth(rate) for rate in network.rate_expressions]
    flows = {name: finder.smooth(variables[name].rate) for name in flowing}
    triggers = [finder.smooth_condition(event.trigger) for event in events]
    modes = finder.modes(flows)
    names = [*network.parameters, *variables, *(mode_name(i) for i in range(len(modes)))]
    groups = {
        "rate": rates,
        "flow": list(flows.values()),
        "slope": [mode.slope for mode in modes],
        "level": [mode.level for mode in modes],
        "trigger": triggers,
        "delay": [event.delay for event in events],
        "priority": [event.priority for event in events],
        "assignment": [value for event in events for value in event.assignments.values()],
        "initial": [variable.initial for variable in variables.values()],
    }
    programs = compile_programs(
        [expression for group in groups.values() for expression in group], network.species, names
    )
    touches = (network.stoichiometry != 0).astype(np.int64).T @ network.reads.astype(np.int64)
    layout = [
        *np.cumsum([0, *map(len, groups.values())])[:-1],
        len(network.parameters),
        len(variables),
        len(names),
        _integrates(rates, flowing, modes),
        any(set(network.species) & set(mode.level.names) for mode in modes),
    ]
    places = {name: i for i, name in enumerate((*network.species, *names))}
    rows = [
        layout,
        *compressed_rows(network.reactant_orders),
        *compressed_rows(network.stoichiometry),
        *compressed_rows(touches.T)[:2],
        ~network.is_mass_action,
        [names.index(name) for name in flowing],
        [KINDS[mode.kind] for mode in modes],
        [mode.is_affine for mode in modes],
        [i for i, mode in enumerate(modes) if not mode.is_affine],
        np.cumsum([0, *(len(event.assignments) for event in events)]),
        [places[name] for event in events for name in event.assignments],
        [event.priority is not None for event in events],
        [event.persistent for event in events],
        [event.initially for event in events],
        [event.values_from_trigger for event in events],
    ]
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    ptr = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    return HybridTables(programs, ptr, np.concatenate(arrays))


def _integrates(rates: list[Expression], flowing: list[str], modes: list[Mode]) -> bool:
    by_time = any(TIME in rate.names for rate in rates)
    return by_time or bool(flowing) or not all(mode.is_affine for mode in modes)
