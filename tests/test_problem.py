from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tumble import noise, priors
from tumble._errors import DataError, ModelError, ParameterError
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter, Ref
from tumble._problem import Problem, as_params
from tumble._random import Stream, run_ids
from tumble.models import ReactionNetwork
from tumble.simulators import DirectMethod

STREAM = Stream.from_seed(5)
DEATH = ReactionNetwork.from_text("X -> 0 ; gamma")
DATA = {"time": [1.0, 2.0], "X": [7, 3]}
GAMMA = {"gamma": Parameter(0.01, 10)}


def problem(model=DEATH, **options):
    experiments = {} if "experiments" in options else {"data": DATA, "initial": {"X": 9}}
    return Problem(model, **{"parameters": GAMMA, **experiments, **options})


# -- parts ----------------------------------------------------------------------------------------


def test_data_and_initial_are_short_for_one_experiment():
    short = problem()
    long = problem(experiments=[Experiment(DATA, {"X": 9})])
    assert short.structure == long.structure
    assert len(short.experiments) == 1
    assert short.kind == "series"
    assert isinstance(short.simulator, DirectMethod)
    np.testing.assert_array_equal(short.experiments[0].data.values, long.experiments[0].data.values)


def test_observables_default_to_the_species_of_that_name():
    assert problem().observables == {"X": Observable("X")}
    assert isinstance(problem().observables["X"].noise, noise.Exact)


def test_a_formula_is_an_observable_measured_exactly():
    data = {"time": [1.0], "all": [9]}
    sir = Problem(
        helpers.sir(),
        data=data,
        initial={"S": 8, "I": 1, "R": 0},
        observables={"all": "S + I"},
        parameters={"beta": Parameter(0.01, 1), "gamma": Parameter(0.1, 10)},
    )
    assert sir.observables == {"all": Observable("S + I")}
    assert sir.bindings[0].observe(np.array([[5, 3, 1]]), np.array([0.1, 1.0])).tolist() == [[8.0]]


def test_missing_values_are_not_observations():
    assert problem(data={"time": [1.0, 2.0, 3.0], "X": [7, np.nan, 3]}).num_observations == 2
    assert helpers.sir_problem().num_observations == 12


def test_derived_quantities():
    sir = helpers.sir_problem()
    both = Problem(
        sir.model,
        sir.experiments,
        {**sir.parameters, "N": 20.0},
        sir.observables,
        derived={"R0": "beta * N / gamma", "half": "log(2) / gamma"},
    )
    theta = helpers.SIR_PARAMS
    assert both.derived_values(theta) == pytest.approx({"R0": 2 / 0.7, "half": np.log(2) / 0.7})
    with jax.enable_x64(True):
        slope = jax.grad(lambda t: both.derived_values(t, jnp)["R0"])(jnp.asarray(theta))
    np.testing.assert_allclose(slope[:2], [20 / 0.7, -2 / 0.49], rtol=1e-12)


def test_with_data_changes_the_data_only():
    sir = helpers.sir_problem()
    values = [e.data.values + 1 for e in sir.experiments]
    other = sir.with_data(values)
    np.testing.assert_array_equal(other.experiments[0].data.values, values[0])
    assert other.structure == sir.structure
    assert other.space.names == sir.space.names


def test_structure_tells_problems_apart():
    base = problem()
    others = [
        problem(initial={"X": 10}, data=DATA),
        problem(data={"time": [1.0, 2.5], "X": [7, 3]}, initial={"X": 9}),
        problem(parameters={"gamma": Parameter(0.02, 10)}),
        problem(parameters={"gamma": Parameter(0.01, 10, prior=priors.Gamma(1.0, 1.0))}),
        problem(observables={"X": Observable("X", noise.Poisson())}),
        problem(experiments=[Experiment(DATA, {"X": 9}, start=0.5)]),
        problem(ReactionNetwork.from_text("X -> Y ; gamma"), initial={"X": 9, "Y": 0}, data=DATA),
    ]
    structures = {base.structure, *(p.structure for p in others)}
    assert len(structures) == 1 + len(others)
    assert hash(base.structure) == hash(problem().structure)


