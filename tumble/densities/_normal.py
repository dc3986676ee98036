"""The standard normal law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tumble.densities._base import AbstractDensity


@dataclass(frozen=True)
class StandardNormal(AbstractDensity):
    """The standard normal law, whatever is given: it has nothing to learn."""

    def build(self, size: int, num_given: int, seed: int) -> Any:
        """See `AbstractDensity.build`."""
        from tumble.densities._modules import Normal

        return Normal(size)
