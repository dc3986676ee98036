"""Slots that choose their reactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tumble._errors import ParameterError, require_member, require_whole, shown
from tumble._parameters import Parameter
from tumble._random import Stream
from tumble._typing import FloatArray, IntArray
from tumble.gradients import ScoreFunction
from tumble.structure._choice_gradients import AbstractChoiceGradient, ScoredChoice
from tumble.structure._descent import Adam, Descent, Track
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._posterior import NetworkPosterior
from tumble.structure._simulated_loss import SimulatedLoss
from tumble.structure._slots import Complexes, DrawnNetworks

_DEPTH = 12.0  # as that of a `WindowSearch`
_LONGEST = 1.0  # move of a logarithm of a rate
_SPREAD = 1.0  # of the first logarithms of weights
_WORST = 1e12  # regret
_DAMPING = 1e-2
_WIDEST = 10.0  # logarithm of a weight


@dataclass(frozen=True)
class ChoiceSearch(AbstractSearch):
    """Descends over the choices of a fixed number of slots, and the rates, at once.

    Definition: each of K slots draws a reactant complex b and a product complex a, with
    probabilities p ∝ exp(α_b + β_a) over the pairs that are candidates; the distinct candidates
    drawn are a network. Each candidate has a rate, and these and α, β make
    E[log(1 + ℓ* − ℓ(network, rates))] small, with ℓ the log posterior density of rates given the
    data, and ℓ* the largest one seen. The logarithm keeps networks that are worse by thousands from
    drowning those that differ by few. α and β follow ``gradient`` by steps of Adam; the logarithms
    of rates exact slopes, preconditioned by the Fisher information of each network. Then each
    network that was the most probable choice of all slots, at some iteration, is weighed; networks
    that were only drawn are not. With a `SimulatedLoss` the expected loss of simulated runs takes
    the place of all that, and its estimator gives both gradients from one batch.

    Guarantee: that of a local search from random starts. Probabilities mean what they mean for
    other searches, among the networks that were weighed: those on the paths, and not their
    neighbors.

    Arguments:

    - ``slots``: K, reactions at most.
    - ``starts``: random starts; α and β normal with standard deviation 1, rates from their prior.
      Default 4.
    - ``steps`` of a descent, default 120; ``samples``, networks drawn a step, default 16.
    - ``gradient``: `ScoredChoice` (default, unbiased), `StraightThroughChoice`, or `SimulatedLoss`.
    - ``rate``: of Adam, default 0.15.
    - ``series``: replicates of each experiment that descents look at, default 2; all are weighed.
    - ``seed``: of starts and draws.

    When: the number of reactions is about known, and the library so long that neighbors are too
    many to be weighed. Else `WindowSearch`, which says more of what else is probable.

    Reference: Kreikemeyer, Andelfinger, Uhrmacher, SIGSIM-PADS (2024),
    doi:10.1145/3615979.3656058 (learning networks by gradients).
    """

    slots: int
    starts: int = 4
    steps: int = 120
    samples: int = 16
    gradient: AbstractChoiceGradient | SimulatedLoss = field(default_factory=ScoredChoice)
    rate: float = 0.15
    series: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("slots", "starts", "steps", "series"):
            require_whole(name, getattr(self, name))
        require_whole("samples", self.samples, 2)
        if not (isinstance(self.rate, (int, float)) and 0 < self.rate < 10):
            raise ParameterError(f"`rate` is {shown(self.rate)}, expected between 0 and 10.")
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
        table = Complexes.of(library)
        look = _Look(posterior.of_few_series(self.series), gradient.needs_slopes)
        weights = _SPREAD * rng.normal(size=(self.slots, table.size))
        u = posterior.centers + posterior.prior.spread * rng.normal(size=len(library))
        adam, track, best = Adam(self.rate), Track(len(library)), -np.inf
        for _ in range(self.steps):
            log_p = table.log_probabilities(weights)
            chosen = gradient.draw(log_p, self.samples, rng)
            seen = look.at_all(chosen.picks, u)
            best = max(best, *(s.value for s in seen))
            regret = np.array([min(best - s.value, _WORST) for s in seen])
            steep = 1 / (1 + regret)
            slopes = np.array([s.slope for s in seen]) * steep[:, None]
            by_log_p = gradient.estimate(log_p, chosen, -np.log1p(regret), slopes)
            weights = weights + adam.step(table.to_weights(by_log_p))
            u = u + _together([s.move for s in seen], steep)
            picks = set(log_p.argmax(1).tolist()) | posterior.required
            track.add(
                {r: float(np.exp(u[r])) for r in picks},
                float(np.log1p(regret).mean()),
                1 - np.prod(1 - np.exp(log_p), axis=0),
            )
        return track.done()

    def _by_simulation(
        self, posterior: NetworkPosterior, loss: SimulatedLoss, stream: Stream
    ) -> Descent:
        rng = stream.numpy()
        library = posterior.library
        simulator = DrawnNetworks(library, self.slots)
        reach = 2 * posterior.prior.spread
        num_weights = self.slots * simulator.complexes.size
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
            log_p = simulator.complexes.log_probabilities(weights)
            picks = set(log_p.argmax(1).tolist()) | posterior.required
            shares = 1 - np.prod(1 - np.exp(log_p), axis=0)
            track.add({r: float(rates[r]) for r in picks}, value, shares)

        loss.descend(bound, ScoreFunction(), first, self.steps, self.rate, stream, note)
        return track.done()


class _Seen(NamedTuple):
    """A network that was drawn, at its rates.

    ``value``, the log posterior density; ``slope`` [R] by how often a candidate is there (of no
    length where nobody asks); ``move`` [R] of the logarithms of rates, NaN for others.
    """

    value: float
    slope: FloatArray
    move: FloatArray


class _Look:
    """Looks at networks at given rates. Final."""

    def __init__(self, posterior: NetworkPosterior, with_slopes: bool) -> None:
        self._posterior = posterior
        self._with_slopes = with_slopes

    def at_all(self, picks: IntArray, u: FloatArray) -> list[_Seen]:
        """Return what is seen of networks [N, K] at logarithms of rates [R], each once."""
        required = self._posterior.required
        networks = [frozenset(row.tolist()) | required for row in picks]
        seen = {network: self._at(sorted(network), u) for network in dict.fromkeys(networks)}
        return [seen[network] for network in networks]

    def _at(self, members: list[int], u: FloatArray) -> _Seen:
        value, slope, precision, _ = self._posterior.density(members, u[members])
        move = np.full(len(u), np.nan)
        by_presence = np.zeros(0)
        if not np.isfinite(value):
            move[members] = -_LONGEST  # slower, where rates are too fast to be followed
            return _Seen(value, np.zeros(len(u) * self._with_slopes), move)
        stiff = precision + _DAMPING * np.diag(np.diag(precision))
        step = np.linalg.solve(stiff, slope)
        move[members] = step * min(1.0, _LONGEST / max(np.abs(step).max(), 1e-300))
        if self._with_slopes:
            rates = np.zeros(len(u))
            rates[members] = np.exp(u[members])
            everyone = np.arange(len(u))
            by_presence = self._posterior.likelihood.evaluate(rates, everyone).slope * np.exp(u)
        return _Seen(value, by_presence, move)


def _together(moves: list[FloatArray], steep: FloatArray) -> FloatArray:
    """Return the mean of moves [N, R] of the networks that have a candidate, weighted [N]."""
    table = np.array(moves)
    weight = np.where(np.isfinite(table), steep[:, None], 0.0)
    total = weight.sum(0)
    summed = (weight * np.nan_to_num(table)).sum(0)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), 0.0)
