"""Networks of a library, weighed: the prior, the evidence, and what taking in a candidate gains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import ParameterError, require_whole, shown
from tumble._problem import Problem
from tumble._typing import FloatArray
from tumble.models import ReactionNetwork
from tumble.structure._known_steps import KnownSteps
from tumble.structure._library import ReactionLibrary
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._newton import log_det, positive, relative_move, solved

Network = frozenset[int]
"""Positions of the candidates that a network has."""

ITERATIONS = 60
_LEAST, _MOST_DAMPING = 1e-2, 1e6  # of Levenberg and Marquardt
_RECOUNTS, _SAME = 3, 0.05  # times that few firings are counted anew, unless rates are the same
_RETREATS = 8
_HOPE = 10.0  # times what the next step is to gain, or, after a few, what the last one gained
_PATIENCE = 5
_TOLERANCE = 1e-3  # of the log posterior
_LITTLE, _STALLS = 1e-2, 2  # gained by damped steps in a row, after which there are no more
_COUNTABLE = 50.0  # firings in all of the data
_SHARPEST = 1e200  # information in a logarithm: beyond, rates are too fast to be followed
_Density = Callable[[list[int], FloatArray], tuple[float, FloatArray, FloatArray, float]]
_GRID = np.linspace(-6.0, 6.0, 241)  # in standard deviations of the prior


@dataclass(frozen=True)
class NetworkPrior:
    """What is thought of networks before the data are seen.

    Definition: each candidate beyond the required ones makes a network half as probable, up to
    ``largest``, and given their number all choices are equally probable; so a library that is
    longer makes each of its candidates less probable. Logarithms of rates are independent and
    normal, with standard deviation ``spread``, about the rate at which a candidate alone, with all
    its reactants at the typical count n of the data, would fire n times during an experiment. Of
    the data, the prior knows this count and the duration, unless they are given.

    Arguments: ``largest``, default 12; ``spread``, default 2.5, by which 95 % of rates lie within
    a factor of 130 of their median; ``count`` and ``duration``, default None: the largest number
    of copies of a species that was there at first or seen, and the longest experiment.

    Reference: Chen, Chen, Biometrika 95 (2008), doi:10.1093/biomet/asn034 (sizes
    before members).
    """

    largest: int = 12
    spread: float = 2.5
    count: float | None = None
    duration: float | None = None

    def __post_init__(self) -> None:
        require_whole("largest", self.largest)
        if not (isinstance(self.spread, (int, float)) and 0 < self.spread < 20):
            raise ParameterError(f"`spread` is {shown(self.spread)}, expected between 0 and 20.")
        for name in ("count", "duration"):
            given = getattr(self, name)
            if given is not None and not (isinstance(given, (int, float)) and 0 < given < np.inf):
                raise ParameterError(f"`{name}` is {shown(given)}, expected a number > 0 or None.")

    def log_probability(self, size: int, among: int) -> float:
        """Return log p of a network of ``size`` of ``among`` candidates, beyond required ones."""
        most = min(self.largest, among)
        if size > most:
            return -np.inf
        total = math.log(sum(0.5**k for k in range(most + 1)))
        return -size * math.log(2) - total - math.log(math.comb(among, size))

    def centers(self, library: ReactionLibrary, count: float, duration: float) -> FloatArray:
        """Return the means of the logarithms of rates [R], given what the data know."""
        count = max(count if self.count is None else self.count, 2.0)
        duration = duration if self.duration is None else self.duration
        typical = library.combinations(np.full(len(library.species), count))
        return np.asarray(np.log(count / (duration * np.maximum(typical, 1.0))))

    def sample(
        self, library: ReactionLibrary, count: float, duration: float, rng: np.random.Generator
    ) -> ReactionNetwork:
        """Return a network drawn from the prior, with rates as numbers.

        Given that it has a reaction at all, and for an experiment with so large a typical count and
        of this duration, where the prior does not bring its own. See `log_probability`, `centers`.
        """
        free = sorted({min(unit) for unit in library.units} - set(library.required))
        sizes = np.arange(0 if library.required else 1, min(self.largest, len(free)) + 1)
        size = int(rng.choice(sizes, p=0.5**sizes / np.sum(0.5**sizes)))
        chosen = rng.choice(free, size, replace=False).tolist()
        members = sorted(library.closed(chosen))
        centers = self.centers(library, count, duration)[members]
        rates = np.exp(centers + self.spread * rng.standard_normal(len(members))).tolist()
        return library.network_of(members, rates)


class Weighed(NamedTuple):
    """A network with its rates (logarithms [k], in ascending order of candidates) and evidence.

    ``log_evidence`` is log p(data | network), ``log_posterior`` that plus log p(network);
    ``log_likelihood`` at the rates; ``precision`` [k, k] of the logarithms; ``settled``, whether
    the search for the most probable rates ended by itself.
    """

    network: Network
    log_rates: FloatArray
    log_likelihood: float
    log_evidence: float
    log_posterior: float
    precision: FloatArray
    settled: bool = True

    @property
    def members(self) -> list[int]:
        """The candidates in ascending order."""
        return sorted(self.network)


class Gains(NamedTuple):
    """What taking in each candidate would add to the log evidence, ``worth`` [R]: -∞ for members.

    And to the log posterior, ``gain`` [R], with the prior on networks; and the logarithms of its
    rate ``log_rates`` [R] from which to go on.
    """

    worth: FloatArray
    gain: FloatArray
    log_rates: FloatArray


@dataclass(frozen=True)
class NetworkPosterior:
    """p(network, rates | data), evaluated a network at a time.

    Definition: rates are integrated out by Laplace's method in their logarithms, with the Fisher
    information of the linear-noise likelihood as its curvature.

    Arguments: ``likelihood``, of the candidates that are looked at; ``prior``; ``among``, how many
    candidates beyond the required ones the prior is about, where data ruled some of them out.
    Default: those of the likelihood's library. ``closely``, whether networks are weighed by
    `KnownSteps`, which needs all states, and to start at rates which linear noise finds best;
    default ``False``, by linear noise.
    """

    likelihood: NetworkLikelihood
    prior: NetworkPrior
    among: int | None = None
    closely: bool = False

    def of_few_series(self, most: int = 1) -> NetworkPosterior:
        """Return the posterior given few replicates of each experiment, to look around in."""
        likelihood = replace(self.likelihood, most_series=most)
        return replace(self, likelihood=likelihood, prior=self._fixed_prior, closely=False)

    def with_problem(self, problem: Problem) -> NetworkPosterior:
        """Return the posterior given other data of the same species, with the prior as it is."""
        likelihood = replace(self.likelihood, problem=problem)
        return replace(self, likelihood=likelihood, prior=self._fixed_prior, closely=False)

    @cached_property
    def _fixed_prior(self) -> NetworkPrior:
        """The prior, which looks at no data any more."""
        likelihood, prior = self.likelihood, self.prior
        return replace(
            prior,
            count=likelihood.scale if prior.count is None else prior.count,
            duration=likelihood.duration if prior.duration is None else prior.duration,
        )

    def at(self, weighed: Weighed) -> Weighed:
        """Return a network that was weighed by other means, by linear noise, at the same rates."""
        joint = self.density(weighed.members, weighed.log_rates)
        return self._weighed(weighed.network, weighed.log_rates, joint)

    @property
    def library(self) -> ReactionLibrary:
        """The candidates."""
        return self.likelihood.library

    @cached_property
    def required(self) -> Network:
        """What every network has."""
        return frozenset(self.library.required)

    @cached_property
    def centers(self) -> FloatArray:
        """Prior means of the logarithms of rates [R]."""
        likelihood = self.likelihood
        return self.prior.centers(self.library, likelihood.scale, likelihood.duration)

    def log_prior(self, network: Network) -> float:
        """Return log p(network)."""
        size = self.library.size
        among = size(range(len(self.library))) if self.among is None else self.among
        return self.prior.log_probability(size(network), among)

    def weigh(
        self,
        network: Network,
        start: dict[int, float],
        floor: float = -np.inf,
        iterations: int = ITERATIONS,
    ) -> Weighed:
        """Return the network at its most probable rates, found from ``start`` (logarithms).

        The search for them ends early where the log posterior will hardly come up to ``floor``, and
        after so many ``iterations``.
        """
        members = sorted(network)
        u = np.array([start.get(r, self.centers[r]) for r in members])
        if not self.closely:
            return self._climbed(network, u, self.density, floor, iterations)
        for _ in range(_RECOUNTS):
            steps = self._known_steps(members, u)
            weighed = self._climbed(network, u, self._close_density(steps), floor, iterations)
            if not weighed.settled or np.abs(weighed.log_rates - u).max(initial=0) < _SAME:
                break
            u = weighed.log_rates  # where other firings may be few
        return weighed

    def _known_steps(self, members: list[int], u: FloatArray) -> KnownSteps:
        """Return the likelihood of steps in which firings that are few at ``u`` are few."""
        rates = np.zeros(len(self.library))
        rates[members] = np.exp(u)
        return KnownSteps(self.likelihood, rates, tuple(members))

    def _close_density(self, steps: KnownSteps) -> _Density:
        def density(
            members: list[int], u: FloatArray
        ) -> tuple[float, FloatArray, FloatArray, float]:
            joint = self._joint(members, u, lambda rates, _: steps.evaluate(rates))
            return joint[0], joint[1], positive(joint[2], 0.5 / self.prior.spread**2), joint[3]

        return density

    def _climbed(
        self, network: Network, u: FloatArray, density: _Density, floor: float, iterations: int
    ) -> Weighed:
        """Return the network at its most probable rates, found from logarithms ``u``."""
        members = sorted(network)
        here = density(members, u)
        for _ in range(_RETREATS if members else 0):
            if np.isfinite(here[0]):
                break
            u = u - 1.0  # slower, where rates are too fast to be followed
            here = density(members, u)
        damping, gained, settled, stalled = 0.0, np.inf, not members, 0
        for count in range(iterations if np.isfinite(here[0]) else 0):
            value, slope, precision, _ = here
            ahead = float(solved(precision, slope) @ slope) / 2
            settled = ahead < _TOLERANCE or damping > _MOST_DAMPING or stalled == _STALLS
            if settled:
                break
            if value + _HOPE * (ahead if count < _PATIENCE else min(ahead, gained)) < floor:
                break
            stiff = precision.copy()
            stiff[np.diag_indices(len(u))] *= 1 + damping
            # In rates, not in their logarithms, what the data tell of sums of them is straight.
            move = np.log1p(relative_move(stiff, slope))
            there = density(members, u + move)
            if there[0] > value:
                gained = there[0] - value
                # Short steps that gain little: along the edge of what can be followed.
                is_short = damping > 0 and gained < _LITTLE and ahead < _HOPE
                stalled = stalled + 1 if is_short else 0
                u, here, damping = u + move, there, damping / 10 if damping > _LEAST else 0.0
            else:
                damping = max(10 * damping, _LEAST)
        return self._weighed(network, u, here)._replace(settled=settled)

    def gains(self, weighed: Weighed) -> Gains:
        """Return what taking in each candidate, or a pair of them, would gain, about.

        From the slopes of the log likelihood at rate 0 and its curvature there, other rates
        adapting to it. The prior on the rate is integrated over.
        """
        size = len(self.library)
        members, others = weighed.members, sorted(set(range(size)) - weighed.network)
        rates = np.zeros(size)
        rates[members] = np.exp(weighed.log_rates)
        order = [*members, *others]
        k = len(members)
        found = self.likelihood.evaluate(rates, order, num_joint=k)
        worth, starts = np.full(size, -np.inf), self.centers - 2 * self.prior.spread
        if not np.isfinite(found.value) or not others:
            return Gains(worth, worth, starts)
        steep = np.concatenate([rates[members], np.ones(len(others))])
        information = found.information * np.outer(steep[:k], steep)
        inner = information[:k, :k] + np.eye(k) / self.prior.spread**2
        across = information[:k, k:]
        adapting = solved(inner, across)
        away = (weighed.log_rates - self.centers[members]) / self.prior.spread
        uphill = found.slope[:k] * rates[members] - away / self.prior.spread
        settling = solved(inner, uphill)  # where the members' rates are not yet the best ones
        slope = found.slope[k:] - settling @ across
        left = found.curvature[k:] - np.einsum("ij,ij->j", across, adapting)
        left = np.maximum(left, 1e-12 * np.maximum(found.curvature[k:], 1e-300))
        step = self.log_prior(weighed.network | {others[0]}) - self.log_prior(weighed.network)
        alone = np.zeros(size)
        alone[others] = self._log_integrals(others, slope, left)
        units = [sum(alone[q] for q in self.library.units[r]) for r in others]
        worth[others] = uphill @ settling / 2 + np.array(units)
        # Without the others' adapting, which would be a long way for some.
        own, bend = found.slope[k:], np.maximum(found.curvature[k:], 1e-300)
        guess = np.log(np.maximum(own, 1e-300)) - np.log(bend)
        starts[others] = np.where(own > 0, self._within_reach(guess, others), starts[others])
        return Gains(worth, worth + step, starts)

    def start_with(self, weighed: Weighed) -> dict[int, float]:
        """Return logarithms of rates from which to weigh a network like this one."""
        return dict(zip(weighed.members, weighed.log_rates.tolist(), strict=True))

    def matched(self, weighed: Weighed, group: list[int], one: int) -> float:
        """Return the logarithm of the rate at which ``one`` fires as often as a ``group`` does."""
        states = self.likelihood.typical_states
        h = self.library.combinations(states).sum(0)
        rates = dict(zip(weighed.members, np.exp(weighed.log_rates), strict=True))
        total = sum(rates[r] * h[r] for r in group)
        guess = math.log(max(total, 1e-300) / max(h[one], 1e-300))
        return float(self._within_reach(guess, one))

    def seldom(self, network: Network, log_rates: dict[int, float]) -> list[int]:
        """Return the members that fire so rarely in all of the data that firings can be counted.

        Their normal law may be off by many nats. None where not all states are known.
        """
        members = sorted(network)
        expected = np.zeros(len(members))
        for steps in self.likelihood.known_steps or ():
            h = self.library.combinations((steps.before + steps.after) / 2)[:, members]
            expected += steps.spans @ h
        known = self.likelihood.known_steps is not None
        own = [math.exp(log_rates.get(r, self.centers[r])) for r in members]
        return [
            r for r, n in zip(members, own * expected, strict=True) if known and n <= _COUNTABLE
        ]

    def density(
        self, members: list[int], u: FloatArray
    ) -> tuple[float, FloatArray, FloatArray, float]:
        """Return log p(data, rates), slope and precision by logarithms, and log p(data | rates)."""
        return self._joint(members, u, self.likelihood.evaluate)

    # -- private -----------------------------------------------------

    def _joint(
        self, members: list[int], u: FloatArray, evaluate: Callable[..., LogLikelihood]
    ) -> tuple[float, FloatArray, FloatArray, float]:
        rates = np.zeros(len(self.library))
        with np.errstate(over="ignore"):
            own = np.exp(np.minimum(u, 300.0))
        rates[members] = own
        found = evaluate(rates, members)
        away = (u - self.centers[members]) / self.prior.spread
        prior = -0.5 * (away @ away) - len(u) * math.log(self.prior.spread * math.sqrt(2 * math.pi))
        slope = found.slope * own - away / self.prior.spread
        precision = found.information * np.outer(own, own)
        precision = precision + np.eye(len(u)) / self.prior.spread**2
        value = float(found.value + prior)
        if not np.abs(precision).max(initial=0.0) < _SHARPEST:
            value = -np.inf
        return value, slope, precision, found.value

    def _weighed(
        self, network: Network, u: FloatArray, joint: tuple[float, FloatArray, FloatArray, float]
    ) -> Weighed:
        """Return a network with its evidence, by Laplace's method."""
        value, _, precision, log_likelihood = joint
        evidence = -np.inf
        if np.isfinite(value):
            evidence = value + 0.5 * (len(u) * math.log(2 * math.pi) - log_det(precision))
        return Weighed(
            network, u, log_likelihood, evidence, evidence + self.log_prior(network), precision
        )

    def _within_reach(self, log_rates: Any, candidates: Any) -> FloatArray:
        """Return logarithms of rates that the prior does not rule out."""
        center, width = self.centers[candidates], 3 * self.prior.spread
        return np.clip(log_rates, center - width, center + width)

    def _log_integrals(self, others: list[int], slope: FloatArray, bend: FloatArray) -> FloatArray:
        """Return log ∫ exp(g θ − b θ²/2) p(θ) dθ of each candidate."""
        rates = np.exp(self.centers[others][:, None] + self.prior.spread * _GRID)
        with np.errstate(over="ignore", invalid="ignore"):
            values = slope[:, None] * rates - 0.5 * bend[:, None] * rates**2 - 0.5 * _GRID**2
        values = np.where(np.isfinite(values), values, -np.inf)
        top = values.max(1)
        width = (_GRID[1] - _GRID[0]) / math.sqrt(2 * math.pi)
        return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(1) * width))
