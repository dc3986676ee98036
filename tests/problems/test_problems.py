"""Problems with known answers: their posteriors are those of what they draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from tumble._errors import ParameterError
from tumble._random import Stream
from tumble.posteriors import DataSets, JointPrior
from tumble.problems import (
    AbstractReferenceProblem,
    MixedSources,
    MuonAngles,
    NoisyLine,
    PoissonCounts,
)

SMALL = 12  # observations, with which posteriors are wide
FAMILY = [PoissonCounts, NoisyLine, MixedSources, MuonAngles]


def drawn(reference: AbstractReferenceProblem, z: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return data sets [B, N, O] at parameters [B, P]."""
    (data,), well = DataSets(reference.problem, Stream.from_seed(seed)).simulate(z, 0)
    assert well.all()
    return data[:, :, 0, :]


def truths(reference: AbstractReferenceProblem, count: int) -> np.ndarray:
    return JointPrior(reference.problem.space).sample(count, np.random.default_rng(7))


@pytest.mark.parametrize("kind", FAMILY)
def test_log_posteriors_are_densities(kind: type[AbstractReferenceProblem]) -> None:
    reference = kind(SMALL)
    truth = truths(reference, 1)[0]
    data = drawn(reference, truth[None])[0]
    low, high = np.array(list(reference.bounds.values())).T
    rng = np.random.default_rng(3)
    everywhere = rng.uniform(low, high, (400_000, len(low)))
    heights = np.exp(reference.log_posterior(everywhere, data)) * np.prod(high - low)
    error = heights.std() / np.sqrt(len(heights))
    assert error < 0.05
    assert abs(heights.mean() - 1) < 4 * error


@pytest.mark.parametrize("kind", FAMILY)
def test_truths_are_draws_of_the_posterior(kind: type[AbstractReferenceProblem]) -> None:
    # A density that is higher a little aside of the truths, on the average, is not the posterior.
    reference = kind(60)
    theta = truths(reference, 60)
    data = drawn(reference, theta)
    rng = np.random.default_rng(1)
    gains = []
    for t, x in zip(theta, data, strict=True):
        low, high = np.array(list(reference.bounds.values())).T
        shifted = np.clip(t + 0.05 * (high - low) * rng.choice([-1, 1], len(t)), low, high)
        other = max(reference.log_posterior(shifted, x), -50.0)
        gains.append(reference.log_posterior(t, x) - other)
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains))


def test_a_bound_that_is_seen_is_a_bound() -> None:
    reference = MixedSources(SMALL)
    data = drawn(reference, np.array([[0.5, -1.0, 1.0]]))[0]
    best, step = reference.estimate(data), np.array([0, 0, 0.01])
    assert reference.log_posterior(best - step, data) == -np.inf
    assert np.isfinite(reference.log_posterior(best + step, data))


def test_cosines_of_muons_follow_their_law() -> None:
    reference = MuonAngles(4000)
    # The second has an asymmetry beyond 2, so that part of the cosines has no probability.
    for theta in ([43.0, 1.0], [50.0, 1.5]):
        a = float(reference.asymmetry(*theta))
        cosines = drawn(reference, np.array([theta]))[0, :, 0]

        def density(c: float, a: float = a) -> float:
            return max(0.0, 1 + c**2 + a * c)

        norm = quad(density, -1, 1, limit=200)[0]
        grid = np.linspace(-1, 1, 401)
        below = np.array([quad(density, -1, c, limit=200)[0] for c in grid]) / norm
        found = stats.kstest(cosines, lambda c, g=grid, b=below: np.interp(c, g, b))
        assert found.pvalue > 0.001


def test_observations_are_counted() -> None:
    with pytest.raises(ParameterError, match="num_observations"):
        PoissonCounts(0)