def test_repr_names_what_is_known_and_unknown():
    sir = helpers.sir_problem()
    text = repr(sir)
    assert text.startswith("Problem: 1 experiment(s) of kind series (2 x 8 times x cases)\n")
    assert "  beta in [0.001, 1], log\n" in text
    assert "S + I -> 2 I ; beta" in text
    known = problem(
        ReactionNetwork.from_text("X -> 0 ; gamma\n0 -> X ; k"),
        parameters={"gamma": Parameter(0.01, 10, prior=priors.Normal(1.0, 2.0)), "k": 3},
    )
    assert "gamma in [0.01, 10], log, prior Normal(loc=1.0, scale=2.0)" in repr(known)
    assert "  k = 3\n" in repr(known)


# -- how parameters reach experiments -------------------------------------------------------------


def test_fixed_numbers_are_known_and_not_unknown():
    network = helpers.immigration_death()
    fixed = problem(network, parameters={"gamma": Parameter(0.01, 10), "k": 3})
    assert fixed.space.names == ("gamma",)
    assert fixed.fixed == {"k": 3.0}
    np.testing.assert_array_equal(fixed.bindings[0].model_params(np.array([0.5])), [3.0, 0.5])


def test_conditions_are_numbers_names_or_refs():
    network = ReactionNetwork.from_text("0 -> X ; a\nX -> 0 ; b\n2 X -> 0 ; c")
    experiment = Experiment(
        DATA, {"X": 9}, conditions={"a": 2, "b": "local", "c": Ref("many", (1, 0))}
    )
    bound = problem(
        network,
        experiments=[experiment],
        parameters={
            "many": Parameter(0.1, 9, shape=(2, 2)),
            "local": Parameter(0.1, 9),
        },
    ).bindings[0]
    np.testing.assert_array_equal(bound.model_params(np.array([1, 2, 3, 4, 5.0])), [2, 5, 3])
    assert bound.used == {"many", "local"}


def test_experiments_share_parameters_and_keep_some_to_themselves():
    network = helpers.immigration_death()
    both = problem(
        network,
        experiments=[
            Experiment(DATA, {"X": 9}, conditions={"k": "k_cold"}),
            Experiment(DATA, {"X": Ref("x0")}, conditions={"k": "k_warm"}, start=0.5),
        ],
        parameters={
            **GAMMA,
            "k_cold": Parameter(0.1, 9),
            "k_warm": Parameter(0.1, 9),
            "x0": Parameter(1, 90),
        },
    )
    theta = np.array([0.5, 1.0, 2.0, 7.5])
    np.testing.assert_array_equal(
        [b.model_params(theta) for b in both.bindings], [[1, 0.5], [2, 0.5]]
    )
    np.testing.assert_array_equal([b.initial_mean(theta) for b in both.bindings], [[9], [7.5]])
    assert both.bindings[0].used == {"gamma", "k_cold"}
    assert both.bindings[1].used == {"gamma", "k_warm", "x0"}


def test_an_array_of_initial_values_gives_each_replicate_its_own():
    data = helpers.series([1.0, 2.0], [7, 3], [5, 4], [8, 8])
    split = problem(experiments=[Experiment(data, {"X": np.array([9, 6, 8])})])
    assert [float(b.initial_mean(np.array([1.0]))[0]) for b in split.bindings] == [9, 6, 8]
    assert [b.observed.values[0, 0, 0] for b in split.bindings] == [7, 5, 8]


