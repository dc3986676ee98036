"""A posterior by a loss instead of a likelihood, sampled along stochastic gradients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tumble._budget import Budget
from tumble._errors import (
    CapabilityError,
    ParameterError,
    SimulationError,
    is_number,
    require_member,
    shown,
)
from tumble._fit import fit
from tumble._fit_result import FitResult
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble._uncertainty import sandwich
from tumble.gradients import AbstractEstimator, Auto, ExactMean
from tumble.gradients._chosen import Chosen
from tumble.losses import AbstractKinkedLoss
from tumble.objectives import AbstractObjective, BoundOutputs, default_objective
from tumble.posteriors._adjusted_loss import AdjustedLoss, Adjustment, Optimum, looked_at
from tumble.posteriors._base import AbstractBasis, PosteriorTask
from tumble.posteriors._chains import ChainRound, Chains
from tumble.posteriors._langevin import Walkers, langevin_step
from tumble.posteriors._loss_slopes import (
    AbstractSlopes,
    AbstractSlopesState,
    Setting,
    Tried,
)
from tumble.posteriors._response_surface import ResponseSurface
from tumble.posteriors._walk import AbstractChains, AbstractWalk, AbstractWalkState

_GUESS = 256  # runs of a slope, before it is known how many they are to be
_WARM_STEPS = 25


@dataclass(frozen=True)
class AdjustedChains(AbstractBasis):
    """Chains through an adjusted loss. Final.

    ``chains``; ``optimum`` of the fit, around which they were started; ``adjustment``, how the loss
    became a −log likelihood; ``slopes``, where they had its slopes from, in words; ``share_noisy``
    of the steps, in which slopes were too noisy for the noise to be taken off.
    """

    cost: ClassVar[str] = "gradients"
    chains: Chains
    optimum: Optimum
    adjustment: Adjustment
    slopes: str
    share_noisy: float

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        noisy = f", {100 * self.share_noisy:.1f} % of steps too noisy" if self.share_noisy else ""
        result = self.optimum.result
        ended = "" if result.ok else f" that ended as '{result.value}'"
        around = f"around a fit of {self.optimum.num_runs:,} runs{ended}"
        return f"{self.chains.words}, {around}, {self.slopes}{noisy}"

    def effective_each(self, weights: FloatArray, size: int) -> FloatArray:
        """See `AbstractBasis.effective_each`: that of the chains."""
        return self.chains.effective_each(weights, size)


@dataclass(frozen=True)
class LossPosterior(AbstractChains):
    """A quasi-posterior: of a loss, as widely spread as the sandwich says, without a likelihood.

    Definition: π(z) ∝ p(z) exp(−w L(a + C (z − a))) on the fit scale, with the prior p and the
    expected loss L of ``objective``; a is its minimum, found by `fit`. The number w and the matrix
    C are such that the curvature there is the inverse of the sandwich covariance of the fit (errors
    of the data, and of the simulation). Only the loss is stretched: the prior stays what it is, and
    bounds are where they are. With a ``weight`` of yours, C is the identity and π(z) ∝ p(z)
    exp(−weight · L(z)), a Gibbs posterior.

    Sampled by Langevin dynamics, in coordinates where the prior is normal, which has no bounds. The
    slopes of the loss come from ``slopes``: a `ResponseSurface`, polynomials through what was
    simulated at a few places, or `FreshRuns`, each from runs of its own; then their noise, the
    covariance of which is known, is taken off the noise that the dynamics adds, so that it does not
    widen the draws.

    Guarantee: for many data, intervals cover as those of the fit do: to first order, where the loss
    is a parabola within the error of the data. Of what is beyond that, the skew of a loss that is
    none, the prior and the bounds are in the draws; that the errors of the data change with the
    parameters is not. Draws are from π up to an error of order ``step``² (none where it is normal),
    and that of ``slopes``.

    Arguments: ``objective``, a loss on outputs, default the problem's own if it is one;
    ``gradient`` as in `fit`, default `Auto`, or `ExactMean` where it can be used; ``num_draws``,
    effective draws of every parameter at which it stops, if R̂ is below 1.01, default 1,000;
    ``num_chains``, default 32, or 4 with `FreshRuns`; ``max_steps`` of each chain, default 20,000;
    ``weight``, default by the sandwich; ``slopes``; ``step``, the part of the way to the middle
    that a step goes, default 0.2, or 0.5 with `FreshRuns`; ``tolerance`` of the fit, default 0.003.

    When: replicates, averages or snapshots, where there is no likelihood, with priors that matter,
    parameters near bounds, or few data, so that the loss is no parabola. Where data are
    many and priors weak, the intervals of `fit` are the same and cost less. Not for losses with
    kinks or that compare with no data, nor for several modes: chains stay around the optimum.

    References: Chernozhukov, Hong, J. Econometrics 115 (2003), doi:10.1016/S0304-4076(03)00100-3
    (quasi-posteriors); Ribatet, Cooley, Davison, Statistica Sinica 22 (2012),
    doi:10.5705/ss.2009.248; Shaby, J. Comput. Graph. Stat. 23 (2014),
    doi:10.1080/10618600.2013.842174 (the adjustment); Welling, Teh, ICML (2011); Ahn, Korattikara,
    Welling, ICML (2012), arXiv:1206.6380 (noisy gradients); Leimkuhler, Matthews, Tretyakov, Proc.
    R. Soc. A 470 (2014), doi:10.1098/rspa.2014.0120 (the steps).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Chernozhukov, Hong, J. Econometrics 115 (2003), doi:10.1016/S0304-4076(03)00100-3",
        "Ribatet, Cooley, Davison, Statistica Sinica 22 (2012), doi:10.5705/ss.2009.248",
        "Ahn, Korattikara, Welling, ICML (2012), arXiv:1206.6380",
        "Leimkuhler, Matthews, Tretyakov, Proc. R. Soc. A 470 (2014), doi:10.1098/rspa.2014.0120",
    )
    objective: AbstractObjective | None = None
    gradient: AbstractEstimator | Auto | None = None
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000
    weight: float | None = None
    slopes: AbstractSlopes = field(default_factory=ResponseSurface)
    step: float | None = None
    tolerance: float = 0.003

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective is not None:
            require_member("objective", self.objective, AbstractObjective, "MomentMatching()")
        if self.gradient is not None:
            family = Auto if isinstance(self.gradient, Auto) else AbstractEstimator
            require_member("gradient", self.gradient, family, "such as ScoreFunction()")
        require_member("slopes", self.slopes, AbstractSlopes, "such as ResponseSurface()")
        if self.weight is not None and not (is_number(self.weight) and 0 < self.weight < np.inf):
            raise ParameterError(
                f"`weight` is {shown(self.weight)}, expected a finite number > 0, or None."
            )
        if self.step is not None and not (is_number(self.step) and 0 < self.step <= 1):
            raise ParameterError(f"`step` is {shown(self.step)}, expected a number in (0, 1].")
        if not (is_number(self.tolerance) and self.tolerance > 0):
            raise ParameterError(f"`tolerance` is {shown(self.tolerance)}, expected a number > 0.")

    def bind(self, task: PosteriorTask) -> LossSampler:
        """See `AbstractPosteriorMethod.bind`."""
        return LossSampler(self, task)


