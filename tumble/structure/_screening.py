"""The search that looks at increments alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tumble._errors import CapabilityError, ParameterError, is_number, shown
from tumble._typing import FloatArray
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._increments import Increments, increments
from tumble.structure._posterior import Network, NetworkPosterior
from tumble.structure._scoring import most_likely

_SLIGHT = 1e-6  # of the largest share of all firings
_DEPTH = 12.0


class Screened(NamedTuple):
    """A network with its ``rates`` by candidate, and the ``score`` that increments give it."""

    network: Network
    rates: dict[int, float]
    score: float


@dataclass(frozen=True)
class IncrementScreening(AbstractSearch):
    """Leaves out one candidate after another, by the likelihood of increments.

    Definition: increments between observations are independent and normal, with mean Σ ν θ ∫h dt
    and covariance Σ ν νᵀ θ ∫h dt, integrals by the trapezoidal rule. It begins with the most likely
    rates θ ≥ 0 of all candidates, which leave many at 0, and leaves out the one whose going costs
    least, until none is left. A network of k rates has the score log p(M increments) − k/2 · log M
    + log p(network), BIC and the prior on networks; those within ``window`` of the best are weighed
    by the posterior, as those of any other search are.

    Guarantee: none. The full covariance tells apart what has the same mean and the same variances,
    such as ``I -> R`` and the pair ``I -> 0``, ``I -> I + R``. Between observations that are far
    apart the trapezoidal rule is wrong by more than the noise, and wrong candidates make up for it.
    What was left out does not come back.

    Arguments: ``window``, default 6; with 0 the best by increments is the only one. Raises
    `CapabilityError` where not all species are seen.

    When: many short intervals; a first look, within a tenth of a second; stability selection. Not
    for few times, nor for much noise, of which it overlooks that successive increments share it.

    Reference: Schwarz, Ann. Stat. 6 (1978), doi:10.1214/aos/1176344136 (BIC); Gillespie, J. Chem.
    Phys. 113 (2000), doi:10.1063/1.481811 (normal increments).
    """

    window: float = 6.0

    def __post_init__(self) -> None:
        if not (is_number(self.window) and 0 <= self.window < 1e3):
            raise ParameterError(f"`window` is {shown(self.window)}, expected a number ≥ 0.")

    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""
        found = Found(posterior, _DEPTH)
        way = sorted(self.way(posterior), key=lambda s: -s.score)
        for screened in way:
            if screened.score >= way[0].score - self.window:
                logs = {r: math.log(rate) for r, rate in screened.rates.items() if rate > 0}
                found.weigh(screened.network, logs)
        found.complete = True
        return found

    def way(self, posterior: NetworkPosterior) -> list[Screened]:
        """Return the networks that it came by, the largest one first."""
        given = increments(posterior.likelihood)
        if given is None or not len(given):
            raise CapabilityError(
                "IncrementScreening looks at changes of all species, but not all of them are seen "
                "at two successive times; use structure.WindowSearch(), or structure.GatePath()."
            )
        return [
            Screened(network, rates, value + _complexity(posterior, network, len(given)))
            for network, rates, value in _eliminated(given, posterior.required)
        ]


def _complexity(posterior: NetworkPosterior, network: Network, size: int) -> float:
    return posterior.log_prior(network) - 0.5 * len(network) * math.log(size)


def _eliminated(
    given: Increments, required: Network
) -> Iterator[tuple[Network, dict[int, float], float]]:
    """Leave out candidates, first all that the best rates leave out; yield what is left."""
    members = list(range(len(given.change)))
    rates = given.even_rates
    while True:
        rates, value = _fitted(given, members, rates)
        fired = rates * given.integrals[:, members].sum(0)
        keep = fired > _SLIGHT * fired.max(initial=1e-300)
        keep |= np.isin(members, list(required))
        members, rates = np.array(members, int)[keep].tolist(), rates[keep]
        yield frozenset(members), dict(zip(members, rates.tolist(), strict=True)), value
        free = [i for i, r in enumerate(members) if r not in required]
        if not free:
            return
        costs = _costs(given, members, rates)
        worst = min(free, key=lambda i: costs[i])
        members = members[:worst] + members[worst + 1 :]
        rates = np.delete(rates, worst)


def _fitted(given: Increments, members: list[int], start: FloatArray) -> tuple[FloatArray, float]:
    return most_likely(lambda rates: given.evaluate(rates, members), start)


def _costs(given: Increments, members: list[int], rates: FloatArray) -> FloatArray:
    """Return what setting each rate to 0 costs, others adapting: its square times its precision."""
    information = given.evaluate(rates, members).information
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    even = information / np.outer(scale, scale) + 1e-9 * np.eye(len(members))
    return np.asarray((rates * scale) ** 2 / np.diag(np.linalg.inv(even)))