def test_bindings_can_be_differentiated():
    sir = helpers.sir_problem()
    binding = sir.bindings[0]
    with jax.enable_x64(True):
        theta = jnp.asarray(helpers.SIR_PARAMS)
        slopes = (jax.jacobian(f)(theta) for f in (binding.model_params, binding.initial_mean))
        for slope, known, exact in zip(
            slopes,
            (binding.model_slopes, binding.initial_slopes),
            (np.eye(5)[:2], [np.zeros(5), np.eye(5)[4], np.zeros(5)]),
            strict=True,
        ):
            np.testing.assert_array_equal(slope, exact)
            np.testing.assert_array_equal(known, exact)
        state = jnp.array([[15.0, 4.0, 1.0]])
        slope = jax.jacobian(lambda t: binding.observe(state, t, jnp))(theta)[0, 0]
    np.testing.assert_allclose(slope, [0, 0, 4.0, 0, 0])


def test_a_measurement_is_known_when_nothing_in_it_is_fitted():
    assert problem().bindings[0].measurement_is_known
    assert not helpers.sir_problem().bindings[0].measurement_is_known
    known = {"X": Observable("scale * X", noise.Normal("sd"))}
    both = {"scale": 2, "sd": 3}
    assert problem(observables=known, parameters={**GAMMA, **both}).bindings[0].measurement_is_known
    for name in both:
        parameters = {**GAMMA, **both, name: Parameter(1, 9)}
        binding = problem(observables=known, parameters=parameters).bindings[0]
        assert not binding.measurement_is_known


def test_noise_reads_its_arguments_from_parameters_and_numbers():
    data = {"time": [1.0], "a": [3], "b": [4], "c": [2.0]}
    observed = problem(
        data=data,
        initial={"X": 9},
        parameters={**GAMMA, "phi": Parameter(0.1, 99), "known": 0.25},
        observables={
            "a": Observable("X", noise.NegativeBinomial("phi")),
            "b": Observable("2 * X", noise.Binomial("known")),
            "c": Observable("X + 1", noise.Normal(2.0)),
        },
    ).bindings[0]
    theta, states = np.array([1.0, 6.0]), np.array([[5.0], [8.0]])
    x = observed.observe(states, theta)
    np.testing.assert_array_equal(x, [[5, 10, 6], [8, 16, 9]])
    with jax.enable_x64(True):
        for xp in (np, jnp):
            mean = observed.expected(xp.asarray(x), theta, xp)
            variance = observed.noise_variance(xp.asarray(x), theta, xp)
            np.testing.assert_allclose(mean, x * [1, 0.25, 1], rtol=1e-12)
            exact = [x[:, 0] + x[:, 0] ** 2 / 6, x[:, 1] * 0.1875, [4, 4]]
            np.testing.assert_allclose(variance, np.stack(exact, axis=1), rtol=1e-12)
        density = observed.log_prob(jnp.array([3.0, 4.0, 2.0]), jnp.asarray(x), theta)
    laws = [stats.nbinom(6, 6 / (6 + x[:, 0])), stats.binom(x[:, 1].astype(int), 0.25)]
    exact = [laws[0].logpmf(3), laws[1].logpmf(4), stats.norm(x[:, 2], 2).logpdf(2)]
    np.testing.assert_allclose(density, np.stack(exact, axis=1), rtol=1e-9)
    np.testing.assert_array_equal(observed.is_exact, [False, False, False])
    many = np.broadcast_to(states[:1], (40_000, 1))
    draws = observed.sample_data(many, theta, np.random.default_rng(0))
    error = np.sqrt(np.asarray(variance)[0] / len(many))
    assert np.all(np.abs(draws.mean(axis=0) - np.asarray(mean)[0]) < 4 * error)


# -- initial states -------------------------------------------------------------------------------


def initials(value, theta=(1.0, 4.3), num_runs=100_000, first=0):
    binding = problem(
        experiments=[Experiment(DATA, {"X": value})],
        parameters={**GAMMA, **({"x0": Parameter(0.5, 30)} if isinstance(value, Ref) else {})},
    ).bindings[0]
    theta = np.array(theta[: binding.space.size])
    counts, score = binding.sample_initial(theta, STREAM, run_ids(num_runs, first))
    return counts[:, 0], score[:, 0]


