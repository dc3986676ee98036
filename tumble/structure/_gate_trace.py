"""What was open at which strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._late import call_late
from tumble._typing import FloatArray
from tumble.structure._library import ReactionLibrary


@dataclass(frozen=True, repr=False)
class GateTrace:
    """The path of `GatePath`: what is open at which strength.

    Attributes: ``library``; ``strengths`` [K], falling, in nats a reaction; ``rates`` [K, R], 0
    where a gate is closed; ``gates`` [K, R]; ``log_likelihoods`` [K].
    """

    library: ReactionLibrary
    strengths: FloatArray
    rates: FloatArray
    gates: FloatArray
    log_likelihoods: FloatArray

    @property
    def networks(self) -> tuple[tuple[str, ...], ...]:
        """The equations that are open at each strength."""
        return tuple(
            tuple(self.library.equations[r] for r in np.flatnonzero(row)) for row in self.rates
        )

    def summary(self) -> str:
        """Return the path on one screen: the strengths at which something came or went."""
        lines = [f"Gates: {len(self.strengths)} strengths, {len(self.library)} candidates"]
        lines.append("  strength   log likelihood   what is open")
        last = None
        rows = zip(self.strengths, self.log_likelihoods, self.networks, strict=True)
        for strength, value, network in rows:
            if network != last:
                lines.append(
                    f"  {strength:8.3g}   {value:14.6g}   {', '.join(network) or 'nothing'}"
                )
            last = network
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Return the path as plain data; of the candidates those that were ever open."""
        ever = np.flatnonzero(self.rates.any(0))
        return {
            "strengths": self.strengths.tolist(),
            "log_likelihoods": self.log_likelihoods.tolist(),
            "gates": {self.library.equations[r]: self.gates[:, r].tolist() for r in ever},
            "rates": {self.library.equations[r]: self.rates[:, r].tolist() for r in ever},
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw gates against strength, see `tumble.plot.gates`."""
        return call_late("tumble.plot", "gates", self, ax=ax)
