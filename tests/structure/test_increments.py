"""Increments and the screening by them: slopes, and what covariances tell."""

import numpy as np
import pytest

from tests.structure.epidemics import TRUTH, epidemic
from tumble import learn_structure
from tumble._errors import CapabilityError, ParameterError
from tumble.structure import (
    IncrementScreening,
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    mass_action,
)
from tumble.structure._increments import Increments, increments
from tumble.structure._scoring import most_likely


def drawn(rates, rows=400, seed=0):
    """Return increments that are normal indeed, of three reactions between two species."""
    rng = np.random.default_rng(seed)
    change = np.array([[-1.0, 1.0], [-1.0, 0.0], [0.0, 1.0]])
    h = rng.uniform(50, 200, (rows, 3))
    fired = h * rates
    error = np.broadcast_to(np.eye(2) / 12, (rows, 2, 2))
    covariance = np.einsum("mk,ks,ku->msu", fired, change, change) + error
    factor = np.linalg.cholesky(covariance)
    steps = fired @ change + np.einsum("msu,mu->ms", factor, rng.standard_normal((rows, 2)))
    return Increments(change, steps, h, error)


def test_value_is_that_of_a_normal_law_and_slopes_are_its_derivatives():
    from scipy.stats import multivariate_normal

    given, members = drawn(np.array([0.5, 0.2, 0.1]), rows=20), [0, 2]
    rates = np.array([0.4, 0.2])

    def exact(x):
        total = 0.0
        for step, h, error in zip(given.steps, given.integrals, given.error, strict=True):
            fired = h[members] * x
            change = given.change[members]
            total += multivariate_normal.logpdf(
                step, fired @ change, (change.T * fired) @ change + error
            )
        return total

    found = given.evaluate(rates, members)
    assert found.value == pytest.approx(exact(rates), rel=1e-10)
    for k in range(2):
        h = np.eye(2)[k] * 1e-5
        difference = (exact(rates + h) - exact(rates - h)) / 2e-5
        assert found.slope[k] == pytest.approx(difference, rel=1e-6)


def test_information_is_the_variance_of_the_slope():
    rates = np.array([0.5, 0.2, 0.1])
    given = drawn(rates, rows=4000)
    rows = [
        Increments(
            given.change, *(x[i : i + 1] for x in (given.steps, given.integrals, given.error))
        )
        for i in range(len(given))
    ]
    slopes = np.array([row.evaluate(rates, [0, 1, 2]).slope for row in rows])
    products = slopes[:, :, None] * slopes[:, None, :]
    error = products.std(0, ddof=1) / np.sqrt(len(rows))
    expected = given.evaluate(rates, [0, 1, 2]).information / len(rows)
    assert np.all(np.abs(products.mean(0) - expected) < 4 * error)


def test_the_most_likely_rates_hold_the_truth_and_are_zero_at_the_edge():
    truth = np.array([0.5, 0.2, 0.0])
    given = drawn(truth)
    found, value = most_likely(lambda x: given.evaluate(x, [0, 1, 2]), given.even_rates)
    local = given.evaluate(found, [0, 1, 2])
    assert value == local.value
    inside = found > 0
    # Where the top is inside its slope vanishes, at the edge it points outward.
    scale = np.sqrt(np.diag(local.information))
    assert np.all(np.abs(local.slope[inside] / scale[inside]) < 0.1)
    assert np.all(local.slope[~inside] <= 0)
    sd = np.sqrt(np.diag(np.linalg.inv(local.information)))
    assert np.all(np.abs(found - truth) < 4 * sd)


def test_a_price_with_a_kink_at_zero_closes_what_is_worth_less():
    given = drawn(np.array([0.5, 0.2, 0.0]), seed=3)

    def price(x):
        return 60 * np.log1p(x / 1e-3).sum(), 60 / (1e-3 + x)

    found, _ = most_likely(lambda x: given.evaluate(x, [0, 1, 2]), given.even_rates, price)
    assert found[0] > 0.4 and found[1] > 0.1
    assert found[2] == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_covariance_tells_what_mean_and_variances_do_not(seed):
    """All of 90 candidates: `I -> R` is not taken for `I -> 0` with `I -> I + R`."""
    library = mass_action(["S", "I", "R"])
    posterior = NetworkPosterior(
        NetworkLikelihood(epidemic(library, seed=seed), library), NetworkPrior()
    )
    best = max(IncrementScreening().screened(posterior), key=lambda s: s.score)
    assert {library.equations[r] for r in best.network} == TRUTH
    for r, rate in best.rates.items():
        assert abs(rate / {"I -> R": 5.0, "I + S -> 2 I": 0.02}[library.equations[r]] - 1) < 0.15


def test_noise_is_taken_into_account():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    problem = epidemic(library, 41, 10, sd=5.0)
    given = increments(NetworkLikelihood(problem, library))
    # The first state is known.
    assert np.allclose(np.diagonal(given.error[0]), 25)
    assert np.allclose(np.diagonal(given.error[1]), 50)
    found = learn_structure(problem, library=library, method=IncrementScreening())
    assert set(found.networks[0].equations) >= TRUTH


def test_weighs_what_is_near_the_best():
    library = mass_action(["S", "I", "R"])
    problem = epidemic(library)
    alone = learn_structure(problem, library=library, method=IncrementScreening(window=0))
    assert len(alone.networks) == 1
    some = learn_structure(problem, library=library, method=IncrementScreening(window=20))
    assert len(some.networks) > 1
    assert set(some.networks[0].equations) == set(alone.networks[0].equations) == TRUTH
    assert some.networks[0].log_evidence == pytest.approx(alone.networks[0].log_evidence, abs=1e-2)


def test_required_reactions_stay():
    library = mass_action(["S", "I", "R"], require=["R -> S"])
    found = learn_structure(epidemic(library), library=library, method=IncrementScreening())
    assert all("R -> S" in n.equations for n in found.networks)


def test_what_is_wrong_is_said():
    library = mass_action(["S", "I", "R"])
    with pytest.raises(ParameterError, match=r"`window` is -1, expected a number ≥ 0"):
        IncrementScreening(window=-1)
    with pytest.raises(CapabilityError, match=r"not all of them are seen at two successive times"):
        learn_structure(
            epidemic(library, 11, seen="I"), library=library, method=IncrementScreening()
        )
