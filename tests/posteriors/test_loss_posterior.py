"""Posteriors by losses, against quadrature of the loss of exact means."""

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import immigration_death, immigration_death_moments
from tumble._errors import CapabilityError, ParameterError, SimulationError
from tumble.distances import WassersteinDistance
from tumble.objectives import DistributionMatching, ExpectedLoss, MomentMatching
from tumble.posteriors import (
    Adjustment,
    FreshRuns,
    JointPrior,
    LossPosterior,
    Optimum,
    ResponseSurface,
)
from tumble.posteriors._langevin import Slopes, Walkers, langevin_step
from tumble.posteriors._response_surface import Place, SurfaceState
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
    assert np.abs(off_from(found, *quadrature(problem, found.basis.adjustment))).max() < 5


def counted(count=40, upper=100.0, lower=1.0):
    """Return a problem of ten replicates of arrivals, seen at two times."""
    network = tb.ReactionNetwork.from_text("0 -> X ; k")
    runs = tb.simulate(
        network, {"k": 10.0}, initial={"X": 0}, times=[1.0, 2.0], num_samples=count, seed=3
    )
    return tb.Problem(
        network, experiments=[tb.Experiment(runs, {"X": 0})],
        parameters={"k": tb.Parameter(lower, upper)},
    )  # fmt: skip


def on_a_line(problem, adjustment, size=4000):
    """Return mean and sd of log k of `counted`, the loss being that of means k t."""
    bound, (low,), (high,) = MEANS.bind(problem), problem.space.lower, problem.space.upper
    z = low + (high - low) * (np.arange(size) + 0.5) / size
    u = adjustment.anchor[0] + (z - adjustment.anchor[0]) * adjustment.map[0, 0]
    logs = -adjustment.weight * np.array([bound.value(m) for m in np.exp(u)[:, None] * [1, 2]])
    density = np.exp(logs - logs.max())
    density /= density.sum()
    return density @ z, np.sqrt(density @ (z - density @ z) ** 2)


def off_line(found, mean, sd):
    """Return by how many standard errors mean and spread of log k are off."""
    z, size = np.log(found.theta[:, 0]), found.effective_sample_size
    return np.abs([(z.mean() - mean) / sd * np.sqrt(size), (z.std() / sd - 1) * np.sqrt(2 * size)])


@pytest.mark.parametrize("num_runs", [48, pytest.param(256, marks=pytest.mark.slow)])
def test_fresh_runs_draw_from_the_same_whatever_their_number(num_runs):
    """Noise of 48 runs, if it were not taken off, would widen draws by a seventh and more."""
    problem = counted()
    method = LossPosterior(MEANS, slopes=FreshRuns(num_runs), num_draws=600)
    found = tb.sample_posterior(problem, method=method, seed=2)
    assert found.result.ok and found.basis.share_noisy < 0.03
    assert off_line(found, *on_a_line(problem, found.basis.adjustment)).max() < 4


def test_fresh_runs_are_as_many_as_noise_asks_for():
    found = tb.sample_posterior(
        counted(), method=LossPosterior(MEANS, slopes=FreshRuns(), num_draws=100), seed=2
    )
    assert found.basis.share_noisy < 0.05
    assert found.stats["gradients"] > 0 and "runs a gradient" in found.summary()


def test_draws_are_right_where_the_optimum_is_at_a_bound():
    problem = counted(lower=10.2)  # the data are of k = 10
    found = tb.sample_posterior(problem, method=LossPosterior(MEANS, num_draws=1500), seed=1)
    adjustment = found.basis.adjustment
    assert found.result is tb.ResultCode.AT_BOUND and found.theta.min() >= 10.2
    assert adjustment.anchor[0] < np.log(10.2)  # where the minimum would be
    exact = np.log(problem.experiments[0].data.values.mean(0)[:, 0] / [1, 2]).mean()
    assert adjustment.anchor[0] == pytest.approx(exact, abs=0.02)
    assert off_line(found, *on_a_line(problem, adjustment)).max() < 5


def test_spread_is_that_of_the_sandwich_and_not_of_the_loss():
    """Where data are many and the prior is flat, the posterior is the normal law of the fit."""
    problem = replicates(count=1000, prior=None)
    adjusted = tb.sample_posterior(problem, method=LossPosterior(MEANS), seed=1)
    plain = tb.sample_posterior(problem, method=LossPosterior(MEANS, weight=100.0), seed=1)
    for found, is_right in ((adjusted, True), (plain, False)):
        size = found.effective_sample_size
        covariance = found.basis.optimum.covariance
        off = off_from(found, found.basis.optimum.z, covariance)[2:]
        assert (np.abs(off).max() < 5) == is_right, (off, size)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("weight", "is_right"), [(None, True), (30.0 * 4, False)])