def test_a_number_is_the_initial_count():
    counts, score = initials(6)
    assert np.all(counts == 6)
    assert np.all(score == 0)


def test_a_mean_between_whole_numbers_is_one_of_the_two_on_average_right():
    counts, score = initials(Ref("x0"))
    assert set(counts) == {4, 5}
    error = np.sqrt(0.3 * 0.7 / len(counts))
    assert abs(counts.mean() - 4.3) < 4 * error
    # the score has mean 0 and variance 1/(p (1 − p)), and gives ∂E[X(0)]/∂x0 = 1
    information = 1 / (0.3 * 0.7)
    assert abs(score.mean()) < 4 * np.sqrt(information / len(counts))
    products = (counts - 4.3) * score
    assert abs(products.mean() - 1) < 4 * products.std() / np.sqrt(len(counts)) + 1e-12
    np.testing.assert_allclose(score[counts == 5], 1 / 0.3, rtol=1e-9)
    np.testing.assert_allclose(score[counts == 4], -1 / 0.7, rtol=1e-9)


def test_a_whole_mean_is_that_number():
    assert np.all(initials(Ref("x0"), (1.0, 4.0), 1000)[0] == 4)


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (priors.Poisson(2.5), stats.poisson(2.5).pmf),
        # a density is rounded to the nearest whole number
        (priors.Uniform(-0.5, 3.5), lambda n: 0.25 * (n < 4)),
        (priors.Normal(1.0, 1.0), lambda n: np.where(
            n == 0, stats.norm.cdf(-0.5), stats.norm.cdf(n - 0.5) - stats.norm.cdf(n - 1.5))),
    ],
)  # fmt: skip
def test_initial_counts_drawn_from_a_distribution(prior, law):
    counts, score = initials(prior)
    expected = len(counts) * np.array([law(np.array(n)) for n in range(12)], dtype=float)
    observed = np.bincount(counts, minlength=12)[:12]
    if isinstance(prior, priors.Normal):  # draws below zero are put at zero
        expected[0] = len(counts) * stats.norm.cdf(-0.5)
    keep = expected > 8
    statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum() - 1) > 1e-4
    assert counts.min() >= 0
    assert np.all(score == 0)


def test_initial_draws_belong_to_run_ids():
    whole, _ = initials(Ref("x0"), num_runs=100)
    tail, _ = initials(Ref("x0"), num_runs=60, first=40)
    np.testing.assert_array_equal(whole[40:], tail)
    near, _ = initials(Ref("x0"), (1.0, 4.31), num_runs=100)
    assert np.all((near == whole) | (near == whole + 1))


# -- simulation -----------------------------------------------------------------------------------


def test_runs_of_an_experiment_follow_its_conditions_start_and_initial_law():
    """From Poisson(m) with deaths and arrivals X stays Poisson."""
    network = helpers.immigration_death()
    experiment = Experiment(
        {"time": [2.0, 3.0], "X": [3, 3]}, {"X": priors.Poisson(6.0)}, {"k": 4.0}, start=1.5
    )
    bound = problem(network, experiments=[experiment])
    states = bound.simulate_binding(0, np.array([0.8]), STREAM, 100_000).states[:, :, 0]
    e = np.exp(-0.8 * np.array([0.5, 1.5]))
    mean = 6 * e + 4 / 0.8 * (1 - e)
    error = np.sqrt(mean / 100_000)
    assert np.all(np.abs(states.mean(axis=0) - mean) < 4 * error)
    assert np.all(np.abs(states.var(axis=0) / mean - 1) < 4 * np.sqrt(2.2 / 100_000))


# -- errors ---------------------------------------------------------------------------------------

