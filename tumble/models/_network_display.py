"""How a network is shown: as the text it can be read from, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tumble._errors import elided
from tumble.models._reaction import format_side

if TYPE_CHECKING:
    from tumble.models._reaction_network import ReactionNetwork


def network_text(network: ReactionNetwork) -> str:
    """Return the text that `ReactionNetwork.from_text` reads."""
    reactions = [str(reaction) for reaction in network.reactions]
    return "\n".join([*_declarations(network), *reactions, *_events(network)])


def network_summary(network: ReactionNetwork) -> str:
    """Return what `repr` shows."""
    counts = [f"{len(network.species)} species", f"{len(network.reactions)} reactions"]
    counts += [f"{len(network.variables)} variables"] if network.variables else []
    counts += [f"{len(network.events)} events"] if network.events else []
    width = max(len(r.equation) for r in network.reactions)
    lines = [
        *_declarations(network),
        *elided([f"{r.equation:<{width}} ; {r.rate}" for r in network.reactions]),
        *_events(network),
        *_conserved(network),
    ]
    return "\n".join([f"ReactionNetwork: {', '.join(counts)}", *(f"  {line}" for line in lines)])


def network_html(network: ReactionNetwork) -> str:
    """Return what a notebook shows."""
    rows = [
        f"<tr><td style='text-align:left'>{_side_html(r.reactants)}</td>"
        f"<td>{'→' if r.is_mass_action else '⇒'}</td>"
        f"<td style='text-align:left'>{_side_html(r.products)}</td>"
        f"<td><i>{html.escape(str(r.rate))}</i></td></tr>"
        for r in network.reactions
    ]
    table = "".join(elided(rows, last="<tr><td colspan=4>… and {} more</td></tr>"))
    notes = [*_declarations(network), *_events(network), *_conserved(network)]
    return (
        f"<div><b>ReactionNetwork</b> · {len(network.species)} species · "
        f"{len(network.reactions)} reactions<table>{table}</table>"
        + "".join(f"<div>{html.escape(note)}</div>" for note in notes)
        + "</div>"
    )


def _declarations(network: ReactionNetwork) -> list[str]:
    lines = [f"{name} = {formula}" for name, formula in network.definitions.items()]
    for name, variable in network.variables.items():
        lines += variable.lines(name)
    return lines


def _events(network: ReactionNetwork) -> list[str]:
    return [str(event) for event in network.events]


def _conserved(network: ReactionNetwork) -> list[str]:
    return [f"conserved: {law}" for law in network.conservation_laws]


def _side_html(side: Mapping[str, int]) -> str:
    return html.escape(format_side(side)) if side else "∅"
