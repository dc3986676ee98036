from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm
from scipy.sparse.linalg import expm_multiply

from tests import helpers
from tumble import noise, priors
from tumble._errors import DataError, ModelError, ParameterError
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter, Ref
from tumble._problem import Problem
from tumble.models import ReactionNetwork
from tumble.simulators import FiniteStateProjection

# Truncation at `tolerance` 1e-12 leaves moments correct to about this much.
CLOSE = {"rtol": 1e-8, "atol": 1e-10}
TIMES = np.array([0.0, 0.3, 2.0, 2.0])
projection = FiniteStateProjection(tolerance=1e-12)


def counts(states):
    return states[:, 0].astype(float)


def mean_and_variance(distribution):
    mean = distribution.expectation(counts)
    return mean, distribution.expectation(lambda n: counts(n) ** 2) - mean**2


# -- distributions --------------------------------------------------------------------------------


def test_arrival_is_poisson_far_into_the_tails():
    later = projection.distribution(helpers.arrival(), [2.0], [0], [10.0], sensitivities=True)
    x = np.arange(61)
    exact = stats.poisson.pmf(x, 20.0)
    assert exact.min() < 1e-11
    np.testing.assert_allclose(later.marginal(0)[0, x], exact, rtol=1e-11)
    np.testing.assert_allclose(later.expectation_gradient(counts)[0], [10.0], **CLOSE)
    # ∂ Poisson(x; kt) / ∂k = t (Poisson(x − 1) − Poisson(x))
    slope = 10 * (stats.poisson.pmf(x - 1, 20.0) - exact)
    np.testing.assert_allclose(later.sensitivities[0, x, 0], slope, rtol=1e-9, atol=1e-25)


def test_sensitivities_where_all_rates_are_zero():
    """∂ E[X(t)] / ∂ (k, γ) at k = γ = 0 is (t, −x0 t): nothing happens, but it might."""
    later = projection.distribution(
        helpers.immigration_death(), [0.0, 0.0], [3], TIMES, sensitivities=True
    )
    np.testing.assert_array_equal(later.marginal(0)[:, 3], 1.0)
    expected = np.stack([TIMES, -3 * TIMES], axis=-1)
    np.testing.assert_allclose(later.expectation_gradient(counts), expected, **CLOSE)


@pytest.mark.parametrize(("k", "gamma", "x0"), [(10.0, 1.0, 0), (0.3, 2.0, 25), (400.0, 1.0, 3)])
def test_immigration_death(k, gamma, x0):
    network = helpers.immigration_death()
    later = projection.distribution(network, [k, gamma], [x0], TIMES, sensitivities=True)
    mean, variance = helpers.immigration_death_moments(k, gamma, TIMES, x0)
    got = mean_and_variance(later)
    np.testing.assert_allclose(got[0], mean, **CLOSE)
    np.testing.assert_allclose(got[1], variance, rtol=1e-7, atol=1e-9)
    gradient = np.stack(helpers.immigration_death_mean_gradient(k, gamma, TIMES, x0), axis=-1)
    np.testing.assert_allclose(later.expectation_gradient(counts), gradient, **CLOSE)


def test_birth_death():
    birth, death, x0 = 0.9, 1.1, 7
    times = np.array([0.5, 2.0])
    later = projection.distribution(
        helpers.birth_death(), [birth, death], [x0], times, sensitivities=True
    )
    mean, variance = helpers.birth_death_moments(birth, death, times, x0)
    got = mean_and_variance(later)
    np.testing.assert_allclose(got[0], mean, **CLOSE)
    np.testing.assert_allclose(got[1], variance, rtol=1e-7)
    gradient = np.stack(helpers.birth_death_mean_gradient(birth, death, times, x0), axis=-1)
    np.testing.assert_allclose(later.expectation_gradient(counts), gradient, **CLOSE)


