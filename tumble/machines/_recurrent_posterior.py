"""What a recurrent inference machine has learnt: to propose, simulate, and propose again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import truncnorm

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.machines._base import AbstractInference
from tumble.machines._observations import Observations
from tumble.machines._roll_out import RollOuts, compiled, widths

_REMEMBERED = 1000  # data sets


@dataclass(frozen=True)
class RecurrentWeights:
    """How observations are told, and the ``numbers`` of the network. Final.

    ``key``, of the stream of the roll-outs that answers rest on.
    """

    observations: Observations
    numbers: tuple[FloatArray, ...]
    key: int


@dataclass(frozen=True)
class RecurrentPosterior(AbstractInference):
    """What a `RecurrentInferenceMachine` has learnt. Final.

    An answer is the equal mixture of the last proposals of ``num_restarts`` roll-outs, each cut at
    the bounds and normalized. It depends on the data set alone, and what was simulated for it is
    kept for the last 1,000 of them.
    """

    weights: RecurrentWeights
    network: Any
    roll_outs: RollOuts
    num_restarts: int
    known: dict[bytes, FloatArray] = field(default_factory=dict, repr=False, compare=False)

    def log_density(self, w: FloatArray, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.log_density`."""
        units = self.roll_outs.units
        u = np.clip(units.of_normal(w), *units.bounds)
        logs = np.array(
            [
                truncnorm.logpdf(one, *law).sum(1)
                for one, law in zip(u, self._laws(data), strict=True)
            ]
        )
        mixed = logsumexp(logs, axis=1) - np.log(self.num_restarts)
        return np.asarray(mixed + units.log_stretch(w))

    def sample(self, data: Sequence[FloatArray], count: int, stream: Stream) -> FloatArray:
        """See `AbstractInference.sample`."""
        rng, units = stream.numpy(), self.roll_outs.units
        drawn = []
        for law in self._laws(data):
            which = rng.integers(self.num_restarts, size=count)
            shares = rng.uniform(size=(count, law[0].shape[1]))
            u = truncnorm.ppf(shares, *(part[which] for part in law))
            drawn.append(units.to_normal(u))
        return np.stack(drawn)

    def features(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.features`: the moments."""
        return self.weights.observations.moments(data)

    def proposals(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return the last proposals ψ [B, R, 2P] of B data sets, in units of the prior."""
        rows = self.weights.observations.rows(data)
        return np.stack(
            [self._proposed(tuple(part[b] for part in rows)) for b in range(len(rows[0]))]
        )

    # -- private -----------------------------------------------------

    def _laws(self, data: Sequence[FloatArray]) -> list[tuple[FloatArray, ...]]:
        """Return of each data set the ends, in standard deviations, mean and these, [R, P]."""
        low, high = self.roll_outs.units.bounds
        laws: list[tuple[FloatArray, ...]] = []
        for psi in self.proposals(data):
            mean, log_sd = np.split(psi, 2, axis=1)
            sd = widths(log_sd)
            laws.append(((low - mean) / sd, (high - mean) / sd, mean, sd))
        return laws

    def _proposed(self, rows: tuple[FloatArray, ...]) -> FloatArray:
        """Return the last proposals [R, 2P] given replicates [n, D] of each experiment."""
        key = blake2b(b"".join(r.tobytes() for r in rows), digest_size=16).digest()
        if key not in self.known:
            told = compiled().told(self.network, tuple(r[None] for r in rows))
            repeated = np.repeat(np.asarray(told), self.num_restarts, axis=0)
            record = self.roll_outs(self.network, repeated, Stream(self.weights.key))
            if len(self.known) >= _REMEMBERED:
                del self.known[next(iter(self.known))]
            self.known[key] = record.psis[-1].astype(float)
        return self.known[key]
