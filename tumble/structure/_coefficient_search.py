"""Slots with free coefficients."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from tumble._errors import CapabilityError, ParameterError, require_member, require_whole, shown
from tumble._parameters import Parameter
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import ConstantStep, SmoothedReinforce
from tumble.structure._coefficient_gradients import AbstractCoefficientGradient, RelaxedCoefficients
from tumble.structure._descent import Adam, Descent, Track
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._posterior import NetworkPosterior
from tumble.structure._relaxed_likelihood import RelaxedLikelihood
from tumble.structure._simulated_loss import SimulatedLoss
from tumble.structure._slots import Complexes, RoundedNetworks

_DEPTH = 12.0  # as that of a `WindowSearch`
_SHARP = 0.7  # of the iterations, after which nothing is blurred
_FALL = 4.0  # decades of the blur
_SLOW = 0.3  # of the steps, from then on
_SPREAD = 1.0  # of the first logarithms of firings
_WIDE = 5.0  # of logarithms of firings about those of the data
_SMOOTHING = 0.4  # of half the range of a coefficient, and of logarithms


@dataclass(frozen=True)
class CoefficientSearch(AbstractSearch):
    """Descends over free coefficients of a fixed number of reactions, and their rates, at once.

    Definition: each of K slots takes c_s and gives d_s copies of species s, real numbers ≥ 0 that
    add up to the library's order at most, and fires exp(u) times. The `RelaxedLikelihood` of the
    data is followed by steps of Adam, first with variances blurred by the mean square of all
    increments, then by ever less, over four decades, and by none. Coefficients are rounded to the
    nearest candidate. Each network that they were rounded to, at some iteration, is weighed; and of
    the last ones those made of the ``near`` nearest candidates of each slot, since real exponents
    that stand in for each other may be far from whole numbers at their best. With a
    `SimulatedLoss` the expected loss of simulated runs of rounded networks takes the place of the
    likelihood, smoothed by a Gaussian around the coefficients.

    Guarantee: that of a local search from random starts. Probabilities mean what they mean for
    other searches, among the networks that were weighed: those on the paths, and not their
    neighbors.

    Arguments:

    - ``slots``: K, reactions at most.
    - ``starts``: random starts; complexes uniform over all mixtures of species and nothing, firings
      log-normal about the changes in the data. Default 4.
    - ``steps`` of a descent, default 300.
    - ``gradient``: `RelaxedCoefficients` (default), `StraightThroughCoefficients`, or
      `SimulatedLoss`.
    - ``rate``: of Adam, default 0.05.
    - ``near``: candidates that a slot may be rounded to at the end, default 4; 1 for the nearest.
    - ``seed``: of starts and runs.

    Raises `CapabilityError` where the data do not show whole states exactly, experiments have
    conditions, or the library requires reactions.

    When: the number of reactions is about known and states are seen. Its cost does not depend on
    the number of candidates. Else `WindowSearch`, which says more of what else is probable.

    Reference: Kreikemeyer, Andelfinger, Uhrmacher, SIGSIM-PADS (2024),
    doi:10.1145/3615979.3656058 (learning networks by gradients).
    """

    slots: int
    starts: int = 4
    steps: int = 300
    gradient: AbstractCoefficientGradient | SimulatedLoss = field(
        default_factory=RelaxedCoefficients
    )
    rate: float = 0.05
    near: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("slots", "starts", "steps", "near"):
            require_whole(name, getattr(self, name))
        if not (isinstance(self.rate, (int, float)) and 0 < self.rate < 10):
            raise ParameterError(f"`rate` is {shown(self.rate)}, expected between 0 and 10.")
        if not isinstance(self.gradient, SimulatedLoss):
            require_member(
                "gradient", self.gradient, AbstractCoefficientGradient,
                "such as structure.RelaxedCoefficients(), or a SimulatedLoss",
            )  # fmt: skip

    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""
        if posterior.required:
            raise CapabilityError(
                "the library requires reactions, but all coefficients of slots are free; use "
                "ChoiceSearch or WindowSearch."
            )
        found, relaxed = Found(posterior, _DEPTH), RelaxedLikelihood.of(posterior)
        for start in range(self.starts):
            stream = Stream.from_seed(self.seed).child("coefficients", start)
            if isinstance(self.gradient, SimulatedLoss):
                found.follow(self._by_simulation(posterior, relaxed, self.gradient, stream))
            else:
                self._by_likelihood(found, relaxed, self.gradient, stream)
        found.complete = all(descent.has_settled for descent in found.descents)
        return found

    # -- private -----------------------------------------------------

    def _first(self, relaxed: RelaxedLikelihood, stream: Stream) -> tuple[FloatArray, FloatArray]:
        """Return random coefficients [K, 2, S] and logarithms of firings [K]."""
        rng = stream.numpy()
        size = len(relaxed.library.species)
        mixtures = rng.dirichlet(np.ones(size + 1), (self.slots, 2))[..., :-1]
        u = np.log(relaxed.activity) + _SPREAD * rng.normal(size=self.slots)
        return Complexes.of(relaxed.library).order * mixtures, u

    def _by_likelihood(
        self,
        found: Found,
        relaxed: RelaxedLikelihood,
        gradient: AbstractCoefficientGradient,
        stream: Stream,
    ) -> None:
        """Descend, and weigh what the coefficients were rounded to."""
        complexes = Complexes.of(relaxed.library)
        sides, u = self._first(relaxed, stream)
        adam, track = Adam(self.rate), Track(len(relaxed.library))
        for step in range(self.steps):
            part = step / (_SHARP * self.steps)
            blur, pace = (10 ** (-_FALL * part), 1.0) if part < 1 else (0.0, _SLOW)
            c = sides[:, 0]
            d = c + (sides[:, 1] - c) @ relaxed.projection
            picks = complexes.nearest(c, d)
            value, slopes = relaxed.evaluate(*gradient.place(complexes, picks, c, d), u, blur)
            track.add(relaxed.rates_of(picks, u), value)
            slope = np.concatenate([np.stack(slopes[:2], 1).ravel(), slopes[2]])
            if not np.isfinite(slope).all():
                u = u - 1.0  # slower, where rates are too fast to be followed
                continue
            move = pace * adam.step(-slope)
            sides = complexes.inside(sides + move[: sides.size].reshape(sides.shape))
            u = u + move[sides.size :]
        found.follow(track.done())
        c = sides[:, 0]
        d = c + (sides[:, 1] - c) @ relaxed.projection
        for chosen in itertools.product(*complexes.by_distance(c, d)[:, : self.near].tolist()):
            rates = relaxed.rates_of(np.array(chosen), u)
            logs = {r: float(np.log(rate)) for r, rate in rates.items()}
            found.weigh(relaxed.library.closed(rates), logs)

    def _by_simulation(
        self,
        posterior: NetworkPosterior,
        relaxed: RelaxedLikelihood,
        loss: SimulatedLoss,
        stream: Stream,
    ) -> Descent:
        sides, u = self._first(relaxed, stream)
        simulator = RoundedNetworks(posterior.library, self.slots, relaxed.firings)
        order, busy = simulator.complexes.order, relaxed.activity
        parameters = {
            name: Parameter(0.0, order, scale="linear")
            for name in simulator.parameters[: sides.size]
        }
        for name in simulator.parameters[sides.size :]:
            parameters[name] = Parameter(busy * np.exp(-_WIDE), busy * np.exp(_WIDE))
        bound = loss.bind(posterior.likelihood.problem, simulator, parameters)
        track = Track(len(posterior.library))

        def note(theta: FloatArray, value: float) -> None:
            picks, rates = simulator.networks_of(theta)
            track.add(relaxed.rates_of(picks, np.log(rates * relaxed.firings[picks])), value)

        smoothed = SmoothedReinforce(_SMOOTHING, ConstantStep())
        space = bound.problem.space
        z = np.clip(np.concatenate([sides.ravel(), u]), space.lower, space.upper)
        loss.descend(bound, smoothed, z, self.steps, self.rate, stream, note)
        return track.done()