def dense_dimerization(k1, k2, size=9):
    """The generator over the number of dimers, and the state vector (P, P2) it belongs to."""
    dimers = np.arange(size // 2 + 1)
    free = size - 2 * dimers
    generator = np.diag(-k1 * free * (free - 1) / 2 - k2 * dimers)
    generator += np.diag((k1 * free * (free - 1) / 2)[:-1], -1) + np.diag((k2 * dimers)[1:], 1)
    return generator, free


def test_dimerization_agrees_with_a_dense_matrix_exponential():
    k1, k2, t = 0.4, 1.3, 0.7
    network = helpers.dimerization()
    later = projection.distribution(network, [k1, k2], [9, 0], [t], sensitivities=True)
    generator, free = dense_dimerization(k1, k2)
    order = [int(np.flatnonzero(later.states[:, 0] == p)[0]) for p in free]
    exact = expm(generator * t)[:, 0]
    np.testing.assert_allclose(later.probabilities[0, order], exact, rtol=1e-12)
    for q, (h1, h2) in enumerate([(1e-5, 0.0), (0.0, 1e-5)]):
        above, _ = dense_dimerization(k1 + h1, k2 + h2)
        below, _ = dense_dimerization(k1 - h1, k2 - h2)
        slope = (expm(above * t) - expm(below * t))[:, 0] / 2e-5
        np.testing.assert_allclose(later.sensitivities[0, order, q], slope, atol=1e-8)


def test_the_flow_agrees_with_the_general_matrix_exponential():
    """The block generator of SIR, written down here, through `expm_multiply`."""
    from scipy import sparse

    beta, gamma, t = 0.12, 0.7, 1.5
    later = projection.distribution(
        helpers.sir(), [beta, gamma], [18, 2, 0], [t], sensitivities=True
    )
    place = {tuple(state): i for i, state in enumerate(later.states.tolist())}
    n = len(place)
    parts = [sparse.lil_matrix((n, n)) for _ in range(2)]
    for (s, i, r), j in place.items():
        if s * i:
            parts[0][place[s - 1, i + 1, r], j] += s * i
            parts[0][j, j] -= s * i
        if i:
            parts[1][place[s, i - 1, r + 1], j] += i
            parts[1][j, j] -= i
    generator = beta * parts[0] + gamma * parts[1]
    block = sparse.block_array(
        [[generator, None, None], [parts[0], generator, None], [parts[1], None, generator]]
    ).tocsr()
    first = np.zeros(3 * n)
    first[place[18, 2, 0]] = 1.0
    exact = expm_multiply(block * t, first).reshape(3, n)
    np.testing.assert_allclose(later.probabilities[0], exact[0], atol=1e-13)
    np.testing.assert_allclose(later.sensitivities[0].T, exact[1:], atol=1e-12)


def test_sir_conserves_probability_and_reaches_its_final_size():
    later = projection.distribution(
        helpers.sir(), [0.1, 0.7], [18, 2, 0], [0.0, 1.0, 100.0], sensitivities=True
    )
    assert len(later.states) == 228  # all (S ≤ 18, I ≤ 20 − S), less those before the first two
    assert np.all(later.states.sum(axis=1) == 20)
    assert np.all(later.leaked == 0)
    np.testing.assert_allclose(later.probabilities.sum(axis=1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(later.sensitivities.sum(axis=1), 0.0, atol=1e-12)
    assert later.probabilities.min() >= 0
    final = helpers.sir_final_sizes(0.1, 0.7, 18, 2)
    np.testing.assert_allclose(later.marginal(0)[-1], final, rtol=1e-9)


def test_open_networks_of_two_species_grow_only_where_needed():
    """Means of first-order networks follow dm/dt = M m + b, whatever the noise."""
    gene = ReactionNetwork.from_text("0 -> M ; a\nM -> 0 ; b\nM -> M + P ; c\nP -> 0 ; d")
    rates = np.array([1.0, 1.0, 8.0, 0.5])
    later = projection.distribution(gene, rates, [0, 0], [3.0], sensitivities=True)

    def means(a, b, c, d):
        flow = np.array([[-b, 0, a], [c, -d, 0], [0, 0, 0]])
        return expm(3.0 * flow)[:2, 2]

    np.testing.assert_allclose(later.expectation(lambda n: n)[0], means(*rates), rtol=1e-8)
    gradient = later.expectation_gradient(lambda n: n)[0]
    for q in range(4):
        step = 1e-5 * np.eye(4)[q]
        slope = (means(*(rates + step)) - means(*(rates - step))) / 2e-5
        np.testing.assert_allclose(gradient[:, q], slope, rtol=1e-6, atol=1e-8)
    assert later.leaked[-1] < 1e-12
    assert later.states[:, 0].max() < later.states[:, 1].max() / 4


def test_an_initial_distribution_is_a_mixture():
    network = helpers.birth_death()
    params = [0.4, 0.9]
    mixed = projection.distribution(network, params, ([[3], [5], [3]], [0.2, 0.5, 0.3]), [1.0])
    alone = [projection.distribution(network, params, [x], [1.0]) for x in (3, 5)]
    moments = [d.expectation(lambda n: np.stack([counts(n), counts(n) ** 2], 1)) for d in alone]
    got = mixed.expectation(lambda n: np.stack([counts(n), counts(n) ** 2], 1))
    np.testing.assert_allclose(got, (moments[0] + moments[1]) / 2, **CLOSE)


def test_start_shifts_time():
    network = helpers.immigration_death()
    shifted = projection.distribution(network, [3.0, 1.0], [4], [2.5], start=2.0)
    plain = projection.distribution(network, [3.0, 1.0], [4], [0.5])
    np.testing.assert_array_equal(shifted.probabilities, plain.probabilities)


# -- likelihoods ----------------------------------------------------------------------------------


def check_gradient(likelihood, theta, steps=1e-5, rtol=1e-6):
    value, gradient = likelihood.value_and_gradient(theta)
    assert np.isfinite(value)
    for j, h in enumerate(steps * theta):
        step = h * np.eye(len(theta))[j]
        above = likelihood.value_and_gradient(theta + step)[0]
        below = likelihood.value_and_gradient(theta - step)[0]
        np.testing.assert_allclose(gradient[j], (above - below) / (2 * h), rtol=rtol, atol=1e-7)


def test_sir_gradient_in_every_kind_of_parameter():
    check_gradient(projection.likelihood(helpers.sir_problem()), helpers.SIR_PARAMS)


def test_sir_likelihood_is_the_sum_over_all_hidden_paths():
    """Three observations: Σ over the hidden states of Π transition × density, by dense matrices."""
    network = ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> 0 ; gamma")
    times, data, theta = [0.5, 1.0, 2.5], [2.0, np.nan, 3.0], np.array([0.3, 0.8, 0.9])
    problem = Problem(
        network,
        data={"time": times, "cases": data},
        initial={"S": 5, "I": 2},
        observables={"cases": Observable("I", noise.Normal("sd"))},
        parameters={
            "beta": Parameter(0.01, 2),
            "gamma": Parameter(0.1, 5),
            "sd": Parameter(0.1, 9),
        },
    )
    states = [(s, i) for s in range(6) for i in range(8 - s)]
    generator = np.zeros((len(states), len(states)))
    for j, (s, i) in enumerate(states):
        for rate, after in ((0.3 * s * i, (s - 1, i + 1)), (0.8 * i, (s, i - 1))):
            if rate:
                generator[states.index(after), j] += rate
                generator[j, j] -= rate
    infected = np.array([i for _, i in states])
    hidden = expm(generator * 0.5)[:, states.index((5, 2))] * stats.norm.pdf(2.0, infected, 0.9)
    exact = (expm(generator * 2.0) @ hidden) @ stats.norm.pdf(3.0, infected, 0.9)
    value, _ = projection.likelihood(problem).value_and_gradient(theta)
    np.testing.assert_allclose(value, np.log(exact), rtol=1e-11)


def death(data, initial, parameters=None, times=(0.5, 1.2, 2.0)):
    return Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[Experiment(helpers.series(np.array(times), *data), {"X": initial})],
        parameters={"gamma": Parameter(0.01, 10), **(parameters or {})},
    )


def binomial_transitions(path, gamma, times=(0.5, 1.2, 2.0)):
    """log p and its derivative in γ: each individual survives a span Δ with chance e^{−γΔ}."""
    spans = np.diff(times, prepend=0.0)
    before, after = np.array(path[:-1]), np.array(path[1:])
    stay = np.exp(-gamma * spans)
    value = stats.binom.logpmf(after, before, stay).sum()
    return value, (spans * ((before - after) * stay / (1 - stay) - after)).sum()


@pytest.mark.parametrize("gamma", [0.4, 9.0, 0.01])  # the last two far from the data
def test_pure_death_observed_exactly(gamma):
    problem = death([[9, 6, 5], [11, 7, 3]], 12)
    value, gradient = projection.likelihood(problem).value_and_gradient(np.array([gamma]))
    exact = [binomial_transitions([12, *path], gamma) for path in ([9, 6, 5], [11, 7, 3])]
    np.testing.assert_allclose(value, sum(v for v, _ in exact), rtol=1e-11)
    np.testing.assert_allclose(gradient[0], sum(g for _, g in exact), rtol=1e-9)


def test_a_mean_between_whole_numbers_is_a_mixture_of_the_two():
    problem = death([[9, 6, 5]], Ref("x0"), {"x0": Parameter(1, 30)})
    likelihood = projection.likelihood(problem)
    chance = [np.exp(binomial_transitions([x, 9, 6, 5], 0.4)[0]) for x in (12, 13)]
    for fraction in (0.25, 0.0):  # at a whole number: the derivative from above
        value, gradient = likelihood.value_and_gradient(np.array([0.4, 12 + fraction]))
        mixed = (1 - fraction) * chance[0] + fraction * chance[1]
        np.testing.assert_allclose(np.exp(value), mixed, rtol=1e-10)
        np.testing.assert_allclose(gradient[1], (chance[1] - chance[0]) / mixed, rtol=1e-9)


def test_initial_counts_may_have_a_distribution():
    """A Poisson number of individuals thinned by survival is Poisson."""
    problem = death([[4]], priors.Poisson(9.0), times=(0.8,))
    value, gradient = projection.likelihood(problem).value_and_gradient(np.array([0.5]))
    rate = 9.0 * np.exp(-0.4)
    np.testing.assert_allclose(value, stats.poisson.logpmf(4, rate), rtol=1e-9)
    np.testing.assert_allclose(gradient[0], (4 / rate - 1) * -0.8 * rate, rtol=1e-9)
    # A density is rounded: uniform on (2.5, 6.5) is uniform on 3, 4, 5, 6.
    problem = death([[3]], priors.Uniform(2.5, 6.5), times=(0.8,))
    value, _ = projection.likelihood(problem).value_and_gradient(np.array([0.5]))
    exact = np.mean([stats.binom.pmf(3, x, np.exp(-0.4)) for x in (3, 4, 5, 6)])
    np.testing.assert_allclose(np.exp(value), exact, rtol=1e-9)


@pytest.mark.parametrize(("k", "gamma"), [(10.0, 1.0), (0.05, 0.05), (300.0, 8.0)])
def test_immigration_death_observed_exactly(k, gamma):
    """Transitions are Binomial ⊛ Poisson. The last two rates are far from the data."""
    data, times = [12, 9, 14], np.array([1.0, 1.5, 3.0])
    problem = Problem(
        helpers.immigration_death(),
        data={"time": times, "X": data},
        initial={"X": 4},
        parameters={"k": Parameter(0.01, 1e3), "gamma": Parameter(0.01, 10)},
    )
    exact = 0.0
    for x, y, span in zip([4, *data[:-1]], data, np.diff(times, prepend=0.0), strict=True):
        stay = np.exp(-gamma * span)
        survivors = np.arange(min(x, y) + 1)
        immigrants = stats.poisson.pmf(y - survivors, k / gamma * (1 - stay))
        exact += np.log(stats.binom.pmf(survivors, x, stay) @ immigrants)
    likelihood = FiniteStateProjection().likelihood(problem)
    value, _ = likelihood.value_and_gradient(np.array([k, gamma]))
    np.testing.assert_allclose(value, exact, rtol=1e-9)
    check_gradient(likelihood, np.array([k, gamma]))


def test_data_that_need_very_many_jumps_are_still_weighed():
    problem = Problem(
        helpers.arrival(),
        data={"time": [1.0], "X": [150]},
        initial={"X": 0},
        parameters={"k": Parameter(1e-3, 1e3)},
    )
    value, gradient = (
        FiniteStateProjection().likelihood(problem).value_and_gradient(np.array([2.0]))
    )
    np.testing.assert_allclose(value, stats.poisson.logpmf(150, 2.0), rtol=1e-9)
    np.testing.assert_allclose(gradient, [150 / 2.0 - 1], rtol=1e-9)


def test_impossible_data_have_likelihood_zero():
    rising = death([[9, 6, 7]], 12)
    value, gradient = projection.likelihood(rising).value_and_gradient(np.array([0.5]))
    assert value == -np.inf
    assert np.all(np.isnan(gradient))
    falling = Problem(
        helpers.arrival(),
        data={"time": [1.0, 2.0], "X": [5, 4]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 10)},
    )
    small = FiniteStateProjection(max_states=100)
    assert small.likelihood(falling).value_and_gradient(np.array([3.0]))[0] == -np.inf


def test_experiments_conditions_and_the_time_of_the_initial_state():
    """Parameters local to an experiment; a first observation at the start; an array of initials."""
    first = Experiment(
        helpers.series([1.0, 1.5], [12, 9], [7, 5]), {"X": np.array([12, 7])}, start=1.0
    )
    second = Experiment(helpers.series([0.5], [4]), {"X": 10}, conditions={"gamma": "fast"})
    problem = Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[first, second],
        parameters={"gamma": Parameter(0.01, 10), "fast": Parameter(0.01, 10)},
    )
    value, gradient = projection.likelihood(problem).value_and_gradient(np.array([0.6, 2.0]))
    slow = [binomial_transitions(path, 0.6, (0.5,)) for path in ([12, 9], [7, 5])]
    fast = binomial_transitions([10, 4], 2.0, (0.5,))
    np.testing.assert_allclose(value, slow[0][0] + slow[1][0] + fast[0], rtol=1e-11)
    np.testing.assert_allclose(gradient, [slow[0][1] + slow[1][1], fast[1]], rtol=1e-9)


