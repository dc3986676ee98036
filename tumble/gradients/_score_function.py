"""The score function (likelihood ratio) estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tumble._errors import require_member
from tumble._random import Stream, run_ids
from tumble._typing import FloatArray, IntArray
from tumble.gradients._base import AbstractEstimator, features_and_slopes, require_valid
from tumble.gradients._baselines import AbstractBaseline, LeaveOneOut, ScoredRuns
from tumble.gradients._estimate import SampledJacobian, concatenated
from tumble.objectives import BoundOutputs
from tumble.simulators import Batch, ScoredSample, SupportsScore


@dataclass(frozen=True)
class ScoreFunction(AbstractEstimator):
    """∂E[f]/∂θ = E[f S] with the score S = ∂ log p(path) / ∂θ.

    Definition: S = Σ_events ∂ log a_r − ∫ Σ_r ∂a_r ds, up to the time t of the feature and
    including the last, event-free interval. From each feature a ``baseline`` is subtracted, and
    only the score up to its own time is used. An unknown initial count between whole numbers adds
    the score of its random rounding; within 0.02 of a whole number its mean is moved to that
    distance.

    Guarantee: unbiased at every batch size of four or more joint samples, for losses of both kinds.

    Arguments: ``baseline``, `LeaveOneOut` (default: the mean of the feature over the *other* runs),
    `CrossFitted`, or `LinearResponse`, which takes most of the variance off at hundreds of runs.

    When: few copies, short horizons, many parameters (one run gives all). Not for large populations
    or long horizons, unless with `LinearResponse`: the variance of S grows with the number of
    events.

    References: Glynn, Commun. ACM 33 (1990), doi:10.1145/84537.84552; Plyasunov, Arkin, J. Comput.
    Phys. 221 (2007), doi:10.1016/j.jcp.2006.06.047.
    """

    baseline: AbstractBaseline = field(default_factory=LeaveOneOut)
    requires: ClassVar[type] = SupportsScore
    unbiased: ClassVar[bool] = True
    guarantee: ClassVar[str] = "unbiased at every batch size"
    law_evaluations: ClassVar[tuple[float, float]] = (1.0, 1.0)
    run_cost: ClassVar[tuple[float, float]] = (75.0, 13.0)

    def __post_init__(self) -> None:
        require_member(
            "baseline", self.baseline, AbstractBaseline, "a baseline such as LeaveOneOut()"
        )

    @property
    def any_size(self) -> bool:
        """See `AbstractEstimator.any_size`."""
        return self.baseline.any_size

    @property
    def label(self) -> str:
        """See `AbstractEstimator.label`."""
        name = type(self).__name__
        usual = isinstance(self.baseline, LeaveOneOut)
        return name if usual else f"{name} ({type(self.baseline).__name__})"

    def num_batches(self, num_samples: int) -> int:
        """See `AbstractEstimator.num_batches`."""
        return len(self.baseline.parts(num_samples))

    def overhead(self, objective: BoundOutputs) -> float:
        """See `AbstractEstimator.overhead`."""
        sizes = objective.num_features, objective.problem.space.size
        return super().overhead(objective) + self.baseline.cost_of_run(*sizes)

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 1

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        return concatenated(self.batches(objective, z, num_samples, stream, executor))

    def batches(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> list[SampledJacobian]:
        """See `AbstractEstimator.batches`."""
        drawn = [
            _scored_runs(objective, e, z, num_samples, stream, executor, self.baseline)
            for e in range(len(objective.problem.bindings))
        ]
        batches = []
        for part in self.baseline.parts(num_samples):
            size = part.stop - part.start
            pairs = [self.baseline.apply(runs, part) for runs, _ in drawn]
            batches.append(
                SampledJacobian(
                    np.concatenate([f.reshape(size, -1) for f, _ in pairs], axis=1),
                    np.concatenate([j.reshape(size, -1, len(z)) for _, j in pairs], axis=1),
                    size * len(drawn),
                    sum(int(events[part].sum()) for _, events in drawn),
                )
            )
        return batches


def _scored_runs(
    objective: BoundOutputs,
    experiment: int,
    z: FloatArray,
    num_samples: int,
    stream: Stream,
    executor: Any,
    baseline: AbstractBaseline,
) -> tuple[ScoredRuns, IntArray]:
    """Run one experiment; return the runs and their events [n]."""
    problem = objective.problem
    binding = problem.bindings[experiment]
    stream = stream.child("experiment", experiment)
    theta = np.asarray(problem.space.from_fit(z))
    runs = run_ids(num_samples)
    initial, initial_score = binding.sample_initial(
        theta, stream.child("initial"), runs, interior=True
    )
    start = binding.experiment.start
    windows = baseline.num_windows(num_samples, len(binding.model.reactions))
    edges = np.linspace(start, binding.times[-1], windows + 1)[1:]
    times = np.union1d(binding.times, edges) if windows else binding.times
    effects = binding.sample_effects(stream, runs)
    params = np.asarray(binding.params_given(theta, effects), dtype=float)
    batch = Batch(
        params, initial, times,
        stream.child("events"), runs, start,
    )  # fmt: skip
    simulator: Any = problem.simulator
    sample = simulator.sample_with_score(binding.model, batch, executor=executor)
    require_valid(sample, binding.model)
    at = np.searchsorted(times, binding.times)
    slope = problem.space.slope(z)
    from_initial = initial_score @ (binding.initial_slopes * slope)
    along = binding.slopes_given(theta, effects) * slope
    score = sample.score_along(along)[:, at] + from_initial[:, None, :]
    features, explicit = features_and_slopes(objective, experiment, sample.states[:, at], z)
    scored = ScoredRuns(
        features, score, explicit, np.concatenate([[start], times]), at + 1,
        *_martingales(binding.model, sample, params, along),
    )  # fmt: skip
    return scored, sample.events


def _martingales(
    model: Any, sample: ScoredSample, params: FloatArray, slopes: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return firings less ∫ a ds and firings [n, 1 + T, M], and ∂ log a / ∂z [M, P].

    Of the M reactions of mass action; with ``params`` [n, Q] and ``slopes`` [n or 1, Q, P] =
    ∂ params / ∂z. Of none where these differ from run to run.
    """
    shape = len(sample.events), sample.states.shape[1] + 1
    if sample.fired is None or sample.expected is None or len(slopes) > 1:
        return np.zeros((*shape, 0)), np.zeros((*shape, 0)), np.zeros((0, slopes.shape[-1]))
    params, slopes = params[0], slopes[0]
    rates = model.rates(params)
    known = np.flatnonzero(model.is_mass_action & (rates > 0))
    per_param = np.zeros((len(rates), len(params)))
    values = model.rate_values(None, params)
    for r, q, expression in model.rate_slopes:
        if r in known:
            per_param[r, q] = expression(values) / rates[r]
    fired = np.zeros((*shape, len(known)))
    martingales = np.zeros_like(fired)
    fired[:, 1:] = sample.fired[:, :, known]
    martingales[:, 1:] = fired[:, 1:] - sample.expected[:, :, known]
    return martingales, fired, per_param[known] @ slopes
