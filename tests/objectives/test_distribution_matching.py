"""Distribution matching, losses of expectations and expected losses of one's own."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import tumble as tb
from tests import helpers
from tumble import Experiment, Observable, Parameter, Problem, noise
from tumble._errors import CapabilityError, DataError, ParameterError
from tumble._random import Stream
from tumble._uncertainty import sandwich
from tumble.diagnostics._references import exact_loss_and_gradient, moments_reference
from tumble.distances import EnergyDistance, MaximumMeanDiscrepancy, WassersteinDistance
from tumble.gradients import ScoreFunction
from tumble.objectives import (
    DistributionMatching,
    ExpectedLoss,
    LossOfExpectations,
    MomentMatching,
    Surrogate,
    default_objective,
    objective_warnings,
)
from tumble.simulators import FiniteStateProjection, LinearNoise

PARAMETERS = {"k": Parameter(0.5, 200), "gamma": Parameter(0.05, 20)}
TRUTH = np.log([10.0, 1.0])
TIMES = (0.5, 1.5, 4.0)
FREE = np.ones(2, dtype=bool)


def snapshots(num_cells, seed=0, times=TIMES):
    """Cells of immigration–death from 0, others at each time: X(t) is Poisson."""
    rng = np.random.default_rng(seed)
    means = [helpers.immigration_death_moments(10, 1, t)[0] for t in times]
    values = rng.poisson(means, (num_cells, len(times))).astype(float)[..., None]
    dims = ("replicate", "time", "observable")
    return xr.DataArray(values, dims=dims, coords={"time": list(times), "observable": ["X"]})


def problem_of(data, **options):
    experiment = Experiment(data, {"X": 0}, kind="snapshots")
    return Problem(helpers.immigration_death(), [experiment], PARAMETERS, **options)


def test_the_loss_is_the_mean_share_of_the_spread():
    """At each time, the energy distance over E|y − y'|, averaged."""
    data = snapshots(40)
    bound = DistributionMatching().bind(problem_of(data))
    # Within the range of the data, where each whole number has its cell.
    others = np.clip(snapshots(60, seed=1).values, data.values.min(0), data.values.max(0))
    moments = bound.features_of_data(0, others).mean(0).ravel()
    shares = []
    for a, b in zip(data.values[..., 0].T, others[..., 0].T, strict=True):
        cross, own = np.abs(a[:, None] - b).mean(), np.abs(a[:, None] - a).mean()
        shares.append((2 * cross - own - np.abs(b[:, None] - b).mean()) / own)
    assert bound.value(moments) == pytest.approx(np.mean(shares), rel=1e-9)
    assert bound.value(bound.target) == 0


def test_times_weigh_by_their_data():
    data = snapshots(40)
    data[10:, 0] = np.nan
    bound = DistributionMatching().bind(problem_of(data))
    whole = DistributionMatching().bind(problem_of(data[:, 1:]))
    assert np.all(np.isfinite(bound.target))
    moments = np.where(bound.weight > 0, bound.target, 0.0).reshape(3, -1)
    moments[1:] = 0.5
    alone = whole.value(np.full(whole.num_features, 0.5))
    assert bound.value(moments.ravel()) == pytest.approx(alone * 80 / 90, rel=0.2)


def test_several_experiments_are_one_loss():
    data = snapshots(40)
    experiments = [Experiment(d, {"X": 0}, kind="snapshots") for d in (data[:, :1], data[:, 1:])]
    both = Problem(helpers.immigration_death(), experiments, PARAMETERS)
    one = DistributionMatching().bind(problem_of(data))
    two = DistributionMatching().bind(both)
    z = np.log([8.0, 1.3])
    method = FiniteStateProjection()
    value, gradient = exact_loss_and_gradient(one, z, method)
    # Only the floor of the spread, which is of the mean over times, could tell them apart.
    found, slope = exact_loss_and_gradient(two, z, method)
    assert found == pytest.approx(value) and slope == pytest.approx(gradient)


