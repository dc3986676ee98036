"""Networks with one candidate in the place of others that are like it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tumble.structure._library import ReactionLibrary
from tumble.structure._posterior import Network


def exchanges(library: ReactionLibrary, network: Network) -> Iterator[Network]:
    """Yield networks without one member, or without all that change the state alike.

    Each alone, and with any one candidate instead that changes the state as the member does, or has
    its reactants; reverses go and come with them. Required candidates stay.
    """
    for member in sorted(network):
        alike = (library.change == library.change[member]).all(1)
        group = frozenset(np.flatnonzero(alike).tolist()) & network
        alike |= (library.reactants == library.reactants[member]).all(1)
        others = np.flatnonzero(alike).tolist()
        for gone in {group, frozenset({member})}:
            rest = library.closed(network - frozenset().union(*(library.units[r] for r in gone)))
            if rest != network:
                yield rest
                yield from (rest | library.units[r] for r in others if r not in network)
