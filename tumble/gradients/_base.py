"""The contract of gradient estimators, and what all of them share."""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import (
    CapabilityError,
    ParameterError,
    SimulationError,
    require_member,
    shown,
)
from tumble._execution import split
from tumble._random import Stream
from tumble._results import describe_codes
from tumble._typing import FloatArray, IntArray
from tumble.gradients._estimate import (
    GradientEstimate,
    SampledJacobian,
    assemble,
    costs_of,
    joined,
    pool_estimates,
)
from tumble.models import ReactionNetwork
from tumble.objectives import BoundOutputs
from tumble.simulators import PairSample, Sample

# Per-run Jacobians of a batch are held at once; larger batches are cut into pieces of this size.
LARGEST_PIECE = 2**27
# An unbiased product of two expectations needs pairs of distinct runs.
MIN_SAMPLES = 4
_WORTH_A_PROBE = 64
# Rate laws and their derivatives, one for each reaction, beside an event of mass action.
_LAW_COST, _SLOPE_COST = 5.0, 9.0
# The unit of work is an event of so many reactions: all of them are looked at in each event, as
# long as they are not so many that sums in a tree are faster.
_REACTIONS_A_UNIT, _MOST_REACTIONS = 2, 200


class AbstractEstimator(abc.ABC):
    """Estimates ∂/∂z of an output objective from runs of the simulator."""

    requires: ClassVar[type]
    """The capability class the simulator must inherit."""

    unbiased: ClassVar[bool]
    """Whether the gradient is unbiased at every batch size, by proof."""

    guarantee: ClassVar[str]
    """What is proven, in a sentence."""

    proven: ClassVar[bool] = True
    """Whether the bias is proven to be none, or to vanish with a step that is small by default."""

    event_cost: ClassVar[float] = 1.0
    """What an event costs beside one of the score function's runs, as measured on one core."""

    run_cost: ClassVar[tuple[float, float]] = (50.0, 4.0)
    """What a run of a network costs beside its events, in events: in all, and for each feature."""

    divisible: ClassVar[bool] = True
    """Whether its joint samples, averaged with equal weights, are its estimate (`Allocated`)."""

    law_evaluations: ClassVar[tuple[float, float]] = (1.0, 0.0)
    """How often an event takes the rate laws of the network, and their derivatives."""

    def cost_of_event(self, objective: BoundOutputs) -> float:
        """Return what an event costs here, in events of two reactions of mass action."""
        models = [binding.model for binding in objective.problem.bindings]
        laws, slopes = np.mean([_law_shares(m) for m in models], 0) @ np.diag(self.law_evaluations)
        each = self.event_cost + _LAW_COST * laws + _SLOPE_COST * slopes
        return float(each * np.mean([_reactions_in_units(m) for m in models]))

    @property
    def label(self) -> str:
        """A name short enough for tables, which tells members of a family apart."""
        return type(self).__name__

    def overhead(self, objective: BoundOutputs) -> float:
        """Return how many events a run of a network is worth, beside those that it has."""
        if not all(isinstance(b.model, ReactionNetwork) for b in objective.problem.bindings):
            return 0.0
        run, feature = self.run_cost
        return run + feature * objective.num_features

    @abc.abstractmethod
    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """Return how many runs of each experiment one joint sample costs."""

    def runs_in_all(self, objective: BoundOutputs) -> int:
        """Return how many runs one joint sample costs, of all experiments together."""
        return self.runs_per_sample(objective) * len(objective.problem.bindings)

    @property
    def any_size(self) -> bool:
        """Whether samples are as precise in a batch of a few as in a large one."""
        return True

    def num_batches(self, num_samples: int) -> int:
        """Return into how many batches ``num_samples`` joint samples are divided."""
        return 1

    def tuned(self, num_runs: int) -> AbstractEstimator:
        """Return this estimator with the settings for an estimate from ``num_runs`` runs."""
        return self

    @abc.abstractmethod
    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """Draw ``num_samples`` joint samples at z [P]."""

    def batches(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> list[SampledJacobian]:
        """Draw joint samples as batches of which the gradients are to be averaged; mostly one."""
        return [self.sample(objective, z, num_samples, stream, executor)]

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """Estimate loss and gradient at z [P] with about ``num_runs`` runs of the simulator.

        At least four joint samples are drawn. Raises `CapabilityError` where the simulator does not
        offer what the estimator requires, `SimulationError` where runs fail.
        """
        self.check(objective)
        per_sample = self.runs_in_all(objective)
        num_samples = max(MIN_SAMPLES, num_runs // per_sample)
        cells = 8 * objective.num_features * max(objective.problem.space.size, 1)
        piece = max(MIN_SAMPLES, LARGEST_PIECE // cells)
        # A few samples go first: where runs explode, they tell it at little cost.
        first = [MIN_SAMPLES] if num_samples >= _WORTH_A_PROBE else []
        slices = split(num_samples - sum(first), -(-num_samples // piece))
        sizes = first + [part.stop - part.start for part in slices]
        began = time.perf_counter()
        parts: list[tuple[int, GradientEstimate]] = []
        tuned = self.tuned(num_samples * per_sample)
        drawn: list[SampledJacobian] = []
        for i, size in enumerate(sizes):
            branch = stream.child("piece", i)
            batches = tuned.batches(objective, z, size, branch, executor)
            if first and i == 0:  # too few for an estimate of their own
                drawn = batches if self.any_size else [costs_of(batches)]
                continue
            drawn = joined(drawn, batches)
            parts += [(len(batch.features), assemble(objective, batch)) for batch in drawn]
            drawn = []
        pooled = pool_estimates([part for _, part in parts], [size for size, _ in parts])
        extra = self.overhead(objective) * pooled.num_runs
        return replace(
            pooled,
            work=self.cost_of_event(objective) * pooled.work + extra,
            seconds=time.perf_counter() - began,
        )

    def check(self, objective: BoundOutputs) -> None:
        """Raise `CapabilityError` unless the problem's simulator offers what is required."""
        simulator = objective.problem.simulator
        if not isinstance(simulator, self.requires):
            raise CapabilityError(
                f"{type(self).__name__} needs a simulator that offers {self.requires.__name__}, "
                f"but {type(simulator).__name__} does not; choose another gradient, or "
                "gradients.Auto() to have one chosen."
            )
        if not all(simulator.offers(self.requires, b.model) for b in objective.problem.bindings):
            raise CapabilityError(
                f"{type(self).__name__} needs {self.requires.__name__}, which "
                f"{type(simulator).__name__} does not offer for networks with variables, events or "
                "rates that depend on `time`; choose gradients.SPSA() or GaussianSmoothing(), or "
                "gradients.Auto() to have one chosen."
            )


def require_estimators(name: str, given: Any, least: int = 1) -> None:
    """Raise `ParameterError` unless ``given`` is a list of estimators, ``least`` or more."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ParameterError(
            f"`{name}` is {shown(given)}, expected a list of estimators such as "
            "[ScoreFunction(), CoupledDifference()]."
        )
    for i, member in enumerate(given):
        require_member(
            f"{name}[{i}]", member, AbstractEstimator, "an estimator such as ScoreFunction()"
        )
    if len(given) == 0:
        raise ParameterError(f"`{name}` is empty, expected at least one estimator.")
    if len(given) < least:
        raise ParameterError(f"`{name}` has {len(given)} estimator(s), expected {least} or more.")


def require_valid(sample: Sample | PairSample, model: Any) -> None:
    """Raise `SimulationError` when any run failed: leaving it out would bias the gradient."""
    if np.any(sample.codes != 0):
        failed = describe_codes(
            sample.codes, sample.culprits, model.reactions, messages=sample.messages
        )
        raise SimulationError(
            f"the gradient needs every run, but {failed}. Leaving runs out would bias it."
        )


def dynamic_parameters(objective: BoundOutputs) -> IntArray:
    """Return the positions of the parameters that change the law of the states."""
    return np.flatnonzero(np.any([b.moves for b in objective.problem.bindings], axis=0))


def features_and_slopes(
    objective: BoundOutputs, experiment: int, states: IntArray, z: FloatArray
) -> tuple[FloatArray, FloatArray | None]:
    """Return features [n, T, K] of states [n, T, S], and their explicit slopes [n, T, K, P] in z.

    Slopes are None when neither observables nor noise depend on an unknown parameter.
    """
    space = objective.problem.space
    theta = np.asarray(space.from_fit(z), dtype=float)
    binding = objective.problem.bindings[experiment]
    where: Any = slice(None)
    if objective.objective.costly and not np.all(binding.is_exact) and states.dtype.kind == "i":
        states, rows = _distinct(states)
        where = rows, np.arange(states.shape[1])
    values = np.asarray(objective.features_of(experiment, states, theta))[where]
    if binding.measurement_is_known:
        return values, None
    import jax
    import jax.numpy as jnp

    def features(u: Any) -> Any:
        return objective.features_of(experiment, states, space.from_fit(u, jnp), jnp)

    with jax.enable_x64(True):
        return values, np.asarray(jax.jacfwd(features)(np.asarray(z, dtype=float)))[where]


def _distinct(states: IntArray) -> tuple[IntArray, IntArray]:
    """Return the states [U, T, S] that occur at each time, and the row [n, T] of each run.

    U is a power of two, so that few shapes are compiled; the last rows may repeat others.
    """
    found = [np.unique(states[:, t], axis=0, return_inverse=True) for t in range(states.shape[1])]
    most = max(len(kept) for kept, _ in found)
    size = 1 << (most - 1).bit_length()
    kept = np.stack([np.resize(rows, (size, rows.shape[1])) for rows, _ in found], axis=1)
    return kept, np.stack([inverse.ravel() for _, inverse in found], axis=1)


def _reactions_in_units(model: Any) -> float:
    if not isinstance(model, ReactionNetwork):
        return 1.0
    return min(len(model.reactions), _MOST_REACTIONS) / _REACTIONS_A_UNIT


def _law_shares(model: Any) -> tuple[float, float]:
    """Return the rate laws for each reaction of a model, and their derivatives."""
    if not isinstance(model, ReactionNetwork):
        return 0.0, 0.0
    is_law = ~model.is_mass_action
    slopes = sum(bool(is_law[slope.reaction]) for slope in model.rate_slopes)
    return float(is_law.mean()), slopes / len(is_law)
