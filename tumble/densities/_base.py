"""What every conditional density shares."""

from __future__ import annotations

import abc
from typing import Any


class AbstractDensity(abc.ABC):
    """A family of densities given numbers. Members are frozen dataclasses, without weights."""

    @abc.abstractmethod
    def build(self, size: int, num_given: int, seed: int) -> Any:
        """Return the density of ``size`` numbers given ``num_given``, before it has learnt.

        It has ``log_prob(y, given)`` and ``sample(key, shape, condition=given)``, in JAX. Raises
        `CapabilityError` where a package that it needs is not installed.
        """