SIR = helpers.sir()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"experiments": [Experiment(DATA, {"X": 9})], "data": DATA}, DataError,
         r"give `experiments`, or `data` and `initial`, not both\."),
        ({"experiments": []}, DataError,
         r"`experiments` is empty; give an Experiment, or data= and initial=\."),
        ({"experiments": [Experiment(DATA, {"X": 9}, kind=k) for k in ("series", "snapshots")]},
         DataError, r"`experiments` mix data of kinds series, snapshots; fit one kind at a time\."),
        ({"data": {"time": [1.0], "Y": [2]}, "initial": {"X": 9}}, DataError,
         r"`data` has column 'Y', but the network has X\."),
        ({"observables": {"Z": "X"}}, DataError, r"`data` has column 'X', but the problem has Z\."),
        ({"initial": {"X": 9, "Q": 1}, "data": DATA}, ModelError,
         r"`initial` has species 'Q', but the network has X\."),
        ({"initial": {}, "data": DATA}, ModelError,
         r"`initial` has no value for species 'X'; give 0 if absent\."),
        ({"initial": None, "data": DATA}, ModelError, r"`initial` has no value for species 'X'"),
        ({"experiments": [Experiment(DATA, {"X": Ref("x1")})]}, ParameterError,
         r"`Ref` names parameter 'x1', but the problem has gamma\."),
        ({"experiments": [Experiment(DATA, {"X": 9}, {"gama": 1.0})]}, ModelError,
         r"`conditions` has 'gama', but the model has gamma\. Did you mean 'gamma'\?"),
        ({"experiments": [Experiment(DATA, {"X": 9}, {"gamma": None})]}, ParameterError,
         r"`conditions\['gamma'\]` is None, expected a number, a Ref, a name, a RandomEffect"),
        ({"experiments": [Experiment(DATA, {"X": 9}, {"gamma": "gama"})]}, ParameterError,
         r"the model needs parameter 'gama', but the problem has gamma\. Did you mean 'gamma'\?"),
        ({"parameters": {}}, ParameterError,
         r"the model needs parameter 'gamma', but the problem has none\."),
        ({"parameters": {"gama": Parameter(1, 2)}}, ParameterError,
         r"the model needs parameter 'gamma', but the problem has gama\. Did you mean 'gama'\?"),
        ({"parameters": {**GAMMA, "mu": Parameter(1, 2)}}, ParameterError,
         r"`parameters` has 'mu', which neither the model, an initial value, a condition, an "
         r"observable nor a noise uses; remove it or correct its name\."),
        ({"parameters": {"gamma": "fast"}}, ParameterError,
         r"`parameters\['gamma'\]` is 'fast', expected a Parameter or a finite number\."),
        ({"parameters": {"gamma": np.nan}}, ParameterError,
         r"`parameters\['gamma'\]` is nan, expected a Parameter or a finite number\."),
        ({"parameters": {"gamma": Parameter(1, 2, shape=(2,))}}, ParameterError,
         r"`Ref\('gamma', None\)` does not point to one number: 'gamma' has shape \(2,\)\."),
        ({"observables": {"X": "X + Y"}}, ModelError,
         r"observable 'X' uses 'Y', but the problem has X, gamma\."),
        ({"observables": {"X": "X +"}}, ModelError, r"expression 'X \+' cannot be read"),
        ({"observables": {"X": Observable("X", noise.Normal("sd"))}}, ModelError,
         r"the noise of observable 'X' uses parameter 'sd', but the problem has gamma\."),
        ({"derived": {"half": "log(2) / gama"}}, ModelError,
         r"derived 'half' uses parameter 'gama', but the problem has gamma\. Did you mean 'gamma'"),
        ({"derived": {"n": "X"}}, ModelError, r"derived 'n' uses parameter 'X'"),
        ({"data": {"time": [1.0], "X": [1.5]}, "initial": {"X": 9}}, DataError,
         r"`data` column 'X' holds 1\.5, but Exact data are whole numbers; choose another noise"),
        ({"data": {"time": [1.0], "X": [-1]}, "initial": {"X": 9}}, DataError,
         r"`data` column 'X' holds -1, but Exact data cannot be negative; correct the datum or"),
        ({"observables": {"X": Observable("X", noise.NegativeBinomial(3.0))},
          "data": {"time": [1.0], "X": [0.5]}, "initial": {"X": 9}}, DataError,
         r"holds 0\.5, but NegativeBinomial data are whole numbers"),
        ({"observables": {"X": Observable("X", noise.LogNormal(0.5))},
          "data": {"time": [1.0], "X": [0]}, "initial": {"X": 9}}, DataError,
         r"`data` column 'X' holds 0, but LogNormal data are positive\."),
        ({"observables": {"X": Observable("X", noise.LogNormal(0.5))},
          "data": {"time": [1.0], "X": [-2]}, "initial": {"X": 9}}, DataError,
         r"holds -2, but LogNormal data cannot be negative"),
    ],
)  # fmt: skip
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        problem(**options)


