"""Rate laws, through every simulator, against the master equation written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from tests import helpers
from tumble import (
    Experiment,
    Observable,
    Parameter,
    Problem,
    noise,
    simulate,
)
from tumble._errors import CapabilityError, ModelError, ParameterError, SimulationError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode, describe_codes
from tumble.models import ReactionNetwork
from tumble.simulators import (
    Batch,
    DirectMethod,
    FiniteStateProjection,
    LinearNoise,
    ParticleFilter,
)

RUNS = 60_000
TIMES = np.array([0.5, 1.5])
direct = DirectMethod()
projection = FiniteStateProjection()

# name: network, parameters, initial counts, and what its birth and death rates are by hand in the
# count of one species, of which the others are functions.
CASES = {
    "enzyme": (helpers.enzyme(), [8.0, 4.0], [9, 0]),
    "repressed gene": (helpers.repressed_gene(), [0.5, 20.0, 6.0, 2.5, 1.0], [2]),
    "sis": (helpers.sis(), [2.0, 0.8], [8, 3]),
    "logistic": (helpers.logistic(), [1.5, 9.5, 0.3], [4]),
}
SIZE = 60


def births_and_deaths(name, params):
    """Return the rates [SIZE + 1] at which the count rises and falls, and the initial count."""
    x = np.arange(SIZE + 1.0)
    if name == "enzyme":
        v, k = params
        return 0 * x, v * x / (k + x), 9
    if name == "repressed gene":
        b, v, k, n, d = params
        return b + v / (1 + (x / k) ** n), d * x, 2
    if name == "sis":
        beta, gamma = params
        return np.where(x <= 11, beta * (11 - x) * x / 11, 0), gamma * x, 3
    r, k, d = params
    return r * x * np.maximum(0, 1 - x / k), d * x, 4


def exact(name, params, t):
    """Return the distribution of the count at time t, by the exponential of the generator."""
    up, down, start = births_and_deaths(name, params)
    up = np.append(up[:-1], 0.0)
    generator = np.diag(up[:-1], -1) + np.diag(down[1:], 1) - np.diag(up + down)
    return expm(generator * t)[:, start]


def counted(name):
    return CASES[name][0].species.index({"enzyme": "S", "sis": "I"}.get(name, "X" if name ==
                                        "logistic" else "P"))  # fmt: skip


def batch(params, initial, times=TIMES, num_runs=RUNS, seed=5):
    return Batch(
        np.broadcast_to(np.array(params, dtype=float), (num_runs, len(params))),
        np.broadcast_to(np.array(initial), (num_runs, len(initial))),
        np.array(times), Stream.from_seed(seed), run_ids(num_runs),
    )  # fmt: skip


def pairs(params, initial, num_runs=RUNS):
    sides = np.stack([np.array(params), np.array(params) * 1.05])
    return Batch(
        np.broadcast_to(sides, (num_runs, *sides.shape)),
        np.broadcast_to(np.array(initial), (num_runs, 2, len(initial))),
        TIMES, Stream.from_seed(6), run_ids(num_runs),
    )  # fmt: skip


def assert_follows(counts, probabilities):
    """χ² of counts against a distribution; it finds a probability wrong by about a percent."""
    got = np.bincount(counts, minlength=SIZE + 1)
    expected = len(counts) * probabilities
    rare = expected < 8
    got, expected = np.append(got[~rare], got[rare].sum()), np.append(
        expected[~rare], expected[rare].sum()
    )  # fmt: skip
    keep = expected > 1e-9
    assert got[~keep].sum() == 0
    assert keep.sum() > 3
    statistic = ((got - expected)[keep] ** 2 / expected[keep]).sum()
    assert 1e-4 < stats.chi2.sf(statistic, keep.sum() - 1) < 1 - 1e-4


each_case = pytest.mark.parametrize("name", CASES)


# -- the master equation --------------------------------------------------------------------------


@each_case
def test_the_projection_solves_the_master_equation(name):
    network, params, initial = CASES[name]
    found = projection.distribution(network, params, initial, TIMES, sensitivities=True)
    marginal = found.marginal(counted(name))
    for t, time in enumerate(TIMES):
        expected = exact(name, params, time)[: marginal.shape[1]]
        np.testing.assert_allclose(marginal[t], expected, atol=2e-9)
    mean = found.expectation_gradient(lambda states: states[:, counted(name)])
    x = np.arange(SIZE + 1)
    for q in range(len(params)):
        width = 1e-5 * params[q]
        sides = [np.array(params) + s * width * np.eye(len(params))[q] for s in (1, -1)]
        for t, time in enumerate(TIMES):
            above, below = (x @ exact(name, side, time) for side in sides)
            assert mean[t, q] == pytest.approx((above - below) / (2 * width), rel=1e-5, abs=1e-6)


# -- exact simulation -----------------------------------------------------------------------------


@each_case
def test_runs_have_the_exact_distribution(name):
    network, params, initial = CASES[name]
    got = direct.sample(network, batch(params, initial))
    assert not np.any(got.codes)
    np.testing.assert_array_equal(got.culprits, -1)
    for t, time in enumerate(TIMES):
        assert_follows(got.states[:, t, counted(name)], exact(name, params, time))


@each_case
def test_each_side_of_a_pair_has_the_exact_distribution(name):
    network, params, initial = CASES[name]
    got = direct.sample_pairs(network, pairs(params, initial))
    assert not np.any(got.codes)
    for side, factor in enumerate((1, 1.05)):
        for t, time in enumerate(TIMES):
            distribution = exact(name, np.array(params) * factor, time)
            assert_follows(got.states[:, side, t, counted(name)], distribution)
    together = np.corrcoef(got.states[:, :, 1, counted(name)].T)[0, 1]
    assert together > 0.5


@each_case
def test_scores_have_mean_zero_and_give_the_gradient_of_a_distribution(name):
    network, params, initial = CASES[name]
    got = direct.sample_with_score(network, batch(params, initial))
    found = projection.distribution(network, params, initial, TIMES, sensitivities=True)
    error = got.score.std(axis=0) / np.sqrt(RUNS)
    assert np.all(np.abs(got.score.mean(axis=0)) < 4.5 * error)
    assert np.all(error > 0)
    counts = got.states[:, :, counted(name)]
    functions = [lambda x: x, lambda x: (x - counts.mean()) ** 2, lambda x: 1.0 * (x <= 4)]
    for function in functions:
        expected = found.expectation_gradient(lambda s, f=function: f(s[:, counted(name)]))
        baseline = function(counts).mean(axis=0)
        terms = (function(counts) - baseline)[..., None] * got.score
        error = terms.std(axis=0) / np.sqrt(RUNS)
        assert np.all(np.abs(terms.mean(axis=0) - expected) < 4.5 * error)


@each_case
def test_runs_with_and_without_score_are_the_same(name):
    network, params, initial = CASES[name]
    plain, scored = (
        method(network, batch(params, initial, num_runs=200))
        for method in (direct.sample, direct.sample_with_score)
    )
    np.testing.assert_array_equal(plain.states, scored.states)


MASS_ACTION = "S + I -> 2 I ; beta\nI -> R ; gamma\n2 R -> S ; k\n0 -> S ; 1.5"
AS_LAWS = (
    "S + I => 2 I ; beta * (S * I)\nI => R ; gamma * I\n2 R => S ; k * (R * ((R - 1) / 2))\n"
    "0 => S ; 1.5"
)


def test_mass_action_written_as_laws_takes_the_same_paths_bit_by_bit():
    params, initial = [0.05, 0.4, 0.02], [30, 4, 1]
    networks = [ReactionNetwork.from_text(text) for text in (MASS_ACTION, AS_LAWS)]
    one, other = (
        direct.sample_with_score(n, batch(params, initial, [0.3, 2.0, 9.0], 400)) for n in networks
    )
    np.testing.assert_array_equal(one.states, other.states)
    np.testing.assert_array_equal(one.events, other.events)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-9, atol=1e-9)
    one, other = (direct.sample_pairs(n, pairs(params, initial, 400)) for n in networks)
    np.testing.assert_array_equal(one.states, other.states)
    projected = [
        FiniteStateProjection().distribution(
            ReactionNetwork.from_text(text.replace("\n0 -> S ; 1.5", "").replace("\n0 => S ; 1.5",
            "")), params, [6, 2, 1], TIMES, sensitivities=True,
        )
        for text in (MASS_ACTION, AS_LAWS)
    ]  # fmt: skip
    for moment in ("expectation", "expectation_gradient"):
        one, other = (getattr(p, moment)(lambda states: states**2) for p in projected)
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_a_constant_that_is_an_expression_scores_by_the_chain_rule():
    """With c = a b² the scores are S_c b² and S_c 2 a b."""
    plain = ReactionNetwork.from_text("2 X -> 0 ; c\n0 -> X ; k")
    composed = ReactionNetwork.from_text("2 X -> 0 ; a * b ^ 2\n0 -> X ; k")
    a, b, k = 0.3, 1.5, 4.0
    one = direct.sample_with_score(plain, batch([a * b**2, k], [6], num_runs=50))
    other = direct.sample_with_score(composed, batch([a, b, k], [6], num_runs=50))
    np.testing.assert_array_equal(one.states, other.states)
    by_c, by_k = np.moveaxis(one.score, -1, 0)
    expected = np.stack([by_c * b**2, by_c * 2 * a * b, by_k], axis=-1)
    np.testing.assert_allclose(other.score, expected, rtol=1e-12)


def test_a_law_at_zero_has_no_score_but_a_term_of_it_may_be_zero():
    """Paths in which a reaction at rate 0 fires are never seen; a basal rate of 0 hides nothing."""
    hidden = direct.sample_with_score(
        ReactionNetwork.from_text("0 => X ; v * 2\nX -> 0 ; d"), batch([0.0, 1.0], [3], num_runs=9)
    )
    assert np.all(np.isnan(hidden.score[..., 0]))
    assert np.all(np.isfinite(hidden.score[..., 1]))
    basal = direct.sample_with_score(
        helpers.repressed_gene(), batch([0.0, 20.0, 6.0, 2.5, 1.0], [2], num_runs=9)
    )
    assert np.all(np.isfinite(basal.score))


# -- what goes wrong ------------------------------------------------------------------------------


def test_a_reaction_without_reactants_ends_its_run_by_name():
    network = ReactionNetwork.from_text("0 -> S ; k\nS => P ; V")
    got = direct.sample(network, batch([1.0, 0.3], [1, 0], [0.0, 4.0], 400))
    failed = got.codes != 0
    assert 0 < failed.sum() < 400
    np.testing.assert_array_equal(got.codes[failed], SampleCode.NEGATIVE_COUNT)
    np.testing.assert_array_equal(got.culprits, np.where(failed, 1, -1))
    np.testing.assert_array_equal(got.states[failed], -1)
    assert np.all(got.states[~failed] >= 0)
    text = describe_codes(got.codes, got.culprits, network.reactions)
    count = failed.sum()
    assert text.startswith(f"{count} of 400 runs: a reaction fired without enough reactants, so ")
    assert text.endswith(f"(NEGATIVE_COUNT): reaction 'S => P ; V' in {count}")
    run = simulate(network, {"k": 1.0, "V": 0.3}, initial={"S": 1, "P": 0}, times=[4.0],
                   num_samples=400)  # fmt: skip
    assert "reaction 'S => P ; V' in " in run.summary()


@pytest.mark.parametrize(
    ("law", "params"),
    [("V * S / (K - S)", [1.0, 3.0]), ("V / (S - K)", [1.0, 3.0]), ("V * log(K * 0)", [1.0, 2.0])],
)
def test_an_invalid_law_ends_its_run_by_name(law, params):
    network = ReactionNetwork.from_text(f"X -> 0 ; 1\nS => P ; {law}", parameters=["V", "K"])
    initial = {"X": 3, "S": 5, "P": 0}
    got = direct.sample(network, batch(params, list(initial.values()), [90.0], 30))
    np.testing.assert_array_equal(got.codes, SampleCode.INVALID_RATE)
    np.testing.assert_array_equal(got.culprits, 1)
    sides = replace(pairs(params, list(initial.values()), 30), times=np.array([90.0]))
    both = direct.sample_pairs(network, sides)
    np.testing.assert_array_equal(both.codes, SampleCode.INVALID_RATE)
    np.testing.assert_array_equal(both.culprits, 1)
    with pytest.raises(
        SimulationError, match=r"every run failed: .* reaction 'S => P ; V .*' in 7"
    ):
        simulate(network, dict(zip("VK", params, strict=True)), initial=initial, times=[90.0],
                 num_samples=7)  # fmt: skip


def test_a_negative_constant_of_mass_action_is_named():
    network = ReactionNetwork.from_text("X -> 0 ; a - b")
    got = direct.sample(network, batch([1.0, 2.0], [3], num_runs=5))
    np.testing.assert_array_equal(got.codes, SampleCode.INVALID_RATE)
    np.testing.assert_array_equal(got.culprits, 0)
    with pytest.raises(ParameterError, match=r"rate of reaction 'X -> 0 ; a - b' is -1 at these"):
        projection.distribution(network, [1.0, 2.0], [3], TIMES)


def test_the_projection_names_what_makes_no_sense():
    network = ReactionNetwork.from_text("0 -> S ; k\nS => P ; V")
    message = (
        r"'S => P ; V' has propensity 0\.3 at S = 0, P = 0, where it would make a count negative; "
        r"its rate law has to be 0 there\."
    )
    with pytest.raises(ModelError, match=message):
        projection.distribution(network, [1.0, 0.3], [0, 0], TIMES)
    network = ReactionNetwork.from_text("S => P ; V * S / (K - S)")
    with pytest.raises(ParameterError, match=r"has propensity -2\.5 at S = 5, P = 0, expected a"):
        projection.distribution(network, [1.0, 3.0], [5, 0], TIMES)


def test_what_a_law_is_beyond_reach_does_not_matter():
    """r X (1 − X/K) is negative above K, and 1/(X − 12) infinite there, but neither is reached."""
    plain = ReactionNetwork.from_text("X => 2 X ; r * X * (1 - X / K)\nX => 0 ; d * X")
    params, time = [1.5, 10.0, 0.3], TIMES[1]
    found = projection.distribution(plain, params, [4], [time])
    expected = exact("logistic", params, time)
    np.testing.assert_allclose(found.marginal(0)[0, :11], expected[:11], atol=2e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: direct.sample_with_score(n, batch([1.0], [3], num_runs=2)),
        lambda n: direct.sample_pairs(n, pairs([1.0], [3], 2)),
        lambda n: projection.distribution(n, [1.0], [3], TIMES),
    ],
)
def test_rates_that_read_the_time_are_refused_for_now(make):
    network = ReactionNetwork.from_text("X -> 0 ; k * (1 + sin(time))")
    message = (
        r"rate of reaction 'X -> 0 ; k \* \(1 \+ sin\(time\)\)' depends on `time`, but .* needs "
        r"rates that only change when"
    )
    with pytest.raises(CapabilityError, match=message):
        make(network)


# -- likelihoods ----------------------------------------------------------------------------------


def gene_problem(simulated=None):
    return Problem(
        helpers.repressed_gene(),
        experiments=[
            Experiment(helpers.series([1.0, 2.0, 3.0], [9, 12, 8], name="seen"), {"P": 4})
        ],
        observables={"seen": Observable("P", noise.Normal(1.5))},
        parameters={
            "b": 0.5,
            "V": Parameter(1, 100),
            "K": Parameter(1, 50),
            "n": Parameter(0.5, 5, scale="linear"),
            "d": 1.0,
        },
    )


GENE = np.array([20.0, 6.0, 2.5])


def test_the_filter_of_all_states_has_the_derivatives_of_its_values():
    likelihood = projection.likelihood(gene_problem())
    _, gradient = likelihood.value_and_gradient(GENE)
    for p in range(3):
        step = 1e-4 * GENE[p] * np.eye(3)[p]
        above, below = (likelihood.value_and_gradient(GENE + s * step)[0] for s in (1, -1))
        assert gradient[p] == pytest.approx((above - below) / (2 * step[p]), rel=1e-6, abs=1e-7)


def test_the_particle_filter_agrees_with_the_filter_of_all_states():
    problem = gene_problem()
    value, gradient = projection.likelihood(problem).value_and_gradient(GENE)
    filters = ParticleFilter(1_000).likelihood(problem)
    values, gradients = filters.estimate(GENE, Stream.from_seed(3), 100)
    weights = np.exp(values - value)
    assert abs(weights.mean() - 1) < 4 * weights.std() / 10
    terms = weights[:, None] * (gradients - gradient)
    assert np.all(np.abs(terms.mean(axis=0)) < 4 * terms.std(axis=0) / 10)
    assert np.all(4 * terms.std(axis=0) / 10 < 0.3 * np.abs(gradient).max())


def test_the_particle_filter_refuses_a_law_that_takes_what_is_not_there():
    problem = Problem(
        ReactionNetwork.from_text("P => 0 ; V"),
        experiments=[Experiment(helpers.series([1.0, 9.0], [3, 2], name="P"), {"P": 4})],
        observables={"P": Observable("P", noise.Normal(1.5))},
        parameters={"V": Parameter(0.1, 10)},
    )
    with pytest.raises(SimulationError, match=r"filter cannot go on, since .*'P => 0 ; V' in \d+"):
        ParticleFilter(50).likelihood(problem).estimate(np.array([2.0]), Stream.from_seed(0))


def test_linear_noise_is_the_same_for_mass_action_written_as_laws():
    import jax
    import jax.numpy as jnp

    found = []
    with jax.enable_x64(True):
        for text in (MASS_ACTION, AS_LAWS):
            network = ReactionNetwork.from_text(text)
            start = jnp.array([300.0, 40.0, 10.0])
            params = jnp.array([0.005, 0.4, 0.002])
            found.append(LinearNoise().moments(network, params, start, start * 0, TIMES))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_linear_noise_follows_rates_that_read_the_time():
    """Arrivals at k (1 + cos t) from t0: the mean is their integral, and so is the variance."""
    import jax
    import jax.numpy as jnp

    network = ReactionNetwork.from_text("0 => X ; k * (1 + cos(time))")
    with jax.enable_x64(True):
        mean, covariance = LinearNoise(rtol=1e-10).moments(
            network, jnp.array([3.0]), jnp.zeros(1), jnp.zeros(1), TIMES, start=0.25
        )
    expected = 3 * (TIMES - 0.25 + np.sin(TIMES) - np.sin(0.25))
    np.testing.assert_allclose(mean[:, 0], expected, rtol=1e-8)
    np.testing.assert_allclose(covariance[:, 0, 0], expected, rtol=1e-8)


def test_linear_noise_of_a_saturated_enzyme_nears_the_exact_mean():
    import jax
    import jax.numpy as jnp

    network, times = helpers.enzyme(), np.array([1.0])
    exactly = FiniteStateProjection().distribution(network, [80.0, 40.0], [100, 0], times)
    with jax.enable_x64(True):
        mean, covariance = LinearNoise().moments(
            network, jnp.array([80.0, 40.0]), jnp.array([100.0, 0.0]), jnp.zeros(2), times
        )
    s = exactly.expectation(lambda states: states[:, 0])
    variance = exactly.expectation(lambda states: states[:, 0] ** 2) - s**2
    np.testing.assert_allclose(mean[:, 0], s, rtol=5e-3)
    np.testing.assert_allclose(covariance[:, 0, 0], variance, rtol=3e-2)


# -- definitions as observables -------------------------------------------------------------------


def test_a_definition_is_an_observable_with_the_parameters_of_its_experiment():
    network = ReactionNetwork.from_text(
        "N = S + I\nforce = beta * I / N\nS => I ; force * S\nI -> S ; gamma"
    )
    from tumble import Ref

    data = {"time": [1.0], "N": [10], "force": [0.2], "scaled": [0.1]}
    initial = {"S": 8, "I": 2}
    problem = Problem(
        network,
        experiments=[
            Experiment(data, initial),
            Experiment(data, initial, conditions={"beta": Ref("beta2"), "gamma": 0.5}),
        ],
        observables={
            "N": "N",
            "force": Observable("force", noise.Normal(1.0)),
            "scaled": Observable("pi * force / 2", noise.Normal("sd")),
        },
        parameters={"beta": Parameter(0.1, 9), "beta2": Parameter(0.1, 9), "sd": Parameter(0.1, 9),
                    "gamma": Parameter(0.1, 9)},
    )  # fmt: skip
    theta = np.array([2.0, 3.0, 1.0, 1.0])
    states = np.array([[8, 2], [5, 5]])
    for binding, beta in zip(problem.bindings, (2.0, 3.0), strict=True):
        force = beta * np.array([0.2, 0.5])
        expected = np.stack([[10, 10], force, np.pi * force / 2], axis=-1)
        np.testing.assert_allclose(binding.observe(states, theta), expected, rtol=1e-15)
        assert not binding.measurement_is_known
    assert problem.bindings[0].used == {"beta", "gamma", "sd"}
    assert problem.bindings[1].used == {"beta2", "sd"}


def test_a_column_may_be_named_like_a_definition():
    problem = Problem(
        helpers.sis(), data={"time": [1.0], "N": [10]}, initial={"S": 8, "I": 2},
        parameters={"beta": Parameter(0.1, 9), "gamma": 1.0},
    )  # fmt: skip
    observed = problem.bindings[0].observe(np.array([[3, 4]]), np.array([1.0]))
    np.testing.assert_array_equal(observed, [[7]])
    assert problem.bindings[0].measurement_is_known


def test_observables_of_time_are_refused():
    network = ReactionNetwork.from_text("wave = 1 + sin(time)\nX -> 0 ; k")
    with pytest.raises(ModelError, match=r"observable 'y' depends on `time`, but observables are"):
        Problem(network, data={"time": [1.0], "y": [10]}, initial={"X": 8},
                observables={"y": "X * wave"}, parameters={"k": 1.0})  # fmt: skip
    with pytest.raises(ModelError, match=r"observable 'y' uses 'wav', .* Did you mean 'wave'\?"):
        Problem(network, data={"time": [1.0], "y": [10]}, initial={"X": 8},
                observables={"y": "X * wav"}, parameters={"k": 1.0})  # fmt: skip