@pytest.mark.parametrize(
    "distance",
    [
        EnergyDistance(),
        pytest.param(MaximumMeanDiscrepancy(), marks=pytest.mark.slow),
        pytest.param(WassersteinDistance(), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_fit_from_end_to_end(distance, tmp_path):
    problem = problem_of(snapshots(400))
    fit = tb.fit(problem, objective=DistributionMatching(distance), seed=1, progress=False)
    assert fit.result.ok
    errors = np.sqrt(np.diag(fit.covariance))
    assert np.all(np.abs(fit.fit_scale - TRUTH) < 4 * errors)
    assert np.all((errors > 0.02) & (errors < 0.08))
    assert distance.name in fit.summary()
    assert set(distance.citations) <= set(fit.citations())
    fit.report(tmp_path / "fit.html")
    assert "DistributionMatching" in (tmp_path / "fit.html").read_text()


def test_the_default_is_moments():
    assert isinstance(default_objective(problem_of(snapshots(20))), MomentMatching)


def test_a_single_series_has_no_distribution():
    problem = Problem(helpers.immigration_death(), [Experiment(snapshots(1), {"X": 0})], PARAMETERS)
    (warning,) = objective_warnings(DistributionMatching(), problem)
    assert "holds none" in warning and "PathLikelihood" in warning
    assert objective_warnings(DistributionMatching(), problem_of(snapshots(1))) == ()


def test_the_audit_has_an_exact_reference():
    bound = DistributionMatching().bind(problem_of(snapshots(50)))
    assert moments_reference(bound, TRUTH) is not None


def test_the_surrogate_is_close_for_large_counts():
    """Poisson of 400 and more is nearly normal: slopes to a few percent of the exact ones."""
    data = snapshots(50, times=(1.0,)) * 40
    problem = Problem(
        helpers.immigration_death(), [Experiment(data, {"X": 0}, kind="snapshots")],
        {"k": Parameter(50, 5000), "gamma": 1.0},
    )  # fmt: skip
    for distance in (EnergyDistance(), MaximumMeanDiscrepancy()):
        bound = DistributionMatching(distance).bind(problem)
        z = np.log([380.0])
        value, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
        found = Surrogate(LinearNoise(), bound).evaluate(z[None])
        assert found.values[0] == pytest.approx(value, rel=0.02)
        assert found.gradients[0] == pytest.approx(gradient, rel=0.05)


def exact_sandwich(num_cells):
    """Return the covariance of moment estimates of order 1 from independent Poisson snapshots."""
    t = np.array(TIMES)
    mean = 10 * (1 - np.exp(-t))
    jacobian = np.stack([mean, -mean + 10 * t * np.exp(-t)], axis=1)
    return mean, jacobian


def test_cells_of_different_times_are_independent():
    data = snapshots(200)
    data[100:, 2] = np.nan
    bound = MomentMatching(order=1).bind(problem_of(data))
    mean, jacobian = exact_sandwich(200)
    weighted = bound.loss.second(mean)[:, None] * jacobian
    bread = np.linalg.inv(jacobian.T @ weighted)
    exact = bread @ weighted.T @ np.diag(mean / [200, 200, 100]) @ weighted @ bread
    found = np.mean(
        [
            sandwich(bound, ScoreFunction(), TRUTH, FREE, np.zeros((2, 2)), Stream.from_seed(s))[0]
            for s in range(4)
        ],
        axis=0,
    )
    np.testing.assert_allclose(np.sqrt(np.diag(found)), np.sqrt(np.diag(exact)), rtol=0.06)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_intervals_cover():
    """Two parameters, 200 data sets: 181 … 197 is the central 99 % at 95 %."""
    inside = np.zeros(2)
    for seed in range(200):
        problem = problem_of(snapshots(300, seed))
        fit = tb.fit(problem, objective=DistributionMatching(), seed=seed, progress=False)
        errors = np.sqrt(np.diag(fit.covariance))
        inside += np.abs(fit.fit_scale - TRUTH) < 1.96 * errors
    assert np.all((inside >= 181) & (inside <= 197))


def test_what_cannot_be_matched():
    averages = Problem(
        helpers.immigration_death(),
        [Experiment({"time": [1.0], "X": [4.5]}, {"X": 0}, kind="mean", num_averaged=9)],
        PARAMETERS,
    )
    with pytest.raises(DataError, match=r"averages \(kind='mean'\) hold none; use objectives\."):
        DistributionMatching().bind(averages)
    with pytest.raises(ParameterError, match=r"expected a member of tumble\.distances"):
        DistributionMatching("energy")
    scaled = {
        "observables": {"X": Observable("share * X")},
    }
    unknown = {**PARAMETERS, "share": Parameter(0.1, 2)}
    experiment = Experiment(snapshots(20), {"X": 0}, kind="snapshots")
    problem = Problem(helpers.immigration_death(), [experiment], unknown, **scaled)
    with pytest.raises(CapabilityError, match="exact and depends on an unknown parameter"):
        DistributionMatching().bind(problem)
    assert DistributionMatching(MaximumMeanDiscrepancy()).bind(problem).num_features > 0
    lognormal = problem_of(
        snapshots(20) + 1, observables={"X": Observable("X", noise.LogNormal(0.2))}
    )
    with pytest.raises(CapabilityError, match="LogNormal noise has no characteristic function"):
        DistributionMatching(MaximumMeanDiscrepancy()).bind(lognormal)
    assert DistributionMatching().bind(lognormal).num_features > 0


def test_a_loss_of_expectations_of_ones_own():
    """Squares by hand are those of `MomentMatching`; relative errors find the same truth."""
    problem = problem_of(snapshots(400))
    matching = MomentMatching(order=1).bind(problem)
    weight = matching.weight
    own = LossOfExpectations(lambda m, y: jnp.sum(jnp.asarray(weight) * (m - y) ** 2)).bind(problem)
    z = np.log([9.0, 1.2])
    one, other = (ScoreFunction().estimate(b, z, 500, Stream.from_seed(0)) for b in (matching, own))
    np.testing.assert_allclose(other.gradient, one.gradient, rtol=1e-9)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-9)
    np.testing.assert_allclose(other.curvature, one.curvature, rtol=1e-9)
    assert one.remaining_bias == "none" and "1/runs²" in other.remaining_bias
    ratios = LossOfExpectations(lambda m, y: jnp.sum(jnp.log(m / y) ** 2))
    bound = ratios.bind(problem)
    value, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    found = ScoreFunction().estimate(bound, z, 100_000, Stream.from_seed(1))
    assert np.all(np.abs(found.gradient - gradient) < 4 * found.standard_errors)
    assert abs(found.value - value) < 4 * np.sqrt(found.value_variance)
    fit = tb.fit(problem, objective=ratios, seed=0, progress=False)
    errors = np.sqrt(np.diag(fit.covariance))
    assert np.all(np.abs(fit.fit_scale - TRUTH) < 4 * errors) and np.all(errors < 0.1)


def test_losses_of_expectations_that_make_no_sense():
    problem = problem_of(snapshots(20))
    with pytest.raises(ParameterError, match="expected a function of expected and observed"):
        LossOfExpectations(3)
    with pytest.raises(ParameterError, match="`order` is 3"):
        LossOfExpectations(lambda m, y: 0.0, order=3)
    with pytest.raises(DataError, match="is nan where expected and observed moments agree"):
        LossOfExpectations(lambda m, y: jnp.sum(jnp.log(y - y)) * 0).bind(problem)


def test_an_expected_loss_of_ones_own():
    """E|X − ȳ| of Poisson counts, and its derivative in log k, by summation."""
    problem = Problem(
        helpers.arrival(), data={"time": [2.0], "X": [5.0]}, initial={"X": 0},
        parameters={"k": Parameter(0.1, 100)},
    )  # fmt: skip
    from scipy.stats import poisson

    objective = ExpectedLoss(lambda y, observed: jnp.abs(y - observed))
    bound = objective.bind(problem)
    y = np.arange(100)

    def exact(k):
        return poisson.pmf(y, 2 * k) @ np.abs(y - 5)

    h = 1e-5
    slope = (exact(3 * np.exp(h)) - exact(3 * np.exp(-h))) / (2 * h)
    found = ScoreFunction().estimate(bound, np.log([3.0]), 100_000, Stream.from_seed(0))
    assert abs(found.value - exact(3.0)) < 4 * np.sqrt(found.value_variance)
    assert abs(found.gradient[0] - slope) < 4 * found.standard_errors[0] < abs(slope)
    stream = Stream.from_seed(1)
    few = [ScoreFunction().estimate(bound, np.log([3.0]), 8, stream.child(i)) for i in range(4000)]
    gradients = np.array([f.gradient[0] for f in few])
    assert abs(gradients.mean() - slope) < 4 * gradients.std() / np.sqrt(4000)
    assert objective.loss_name == "expected loss"
    found = Surrogate(LinearNoise(), bound).evaluate(np.log([[3.0]]))
    assert found.values[0] == pytest.approx(exact(3.0), rel=0.1)
    with pytest.raises(ParameterError, match="expected a function of simulated and observed"):
        ExpectedLoss("absolute")
    with pytest.raises(ParameterError, match="the loss of each datum, not their sum"):
        ExpectedLoss(lambda y, observed: jnp.sum(jnp.abs(y - observed))).bind(problem)
