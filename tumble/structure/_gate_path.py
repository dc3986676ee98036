"""The search that opens and closes gates as their price falls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tumble._errors import ParameterError, is_number, require_whole, shown
from tumble._typing import FloatArray
from tumble.structure._exchanges import exchanges
from tumble.structure._first_guess import first_guess
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._gate_trace import GateTrace
from tumble.structure._likelihood import LogLikelihood
from tumble.structure._posterior import Network, NetworkPosterior
from tumble.structure._scoring import most_likely

_DEPTH = 12.0
_LOOKS = 6  # at all candidates, at one strength
_OPENED = 12  # candidates at most, at one look
_LEAST = 1e-3  # gain
_ROUGHLY, _FIRST, _ITERATIONS = 15, 4, 40
_SLOWER = (1.0, 3.0, 5.0)  # than the centers of the prior, in logarithms


@dataclass(frozen=True)
class GatePath(AbstractSearch):
    """Follows the best gates as their price falls, and weighs each network on the way.

    Definition: rates θ ≥ 0 maximize the linear-noise log likelihood − λ Σ_r g(f_r), where the gate
    g(f) = log(1 + f/ε) / log(1 + 1/ε) is 0 for a candidate that does not fire and 1 for one that
    fires as often as a typical count of the data has copies; f_r = θ_r T ∑ h_r / M n, with T the
    duration, n that count, and h over the M states that were seen. The strength λ rises in
    ``num_strengths`` equal ratios from ``weakest`` to one nat a number of the data, and falls
    again, each maximum found from the last one by Fisher scoring; where it is highest and few gates
    are open, candidates take the place of others that change the state alike or have the same
    reactants, as long as that pays. Of the maxima at one strength on the way up and down the higher
    one is kept. What is open there are the networks, of which the posterior finds the rates anew,
    without any price, and which it weighs. It begins with a regression of the increments; where
    states are not seen, with all candidates at once, at three speeds, and keeps what is best on the
    way up.

    λ is what a reaction has to add to the log likelihood, about, to be let in.

    The gate is concave, so that one reaction costs less than two that share its firings; an ℓ1
    price is the same for both and shrinks all rates. And it goes on rising, so that of the two the
    lesser one is pushed further down; gates that saturate, as hard concrete ones do, let go of
    what is open. Nothing is drawn at random: likelihood, slopes and steps are exact.

    Guarantee: none. The price is not convex, so a path may pass the best network by; networks that
    the data cannot tell apart are not all on it, so that probabilities are those among the
    networks of the path only. Of 60 counts of one of three species it missed the true network.

    Arguments: ``num_strengths``, default 12; ``weakest`` λ in nats, default 1; ``softness`` ε,
    default 0.001, the share of firings below which a gate is about linear. Raises `ParameterError`.

    When: to see what goes at which strength (`trace`), or for a fast look where states are not
    seen. For probabilities take `WindowSearch`.

    References: Candès, Wakin, Boyd, J. Fourier Anal. Appl. 14 (2008),
    doi:10.1007/s00041-008-9045-x (the logarithm as a price); Friedman, Hastie, Tibshirani,
    J. Stat. Softw. 33 (2010), doi:10.18637/jss.v033.i01 (paths with warm starts).
    """

    num_strengths: int = 12
    weakest: float = 1.0
    softness: float = 1e-3

    def __post_init__(self) -> None:
        require_whole("num_strengths", self.num_strengths, 2)
        if not (is_number(self.weakest) and 0 < self.weakest < math.inf):
            raise ParameterError(f"`weakest` is {shown(self.weakest)}, expected a number > 0.")
        if not (is_number(self.softness) and 0 < self.softness < 1):
            raise ParameterError(
                f"`softness` is {shown(self.softness)}, expected a number between 0 and 1."
            )

    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""
        found = Found(posterior, _DEPTH)
        trace = self.trace(posterior)
        # Backward: those at weak strengths have most of the likelihood, and set the mark.
        for rates in trace.rates[::-1]:
            members = np.flatnonzero(rates)
            network = posterior.library.closed(members.tolist())
            if np.isfinite(posterior.log_prior(network)):
                found.weigh(network, {int(r): math.log(rates[r]) for r in members})
        found.weigh(posterior.required, {})
        found.complete = True
        return found

    def trace(self, posterior: NetworkPosterior) -> GateTrace:
        """Return the path: at each strength, how far each gate is open."""
        gates = _Gates(posterior, self.softness)
        strongest = max(float(posterior.likelihood.problem.num_observations), 2 * self.weakest)
        strengths = np.geomspace(self.weakest, strongest, self.num_strengths)
        rising: list[tuple[FloatArray, float]] = []
        for start in gates.starts(self.weakest):
            way, rates = [], start
            for strength in strengths:
                rates, value = gates.settled(rates, strength)
                way.append((rates, value))
            rising = gates.better(rising, way, strengths) if rising else way
        rates, value = rising[-1]
        rates, _ = gates.exchanged(rates, value, strengths[-1])
        path: list[tuple[FloatArray, float]] = []
        for strength, other in zip(strengths[::-1], rising[::-1], strict=True):
            here = gates.settled(rates, strength)
            path += gates.better([here], [other], [strength])
            rates = path[-1][0]
        table = np.array([x[0] for x in path])
        values = np.array([x[1] for x in path])
        return GateTrace(posterior.library, strengths[::-1], table, gates.openness(table), values)


class _Gates:
    """The penalized likelihood of one posterior. Final."""

    def __init__(self, posterior: NetworkPosterior, softness: float) -> None:
        likelihood = posterior.likelihood
        self._posterior, self._likelihood = posterior, likelihood
        self._softness = softness
        self._full = math.log1p(1 / softness)
        mean = posterior.library.combinations(likelihood.typical_states).mean(0)
        # A candidate that nothing could fire is as costly as one that fires in a single state.
        self._firings = np.maximum(mean, mean[mean > 0].min(initial=1.0) * 1e-3)
        self._firings = self._firings * likelihood.duration / likelihood.scale
        self._priced = np.ones(len(posterior.library))
        self._priced[sorted(posterior.required)] = 0.0

    def starts(self, strength: float) -> Iterator[FloatArray]:
        """Yield rates [R] to begin with."""
        if self._likelihood.steps is not None:
            guess = first_guess(self._posterior)
            yield self._spread(np.exp(list(guess.values())), list(guess))
            return
        # All candidates at once, at several speeds. One replicate will do at first.
        rough = _Gates(self._posterior.of_few_series(), self._softness)
        for slower in _SLOWER:
            yield rough._thinned(np.exp(self._posterior.centers - slower), strength)

    def better(
        self,
        some: list[tuple[FloatArray, float]],
        others: list[tuple[FloatArray, float]],
        strengths: Iterable[float],
    ) -> list[tuple[FloatArray, float]]:
        """Return of rates and log likelihoods at each strength the better ones, with the price."""
        chosen = []
        for one, other, strength in zip(some, others, strengths, strict=True):
            worth = [x[1] - self.price(x[0], strength) for x in (one, other)]
            chosen.append(one if worth[0] >= worth[1] else other)
        return chosen

    def _thinned(self, rates: FloatArray, strength: float) -> FloatArray:
        """Return rates [R] a few steps on."""
        members = list(range(len(rates)))
        for _ in range(_ROUGHLY):  # what is closed need not be looked at in the next step
            rates, _ = self._climbed(rates, members, strength, 1)
            members = np.flatnonzero(rates).tolist()
        return rates

    def openness(self, rates: FloatArray) -> FloatArray:
        """Return the gates g [..., R] at rates [..., R]."""
        return np.asarray(np.log1p(rates * self._firings / self._softness) / self._full)

    def settled(self, rates: FloatArray, strength: float) -> tuple[FloatArray, float]:
        """Return the best rates [R] at a strength, from others, and their log likelihood."""
        rates, value = self._climbed(rates, np.flatnonzero(rates).tolist(), strength)
        for _ in range(_LOOKS):
            pull, worth = self._pull(rates)
            opening = np.flatnonzero(pull > strength)
            if not len(opening):
                break
            opening = opening[np.argsort(-worth[opening])][:_OPENED]
            members = sorted({*np.flatnonzero(rates).tolist(), *opening.tolist()})
            before = value - self.price(rates, strength)
            rates, value = self._climbed(rates, members, strength)
            if not value - self.price(rates, strength) > before + _LEAST:
                break
        return rates, value

    def exchanged(
        self, rates: FloatArray, value: float, strength: float
    ) -> tuple[FloatArray, float]:
        """Return better rates [R] and their log likelihood, with candidates exchanged."""
        looked = set()
        while True:
            here = frozenset(np.flatnonzero(rates).tolist())
            for network in exchanges(self._posterior.library, here):
                if network in looked:
                    continue
                looked.add(network)
                tried, worth = self._climbed(
                    self._moved(rates, network), sorted(network), strength, _FIRST
                )
                if worth - self.price(tried, strength) > value - self.price(rates, strength):
                    rates, value = self.settled(tried, strength)
                    break
            else:
                return rates, value

    def _moved(self, rates: FloatArray, network: Network) -> FloatArray:
        """Return rates [R] at which what is new fires as often as what it is new for."""
        here = set(np.flatnonzero(rates).tolist())
        lost = sum(rates[r] * self._firings[r] for r in here - network)
        moved = np.zeros_like(rates)
        for r in network:
            moved[r] = rates[r] or lost / self._firings[r]
        return moved

    def price(self, rates: FloatArray, strength: float) -> float:
        """Return what rates [R] cost."""
        return strength * float(self._priced @ self.openness(rates))

    def _climbed(
        self, rates: FloatArray, members: list[int], strength: float, iterations: int = _ITERATIONS
    ) -> tuple[FloatArray, float]:
        free = self._priced[members] * strength
        firings = self._firings[members]

        def evaluate(own: FloatArray) -> LogLikelihood:
            return self._likelihood.evaluate(self._spread(own, members), members)

        def price(own: FloatArray) -> tuple[float, FloatArray]:
            share = own * firings
            slope = firings / (self._softness + share) / self._full
            return float(free @ np.log1p(share / self._softness)) / self._full, free * slope

        own, value = most_likely(evaluate, rates[members], price, iterations)
        return self._spread(own, members), value

    def _pull(self, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the strength [R] below which each closed gate opens, and what that is worth."""
        found = self._likelihood.evaluate(rates, range(len(rates)), 0)
        closed = (rates == 0) & (self._priced > 0)
        steepest = self._firings / (self._softness * self._full)
        worth = found.slope**2 / np.maximum(found.curvature, 1e-300)
        return np.where(closed, found.slope / steepest, 0.0), worth

    def _spread(self, own: FloatArray, members: list[int]) -> FloatArray:
        rates = np.zeros(len(self._priced))
        rates[members] = own
        return rates
