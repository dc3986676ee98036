"""The result of `stability_selection`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tumble._late import call_late

_SHOWN = 20


@dataclass(frozen=True, repr=False)
class SelectionFrequencies:
    """How often candidates were selected from subsets of the data. Not probabilities of reactions.

    Attributes: ``frequencies`` by equation; ``num_subsets``; ``units``, of what halves were drawn;
    ``num_candidates`` p, that conserve what the data do and are not required; ``mean_size`` q, how
    many of them were selected on average; ``threshold`` π; ``required``, equations that were in
    every network.
    """

    frequencies: Mapping[str, float]
    num_subsets: int
    units: str
    num_candidates: int
    mean_size: float
    threshold: float
    required: tuple[str, ...] = ()

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Equations with their frequencies, most frequent first."""
        return sorted(self.frequencies.items(), key=lambda item: -item[1])

    @property
    def stable(self) -> tuple[str, ...]:
        """The equations whose frequency reaches the threshold."""
        return tuple(name for name, share in self.ranked if share >= self.threshold)

    @property
    def bound(self) -> float:
        """At most so many of ``stable`` are expected to be wrong: q² / ((2π − 1) p).

        Under the assumptions that `stability_selection` states.
        """
        return self.mean_size**2 / ((2 * self.threshold - 1) * max(self.num_candidates, 1))

    def summary(self) -> str:
        """Return the frequencies on one screen."""
        lines = [
            f"Selection frequencies: {len(self.stable)} of {len(self.frequencies)} candidates in "
            f"{100 * self.threshold:g} % or more of {self.num_subsets} halves of {self.units}",
            f"  {self.mean_size:.1f} of {self.num_candidates} selected on average; expected wrong "
            f"among the stable ones: at most {self.bound:.2g},",
            "  if wrong candidates are exchangeable. These are not probabilities of reactions.",
            "  reaction                       frequency",
        ]
        ever = [(name, share) for name, share in self.ranked if share > 0]
        for name, share in ever[:_SHOWN]:
            mark = " required" if name in self.required else ""
            lines.append(f"  {name:30} {share:9.2f}{mark}")
        if len(ever) > _SHOWN:
            lines.append(f"  … {len(ever) - _SHOWN} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "frequencies": dict(self.frequencies),
            "num_subsets": self.num_subsets,
            "units": self.units,
            "num_candidates": self.num_candidates,
            "mean_size": self.mean_size,
            "threshold": self.threshold,
            "bound": self.bound,
            "required": list(self.required),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the frequencies, see `tumble.plot.selection`."""
        return call_late("tumble.plot", "selection", self, ax=ax)
