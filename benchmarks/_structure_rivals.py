"""Other ways to find reactions: regression of increments, and descent with an ℓ1 penalty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

import tumble as tb
from tumble._errors import SimulationError
from tumble._random import Stream
from tumble.structure import NetworkLikelihood, NetworkPosterior, NetworkPrior, observed_laws

_ROUNDS = 6


def regression(
    problem: tb.Problem, library: tb.structure.ReactionLibrary, laws: bool
) -> dict[str, float]:
    """Return rates by equation: non-negative least squares of increments, and BIC.

    Variances are those of the last round, the covariance between species is passed over. Beginning
    with the support of all candidates (with ``laws``, of those that conserve what the data do), the
    one with the least t value is left out until none is left; that of the best BIC is returned.
    """
    likelihood = NetworkLikelihood(problem, library)
    if laws:
        library = library.within(law.weights for law in observed_laws(likelihood))
    steps = likelihood.measured_steps
    ends = [library.combinations(np.maximum(x, 0.0)) for x in (steps.before, steps.after)]
    h = 0.5 * (ends[0] + ends[1]) * steps.spans[:, None]
    moved = steps.after - steps.before
    error = np.diagonal(steps.error, axis1=1, axis2=2) + 1e-9
    members, best = np.arange(len(library)), (np.inf, {})
    while True:
        rates, variance = _weighted(library.change[members], h[:, members], moved, error)
        keep = rates > 0
        members, rates = members[keep], rates[keep]
        left = moved - (h[:, members] * rates) @ library.change[members]
        fit = np.sum(left**2 / variance + np.log(variance))
        score = fit + len(members) * np.log(len(moved))
        if score < best[0]:
            best = (
                score,
                {library.equations[r]: float(x) for r, x in zip(members, rates, strict=True)},
            )
        if not len(members):
            return best[1]
        design = library.change[members].T[None] * h[:, None, members]
        precision = np.einsum("msk,ms,msl->kl", design, 1 / variance, design)
        scale = np.sqrt(np.diag(precision))
        spread = np.linalg.pinv(precision / np.outer(scale, scale), hermitian=True)
        members = np.delete(members, np.argmin(rates * scale / np.sqrt(np.diag(spread))))


def _weighted(change, h, moved, error):
    """Return rates ≥ 0 [k] and the variances [M, S] that they give."""
    variance = np.abs(moved) + 1
    rates = np.zeros(len(change))
    if not len(change):
        return rates, error
    for _ in range(_ROUNDS):
        weight = 1 / np.sqrt(variance)
        design = (change.T[None] * h[:, None, :] * weight[..., None]).reshape(-1, len(change))
        scale = np.maximum(np.sqrt((design**2).sum(0)), 1e-300)
        target = (moved * weight).ravel()
        rates = nnls(design / scale, target, maxiter=50 * len(change))[0] / scale
        variance = (h * rates) @ change**2 + error
    return rates, variance


def descent(
    problem: tb.Problem,
    library: tb.structure.ReactionLibrary,
    strength: float,
    num_steps: int,
    num_runs: int,
    seed: int,
) -> dict[str, float]:
    """Return rates by equation, all of them: Adam on smoothed gradients of a simulated loss.

    The loss is the mean square of E[X] − the mean of the data, the initial population being 1, plus
    ``strength`` times the sum of all rates, each in units of that at which the candidate would fire
    as often as there are individuals. Rates are followed in their logarithms; so many runs a step.
    """
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())
    unit = np.exp(posterior.centers)
    names = library.network.parameters
    problem = replace(
        problem,
        parameters={
            name: tb.Parameter(u * 1e-6, u * 300, scale="log")
            for name, u in zip(names, unit, strict=True)
        },
    )
    bound = tb.objectives.MomentMatching(order=1).bind(problem)
    size = posterior.likelihood.scale
    present = (bound.weight > 0) / max(np.count_nonzero(bound.weight), 1)
    bound = replace(bound, loss=tb.losses.Quadratic(bound.target, present / size**2))
    gradient = tb.gradients.GaussianSmoothing(directions=tb.gradients.GaussianDirections())
    order = [problem.space.names.index(name) for name in names]
    z = np.empty(len(names))
    z[order] = np.log(0.1 * unit)
    low, high = problem.space.lower, problem.space.upper
    first, second = np.zeros_like(z), np.zeros_like(z)
    stream = Stream.from_seed(seed).child("descent")
    for k in range(num_steps):
        pull = np.zeros_like(z)
        pull[order] = strength * np.exp(z[order]) / unit
        try:
            found = gradient.estimate(bound, z, num_runs, stream.child("step", k))
        except SimulationError:  # too many events: all slower
            z = z - 0.3
            continue
        slope = found.gradient + pull
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope**2
        rate = 0.1 * 0.5 * (1 + np.cos(np.pi * k / num_steps))
        step = first / (1 - 0.9 ** (k + 1)) / np.sqrt(second / (1 - 0.99 ** (k + 1)) + 1e-30)
        z = np.clip(z - rate * step, low + 1e-6, high - 1e-6)
    rates = np.exp(z[order])
    return dict(zip(library.equations, rates.tolist(), strict=True))