# -- errors ---------------------------------------------------------------------------------------


def test_too_many_states():
    with pytest.raises(ModelError, match=r"reaches more than `max_states` = 100 states.*raise max"):
        FiniteStateProjection(max_states=100).distribution(
            helpers.sir(), [0.1, 0.7], [18, 2, 0], [1.0]
        )
    with pytest.raises(ModelError, match=r"more than `max_states` = 40 states.*leaves X <= \d+\."):
        FiniteStateProjection(max_states=40).distribution(helpers.arrival(), [9.0], [0], [9.0])


def test_too_many_jumps():
    """A rate of 10⁹ would take as many steps for each unit of time."""
    method = FiniteStateProjection(max_jumps=1e4)
    with pytest.raises(
        ModelError, match=r"is left 1e\+09 times .* `max_jumps` = 1e\+04\. Raise it"
    ):
        method.distribution(ReactionNetwork.from_text("A -> B ; k\nB -> A ; k"), [1e9], [1, 0], [1])
    problem = Problem(
        ReactionNetwork.from_text("A -> B ; k\nB -> A ; k"), data={"time": [1.0], "A": [1]},
        initial={"A": 1, "B": 0}, parameters={"k": Parameter(1, 1e10)},
    )  # fmt: skip
    with pytest.raises(ModelError, match="`max_jumps`"):
        method.likelihood(problem).value_and_gradient([1e9])


