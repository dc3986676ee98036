"""Gradients of a smoothed loss from single runs, with the score of the perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import features_and_slopes
from tumble.gradients._baselines import leave_one_out
from tumble.gradients._directions import GaussianDirections
from tumble.gradients._estimate import SampledJacobian
from tumble.gradients._perturbation import Perturbation, independent_runs
from tumble.gradients._smoothing import AbstractSmoothing
from tumble.objectives import BoundOutputs

_DIRECTIONS = GaussianDirections()


@dataclass(frozen=True)
class SmoothedReinforce(AbstractSmoothing):
    """∂E[f]/∂z ≈ E[(f(X at z + σu) − b) u] / σ with standard normal u: REINFORCE on parameters.

    Definition: each run has parameters of its own, drawn around z; u / σ is the score of that draw.
    The baseline b of a feature is its mean over the *other* runs (leave-one-out). Only parameters
    that move the states are perturbed; derivatives in parameters of observables and noise are
    explicit. Points outside the bounds are treated as in `GaussianSmoothing`.

    Guarantee: that of `GaussianSmoothing`: unbiased, at every batch size of four or more, for the
    gradient of the loss of the smoothed expectations; against the loss itself a bias of O(σ²), of
    O(σ) within a few σ of a bound. Consistent with the default schedule.

    Arguments: ``step``, σ on the fit scale (log and logit), or as a fraction of half the width of
    the bounds (linear), default 0.2; ``schedule``, how σ shrinks for estimates from many runs,
    default `ShrinkingStep`.

    When: as a baseline to compare with, and for black boxes in which random numbers cannot be
    shared and pairs gain nothing. Not otherwise: the variance of f itself is divided by σ².

    References: Williams, Mach. Learn. 8 (1992), doi:10.1007/BF00992696; Salimans et al., arXiv
    (2017), doi:10.48550/arXiv.1703.03864; Kool, van Hoof, Welling, ICLR Workshop (2019)
    (leave-one-out baseline).
    """

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
        perturbation = Perturbation.of(objective, z, self.tuned(num_samples).step, _DIRECTIONS)
        features, jacobians, events = [], [], 0
        for e in range(len(objective.problem.bindings)):
            branch = stream.child("experiment", e)
            along = perturbation.draw(objective, e, num_samples, branch)[:, 0]
            points = perturbation.points(objective, along)[:, None]
            states, fired = independent_runs(objective, e, points, branch, executor)
            f, explicit = features_and_slopes(objective, e, states[:, 0], perturbation.z)
            score = np.zeros((num_samples, f.shape[1], objective.problem.space.size))
            slopes = along / (perturbation.steps * perturbation.reach)
            score[..., perturbation.dynamic] = slopes[:, None, :]
            j = leave_one_out(f, score)
            j = j if explicit is None else j + explicit
            features.append(f.reshape(num_samples, -1))
            jacobians.append(j.reshape(num_samples, -1, j.shape[-1]))
            events += fired
        return SampledJacobian(
            np.concatenate(features, axis=1),
            np.concatenate(jacobians, axis=1),
            num_samples * len(features),
            events,
        )
