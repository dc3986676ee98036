"""The mean-field gradient: exact where the network is linear, and deterministic everywhere."""

import numpy as np
import pytest

from tests import helpers
from tests.gradients.perturbed import exact_moments
from tests.gradients.test_exact_answers import dimerization, immigration_death, noisy_decay, twice
from tumble import Experiment, Parameter, Problem, fit
from tumble._errors import CapabilityError, SimulationError
from tumble._random import Stream
from tumble.gradients import MeanField
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import LinearNoise, TauLeaping

LOSSES = [MomentMatching(order=1), MomentMatching(order=2), ExpectedLoss()]


def estimate(make, loss, estimator=None, **options):
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    moments, slopes = exact_moments(bound, z)
    found = (estimator or MeanField()).estimate(bound, z, 1000, Stream.from_seed(0))
    return found, bound, moments, slopes


@pytest.mark.parametrize(
    ("make", "loss"),
    [*((immigration_death, loss) for loss in LOSSES), (noisy_decay, LOSSES[0])],
    ids=lambda case: getattr(case, "__name__", str(case)),
)
def test_networks_of_first_order_are_exact(make, loss):
    """Observables linear in the state; what is averaged of them, not its spread, if noisy."""
    found, bound, moments, slopes = estimate(make, loss, MeanField(LinearNoise(rtol=1e-9)))
    assert np.allclose(found.gradient, bound.slope(moments) @ slopes, rtol=1e-6)
    assert found.value == pytest.approx(bound.value(moments), rel=1e-6)
    if bound.loss.compares:
        exact = slopes.T @ (bound.loss.second(moments)[:, None] * slopes)
        assert np.allclose(found.curvature, exact, rtol=1e-5)
        assert not found.curvature_noise.any()


def test_pairs_are_off_by_a_fraction_of_one_over_the_number_of_copies():
    found, bound, moments, slopes = estimate(dimerization, MomentMatching(order=1))
    exact = bound.slope(moments) @ slopes
    off = np.linalg.norm(found.gradient - exact) / np.linalg.norm(exact)
    assert 1e-4 < off < 0.2


def test_nothing_is_run_and_nothing_is_random():
    found, *_ = estimate(immigration_death, MomentMatching(order=1))
    again, *_ = estimate(immigration_death, MomentMatching(order=1))
    assert found.num_runs == 1 and found.work == 0  # counted, not made
    assert not found.covariance.any() and found.value_variance == 0
    assert np.array_equal(found.gradient, again.gradient)


def test_samples_are_all_the_same():
    """What the intervals of a fit ask for: Jacobians without noise."""
    problem, theta = immigration_death()
    bound = MomentMatching(order=1).bind(problem)
    z = problem.space.to_fit(np.array(theta))
    sampled = MeanField().sample(bound, z, 5, Stream.from_seed(0))
    _, slopes = exact_moments(bound, z)
    assert sampled.num_runs == 0 and sampled.num_events == 0
    assert np.allclose(sampled.jacobians, slopes[None], rtol=1e-4)


def test_any_simulator_but_not_any_network():
    def problem(text, **options):
        return Problem(
            helpers.ReactionNetwork.from_text(text),
            data={"time": [1.0], "X": [5.0]},
            initial={"X": 2},
            parameters={"k": Parameter(0.1, 1e3)},
            **options,
        )

    approximate = MomentMatching(order=1).bind(problem("0 -> X ; k", simulator=TauLeaping()))
    found = MeanField().estimate(approximate, np.log([3.0]), 1, Stream.from_seed(0))
    assert found.gradient[0] == pytest.approx(0.0, abs=1e-6)  # 2 + 3 copies are expected, as seen
    events = problem("0 -> X ; k\nat X >= 10: X = 0")
    with pytest.raises(CapabilityError, match="LinearNoise"):
        bound = MomentMatching(order=1).bind(events)
        MeanField().estimate(bound, np.log([3.0]), 1, Stream.from_seed(0))
    exploding = MomentMatching(order=1).bind(problem("2 X -> 3 X ; k"))
    with pytest.raises(SimulationError, match="mean-field moments are not finite here"):
        MeanField().estimate(exploding, np.log([500.0]), 1, Stream.from_seed(0))


def test_a_fit_by_it_ends_at_the_minimum_of_the_approximation():
    """E[X(t)] = k/γ (1 − e^{−γt}) meets two averages exactly at k = 10, γ = 1."""
    times = [0.5, 3.0]
    problem = Problem(
        helpers.immigration_death(),
        experiments=[
            Experiment(
                {"time": times, "X": [10 * (1 - np.exp(-t)) for t in times]},
                {"X": 0},
                kind="mean",
                num_averaged=1000,
            )
        ],
        parameters={"k": Parameter(1, 100), "gamma": Parameter(0.1, 10)},
    )
    found = fit(problem, gradient=MeanField(), warm_start=False, seed=0)
    assert found.params["k"] == pytest.approx(10, rel=0.01)
    assert found.params["gamma"] == pytest.approx(1, rel=0.01)
