"""What perturbation estimators estimate, exactly: averages over the master equation's answers."""

from __future__ import annotations

from itertools import product

import numpy as np

from tumble._random import Stream
from tumble.diagnostics._references import _exact_features
from tumble.simulators import FiniteStateProjection


def exact_moments(bound, z):
    """Return E[f] [F] and ∂E[f]/∂z [F, P] by finite state projection."""
    parts = [
        _exact_features(bound, e, z, FiniteStateProjection())
        for e in range(len(bound.problem.bindings))
    ]
    return np.concatenate([m for m, _ in parts]), np.concatenate([j for _, j in parts])


def smoothed_gradient(bound, z, sigmas, nodes=7):
    """Return ∇ ℓ(m_σ) with m_σ(z) = E m(z + σ u), by Gauss–Hermite quadrature of the answers.

    With 7 nodes polynomials of degree 13 in each parameter are integrated exactly.
    """
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    moments, slopes = 0.0, 0.0
    for index in product(range(nodes), repeat=len(z)):
        weight = np.prod(w[list(index)])
        m, j = exact_moments(bound, z + sigmas * x[list(index)])
        moments, slopes = moments + weight * m, slopes + weight * j
    return bound.slope(moments) @ slopes


def simultaneous_gradient(bound, z, steps):
    """Return ℓ'(E m(z + c Δ)) · E[(m(z + c Δ) − m(z − c Δ)) Δ / 2c], summed over all signs Δ."""
    moments, slopes = 0.0, 0.0
    for signs in product((-1.0, 1.0), repeat=len(z)):
        delta = np.array(signs)
        up, _ = exact_moments(bound, z + steps * delta)
        down, _ = exact_moments(bound, z - steps * delta)
        share = 0.5 ** len(z)
        moments = moments + share * (up + down) / 2
        slopes = slopes + share * (up - down)[:, None] * delta / (2 * steps)
    return bound.slope(moments) @ slopes


def mean_over_batches(estimator, bound, z, num_samples, num_batches, seed=11):
    """Return the mean gradient of many small batches, and its standard error."""
    stream = Stream.from_seed(seed)
    runs = num_samples * estimator.runs_per_sample(bound) * len(bound.problem.bindings)
    gradients = np.stack(
        [estimator.estimate(bound, z, runs, stream.child(i)).gradient for i in range(num_batches)]
    )
    return gradients.mean(0), gradients.std(0, ddof=1) / np.sqrt(num_batches)
