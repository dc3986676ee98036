"""Alternative paths: what one more event would change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import require_whole
from tumble._random import Stream, run_ids
from tumble._typing import FloatArray, IdArray, IntArray
from tumble.gradients._base import (
    LARGEST_PIECE,
    AbstractEstimator,
    features_and_slopes,
    require_valid,
)
from tumble.gradients._estimate import SampledJacobian
from tumble.objectives import BoundOutputs
from tumble.simulators import Batch, SupportsAlternative


@dataclass(frozen=True)
class AlternativePath(AbstractEstimator):
    """∂E[f] = E ∫ Σ_r ∂a_r(X(s)) [f(path with one more firing of r at s) − f(path)] ds.

    Definition: on each run, M places are drawn at random, spread evenly over ∫ Σ_r |∂a_r| ds with
    |∂a_r| the length of the gradient of a_r on the fit scale, and there a reaction r in proportion
    to |∂a_r|. The bracket is estimated by a *phantom*: two runs that start at X(s) + ν_r and X(s),
    and go on under the split coupling until they meet. An unknown initial count x, which is rounded
    at random to n or n + 1, n = ⌊x⌋, adds a coupled pair from n + 1 and n: the derivative of E[f],
    which has corners at whole numbers, and there the one from above. Other simulators have phantoms
    of their own: `CallWithChoices` forces another outcome of a declared draw.

    Guarantee: unbiased at every batch size of four or more joint samples, for losses of both kinds,
    also where a rate is zero: there it is the derivative from above.

    Arguments: ``num_phantoms``, M ≥ 1 for each run, all parameters together. Default 4.

    Cost: a sample counts 1 + 2 M runs, as each phantom starts two, and two more for each unknown
    initial count; but phantoms start midway and end when they meet. Events are counted as they are
    fired, those of the run itself twice, since it is simulated once more to place the phantoms.

    When: small systems and short-lived differences; rates at or near zero, where the score is not
    defined or its variance explodes, such as the gate of a reaction that may be absent. Not for
    large systems where one more event is felt for long, as at the beginning of an outbreak: two
    runs that have drifted apart differ by much more than their derivative, and `CoupledDifference`
    is many times cheaper. A reaction needs reactants wherever its rate has a derivative: the law
    ``V`` of a loss of X has one at X = 0, and a phantom there is an error.

    References: Gong, Ho, IEEE Trans. Autom. Control 32 (1987), doi:10.1109/TAC.1987.1104464, and
    Glasserman, Gong, IEEE Trans. Autom. Control 35 (1990), doi:10.1109/9.59807 (smoothed
    perturbation analysis); Gupta, Khammash, J. R. Soc. Interface 11 (2014),
    doi:10.1098/rsif.2014.0979 (reaction networks, with coupled pairs).
    """

    num_phantoms: int = 4
    requires: ClassVar[type] = SupportsAlternative
    unbiased: ClassVar[bool] = True
    event_cost: ClassVar[float] = 2.0
    law_evaluations: ClassVar[tuple[float, float]] = (6.0, 0.0)  # one after another, not in lanes
    guarantee: ClassVar[str] = "unbiased at every batch size, also at zero rates"

    def __post_init__(self) -> None:
        require_whole("num_phantoms", self.num_phantoms)

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`; the mean over the experiments, rounded up."""
        bindings = objective.problem.bindings
        starts = sum(len(_unknown_counts(binding)) for binding in bindings)
        return 1 + 2 * self.num_phantoms + -(-2 * starts // len(bindings))

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        num_params = objective.problem.space.size
        features, jacobians, num_runs, events = [], [], 0, 0
        for e, binding in enumerate(objective.problem.bindings):
            of_experiment = _Experiment(objective, e, z, stream.child("experiment", e), executor)
            parts = []
            for runs in self._pieces(of_experiment, num_samples):
                f, j, fired = of_experiment.with_phantoms(runs, self.num_phantoms)
                for species in _unknown_counts(binding):
                    of_start, more = of_experiment.with_start(runs, species)
                    j += of_start
                    fired += more
                parts.append((f.reshape(len(runs), -1), j.reshape(len(runs), -1, num_params)))
                events += fired
            features.append(np.concatenate([f for f, _ in parts]))
            jacobians.append(np.concatenate([j for _, j in parts]))
            num_pairs = self.num_phantoms + len(_unknown_counts(binding))
            num_runs += num_samples * (1 + 2 * num_pairs)
        return SampledJacobian(
            np.concatenate(features, axis=1), np.concatenate(jacobians, axis=1), num_runs, events
        )

    def _pieces(self, of_experiment: _Experiment, num_samples: int) -> Iterator[IdArray]:
        """Yield the ids of the runs in pieces, so that few pairs are held at once."""
        runs = run_ids(num_samples)
        size = max(1, LARGEST_PIECE // (self.num_phantoms * of_experiment.bytes_per_pair))
        for first in range(0, num_samples, size):
            yield runs[first : first + size]


@dataclass(frozen=True)
class _Experiment:
    """One experiment of an objective at a point z."""

    objective: BoundOutputs
    index: int
    z: FloatArray
    stream: Stream
    executor: Any

    @property
    def bytes_per_pair(self) -> int:
        """What one phantom takes: its states, twice since pieces are put together, and features."""
        times, species = self._binding.times, self._binding.model.species
        return 32 * (len(times) * len(species) + self.objective.data[self.index].target.size)

    def with_phantoms(self, runs: IdArray, num_phantoms: int) -> tuple[FloatArray, FloatArray, int]:
        """Return features [n, T, K], their derivatives by the rates [n, T, K, P], and events."""
        problem = self.objective.problem
        slopes = self._binding.model_slopes * problem.space.slope(self.z)
        simulator: Any = problem.simulator
        sample = simulator.sample_with_alternatives(
            self._binding.model,
            self._batch(runs, self._counts(runs), "events"),
            np.linalg.norm(slopes, axis=1),
            num_phantoms,
            executor=self.executor,
        )
        require_valid(sample, self._binding.model)
        features, explicit = features_and_slopes(self.objective, self.index, sample.states, self.z)
        changes = self._changes(sample.pairs)
        jacobians = np.einsum("nmtk,nmp->ntkp", changes, sample.weights @ slopes)
        if explicit is not None:
            jacobians += explicit
        return features, jacobians, int(sample.events.sum())

    def with_start(self, runs: IdArray, species: int) -> tuple[FloatArray, int]:
        """Return the derivatives [n, T, K, P] by the unknown initial count of a species."""
        problem = self.objective.problem
        mean = np.asarray(self._binding.initial_mean(self._theta), dtype=float)[species]
        initial = np.repeat(self._counts(runs)[:, None], 2, axis=1)
        initial[:, 0, species] = int(np.floor(mean)) + 1
        initial[:, 1, species] = int(np.floor(mean))
        simulator: Any = problem.simulator
        sample = simulator.sample_pairs(
            self._binding.model,
            self._batch(runs, initial, "start", species),
            executor=self.executor,
        )
        require_valid(sample, self._binding.model)
        slope = self._binding.initial_slopes[species] * problem.space.slope(self.z)
        return self._changes(sample.states)[..., None] * slope, int(sample.events.sum())

    @property
    def _binding(self) -> Any:
        return self.objective.problem.bindings[self.index]

    @property
    def _theta(self) -> FloatArray:
        return np.asarray(self.objective.problem.space.from_fit(self.z), dtype=float)

    def _counts(self, runs: IdArray) -> IntArray:
        """Draw the initial counts [n, S]."""
        return self._binding.sample_initial(self._theta, self.stream.child("initial"), runs)[0]

    def _batch(self, runs: IdArray, initial: IntArray, *path: str | int) -> Batch:
        """Return the batch of runs [n], or of pairs at the same parameters, from ``initial``."""
        binding = self._binding
        params = np.asarray(binding.model_params(self._theta), dtype=float)
        params = np.broadcast_to(params, (*initial.shape[:-1], len(params)))
        start = binding.experiment.start
        return Batch(params, initial, binding.times, self.stream.child(*path), runs, start)

    def _changes(self, pairs: IntArray) -> FloatArray:
        """Return f of the first minus f of the second of pairs [..., 2, T, S], as [..., T, K]."""
        states = pairs.reshape(-1, *pairs.shape[-2:])
        features = np.asarray(self.objective.features_of(self.index, states, self._theta))
        sides = features.reshape(*pairs.shape[:-2], *features.shape[1:])
        return sides[..., 0, :, :] - sides[..., 1, :, :]


def _unknown_counts(binding: Any) -> IntArray:
    """Return the species whose initial count depends on an unknown."""
    return np.flatnonzero(np.any(binding.initial_slopes != 0, axis=1))
