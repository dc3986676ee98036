"""Slots that choose their reactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tumble._errors import ParameterError, require_member, require_whole, shown
from tumble._parameters import Parameter
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import ScoreFunction
from tumble.structure._choice_gradients import AbstractChoiceGradient, ScoredChoice
from tumble.structure._descent import Adam, Descent, Track
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._posterior import Network, NetworkPosterior
from tumble.structure._simulated_loss import SimulatedLoss
from tumble.structure._slots import DrawnNetworks, log_probabilities

_DEPTH = 12.0  # as that of a `WindowSearch`
_LONGEST = 2.0  # move of a logarithm of a rate
_SPREAD = 1.0  # of the first logarithms of weights
_WORST = 1e12  # regret
_DAMPING = 1e-2
_CLIMB = 4  # evaluations, each time that a network is drawn
_HOPE = 5.0  # times what the next step is to gain
_ENOUGH = 0.1  # of the log posterior, to be gained by another step
_WIDEST = 10.0  # logarithm of a weight


@dataclass(frozen=True)
class ChoiceSearch(AbstractSearch):
    """Descends over the choices of a fixed number of slots, and the rates, at once.

    Definition: each of K slots draws a candidate, a pair of reactant and product complexes, in
    proportion to exp(weight); the distinct candidates drawn are a network. Its rates climb a few
    steps of Fisher scoring in their logarithms each time that it is drawn, and are remembered; they
    begin from those that its candidates had in other networks. The weights climb
    E[max(0, log(1 + ℓ* − ℓ₀) − log(1 + ℓ* − ℓ))] + ``recall`` · log p(best network seen) along
    ``gradient``, by steps of Adam. Here ℓ is the log posterior density of a network and its rates,
    ℓ* the largest seen, and ℓ₀ the best ``elite`` quantile of the networks of any step before:
    reactions that are good only together are lost in a mean over all partners. The logarithm
    keeps networks that are worse by thousands from drowning those that differ by few. Then each
    network that was the most probable choice of all slots, at some iteration, is weighed; networks
    that were only drawn are not. With a `SimulatedLoss` the expected loss of simulated runs takes
    the place of all that, and its estimator gives both gradients from one batch.

    Guarantee: that of a local search from random starts. Probabilities mean what they mean for
    other searches, among the networks that were weighed: those on the paths, and not their
    neighbors.

    Arguments:

    - ``slots``: K, reactions at most.
    - ``starts``: random starts; weights normal with standard deviation 1, rates from their prior.
      Default 4.
    - ``steps`` of a descent, default 120; ``samples``, networks drawn a step, default 32.
    - ``gradient``: `ScoredChoice` (default, unbiased), `StraightThroughChoice`, or `SimulatedLoss`.
    - ``rate``: of Adam, default 0.05. ``elite``: default 0.1. ``recall``: default 0.3.
    - ``series``: replicates of each experiment that descents look at, default 1; all are weighed.
    - ``seed``: of starts and draws.

    When: the number of reactions is about known, and the library so long that neighbors are too
    many to be weighed. Else `WindowSearch`, which says more of what else is probable.

    References: Kreikemeyer, Andelfinger, Uhrmacher, SIGSIM-PADS (2024),
    doi:10.1145/3615979.3656058 (learning networks by gradients); Petersen et al., ICLR (2021),
    arXiv:1912.04871 (the mean of the best); Abolafia et al. (2018), arXiv:1801.03526 (recalling
    the best).
    """

    slots: int
    starts: int = 4
    steps: int = 120
    samples: int = 32
    gradient: AbstractChoiceGradient | SimulatedLoss = field(default_factory=ScoredChoice)
    rate: float = 0.05
    elite: float = 0.1
    recall: float = 0.3
    series: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("slots", "starts", "steps", "series"):
            require_whole(name, getattr(self, name))
        require_whole("samples", self.samples, 2)
        if not (isinstance(self.rate, (int, float)) and 0 < self.rate < 10):
            raise ParameterError(f"`rate` is {shown(self.rate)}, expected between 0 and 10.")
        if not (isinstance(self.elite, (int, float)) and 0 < self.elite <= 1):
            raise ParameterError(f"`elite` is {shown(self.elite)}, expected a share in (0, 1].")
        if not (isinstance(self.recall, (int, float)) and 0 <= self.recall < 1e3):
            raise ParameterError(f"`recall` is {shown(self.recall)}, expected a number ≥ 0.")
        if not isinstance(self.gradient, SimulatedLoss):
            require_member(
                "gradient", self.gradient, AbstractChoiceGradient,
                "such as structure.ScoredChoice(), or a SimulatedLoss",
            )  # fmt: skip

    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""
        found = Found(posterior, _DEPTH)
        for start in range(self.starts):
            stream = Stream.from_seed(self.seed).child("choices", start)
            if isinstance(self.gradient, SimulatedLoss):
                descent = self._by_simulation(posterior, self.gradient, stream)
            else:
                descent = self._by_likelihood(posterior, self.gradient, stream)
            found.follow(descent)
        found.complete = all(descent.has_settled for descent in found.descents)
        return found

    # -- private -----------------------------------------------------

    def _by_likelihood(
        self, posterior: NetworkPosterior, gradient: AbstractChoiceGradient, stream: Stream
    ) -> Descent:
        rng = stream.numpy()
        library = posterior.library
        memory = _Memory(posterior.of_few_series(self.series), gradient.needs_slopes)
        weights = _SPREAD * rng.normal(size=(self.slots, len(library)))
        memory.rates += posterior.prior.spread * rng.normal(size=len(library))
        adam, track = Adam(self.rate), Track(len(library))
        best, bar, leader = -np.inf, -np.inf, np.zeros(self.slots, int)
        for _ in range(self.steps):
            log_p = log_probabilities(weights)
            chosen = gradient.draw(log_p, self.samples, rng)
            drawn = [frozenset(row.tolist()) | posterior.required for row in chosen.picks]
            seen = memory.look(drawn, bar)
            values = np.array([max(s.value, -_WORST) for s in seen])
            if values.max() > best:
                best, leader = values.max(), chosen.picks[int(values.argmax())]
            regret = np.minimum(best - values, _WORST)
            f = np.log1p(min(best - bar, _WORST)) - np.log1p(regret)
            slopes = np.array([s.slope for s in seen]) * ((f > 0) / (1 + regret))[:, None]
            by_log_p = gradient.estimate(log_p, chosen, np.maximum(f, 0.0), slopes)
            by_log_p += self.recall * (np.eye(len(library))[leader] - np.exp(log_p))
            weights = weights + adam.step(by_log_p)
            bar = max(bar, float(np.quantile(values, 1 - self.elite, method="higher")))
            picks = frozenset(log_p.argmax(1).tolist()) | posterior.required
            shares = 1 - np.prod(1 - np.exp(log_p), axis=0)
            track.add(memory.rates_in(picks), float(np.log1p(regret).mean()), shares)
        return track.done()

    def _by_simulation(
        self, posterior: NetworkPosterior, loss: SimulatedLoss, stream: Stream
    ) -> Descent:
        rng = stream.numpy()
        library = posterior.library
        simulator = DrawnNetworks(library, self.slots)
        reach = 2 * posterior.prior.spread
        num_weights = self.slots * len(library)
        parameters = {
            name: Parameter(-_WIDEST, _WIDEST, scale="linear")
            for name in simulator.parameters[:num_weights]
        }
        for name, center in zip(
            simulator.parameters[num_weights:], np.exp(posterior.centers).tolist(), strict=True
        ):
            parameters[name] = Parameter(center * np.exp(-reach), center * np.exp(reach))
        bound = loss.bind(posterior.likelihood.problem, simulator, parameters)
        u = posterior.prior.spread * rng.normal(size=len(library))
        first = np.concatenate([_SPREAD * rng.normal(size=num_weights), posterior.centers + u])
        space, track = bound.problem.space, Track(len(library))
        first = np.clip(first, space.lower, space.upper)

        def note(theta: FloatArray, value: float) -> None:
            weights, rates = simulator.weights_of(theta)
            log_p = log_probabilities(weights)
            picks = set(log_p.argmax(1).tolist()) | posterior.required
            shares = 1 - np.prod(1 - np.exp(log_p), axis=0)
            track.add({r: float(rates[r]) for r in picks}, value, shares)

        loss.descend(bound, ScoreFunction(), first, self.steps, self.rate, stream, note)
        return track.done()


class _Seen(NamedTuple):
    """A network that was drawn, at the rates it has come to.

    ``value``, the log posterior density; logarithms of ``rates`` [k]; ``slope`` [R] by how often a
    candidate is there (of no length where nobody asks); ``done``, whether rates are at their best.
    """

    value: float
    rates: FloatArray
    slope: FloatArray
    done: bool


class _Memory:
    """What was seen of networks, whose rates climb each time that they are drawn. Final.

    ``rates`` [R]: logarithms of those that candidates had last, in the best network of a step; from
    them networks begin that were not drawn before.
    """

    def __init__(self, posterior: NetworkPosterior, with_slopes: bool) -> None:
        self._posterior = posterior
        self._with_slopes = with_slopes
        self._seen: dict[Network, _Seen] = {}
        self.rates = np.array(posterior.centers)

    def look(self, networks: list[Network], bar: float) -> list[_Seen]:
        """Return what is seen of networks [N] now; those that cannot reach ``bar`` stay there."""
        for network in dict.fromkeys(networks):
            before = self._seen.get(network)
            if before is None or not before.done:
                self._seen[network] = self._climb(sorted(network), before, bar)
        for network in sorted(set(networks), key=lambda n: self._seen[n].value):
            self.rates[sorted(network)] = self._seen[network].rates
        return [self._seen[network] for network in networks]

    def rates_in(self, network: Network) -> dict[int, float]:
        """Return the rates of a network's members."""
        seen = self._seen.get(network)
        logs = self.rates[sorted(network)] if seen is None else seen.rates
        return dict(zip(sorted(network), np.exp(logs).tolist(), strict=True))

    def _climb(self, members: list[int], before: _Seen | None, bar: float) -> _Seen:
        """Take a few steps of Fisher scoring, from where the last ones ended."""
        at = self.rates[members] if before is None else before.rates
        best, where, done = -np.inf, at, False
        for _ in range(_CLIMB):
            value, slope, precision, _ = self._posterior.density(members, at)
            if not np.isfinite(value):
                at = at - _LONGEST  # slower, where rates are too fast to be followed
                continue
            if value < best:
                at = (at + where) / 2
                continue
            best, where = value, at
            step = np.linalg.solve(precision + _DAMPING * np.diag(np.diag(precision)), slope)
            done = bool(step @ slope < _ENOUGH or value + _HOPE * (step @ slope) < bar)
            if done:
                break
            at = at + step * min(1.0, _LONGEST / max(np.abs(step).max(), 1e-300))
        if not np.isfinite(best):
            where = at
        last = -np.inf if before is None else before.value
        done = done or (before is not None and not best > last + _ENOUGH)
        return _Seen(best, where, self._by_presence(members, where), done)

    def _by_presence(self, members: list[int], logs: FloatArray) -> FloatArray:
        if not self._with_slopes:
            return np.zeros(0)
        rates = np.zeros(len(self.rates))
        rates[members] = np.exp(logs)
        everyone = self._posterior.likelihood.evaluate(rates, np.arange(len(rates)), 0)
        return everyone.slope * np.exp(self.rates)
