from __future__ import annotations

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.linalg import expm

from tests import helpers
from tumble import noise, priors
from tumble._errors import DataError, ParameterError
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter, Ref
from tumble._problem import Problem
from tumble.models import ReactionNetwork
from tumble.simulators import LinearNoise

tight = LinearNoise(rtol=1e-9)
TIMES = np.array([0.0, 0.3, 1.0, 1.0, 4.0])


def moments(network, params, mean, variance=None, times=TIMES, method=tight, **options):
    variance = np.zeros(len(mean)) if variance is None else np.array(variance, dtype=float)
    with jax.enable_x64(True):
        got = method.moments(
            network, np.array(params, float), np.array(mean, float), variance, times, **options
        )
        return np.asarray(got.mean), np.asarray(got.covariance)


# -- moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "gamma", "x0"), [(10.0, 1.0, 0), (0.3, 2.0, 25), (400.0, 1.0, 3)])
def test_immigration_death(k, gamma, x0):
    mean, covariance = moments(helpers.immigration_death(), [k, gamma], [x0])
    exact = helpers.immigration_death_moments(k, gamma, TIMES, x0)
    np.testing.assert_allclose(mean[:, 0], exact[0], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(covariance[:, 0, 0], exact[1], rtol=1e-7, atol=1e-8)


def test_birth_death():
    mean, covariance = moments(helpers.birth_death(), [0.9, 1.1], [7])
    exact = helpers.birth_death_moments(0.9, 1.1, TIMES, 7)
    np.testing.assert_allclose(mean[:, 0], exact[0], rtol=1e-7)
    np.testing.assert_allclose(covariance[:, 0, 0], exact[1], rtol=1e-7, atol=1e-8)


def test_a_chain_of_first_order_reactions_is_multinomial():
    """From n of A each individual is in A, B or gone with the chances p of one: Var = n p (1 − p),
    Cov = −n p q."""
    network = ReactionNetwork.from_text("A <-> B ; k, h\nB -> 0 ; d")
    k, h, d, n = 1.2, 0.4, 0.7, 50
    mean, covariance = moments(network, [k, h, d], [n, 0])
    generator = np.array([[-k, h], [k, -h - d]])
    for t, m, v in zip(TIMES, mean, covariance, strict=True):
        p = expm(generator * t)[:, 0]
        np.testing.assert_allclose(m, n * p, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(v, n * (np.diag(p) - np.outer(p, p)), rtol=1e-7, atol=1e-7)


def test_an_initial_variance_is_carried_along():
    """Of Poisson(m) individuals those that survive are Poisson(m e^{−γt})."""
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    mean, covariance = moments(network, [0.8], [30], [30])
    np.testing.assert_allclose(mean[:, 0], 30 * np.exp(-0.8 * TIMES), rtol=1e-7)
    np.testing.assert_allclose(covariance[:, 0, 0], mean[:, 0], rtol=1e-7)


def test_start_shifts_time():
    network = helpers.immigration_death()
    shifted = moments(network, [10.0, 1.0], [4], times=TIMES + 2, start=2.0)
    plain = moments(network, [10.0, 1.0], [4])
    np.testing.assert_allclose(shifted[0], plain[0], rtol=1e-12)
    np.testing.assert_allclose(shifted[1], plain[1], rtol=1e-12, atol=1e-12)


def test_the_relative_error_falls_with_the_size_of_a_nonlinear_system():
    """For 2 X -> 0 the mean is off by O(1) copies: by a tenth as much with ten times more."""
    from tumble.simulators import FiniteStateProjection

    network = ReactionNetwork.from_text("2 X -> 0 ; k")
    errors = []
    for size in (20, 200):
        k = 2.0 / size
        exact = FiniteStateProjection().distribution(network, [k], [size], [1.0])
        truth = exact.expectation(lambda n: n[:, 0].astype(float))[0]
        mean, _ = moments(network, [k], [size], times=np.array([1.0]))
        errors.append(abs(mean[0, 0] - truth) / truth)
    assert 1e-4 < errors[1] < errors[0] / 5


def test_tolerance_is_obeyed():
    exact = helpers.immigration_death_moments(400.0, 1.0, TIMES, 3)[0]
    loose, _ = moments(
        helpers.immigration_death(), [400.0, 1.0], [3], method=LinearNoise(rtol=1e-2)
    )
    error = np.abs(loose[1:, 0] / exact[1:] - 1).max()
    assert 1e-7 < error < 1e-1


# -- likelihoods ----------------------------------------------------------------------------------

# Arrivals at rates a (X), b (Y) and c (one of each). States gather at a constant rate with constant
# noise, so that all data together are exactly Gaussian under the approximation.
ARRIVALS = ReactionNetwork.from_text("0 -> X ; a\n0 -> Y ; b\n0 -> X + Y ; c")
ARRIVAL_TIMES = np.array([0.5, 0.75, 1.5, 3.0])
ARRIVAL_DATA = np.array(
    [
        [[1.1, 15.0], [7.0, 22.0], [11.4, 33.0], [24.0, np.nan]],
        [[2.2, 14.0], [np.nan, np.nan], [14.0, 30.0], [28.0, 57.0]],
    ]
)


def arrivals():
    array = xr.DataArray(
        ARRIVAL_DATA,
        dims=("replicate", "time", "observable"),
        coords={"time": ARRIVAL_TIMES, "observable": ["x", "both"]},
    )
    return Problem(
        ARRIVALS,
        experiments=[Experiment(array, {"X": 2, "Y": Ref("y0")}, start=0.5)],
        observables={
            "x": Observable("X", noise.Normal("sd")),
            "both": Observable("X + weight * Y + 1", noise.Normal(1.5)),
        },
        parameters={
            "a": Parameter(0.1, 50),
            "b": Parameter(0.1, 50),
            "c": Parameter(0.1, 50),
            "sd": Parameter(0.1, 9),
            "y0": Parameter(0.1, 50),
            "weight": Parameter(-5, 5, scale="linear"),
        },
    )


ARRIVAL_PARAMS = np.array([5.0, 4.0, 1.5, 0.8, 6.3, 1.7])


def dense_log_likelihood(theta):
    a, b, c, sd, y0, weight = theta
    drift, spread = np.array([a + c, b + c]), np.array([[a + c, c], [c, b + c]])
    observe = np.array([[1, 0], [1, weight]])
    since = ARRIVAL_TIMES - 0.5
    mean = (np.array([2, y0]) + since[:, None] * drift) @ observe.T + [0, 1]
    covariance = np.kron(np.minimum.outer(since, since), observe @ spread @ observe.T)
    covariance += np.kron(np.eye(len(since)), np.diag([sd**2, 1.5**2]))
    total = 0.0
    for replicate in ARRIVAL_DATA:
        given = np.isfinite(replicate.ravel())
        total += stats.multivariate_normal.logpdf(
            replicate.ravel()[given], mean.ravel()[given], covariance[np.ix_(given, given)]
        )
    return total


def test_a_gaussian_system_has_its_dense_likelihood_and_gradient():
    """Two replicates that add up, the first observation at the time of the initial state, a missing
    entry, and a time at which nothing is known."""
    likelihood = tight.likelihood(arrivals())
    value, gradient = likelihood.value_and_gradient(ARRIVAL_PARAMS)
    assert value == pytest.approx(dense_log_likelihood(ARRIVAL_PARAMS), rel=1e-8)
    for j in range(len(ARRIVAL_PARAMS)):
        step = 1e-5 * np.eye(len(ARRIVAL_PARAMS))[j]
        slope = dense_log_likelihood(ARRIVAL_PARAMS + step)
        slope = (slope - dense_log_likelihood(ARRIVAL_PARAMS - step)) / 2e-5
        assert gradient[j] == pytest.approx(slope, rel=1e-6)


def kalman_by_hand(k, gamma, sd, data, times, x0=4.0, v0=0.0):
    """Immigration and death, restarted at each filtered state with the moments in closed form."""
    mean, variance, total, last = x0, v0, 0.0, 0.0
    for t, y in zip(times, data, strict=True):
        e = np.exp(-gamma * (t - last))
        fresh = mean * e * (1 - e) + k / gamma * (1 - e)
        mean, variance, last = mean * e + k / gamma * (1 - e), variance * e**2 + fresh, t
        if np.isfinite(y):
            total += stats.norm.logpdf(y, mean, np.sqrt(variance + sd**2))
            gain = variance / (variance + sd**2)
            mean, variance = mean + gain * (y - mean), (1 - gain) * variance
    return total


SERIES_TIMES = np.array([0.5, 1.0, 1.7, 3.0])
SERIES = [8.0, np.nan, 12.0, 9.0]


@pytest.mark.parametrize(
    ("initial", "v0", "exact"), [(4.0, 0.0, True), (priors.Gamma(8.0, 2.0), 2.0, False)]
)
def test_the_filter_restarts_from_each_filtered_state(initial, v0, exact):
    """Without measurement noise there is still the rounding to whole numbers, of variance 1/12."""
    problem = Problem(
        helpers.immigration_death(),
        experiments=[Experiment(helpers.series(SERIES_TIMES, SERIES), {"X": initial})],
        observables=None if exact else {"X": Observable("X", noise.Normal(1.3))},
        parameters={"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)},
    )
    value, _ = tight.likelihood(problem).value_and_gradient(np.array([9.0, 0.8]))
    sd = np.sqrt(1 / 12) if exact else 1.3
    by_hand = kalman_by_hand(9.0, 0.8, sd, SERIES, SERIES_TIMES, v0=v0)
    assert value == pytest.approx(by_hand, rel=1e-7)


REPORTS = {
    "binomial": (noise.Binomial(0.4), lambda x: (0.4 * x, 0.24 * x + 1 / 12), 0.4),
    "poisson": (noise.Poisson(), lambda x: (x, x + 1 / 12), 1.0),
    "negative binomial": (noise.NegativeBinomial(5.0), lambda x: (x, x + x**2 / 5 + 1 / 12), 1.0),
    "exact": (noise.Exact(), lambda x: (x, 1 / 12), 1.0),
}


@pytest.mark.parametrize(("law", "rate"), helpers.mostly_slow(list(REPORTS), [0.5, 60.0]))
def test_reports_of_what_has_died_out_have_a_bounded_density(law, rate):
    """Whole numbers have the variance of rounding, which is all there is left at rate 60."""
    reported, moments_of, slope = REPORTS[law]
    problem = Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[Experiment(helpers.series([1.0], [0.0]), {"X": 20})],
        observables={"X": Observable("X", reported)},
        parameters={"gamma": Parameter(0.1, 100)},
    )
    value, _ = tight.likelihood(problem).value_and_gradient(np.array([rate]))
    left = np.exp(-rate)
    mean, variance = moments_of(20 * left)
    spread = np.sqrt(slope**2 * 20 * left * (1 - left) + variance)
    assert value == pytest.approx(stats.norm.logpdf(0, mean, spread), rel=1e-5)


def test_gradients_agree_with_central_differences_and_nothing_is_compiled_twice():
    """SIR with gaps, a share observed, overdispersed noise and a fitted initial state."""
    theta = helpers.SIR_PARAMS
    likelihood = tight.likelihood(helpers.sir_problem())
    value, gradient = likelihood.value_and_gradient(theta)
    assert np.isfinite(value)
    assert np.abs(gradient).min() > 1e-3
    with jax.no_tracing():
        for j in range(len(theta)):
            step = 1e-5 * theta[j] * np.eye(len(theta))[j]
            above, below = (likelihood.value_and_gradient(theta + s)[0] for s in (step, -step))
            assert gradient[j] == pytest.approx((above - below) / (2 * step[j]), rel=1e-5)


def test_other_kinds_of_data_are_refused():
    for kind, count in (("snapshots", None), ("mean", 5)):
        experiment = Experiment(
            helpers.series([1.0], [4.0]), {"X": 9}, kind=kind, num_averaged=count
        )
        problem = Problem(
            ReactionNetwork.from_text("X -> 0 ; gamma"),
            experiments=[experiment],
            parameters={"gamma": Parameter(0.01, 10)},
        )
        with pytest.raises(
            DataError,
            match=rf"needs time series, but the data are of kind '{kind}'; use "
            r"objectives\.MomentMatching\(\)\.",
        ):
            LinearNoise().likelihood(problem)


@pytest.mark.parametrize("rtol", [0.0, 0.5, np.nan])
def test_settings_are_checked(rtol):
    with pytest.raises(
        ParameterError, match=rf"`rtol` is {rtol}, expected between 1e-12 and 1e-2\."
    ):
        LinearNoise(rtol=rtol)
