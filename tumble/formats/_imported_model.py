"""What is read from a file that holds a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tumble.models import ReactionNetwork


@dataclass(frozen=True)
class ImportedModel:
    """A network with the values that its file gives.

    Arguments:

    - ``network``: the `ReactionNetwork`.
    - ``params``: parameter → value, for those that have one.
    - ``initial``: species → count at time 0.
    - ``notes``: what was converted, assumed or left out; one sentence each.
    - ``name``: that of the model.
    - ``reaction_ids``: what the file calls each reaction of the network; one that was split in two
      gives its name to both.
    - ``substance_unit``: in which amounts are given; they are counts if it is ``item``.

    >>> import tumble as tb
    >>> m = tb.read_antimony("Fall: A => B; k * A; k = 0.5; A = 10; B = 0")
    >>> m
    ImportedModel
      ReactionNetwork: 2 species, 1 reactions
        A -> B ; k
        conserved: A + B = constant
      params: k = 0.5
      initial: A = 10, B = 0
    >>> run = tb.simulate(m.network, m.params, initial=m.initial, times=[0.0, 1.0])
    """

    network: ReactionNetwork
    params: Mapping[str, float]
    initial: Mapping[str, int]
    notes: tuple[str, ...] = ()
    name: str = ""
    reaction_ids: tuple[str, ...] = ()
    substance_unit: str = "item"

    def __repr__(self) -> str:
        lines = [f"ImportedModel {self.name!r}" if self.name else "ImportedModel"]
        lines += [f"  {line}" for line in repr(self.network).splitlines()]
        lines.append("  params: " + _shown(self.params))
        lines.append("  initial: " + _shown(self.initial))
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in values.items()) or "none"
