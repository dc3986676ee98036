"""Posteriors by losses, against quadrature of the loss of exact means."""

import numpy as np
import pytest

import tumble as tb
from tests.helpers import immigration_death, immigration_death_moments
from tumble.objectives import MomentMatching
from tumble.posteriors import LossPosterior
from tumble.priors import LogNormal

TIMES = np.array([0.5, 1.0, 2.0, 4.0])
MEANS = MomentMatching(order=1)


def replicates(count=30, seed=0, prior=0.5, lower=1.0, upper=100.0):
    """Return a problem of replicates of immigration and death at k = 10, γ = 1."""
    runs = tb.simulate(
        immigration_death(), {"k": 10.0, "gamma": 1.0}, initial={"X": 0}, times=TIMES,
        num_samples=count, seed=seed,
    )  # fmt: skip
    return tb.Problem(
        immigration_death(), experiments=[tb.Experiment(runs, {"X": 0})],
        parameters={
            "k": tb.Parameter(lower, upper, prior=LogNormal(np.log(10), prior) if prior else None),
            "gamma": tb.Parameter(0.1, 10.0, prior=LogNormal(0, prior) if prior else None),
        },
    )  # fmt: skip


def exact_loss(problem):
    """Return z [n, 2] -> the loss of exact means [n]."""
    bound = MEANS.bind(problem)

    def loss(z):
        mean, _ = immigration_death_moments(*np.exp(z).T[..., None], TIMES)
        return np.array([bound.value(m) for m in mean])

    return loss


def quadrature(problem, adjustment, size=150):
    """Return mean and covariance of π(z) ∝ p(z) exp(−w L(a + C (z − a))) on a grid of exact L."""
    space, loss = problem.space, exact_loss(problem)
    middle, reach = adjustment.anchor, 7 * np.sqrt(np.diag(np.linalg.inv(adjustment.precision)))
    low, high = np.maximum(middle - reach, space.lower), np.minimum(middle + reach, space.upper)
    axes = [a + (b - a) * (np.arange(size) + 0.5) / size for a, b in zip(low, high, strict=True)]
    z = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    logs = -adjustment.weight * loss(middle + (z - middle) @ adjustment.map.T)
    for column, (_name, parameter) in zip(z.T, space.parameters.items(), strict=True):
        if parameter.prior is not None:
            logs = logs - 0.5 * ((column - parameter.prior.loc) / parameter.prior.scale) ** 2
    density = np.exp(logs - logs.max())
    density /= density.sum()
    mean = density @ z
    return mean, (z - mean).T @ ((z - mean) * density[:, None])


def off_from(found, mean, covariance):
    """Return by how many standard errors means, and spreads, of two log parameters are off.

    In directions in which they are independent.
    """
    z, size = np.log(found.theta), found.effective_sample_size
    white = np.linalg.solve(np.linalg.cholesky(covariance), (z - mean).T)
    return np.array([*(white.mean(1) * np.sqrt(size)), *((white.std(1) - 1) * np.sqrt(2 * size))])


@pytest.mark.parametrize("weight", [None, 15.0], ids=["sandwich", "weight"])
def test_draws_are_of_the_posterior_by_the_loss_of_exact_means(weight):
    problem = replicates()
    method = LossPosterior(MEANS, weight=weight, num_draws=1500)
    found = tb.sample_posterior(problem, method=method, seed=1)
    assert found.result.ok and found.effective_sample_size >= 1500
    print(found, off_from(found, *quadrature(problem, found.basis.adjustment)))
    assert np.abs(off_from(found, *quadrature(problem, found.basis.adjustment))).max() < 5