@dataclass(frozen=True, kw_only=True)
class LossState(AbstractWalkState):
    """Where chains have got: ``walkers``, and what they follow.

    The ``optimum`` of the fit, and the ``adjustment`` by it; the estimator that was ``chosen``, and
    what is known of the ``slopes``; ``root`` [P, P] of the covariance by which they step; in how
    many evaluations slopes were too noisy, ``num_noisy``, since the warm-up.
    """

    cost: ClassVar[str] = "gradients"
    evaluated: ClassVar[str] = "gradients"
    optimum: Optimum
    adjustment: Adjustment
    chosen: Chosen
    slopes: AbstractSlopesState
    walkers: Walkers
    root: FloatArray
    num_noisy: int = 0


class LossSampler(AbstractWalk):
    """`LossPosterior` of one problem. Final."""

    state_type = LossState

    def __init__(self, method: LossPosterior, task: PosteriorTask) -> None:
        super().__init__(method)
        self._wanted, self._task = method, task
        self._objective, self._bound = _bound(method.objective, task.problem)
        self._gradient = self._default_gradient() if method.gradient is None else method.gradient
        if isinstance(self._gradient, Auto):
            self._members = self._gradient.members(task.problem)
        else:
            self._gradient.check(self._bound)
            self._members = [self._gradient]
        self._count = method.num_chains or method.slopes.num_chains
        self._step = method.step or method.slopes.step

    def init(self) -> LossState:
        """See `AbstractSampler.init`: chains around the mode, after a fit."""
        method, task = self._wanted, self._task
        found = self._fitted()
        chosen = self._choice(found.fit_scale)
        estimator = chosen.among(self._members)
        optimum = looked_at(task, self._bound, estimator, found)
        if method.weight is not None:
            adjustment = Adjustment.plain(optimum, method.weight)
        else:
            covariance = self._covariance(found, estimator)
            adjustment = Adjustment.by_sandwich(optimum, covariance, bool(found.at_bound.any()))
        loss = AdjustedLoss(task, adjustment)
        middle, root = loss.mode()
        along = loss.asked(middle[None])[1][0] @ root * adjustment.weight
        noise = along.T @ optimum.noise @ along
        setting = Setting(task, self._bound, estimator, optimum, adjustment.weight)
        rng = task.stream.child("start").numpy()
        drawn, push = rng.standard_normal((2, self._count, len(middle)))
        return LossState(
            optimum=optimum, adjustment=adjustment, chosen=chosen, root=root,
            slopes=method.slopes.init(setting, noise, (2 - self._step) / self._step),
            walkers=Walkers(middle + drawn @ root.T, push),
        )  # fmt: skip

    # -- private -----------------------------------------------------

    def _fitted(self) -> FitResult:
        """Return the fit. Raises `SimulationError` where it says nothing of its errors."""
        method, left = self._wanted, self._task.spending.simulations_left
        found = fit(
            self._task.problem, objective=self._objective, gradient=method.gradient,
            tolerance=method.tolerance, executor=self._task.executor, progress=False,
            seed=int(self._task.stream.child("fit").numpy().integers(2**31)),
            budget=Budget(simulations=max(left, 1.0)) if np.isfinite(left) else None,
        )  # fmt: skip
        self._task.spending.simulations += int(found.stats["runs"])
        if found.result is ResultCode.INTERRUPTED:
            raise KeyboardInterrupt
        if not np.isfinite(found.covariance).all():
            raise SimulationError(
                f"chains start around the optimum, but the fit ended as {found.result.value!r}: "
                f"{found.reason}. Narrow the bounds or raise the budget; or use SMCABC(), which "
                "needs no optimum."
            )
        return found

    def _default_gradient(self) -> AbstractEstimator | Auto:
        return ExactMean() if ExactMean().fits(self._bound) else Auto()

    def _choice(self, z: FloatArray) -> Chosen:
        """Return what estimates slopes around z [P]."""
        auto, task = self._gradient, self._task
        if isinstance(auto, AbstractEstimator):
            return Chosen()
        choice = auto.choose(
            self._bound, z, task.stream.child("auto"), task.executor, num_each=_GUESS
        )
        task.spending.simulations += choice.num_runs
        return Chosen.of(choice.estimator, self._members)

    def _setting(self, state: LossState) -> Setting:
        estimator = state.chosen.among(self._members)
        return Setting(self._task, self._bound, estimator, state.optimum, state.adjustment.weight)

    def _covariance(self, found: FitResult, estimator: AbstractEstimator) -> FloatArray:
        """Return the sandwich [P, P] at the optimum, of what is at a bound as well."""
        if not found.at_bound.any():
            return found.covariance
        size = len(found.theta)
        covariance, _, runs = sandwich(
            self._bound, estimator, found.fit_scale, np.ones(size, bool), np.zeros((size, size)),
            self._task.stream.child("sandwich"), self._task.executor,
        )  # fmt: skip
        self._task.spending.simulations += runs
        return covariance

    def _is_warm(self, state: LossState) -> bool:
        return bool(state.rounds) and state.slopes.ready

    def _warmed(self, state: LossState) -> LossState:
        state, z, acceptance = self._walked(state, _WARM_STEPS)
        if acceptance < 0.5:
            raise SimulationError(
                "at most places around the optimum the simulator fails; narrow the bounds or give "
                "priors."
            )
        u = state.adjustment.mapped(z.reshape(-1, z.shape[2]))
        tried = Tried(u, state.num_noisy / (_WARM_STEPS * self._count))
        stream = self._task.stream.child("warm-up", len(state.rounds))
        return replace(
            state, slopes=state.slopes.after(self._setting(state), tried, stream),
            rounds=(*state.rounds, ChainRound(_WARM_STEPS, acceptance, True)),
        )  # fmt: skip

    def _walked(self, state: LossState, length: int) -> tuple[LossState, FloatArray, float]:
        walkers, noisy, failed = state.walkers, 0 if not state.kept else state.num_noisy, 0
        setting, loss = self._setting(state), AdjustedLoss(self._task, state.adjustment)
        track = np.empty((self._count, length, walkers.place.shape[1]))
        for i in range(length):
            stream = self._task.stream.child("step", state.num_steps + i)
            u, along = loss.asked(walkers.place)
            slopes = loss.slopes(walkers.place, state.slopes.at(setting, u, stream), along)
            failed += int((~np.isfinite(slopes.slope)).any(1).sum())
            walkers, is_noisy = langevin_step(
                walkers, slopes, state.root, self._step, stream.child("push").numpy()
            )
            noisy += int(is_noisy.sum())
            track[:, i] = walkers.place
        z = self._task.prior.from_normal(track.reshape(-1, track.shape[2])).reshape(track.shape)
        state = replace(
            state, walkers=walkers, num_steps=state.num_steps + length, num_noisy=noisy,
            evaluations=state.evaluations + length * self._count,
        )  # fmt: skip
        return state, z, 1 - failed / (length * self._count)

    def _basis(self, state: LossState) -> AdjustedChains:
        steps = sum(part.shape[1] for part in state.kept) * self._count
        return AdjustedChains(
            state.chains, state.optimum, state.adjustment, state.slopes.words,
            state.num_noisy / steps,
        )  # fmt: skip


def _bound(given: AbstractObjective | None, problem: Problem) -> tuple[Any, BoundOutputs]:
    """Return the objective and its bound form. Raises `CapabilityError` unless it is a loss."""
    objective = default_objective(problem) if given is None else given
    bound = objective.bind(problem)
    name = type(objective).__name__
    if not isinstance(bound, BoundOutputs):
        whose = "the objective of these data" if given is None else "`objective`"
        raise CapabilityError(
            f"{whose} is {name}, a likelihood; LossPosterior is for losses on outputs. Use "
            "AdaptiveMetropolis(), NUTS() or ParticleMCMC(), or "
            "LossPosterior(objective=MomentMatching()) where replicates are many."
        )
    if not bound.loss.compares:
        raise CapabilityError(
            f"{name} compares with no observed features, so nothing says how far it may be from "
            "its minimum; use MomentMatching() or DistributionMatching(), or SMCABC()."
        )
    if isinstance(bound.loss, AbstractKinkedLoss):
        raise CapabilityError(
            f"{name} has a loss with kinks ({type(bound.loss).__name__}), the curvature of which "
            "says nothing of what lies beyond; use DistributionMatching(EnergyDistance())."
        )
    return objective, bound
