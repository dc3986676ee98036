"""What searches by gradients leave behind, and the rule by which they step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._posterior import Network

_FIRST, _SECOND, _TINY = 0.9, 0.99, 1e-12


@dataclass(frozen=True, eq=False)
class Descent:
    """The way of a search by gradients from one random start.

    Attributes:

    - ``networks`` [I]: positions of the candidates that its slots stood for, at each iteration.
    - ``rates``: their rates, an array [k] each.
    - ``losses`` [I]: what it made small, as it was estimated; of which kind, the search says.
    - ``shares`` [I, R]: how probable it was that a network drawn then has a candidate; 0 or 1 where
      nothing is drawn.
    """

    networks: tuple[Network, ...]
    rates: tuple[FloatArray, ...]
    losses: FloatArray
    shares: FloatArray

    @property
    def last(self) -> Network:
        """The network in which it ended."""
        return self.networks[-1]

    @property
    def has_settled(self) -> bool:
        """Whether the last fifth of its iterations had one and the same network."""
        return len(set(self.networks[-max(len(self.networks) // 5, 1) :])) == 1


class Track:
    """A `Descent` while it is made. Final."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._networks: list[Network] = []
        self._rates: list[FloatArray] = []
        self._losses: list[float] = []
        self._shares: list[FloatArray] = []

    def add(self, rates: dict[int, float], loss: float, shares: FloatArray | None = None) -> None:
        """Note the ``rates`` of the members, the ``loss`` and the ``shares`` [R] of a step."""
        members = sorted(rates)
        self._networks.append(frozenset(members))
        self._rates.append(np.array([rates[r] for r in members]))
        self._losses.append(float(loss))
        if shares is None:
            shares = np.zeros(self._size)
            shares[members] = 1.0
        self._shares.append(shares)

    def done(self) -> Descent:
        """Return what was noted."""
        losses, shares = np.array(self._losses), np.array(self._shares)
        return Descent(tuple(self._networks), tuple(self._rates), losses, shares)


class Adam:
    """Steps of about the same length in every coordinate, whatever its scale. Final.

    Reference: Kingma, Ba, ICLR (2015), arXiv:1412.6980.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._count = 0
        self._mean: Any = 0.0
        self._square: Any = 0.0

    def step(self, slope: FloatArray) -> FloatArray:
        """Return by how much to move, uphill."""
        self._count += 1
        self._mean = _FIRST * self._mean + (1 - _FIRST) * slope
        self._square = _SECOND * self._square + (1 - _SECOND) * slope**2
        mean = self._mean / (1 - _FIRST**self._count)
        size = np.sqrt(self._square / (1 - _SECOND**self._count))
        return np.asarray(self._rate * mean / (size + _TINY))
