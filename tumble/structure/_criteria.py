"""By what models are weighed: an abstract criterion, and the evidence."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, TumbleError, require_whole, shown
from tumble._fit import fit
from tumble._fit_result import Estimate, FitResult
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.models import Transitions
from tumble.objectives import BoundLikelihood, PathLikelihood
from tumble.simulators import (
    FiniteStateProjection,
    LinearNoise,
    ParticleFilter,
    TransitionLikelihood,
)
from tumble.structure._integral import Integral, integrate
from tumble.structure._joint import Joint, Mode

_LEVELS = (0.025, 0.5, 0.975)
_AT_A_BOUND = "sits at a bound of its range in the best fit; its whole range was integrated over"


@dataclass(frozen=True)
class Score:
    """What a criterion says of one model.

    Attributes:

    - ``log_score`` and its ``standard_error``, which integration leaves; NaN where it failed.
    - ``fit``: the best fit, or None (no unknowns, or failed).
    - ``posterior``: an `Estimate` of each parameter from the draws of the integral: median and
      central 95 %, which also hold where a parameter is at its bound.
    - ``laplace``: the log score by Laplace's method, to compare; NaN where it was not computed.
    - ``result`` and ``reason``; ``notes``, sentences worth reading.
    """

    log_score: float
    standard_error: float
    fit: FitResult | None
    posterior: tuple[Estimate, ...]
    laplace: float
    result: ResultCode
    reason: str
    notes: tuple[str, ...] = ()

    @classmethod
    def failed(cls, result: ResultCode, reason: str) -> Score:
        """Return the score of a model that could not be weighed."""
        return cls(np.nan, np.nan, None, (), np.nan, result, reason)


class AbstractCriterion(ABC):
    """By what models are weighed. Scores are logarithms of probabilities of data."""

    score_name: ClassVar[str]
    """What scores are, in words."""
    citations: ClassVar[tuple[str, ...]]

    @abstractmethod
    def check(self, problem: Problem) -> None:
        """Raise a `TumbleError` for a problem that it cannot weigh."""

    @abstractmethod
    def likelihood_of(self, problem: Problem) -> str:
        """Return by which likelihood a problem is weighed, in words."""

    @abstractmethod
    def weigh(self, problem: Problem, stream: Stream) -> Score:
        """Return the score of one model."""


@dataclass(frozen=True)
class Evidence(AbstractCriterion):
    """log p(data | model): the likelihood, integrated over the prior of the parameters.

    Definition: ∫ p(data | θ) p(θ) dθ. The prior of a parameter is the one that it has, cut at its
    bounds, or else uniform between its bounds on its scale: log-uniform for a rate. The integral is
    computed by importance sampling, guided by the maxima of the linear-noise posterior, and not
    taken from the curvature at the best fit: where a rate sits at its bound, or nothing holds it
    back, as when SEIR turns into SIR, the curvature says nothing of the volume.

    Guarantee: that of the likelihood; the integral is right to the standard error that is given.

    Arguments:

    - ``through``: what computes the likelihood. `LinearNoise` (default: approximate),
      `FiniteStateProjection` (exact, small populations), `ParticleFilter` (exact on average, for
      data with measurement noise), or, for movies of a `Transitions`, `TransitionLikelihood`.
    - ``tolerance``: standard error of the log evidence at which to stop. Default 0.1.
    - ``num_starts``: of the search for maxima. Default 8.
    - ``max_draws``: evaluations of the likelihood at most. Default 4096.

    When: models whose priors mean something. Each decade more that a range has takes a factor off
    the evidence of every model with that parameter; where the ranges are arbitrary, see `HeldOut`.
    Not for dozens of parameters, where importance sampling fails, and says so.

    References: Kass, Raftery, J. Am. Stat. Assoc. 90 (1995), doi:10.1080/01621459.1995.10476572;
    Tran et al., arXiv:1309.3339 (estimated likelihoods); see `integrate` in the source.
    """

    through: Any = None
    tolerance: float = 0.1
    num_starts: int = 8
    max_draws: int = 4096
    score_name: ClassVar[str] = "log evidence"
    citations: ClassVar[tuple[str, ...]] = (
        "Kass, Raftery, J. Am. Stat. Assoc. 90 (1995), doi:10.1080/01621459.1995.10476572",
        "Cappé et al., Stat. Comput. 18 (2008), doi:10.1007/s11222-008-9059-x",
    )

    def __post_init__(self) -> None:
        if self.through is not None and not isinstance(self.through, tuple(_WORDS)):
            raise ParameterError(
                f"`through` is {shown(self.through)}, expected what computes a likelihood: "
                f"{', '.join(k.__name__ + '()' for k in _WORDS)}."
            )
        if not (isinstance(self.tolerance, (int, float)) and 0 < self.tolerance < 10):
            raise ParameterError(f"`tolerance` is {shown(self.tolerance)}, expected a number > 0.")
        require_whole("num_starts", self.num_starts)
        require_whole("max_draws", self.max_draws, least=32)

    def check(self, problem: Problem) -> None:
        """See `AbstractCriterion.check`."""
        through = self._through(problem)
        through.likelihood(problem)
        _guide(problem, through)

    def likelihood_of(self, problem: Problem) -> str:
        """See `AbstractCriterion.likelihood_of`."""
        return _WORDS[type(self._through(problem))]

    def weigh(self, problem: Problem, stream: Stream) -> Score:
        """See `AbstractCriterion.weigh`."""
        found = self.integral(problem, stream)
        if isinstance(found, Score):
            return found
        integral, laplace = found
        fitted = self._fit(problem, integral)
        code, reason = ResultCode.SUCCESS, f"{len(integral.points)} draws"
        if not integral.settled:
            code = ResultCode.OUT_OF_BUDGET
            reason = (
                f"{len(integral.points)} draws, worth {integral.num_effective:.0f}, leave an error "
                f"of {integral.standard_error:.2g}; raise `max_draws`, or narrow the bounds"
            )
        notes = () if fitted is None else tuple(
            f"{e.name} {_AT_A_BOUND}." for e in fitted.estimates if e.at_bound
        )  # fmt: skip
        return Score(
            integral.log_value, integral.standard_error, fitted, _posterior(problem, integral),
            laplace, code, reason, notes,
        )  # fmt: skip

    def integral(self, problem: Problem, stream: Stream) -> tuple[Integral, float] | Score:
        """Return the integral and what Laplace's method makes of it, or why there is none.

        The points of the integral are on the fit scale.
        """
        through = self._through(problem)
        guide = Joint(problem, _guide(problem, through).bind(problem))
        exact = Joint(problem, BoundLikelihood(through, problem))

        batches = itertools.count()

        def log_density(x: FloatArray) -> FloatArray:
            if isinstance(through, ParticleFilter):
                branch = stream.child("particles", next(batches))
                return _estimated(problem, through, exact, x, branch)
            return exact.log_density(x)

        if problem.space.size == 0:
            value = float(log_density(np.zeros((1, 0)))[0])
            if not np.isfinite(value):
                return self._impossible(problem)
            return Integral(value, 0.0, np.zeros((1, 0)), np.ones(1), True), np.nan
        same = guide.likelihood.through == through
        modes = guide.modes(self.num_starts, stream.child("starts"))
        if not modes and not same:
            modes = [Mode.of_prior(problem.space.size)]
        if not modes:
            return Score.failed(
                ResultCode.DIVERGED,
                "the likelihood is not finite at any start; check the bounds and initial values",
            )
        rng = stream.child("draws").numpy()
        found = integrate(log_density, modes, rng, self.tolerance, self.max_draws)
        if not np.isfinite(found.log_value):
            return self._impossible(problem)
        laplace = float(np.logaddexp.reduce([m.laplace for m in modes])) if same else np.nan
        return found._replace(points=exact.z(found.points)), laplace

    # -- private -----------------------------------------------------

    def _through(self, problem: Problem) -> Any:
        if self.through is not None:
            return self.through
        movies = isinstance(problem.model, Transitions) and problem.model.has_likelihood
        return TransitionLikelihood() if movies else LinearNoise()

    def _impossible(self, problem: Problem) -> Score:
        if isinstance(self._through(problem), FiniteStateProjection):
            reason = "the data are impossible under this model, wherever its parameters were tried"
            return Score(
                -np.inf, 0.0, None, (), np.nan, ResultCode.SUCCESS, reason, (reason + ".",)
            )
        return Score.failed(ResultCode.DIVERGED, "the likelihood is not finite at any draw")

    def _fit(self, problem: Problem, integral: Integral) -> FitResult | None:
        """Return the best fit, from the heaviest draw."""
        space = problem.space
        if space.size == 0:
            return None
        through = self._through(problem)
        objective = _guide(problem, through)
        if not isinstance(through, ParticleFilter):
            objective = PathLikelihood(through)
        heaviest = integral.points[int(np.argmax(integral.weights))]
        theta = np.asarray(space.from_fit(heaviest))
        found = fit(problem, objective=objective, start=space.unpack(theta), progress=False)
        if found.result is ResultCode.INTERRUPTED:
            raise KeyboardInterrupt
        return found


_WORDS: dict[type, str] = {
    LinearNoise: "linear noise (approximate)",
    FiniteStateProjection: "finite state projection (exact)",
    ParticleFilter: "particle filter (exact on average)",
    TransitionLikelihood: "transition probabilities (exact)",
}


def _guide(problem: Problem, through: Any) -> PathLikelihood:
    """Return the likelihood whose maxima say where to integrate: linear noise, if it can be had."""
    linear = PathLikelihood(through if isinstance(through, LinearNoise) else LinearNoise())
    try:
        linear.bind(problem)
    except TumbleError:
        if getattr(through, "deterministic", False):
            return PathLikelihood(through)
        raise
    return linear


def _estimated(
    problem: Problem, through: ParticleFilter, joint: Joint, x: FloatArray, stream: Stream
) -> FloatArray:
    """Return estimates of the log density [M], by one particle filter each."""
    import jax

    likelihood, values = through.likelihood(problem), []
    for i, z in enumerate(joint.z(x)):
        theta = np.asarray(problem.space.from_fit(z))
        value = float(likelihood.estimate(theta, stream.child(i), 1)[0][0])
        with jax.enable_x64(True):
            value += float(problem.space.log_prior(theta))
        values.append(value if np.isfinite(value) else -np.inf)
    return joint.log_prior(x) + np.array(values)


def _posterior(problem: Problem, integral: Integral) -> tuple[Estimate, ...]:
    """Return the median and the central 95 % of each parameter, from weighted draws."""
    space = problem.space
    if space.size == 0:
        return ()
    z, weights = integral.points, integral.weights
    center = weights @ z
    errors = np.sqrt(weights @ (z - center) ** 2)
    found = []
    for i, name in enumerate(space.names):
        order = np.argsort(z[:, i])
        places = np.searchsorted(np.cumsum(weights[order]), _LEVELS)
        ends = z[order[np.minimum(places, len(order) - 1)]]
        low, middle, high = np.asarray(space.from_fit(ends))[:, i]
        found.append(
            Estimate(name, float(middle), float(errors[i]), (float(low), float(high)), False,
                     space.scales[i])
        )  # fmt: skip
    return tuple(found)
