"""What a search for networks does, and what it has found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._posterior import Network, NetworkPosterior, Weighed


class AbstractSearch(ABC):
    """How networks are sought.

    A search says which networks are worth weighing, and where their rates might be. What they weigh
    is the posterior's to say, the same one for all searches; so the results of all can be compared.
    """

    @abstractmethod
    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""


@dataclass
class Found:
    """The networks that were weighed, by what they are made of.

    Those that are worse than the best by more than ``depth`` are not weighed to the end.
    """

    posterior: NetworkPosterior
    depth: float
    weighed: dict[Network, Weighed] = field(default_factory=dict)
    complete: bool = False
    _gains: dict[Network, FloatArray] = field(default_factory=dict)

    def weigh(self, network: Network, start: dict[int, float]) -> Weighed:
        """Return a network weighed, once."""
        if network not in self.weighed:
            floor = self.best.log_posterior - self.depth if self.weighed else -np.inf
            self.weighed[network] = self.posterior.weigh(network, start, floor)
        return self.weighed[network]

    def gains(self, here: Weighed) -> FloatArray:
        """Return `NetworkPosterior.gains`, once."""
        if here.network not in self._gains:
            self._gains[here.network] = self.posterior.gains(here)
        return self._gains[here.network]

    @property
    def best(self) -> Weighed:
        """The most probable network."""
        return max(self.weighed.values(), key=lambda w: w.log_posterior)

    def ranked(self) -> list[tuple[Weighed, float]]:
        """Return the networks with their probabilities, most probable first."""
        weighed = sorted(self.weighed.values(), key=lambda w: -w.log_posterior)
        logs = np.array([w.log_posterior for w in weighed])
        shares = np.exp(logs - logs[0])
        return list(zip(weighed, (shares / shares.sum()).tolist(), strict=True))
