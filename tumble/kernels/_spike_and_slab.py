"""Rates of which most are 0, sampled one after the other under a quadratic log likelihood."""

from __future__ import annotations

import math

import numpy as np

from tumble.kernels._jit import kernel


@kernel
def sample_members(slope, bend, rates, log_prior, steps, uniforms, chosen):
    """Sample, sweep by sweep, which of Q rates are not 0.

    The log likelihood is slope θ − θ bend θ / 2, with ``slope`` [Q] and ``bend`` [Q, Q]. A rate
    that is not 0 is one of ``rates`` [Q, n], with ``log_prior`` [n]; to have one more when there
    are k of them adds ``steps`` [Q] (at k) to the log probability. ``uniforms`` [sweeps, Q, 2]; the
    result goes to ``chosen`` [sweeps, Q].
    """
    size, points = rates.shape
    theta = np.zeros(size)
    inside = np.zeros(size, np.bool_)
    weights = np.empty(points)
    count = 0
    for sweep in range(len(uniforms)):
        for r in range(size):
            pull = slope[r]
            for q in range(size):
                if inside[q] and q != r:
                    pull -= bend[r, q] * theta[q]
            if inside[r]:
                count -= 1
            top = -np.inf
            for i in range(points):
                rate = rates[r, i]
                weights[i] = (pull - 0.5 * bend[r, r] * rate) * rate + log_prior[i]
                top = max(top, weights[i])
            total = 0.0
            for i in range(points):
                total += math.exp(weights[i] - top)
                weights[i] = total
            odds = steps[count] + top + math.log(total)
            inside[r] = uniforms[sweep, r, 0] * (1.0 + math.exp(-odds)) < 1.0
            theta[r] = 0.0
            if inside[r]:
                at = np.searchsorted(weights, uniforms[sweep, r, 1] * total)
                theta[r] = rates[r, min(at, points - 1)]
                count += 1
            chosen[sweep, r] = inside[r]