def test_real_data_are_fine_where_the_noise_is_real():
    data = {"time": [1.0], "X": [-0.5]}
    problem(data=data, initial={"X": 9}, observables={"X": Observable("X", noise.Normal(1.0))})
    average = Experiment({"time": [1.0], "X": [4.25]}, {"X": 9}, kind="mean", num_averaged=4)
    assert problem(experiments=[average]).kind == "mean"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), r"`formula` is 3, expected a string such as 'I' or 'S \+ I'\."),
        (("I", "Poisson"), r"`noise` is 'Poisson', expected a member of tumble\.noise such as "
         r"NegativeBinomial\('phi'\)\."),
        (("I", noise.Poisson), r"`noise` is <class .*>, expected a member of tumble\.noise"),
        (("I.x",), r"expression 'I\.x' uses 'I\.x'"),
    ],
)  # fmt: skip
def test_observables_that_make_no_sense(arguments, message):
    with pytest.raises(ModelError, match=message):
        Observable(*arguments)


def test_values_are_checked_against_the_unknowns():
    fixed = problem(helpers.immigration_death(), parameters={"gamma": Parameter(0.01, 10), "k": 3})
    np.testing.assert_array_equal(as_params(fixed, {"gamma": 0.5, "k": 3}), [0.5])
    with pytest.raises(ParameterError, match=r"`params` has no value for 'gamma'\."):
        as_params(fixed, {"k": 3})
    with pytest.raises(ParameterError, match=r"`params` has 'mu', but the problem has gamma\."):
        as_params(fixed, {"gamma": 0.5, "mu": 1.0})


KNOWN_DATA = {"time": [1.0, 2.0], "X": [7, 3]}
ONE_RATE = {"gamma": Parameter(0.01, 10)}


def decay_problem(**options):
    model = ReactionNetwork.from_text("X -> 0 ; gamma")
    return Problem(
        model, **{"data": KNOWN_DATA, "initial": {"X": 9}, "parameters": ONE_RATE, **options}
    )


def test_an_initial_value_may_refer_to_a_known_parameter():
    known = decay_problem(initial={"X": Ref("x0")}, parameters={**ONE_RATE, "x0": 9})
    assert known.bindings[0].initial_mean(np.array([1.0])).tolist() == [9.0]


@pytest.mark.parametrize(
    "observable",
    [Observable("s * X"), Observable("X", noise.Normal("s"))],
    ids=["formula", "noise"],
)
def test_a_parameter_with_a_shape_is_not_one_number(observable):
    parameters = {**ONE_RATE, "s": Parameter(0.1, 1, shape=(2,))}
    with pytest.raises(ModelError, match=r"'s' has shape \(2,\)"):
        decay_problem(observables={"X": observable}, parameters=parameters)


def test_a_parameter_may_not_bear_the_name_of_a_species():
    with pytest.raises(ParameterError, match="'X' names both a species and a parameter"):
        decay_problem(initial={"X": Ref("X")}, parameters={**ONE_RATE, "X": Parameter(1, 20)})


@pytest.mark.parametrize("options", [{"observables": {"X": 3}}, {"derived": {"half": 3}}])
def test_formulas_are_text(options):
    with pytest.raises(ModelError, match="is 3, expected"):
        decay_problem(**options)
