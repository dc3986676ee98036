"""The search that looks at increments alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tumble._errors import CapabilityError, ParameterError, is_number, shown
from tumble._typing import FloatArray
from tumble.structure._exchanges import exchanges
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._increments import Increments, increments
from tumble.structure._posterior import Network, NetworkPosterior
from tumble.structure._scoring import most_likely

_SLIGHT = 1e-6  # of the largest share of all firings
_DEPTH = 12.0
_LEAST = 1e-3  # gain of a score


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
    + log p(network), BIC and the prior on networks. From the best one candidates then take the
    place of others that change the state alike or have the same reactants, while the score rises.
    Networks within ``window`` of the best score are weighed by the posterior, as those of any other
    search are.

    Guarantee: none. The full covariance tells apart what has the same mean and the same variances,
    such as ``I -> R`` and the pair ``I -> 0``, ``I -> I + R``. Between observations that are far
    apart the trapezoidal rule is wrong by more than the noise, and wrong candidates make up for it.
    What was left out comes back in the place of something similar only.

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
        seen = sorted(self.screened(posterior), key=lambda s: -s.score)
        for screened in seen:
            if screened.score >= seen[0].score - self.window:
                logs = {r: math.log(rate) for r, rate in screened.rates.items() if rate > 0}
                found.weigh(screened.network, logs)
        found.complete = True
        return found

    def screened(self, posterior: NetworkPosterior) -> list[Screened]:
        """Return the networks that it came by: those of the elimination, largest first."""
        given = increments(posterior.likelihood)
        if given is None or not len(given):
            raise CapabilityError(
                "IncrementScreening looks at changes of all species, but not all of them are seen "
                "at two successive times; use structure.WindowSearch(), or structure.GatePath()."
            )
        screen = _Screen(posterior, given)
        screen.eliminate()
        screen.exchange()
        return list(screen.seen.values())


class _Screen:
    """Networks as increments see them. Final."""

    def __init__(self, posterior: NetworkPosterior, given: Increments) -> None:
        self.seen: dict[Network, Screened] = {}
        self._given, self._posterior = given, posterior
        self._required, self._units = posterior.required, posterior.library.units
        self._fired = given.integrals.sum(0)

    def eliminate(self) -> None:
        """Leave out what the best rates of all candidates leave out, then one after another."""
        here = self._fit(frozenset(range(len(self._fired))), self._given.even_rates)
        while here.network > self._required:
            members = sorted(here.network)
            costs = self._costs(members, np.array([here.rates[r] for r in members]))
            worst = min(
                here.network - self._required,
                key=lambda r: max(costs[members.index(q)] for q in self._units[r]),
            )
            here = self._tried(here, here.network - self._units[worst])

    def exchange(self) -> None:
        """Go from the best network to better ones, as long as one is found."""
        here = None
        while here is not self._best:
            here = self._best
            for network in exchanges(self._posterior.library, here.network):
                if self._tried(here, network).score > here.score + _LEAST:
                    break

    @property
    def _best(self) -> Screened:
        return max(self.seen.values(), key=lambda s: s.score)

    def _tried(self, here: Screened, network: Network) -> Screened:
        if network in self.seen:
            return self.seen[network]
        # What is new fires as often as what it is new for.
        lost = sum(here.rates[r] * self._fired[r] for r in here.network - network)
        start = [here.rates.get(r, lost / max(self._fired[r], 1e-300)) for r in sorted(network)]
        return self._fit(network, np.array(start))

    def _fit(self, network: Network, start: FloatArray) -> Screened:
        """Return a network at its most likely rates, without what does not fire at them."""
        members = sorted(network)
        rates, value = most_likely(lambda x: self._given.evaluate(x, members), start)
        fired = rates * self._fired[members]
        keep = fired > _SLIGHT * fired.max(initial=1e-300)
        wanted = self._posterior.library.closed(np.array(members)[keep].tolist())
        keep = np.isin(members, list(wanted))
        kept = {r: float(x) for r, x, stays in zip(members, rates, keep, strict=True) if stays}
        left = frozenset(kept)
        score = value + self._posterior.log_prior(left)
        score -= 0.5 * len(left) * math.log(len(self._given))
        found = Screened(left, kept, score)
        self.seen[network] = self.seen[left] = found
        return found

    def _costs(self, members: list[int], rates: FloatArray) -> FloatArray:
        """Return what setting each rate to 0 costs, others adapting: its square times precision."""
        information = self._given.evaluate(rates, members).information
        scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
        even = information / np.outer(scale, scale) + 1e-9 * np.eye(len(members))
        return np.asarray((rates * scale) ** 2 / np.diag(np.linalg.inv(even)))