def test_intervals_cover_once_they_are_adjusted(weight, is_right):
    """With the loss as it is, as if χ² of independent times were twice a −log likelihood."""
    count, (low, high) = 100, stats.binom.ppf([0.001, 0.999], 100, 0.8)
    found = tb.diagnostics.check_calibration(
        replicates(), method=LossPosterior(MEANS, weight=weight, num_draws=200),
        num_repeats=count, seed=2, progress=False,
    )  # fmt: skip
    covered = count * np.array(list(found.coverage(0.8).values()))
    assert np.all((covered >= low) & (covered <= high)) == is_right, found


def test_noise_of_slopes_is_taken_off_and_the_law_is_normal_at_any_step():
    """A correlated normal target, with noise as large as can be taken off, almost."""
    rng = np.random.default_rng(4)
    covariance = np.array([[2.0, 0.9], [0.9, 0.5]])
    root, precision = np.linalg.cholesky(covariance), np.linalg.inv(covariance)
    count, length = 20_000, 0.5
    noise = precision * 0.8 * (2 - length) / length
    walkers = Walkers(rng.standard_normal((count, 2)) @ root.T, rng.standard_normal((count, 2)))
    for _ in range(30):
        slope = walkers.place @ precision
        slope = slope + rng.standard_normal((count, 2)) @ np.linalg.cholesky(noise).T
        slopes = Slopes(slope, np.broadcast_to(noise, (count, 2, 2)))
        walkers, noisy = langevin_step(walkers, slopes, root, length, rng)
        assert not noisy.any()
    white = np.linalg.solve(root, walkers.place.T)
    spread = white @ white.T / count
    assert np.abs(white.mean(1)).max() < 4 / np.sqrt(count)
    assert np.abs(spread - np.eye(2)).max() < 4 * np.sqrt(2 / count)


def test_a_skewed_law_is_right_to_second_order():
    """log of a gamma variable of shape 5; Euler's steps are off by a tenth at this length."""
    from scipy import special

    rng = np.random.default_rng(5)
    count, shape, length = 4000, 5.0, 0.5
    root = np.eye(1) / np.sqrt(shape)
    walkers = Walkers(np.full((count, 1), np.log(shape)), rng.standard_normal((count, 1)))
    kept = []
    for i in range(150):
        slope = np.exp(walkers.place) - shape
        slopes = Slopes(slope, np.zeros((count, 1, 1)))
        walkers, _ = langevin_step(walkers, slopes, root, length, rng)
        if i >= 30:
            kept.append(walkers.place[:, 0])
    sd = np.sqrt(special.polygamma(1, shape))
    error = sd * np.sqrt(2 / length / (count * len(kept)))
    assert abs(np.mean(kept) - special.digamma(shape)) < 4 * error + 0.01 * sd
    assert abs(np.std(kept) / sd - 1) < 0.02


def test_a_walker_without_a_slope_stays_and_too_much_noise_is_told():
    rng = np.random.default_rng(6)
    walkers = Walkers(np.ones((2, 1)), np.zeros((2, 1)))
    slopes = Slopes(np.array([[np.nan], [0.5]]), np.full((2, 1, 1), 9.0))
    after, noisy = langevin_step(walkers, slopes, np.eye(1), 0.5, rng)
    assert after.place[0] == 1 and after.place[1] != 1
    assert noisy.tolist() == [False, True]


def test_the_adjustment_has_the_curvature_of_the_sandwich_and_moves_nothing_more():
    curvature = np.array([[4.0, 1.0], [1.0, 2.0]])
    covariance = np.array([[0.5, -0.1], [-0.1, 0.8]])
    nothing = np.zeros((2, 2))
    optimum = Optimum(
        np.array([0.3, -1.0]), covariance, tb.ResultCode.CONVERGED, 0, nothing[0], nothing,
        curvature,
    )  # fmt: skip
    found = Adjustment.by_sandwich(optimum, covariance, at_bound=False)
    made = found.map.T @ (found.weight * curvature) @ found.map
    np.testing.assert_allclose(made, np.linalg.inv(covariance), rtol=1e-9)
    np.testing.assert_allclose(found.map, found.map.T, rtol=1e-9)
    assert np.linalg.eigvalsh(found.map).min() > 0
    same = Adjustment.by_sandwich(optimum, np.linalg.inv(curvature) / 7, at_bound=False)
    np.testing.assert_allclose(same.map, np.eye(2), atol=1e-9)
    assert same.weight == pytest.approx(7)


def test_polynomials_through_places_are_exact_where_features_are():
    def features(u):
        x, y = u
        return np.array([1 + x - y + x * y, 2 * x**2 - y, y**2])

    def jacobian(u):
        x, y = u
        return np.array([[1 + y, -1 + x], [4 * x, -1], [0, 2 * y]])

    rng = np.random.default_rng(7)
    places = tuple(
        Place(u, features(u), jacobian(u), 1e-4, np.eye(2) * 1e-3, np.zeros(2), np.zeros((2, 2)))
        for u in rng.normal(1, 0.3, (8, 2))
    )
    root = np.array([[0.3, 0.0], [0.1, 0.2]])
    found = SurfaceState(256, 8, places)._fitted(np.ones(2), root, 2)
    there = rng.normal(1, 0.5, (5, 2))
    np.testing.assert_allclose(found.features(there), [features(u) for u in there], atol=1e-9)
    np.testing.assert_allclose(found.jacobians(there), [jacobian(u) for u in there], atol=1e-8)