def test_averages_are_refused():
    experiment = Experiment(helpers.series([1.0], [4]), {"X": 9}, kind="mean", num_averaged=3)
    problem = Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[experiment],
        parameters={"gamma": Parameter(0.01, 10)},
    )
    with pytest.raises(DataError, match=r"series or snapshots, but the data are of kind 'mean'"):
        projection.likelihood(problem)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": [1.0]}, r"`params` has shape \(1,\), expected \(2,\).* k, gamma"),
        ({"params": [1.0, -1.0]}, r"`params` has gamma = -1.0, expected a finite number ≥ 0"),
        ({"initial": [1, 2]}, r"`initial` has shape \(2,\), expected counts \[1\] of X"),
        ({"initial": [1.5]}, r"`initial` must hold whole numbers ≥ 0"),
        ({"initial": ([[1], [2]], [0.5, 0.6])}, r"probabilities of `initial` sum to 1.1"),
        ({"times": [2.0, 1.0]}, r"`times` must be a list, ascending and ≥ `start` = 0"),
    ],
)
def test_values_that_do_not_fit(change, message):
    arguments = {"params": [1.0, 1.0], "initial": [0], "times": [1.0], **change}
    with pytest.raises(ParameterError, match=message):
        projection.distribution(helpers.immigration_death(), **arguments)


def test_settings_are_checked():
    with pytest.raises(ParameterError, match="`max_states` is 0, expected at least 1"):
        FiniteStateProjection(max_states=0)
    with pytest.raises(ParameterError, match=r"`tolerance` is 1\.0, expected between 0 and 1"):
        FiniteStateProjection(tolerance=1.0)
    later = projection.distribution(helpers.arrival(), [1.0], [0], [1.0])
    with pytest.raises(ParameterError, match="compute it with sensitivities=True"):
        later.expectation_gradient(counts)