def test_a_surface_that_stays_wrong_is_refused(monkeypatch):
    """Planes, over a posterior in which features bend."""
    from tumble.posteriors import _response_surface

    monkeypatch.setattr(_response_surface, "_DEGREES", (1,))
    problem = replicates(count=12, prior=None)
    with pytest.raises(SimulationError, match=r"degree 1 over 56 places, off by .* still wrong"):
        tb.sample_posterior(problem, method=LossPosterior(MEANS, weight=3.0), seed=1)


def test_draws_are_right_where_the_loss_is_no_parabola_at_all():
    """It flattens to the left, so that a normal law of the fit is narrower by a third and off."""
    problem = counted(count=2)
    method = LossPosterior(MEANS, weight=6.0, num_draws=500)
    found = tb.sample_posterior(problem, method=method, seed=1)
    mean, sd = on_a_line(problem, found.basis.adjustment)
    top = found.basis.optimum.z
    narrow = 1 / np.sqrt(found.basis.adjustment.precision[0, 0])
    assert mean < top[0] - 0.4 * sd and narrow < 0.75 * sd
    assert off_line(found, mean, sd).max() < 4


def test_slopes_along_the_coordinates_of_the_prior():
    prior = JointPrior(replicates().space)
    w = np.array([[0.3, -1.2], [2.0, 0.1]])
    z, slopes = prior.along_normal(w)
    np.testing.assert_allclose(z, prior.from_normal(w))
    # Log-normal with sd 0.5, cut far out at its bounds: nearly linear on the scale of the log.
    np.testing.assert_allclose(slopes, 0.5, rtol=1e-3)


def test_equal_seeds_give_equal_draws_and_files_hold_the_chains(tmp_path):
    method = LossPosterior(MEANS, num_draws=100)
    one, other = (tb.sample_posterior(counted(), method=method, seed=s) for s in (3, 3))
    np.testing.assert_array_equal(one.theta, other.theta)
    tree = tb.io.load_posterior(one.save(tmp_path / "posterior.nc"))
    assert tree["posterior"]["k"].shape == one.basis.chains.z.shape[:2]


def test_a_fit_without_errors_ends_it(monkeypatch):
    from dataclasses import replace

    from tumble.posteriors import _loss_posterior

    def failed(problem, **rest):
        found = tb.fit(problem, **rest)
        nothing = np.full_like(found.covariance, np.nan)
        return replace(found, covariance=nothing, result=tb.ResultCode.DIVERGED, reason="so it is")

    monkeypatch.setattr(_loss_posterior, "fit", failed)
    with pytest.raises(SimulationError, match=r"the fit ended as 'diverged': so it is\. Narrow"):
        tb.sample_posterior(counted(), method=LossPosterior(MEANS))


def test_a_budget_ends_it_with_the_draws_so_far():
    found = tb.sample_posterior(
        counted(), method=LossPosterior(MEANS, slopes=FreshRuns(256)), seed=1,
        budget=tb.Budget(simulations=20_000),
    )  # fmt: skip
    assert found.result is tb.ResultCode.OUT_OF_BUDGET and len(found.theta) == 4 * 50


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (None, "the objective of these data is PathLikelihood, a likelihood"),
        (tb.objectives.PathLikelihood(), "`objective` is PathLikelihood, a likelihood"),
        (ExpectedLoss(), "ExpectedLoss compares with no observed features"),
        (DistributionMatching(WassersteinDistance()), "has a loss with kinks"),
    ],
)
def test_objectives_that_have_no_such_posterior(objective, words):
    with pytest.raises(CapabilityError, match=words):
        tb.sample_posterior(replicates(count=5), method=LossPosterior(objective))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LossPosterior(weight=0), "`weight` is 0, expected a finite number > 0"),
        (lambda: LossPosterior(step=1.5), r"`step` is 1.5, expected a number in \(0, 1\]"),
        (lambda: LossPosterior(tolerance=-1), "`tolerance` is -1"),
        (lambda: LossPosterior(slopes=3), "`slopes` is 3"),
        (lambda: LossPosterior(gradient=3), "`gradient` is 3"),
        (lambda: LossPosterior(objective=3), "`objective` is 3"),
        (lambda: FreshRuns(0), "`num_runs` is 0"),
        (lambda: ResponseSurface(num_places=1), "`num_places` is 1, expected a whole number of"),
        (lambda: ResponseSurface(num_runs=2), "`num_runs` is 2"),
    ],
)
def test_bad_settings_are_named(make, words):
    with pytest.raises(ParameterError, match=words):
        make()
