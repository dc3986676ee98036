from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tests.simulators.agreement import (
    CASES,
    OPEN_CASES,
    STREAM,
    TIMES,
    assert_distribution,
    assert_moments,
    assert_same,
    counts,
    projection,
    rows,
)
from tumble import simulators
from tumble._errors import ParameterError
from tumble._random import run_ids
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, DirectMethod

RUNS = 100_000
direct = DirectMethod()


def sample(network, params, initial, times=TIMES, num_runs=RUNS, method=None, **options):
    batch = Batch(
        rows(params, num_runs), counts(initial, num_runs), np.asarray(times), STREAM,
        run_ids(num_runs), options.pop("start", 0.0),
    )  # fmt: skip
    return (method or direct).sample(network, batch, **options)


def scored(network, params, initial, times=TIMES, num_runs=RUNS):
    return sample(network, params, initial, times, num_runs, _Scores())


class _Scores:
    sample = staticmethod(direct.sample_with_score)


# -- exactness ------------------------------------------------------------------------------------


def test_arrival_is_poisson():
    x = sample(helpers.arrival(), [8.0], [2]).states[:, :, 0]
    assert_moments(x, 2 + 8 * TIMES, 8 * TIMES)
    increments = np.diff(x, axis=1)
    assert_moments(increments, 8 * np.diff(TIMES), 8 * np.diff(TIMES))
    error = np.abs(np.corrcoef(increments.T) - np.eye(3)).max()
    assert error < 4.5 / np.sqrt(RUNS)


@pytest.mark.parametrize(("k", "gamma", "x0"), [(10.0, 1.0, 0), (0.3, 2.0, 25), (0.0, 0.7, 12)])
def test_immigration_death(k, gamma, x0):
    x = sample(helpers.immigration_death(), [k, gamma], [x0]).states[:, :, 0]
    assert_moments(x, *helpers.immigration_death_moments(k, gamma, TIMES, x0))


@pytest.mark.parametrize(("birth", "death"), [(0.9, 1.1), (0.8, 0.3)])
def test_birth_death(birth, death):
    x = sample(helpers.birth_death(), [birth, death], [7]).states[:, :, 0]
    assert_moments(x, *helpers.birth_death_moments(birth, death, TIMES, 7))


each_case = pytest.mark.parametrize("case", CASES)


@each_case
def test_small_networks_have_the_exact_distribution(case):
    network, params, initial = CASES[case]
    got = sample(network, params, initial)
    exact = projection.distribution(network, params, initial, TIMES)
    assert np.all(got.codes == 0)
    for t in range(1, len(TIMES)):
        assert_distribution(got.states[:, t], exact, t)
    for power in (1, 2):
        # joint moments of all species, within 4 standard errors
        x = got.states.astype(float) ** power
        mean = exact.expectation(lambda n, power=power: n.astype(float) ** power)
        error = x.std(axis=0) / np.sqrt(RUNS)
        assert np.all(np.abs(x.mean(axis=0) - mean) <= 4 * error + 1e-9)


def test_the_final_size_of_an_epidemic():
    states = sample(helpers.sir(), [0.1, 0.7], [18, 2, 0], [200.0], 20_000).states[:, 0]
    assert np.all(states[:, 1] == 0)
    expected = 20_000 * helpers.sir_final_sizes(0.1, 0.7, 18, 2)
    got = np.bincount(states[:, 0], minlength=19)
    assert expected.min() > 5
    assert 1e-4 < stats.chisquare(got, expected).pvalue < 1 - 1e-4


@each_case
def test_laws_are_conserved_in_every_run(case):
    network, params, initial = CASES[case]
    states = sample(network, params, initial, np.linspace(0, 5, 11), 500).states
    assert states.min() >= 0
    assert np.all(states[:, 0] == initial)
    for law in network.conservation_laws:
        weights = np.array([law.weights.get(s, 0) for s in network.species])
        assert np.all(states @ weights == np.array(initial) @ weights)
    # whatever the rates, each change is a whole number of reactions: solve for them
    change = (states[:, -1] - np.array(initial)).T
    firings = np.linalg.lstsq(network.stoichiometry.astype(float), change, rcond=None)[0]
    np.testing.assert_allclose(network.stoichiometry @ firings, change, atol=1e-8)


def test_start_is_the_time_of_the_initial_state():
    network, params, initial = CASES["sir"]
    later = sample(network, params, initial, TIMES[1:] + 4, 200, start=4.0)
    # 0.4 + 4 is rounded, which moves no event across an output here
    np.testing.assert_array_equal(
        later.states, sample(network, params, initial, TIMES[1:], 200).states
    )


def test_rows_have_their_own_parameters_and_initial_states():
    params = np.repeat([[2.0, 1.0], [9.0, 0.5]], 20_000, axis=0)
    initial = np.tile([[0], [12]], (20_000, 1))
    batch = Batch(params, initial, np.array([0.8]), STREAM, run_ids(40_000))
    got = direct.sample(helpers.immigration_death(), batch)
    x = got.states[:, 0, 0].reshape(2, 10_000, 2)
    for i, (k, gamma) in enumerate([(2.0, 1.0), (9.0, 0.5)]):
        for j, x0 in enumerate([0, 12]):
            assert_moments(x[i, :, j], *helpers.immigration_death_moments(k, gamma, 0.8, x0))


# -- the same bits, whatever the circumstances ----------------------------------------------------


@pytest.mark.parametrize("kind", ["sample", "sample_with_score", "sample_pairs"])
def test_results_do_not_depend_on_threads_or_batches(kind):
    network, params, initial = CASES["dimerization"]
    num_runs = 203
    runs = run_ids(num_runs, start=5)
    params = rows(params, num_runs) * (1 + 0.01 * np.arange(num_runs)[:, None])
    initial = counts(initial, num_runs)
    if kind == "sample_pairs":
        params = np.stack([params, 1.1 * params], axis=1)
        initial = np.stack([initial, initial + 1], axis=1)
    function = getattr(direct, kind)

    def run(pick, executor=None):
        batch = Batch(params[pick], initial[pick], TIMES, STREAM, runs[pick])
        return function(network, batch, executor=executor)

    whole = run(slice(None))
    assert len(np.unique(whole.states.reshape(num_runs, -1), axis=0)) > 50
    for workers in (1, 4):
        with ThreadPoolExecutor(workers) as pool:
            assert_same(whole, run(slice(None), pool))
    order = np.random.default_rng(0).permutation(num_runs)
    for pick in (slice(0, 1), slice(17, 90), slice(90, None), order, np.array([7, 7, 202])):
        part = run(pick)
        kept = replace(
            whole,
            **{
                name: getattr(whole, name)[pick]
                for name in ("states", "codes", "events", "score")
                if hasattr(whole, name)
            },
        )
        assert_same(kept, part)


def test_results_do_not_depend_on_the_number_of_cores(monkeypatch):
    network, params, initial = CASES["sir"]
    here = sample(network, params, initial, num_runs=501)
    for cores in (1, 3, 64):
        monkeypatch.setattr("tumble.simulators._jump_runs.num_workers", lambda cores=cores: cores)
        assert_same(here, sample(network, params, initial, num_runs=501))


def test_results_are_the_same_in_other_processes():
    network, params, initial = CASES["sir"]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        far = sample(network, params, initial, num_runs=70, executor=pool)
    assert_same(sample(network, params, initial, num_runs=70), far)


def test_runs_are_told_apart_by_id_and_stream_alone():
    network, params, initial = CASES["sir"]
    one = sample(network, params, initial, num_runs=50).states
    batch = Batch(rows(params, 50), counts(initial, 50), TIMES, STREAM, run_ids(50))
    other = direct.sample(network, replace(batch, stream=STREAM.child("other")))
    later = direct.sample(network, replace(batch, runs=run_ids(50, start=50)))
    for states in (other.states, later.states):
        assert np.mean(np.all(states == one, axis=(1, 2))) < 0.2


@each_case
def test_a_path_does_not_depend_on_the_output_grid(case):
    network, params, initial = CASES[case]
    coarse = np.array([0.3, 1.1, 1.7, 4.0])
    fine = np.union1d(coarse, np.linspace(0.0, 4.0, 97))
    at = np.searchsorted(fine, coarse)
    few, many = (scored(network, params, initial, times, 300) for times in (coarse, fine))
    np.testing.assert_array_equal(few.states, many.states[:, at])
    np.testing.assert_array_equal(few.events, many.events)
    np.testing.assert_allclose(few.score, many.score[:, at], rtol=1e-10, atol=1e-11)
    np.testing.assert_array_equal(few.states, sample(network, params, initial, coarse, 300).states)
    # a time asked for twice gives the same state twice
    twice = sample(network, params, initial, np.repeat(coarse, 2), 300)
    np.testing.assert_array_equal(np.repeat(few.states, 2, axis=1), twice.states)


# -- trouble --------------------------------------------------------------------------------------


def test_absorbing_states_are_kept():
    network = helpers.sir()
    got = sample(network, [0.1, 5.0], [9, 1, 0], [50.0, 1e6, 1e12], 100)
    assert np.all(got.codes == 0)
    assert np.all(got.states[:, :, 1] == 0)
    np.testing.assert_array_equal(got.states[:, 0], got.states[:, 2])
    still = sample(network, [0.1, 5.0], [9, 0, 1], num_runs=3)
    np.testing.assert_array_equal(still.states, np.tile([9, 0, 1], (3, len(TIMES), 1)))
    np.testing.assert_array_equal(still.events, 0)
    # too few partners are absorbing, too
    lone = sample(helpers.dimerization(), [3.0, 0.0], [5, 0], [100.0], 3)
    np.testing.assert_array_equal(lone.states[:, 0], [[1, 2]] * 3)


def test_max_events_ends_single_runs():
    """Pure death from 5 takes 5 events; a run that needs more than allowed holds −1 throughout."""
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    initial = np.array([[3], [4], [5]])
    batch = Batch(rows([1.0], 3), initial, np.array([0.0, 100.0]), STREAM, run_ids(3))
    got = DirectMethod(max_events=4).sample(network, batch)
    np.testing.assert_array_equal(got.codes, [0, 0, SampleCode.MAX_EVENTS])
    np.testing.assert_array_equal(got.states[:, :, 0], [[3, 0], [4, 0], [-1, -1]])
    np.testing.assert_array_equal(got.events, [3, 4, 4])


def test_explosions_end():
    network = ReactionNetwork.from_text("2 X -> 3 X ; k")
    got = sample(network, [1.0], [10], [100.0], 5, DirectMethod(max_events=1000))
    np.testing.assert_array_equal(got.codes, SampleCode.MAX_EVENTS)
    np.testing.assert_array_equal(got.events, 1000)
    assert np.all(got.states == -1)


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_invalid_rates_spoil_their_own_run_only(rate):
    network = helpers.immigration_death()
    params = np.array([[1.0, 1.0], [1.0, rate], [1.0, 1.0]])
    initial = counts([4], 3)
    good = sample(network, [1.0, 1.0], [4], num_runs=3)
    for function in (direct.sample, direct.sample_with_score):
        got = function(network, Batch(params, initial, TIMES, STREAM, run_ids(3)))
        np.testing.assert_array_equal(got.codes, [0, SampleCode.INVALID_RATE, 0])
        assert np.all(got.states[1] == -1)
        np.testing.assert_array_equal(got.states[[0, 2]], good.states[[0, 2]])
    both = np.stack([np.ones((3, 2)), params], axis=1)
    batch = Batch(both, np.stack([initial] * 2, axis=1), TIMES, STREAM, run_ids(3))
    pairs = direct.sample_pairs(network, batch)
    np.testing.assert_array_equal(pairs.codes, [0, SampleCode.INVALID_RATE, 0])
    assert np.all(pairs.states[1] == -1)
    assert np.all(pairs.states[[0, 2]] >= 0)


def test_a_total_propensity_that_is_not_a_number_is_found():
    got = sample(ReactionNetwork.from_text("3 X -> 0 ; k"), [1e290], [10**15], [1.0], 2)
    np.testing.assert_array_equal(got.codes, SampleCode.INVALID_RATE)


def test_counts_do_not_wrap_around():
    network = ReactionNetwork.from_text("0 -> 1000000 X ; k")
    got = sample(network, [50.0], [2**62 - 3_000_000], [0.0, 100.0], 4)
    np.testing.assert_array_equal(got.codes, SampleCode.OVERFLOW)
    assert np.all(got.states == -1)
    np.testing.assert_array_equal(got.events, 4)


def test_large_counts_are_exact():
    network = ReactionNetwork.from_text("0 -> X ; k")
    first = 2**61 + 1
    x = sample(network, [5.0], [first], [1.0], 1000).states[:, 0, 0]
    assert_moments(x - first, 5.0, 5.0)


def test_an_empty_batch():
    got = sample(helpers.arrival(), [1.0], [0], num_runs=0)
    assert got.states.shape == (0, 4, 1)
    assert got.codes.shape == (0,)


def test_settings_are_checked():
    with pytest.raises(ParameterError, match=r"`max_events` is 0, expected at least 1\."):
        DirectMethod(max_events=0)


def test_capabilities():
    assert direct.exact
    assert isinstance(direct, simulators.SupportsScore)
    assert isinstance(direct, simulators.SupportsCoupling)
    assert not isinstance(direct, simulators.SupportsLikelihood)


# -- scores ---------------------------------------------------------------------------------------


def test_the_score_of_arrivals_is_known_path_by_path():
    got = scored(helpers.arrival(), [4.0], [0], num_runs=200)
    exact = got.states / 4.0 - TIMES[:, None]
    np.testing.assert_allclose(got.score, exact, rtol=1e-12, atol=1e-12)


def test_the_score_of_a_lone_death_is_known_path_by_path():
    """One individual dies at τ: 1/γ − τ after it, −t before."""
    times = np.linspace(0, 3, 3001)
    got = scored(ReactionNetwork.from_text("X -> 0 ; gamma"), [0.8], [1], times, 200)
    alive = got.states[:, :, 0] == 1
    np.testing.assert_allclose(
        got.score[..., 0][alive], np.broadcast_to(-times, alive.shape)[alive]
    )
    lifetime = alive.sum(axis=1) * 1e-3  # known within a step of the grid
    dead = ~alive[:, -1]
    assert 100 < dead.sum() < 200
    np.testing.assert_allclose(got.score[dead, -1, 0], 1 / 0.8 - lifetime[dead], atol=1.01e-3)
    with np.errstate(invalid="ignore"):
        after = np.where(alive[:, :, None], got.score[:, -1:], got.score)
    np.testing.assert_allclose(
        after[dead], np.broadcast_to(got.score[dead, -1:], after[dead].shape)
    )


def test_a_shared_rate_has_one_score_and_a_number_none():
    network = ReactionNetwork.from_text("0 -> X ; k\n0 -> Y ; k\n0 -> Z ; 3")
    got = scored(network, [2.0], [0, 0, 0], num_runs=200)
    exact = got.states[:, :, :2].sum(axis=2) / 2.0 - 2 * TIMES
    np.testing.assert_allclose(got.score[..., 0], exact, rtol=1e-12, atol=1e-12)
    assert got.score.shape == (200, 4, 1)


def test_the_score_of_a_rate_at_zero_is_not_a_number():
    network = helpers.immigration_death()
    got = scored(network, [0.0, 1.5], [5], num_runs=50)
    assert np.all(np.isnan(got.score[:, :, 0]))
    assert np.all(np.isfinite(got.score[:, :, 1]))
    only_gamma = np.array([[0.0, 0.0], [2.0, -1.0]])
    np.testing.assert_allclose(
        got.score_along(only_gamma), got.score[:, :, 1:] * np.array([2.0, -1.0]), rtol=1e-14
    )
    with pytest.raises(
        ParameterError, match=r"the score is not defined at a zero rate; keep the rate above 0"
    ):
        got.score_along(np.eye(2))


def test_scores_of_other_parameters_follow_the_chain_rule():
    network, params, initial = CASES["sir"]
    got = scored(network, params, initial, num_runs=50)
    slopes = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, -1.0]])
    np.testing.assert_allclose(got.score_along(slopes), got.score @ slopes, rtol=1e-14)


def fisher_information(case, t):
    """Of whole paths up to t: J_rs = δ_rs ∫ E[h_r] ds / θ_r."""
    if case == "arrival":
        return np.array([[t / 8.0]])
    if case == "immigration-death":
        k, gamma, x0 = 10.0, 1.5, 3
        e = np.exp(-gamma * t)
        exposure = x0 * (1 - e) / gamma + k / gamma * (t - (1 - e) / gamma)  # ∫ E[X] ds
        return np.diag([t / k, exposure / gamma])
    birth, death, x0 = 0.9, 1.1, 7
    exposure = x0 * (1 - np.exp((birth - death) * t)) / (death - birth)
    return np.diag([exposure / birth, exposure / death])


@pytest.mark.parametrize("case", OPEN_CASES)
def test_scores_have_mean_zero_and_the_fisher_information_as_variance(case):
    got = scored(*OPEN_CASES[case])
    assert np.all(got.score[:, 0] == 0)
    for at, t in enumerate(TIMES[1:], start=1):
        exact = fisher_information(case, t)
        score = got.score[:, at]
        assert np.all(np.abs(score.mean(axis=0)) < 4 * np.sqrt(np.diag(exact) / RUNS))
        products = score[:, :, None] * score[:, None, :]
        error = products.std(axis=0) / np.sqrt(RUNS)
        assert np.all(np.abs(products.mean(axis=0) - exact) < 4 * error)


def assert_score_gradient(values, scores, exact):
    """E[f S] is ∂E[f]/∂θ: f centered, which changes nothing but the noise."""
    centered = values - values.mean()
    products = centered[:, None] * scores
    error = products.std(axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(products.mean(axis=0) - exact) < 4 * error + 1e-12)
    # and the test could tell a fifth of it from nothing
    assert np.all(np.abs(exact) > 20 * error)


@pytest.mark.parametrize("case", ["immigration-death", "birth-death"])
def test_scores_give_the_gradient_of_a_mean(case):
    network, params, initial = OPEN_CASES[case]
    gradient = {
        "immigration-death": helpers.immigration_death_mean_gradient,
        "birth-death": helpers.birth_death_mean_gradient,
    }[case]
    got = scored(network, params, initial)
    for at in (1, 2, 3):
        exact = np.array(gradient(*params, TIMES[at], *initial))
        assert_score_gradient(got.states[:, at, 0].astype(float), got.score[:, at], exact)
    # The score up to a later time serves as well: what comes after is worth zero on average.
    exact = np.array(gradient(*params, TIMES[1], *initial))
    assert_score_gradient(got.states[:, 1, 0].astype(float), got.score[:, 2], exact)


@pytest.mark.parametrize("case", ["sir", "dimerization", "shared"])
def test_scores_give_the_gradient_of_any_function(case):
    network, params, initial = CASES[case]
    got = scored(network, params, initial)
    exact = projection.distribution(network, params, initial, TIMES, sensitivities=True)
    for function in (
        lambda n: n[:, 0].astype(float),
        lambda n: n[:, 1].astype(float) ** 2,
        lambda n: (n[:, 1] > initial[1]).astype(float),
    ):
        gradient = exact.expectation_gradient(function)
        for at in (2, 3):
            assert_score_gradient(function(got.states[:, at]), got.score[:, at], gradient[at])


def test_runs_with_and_without_score_are_the_same():
    network, params, initial = CASES["dimerization"]
    got, plain = (
        scored(network, params, initial, num_runs=100),
        sample(network, params, initial, num_runs=100),
    )
    for name in ("states", "codes", "events"):
        np.testing.assert_array_equal(getattr(got, name), getattr(plain, name))


# -- coupled pairs --------------------------------------------------------------------------------


def pairs(network, params, initial, times=TIMES, num_runs=RUNS):
    batch = Batch(
        np.broadcast_to(np.array(params, dtype=float), (num_runs, *np.shape(params))),
        np.broadcast_to(np.array(initial, dtype=np.int64), (num_runs, *np.shape(initial))),
        np.asarray(times),
        STREAM,
        run_ids(num_runs),
    )
    return direct.sample_pairs(network, batch)


def test_each_side_of_a_pair_follows_its_own_law():
    both = [[10.0, 1.5], [10.5, 1.4]]
    states = pairs(helpers.immigration_death(), both, [[3], [4]]).states[..., 0]
    for side in range(2):
        moments = helpers.immigration_death_moments(*both[side], TIMES, 3 + side)
        assert_moments(states[:, side], *moments)


@pytest.mark.parametrize("case", ["sir", "dimerization"])
def test_each_side_of_a_pair_has_the_exact_distribution(case):
    network, params, initial = CASES[case]
    both = [params, [1.3 * params[0], 0.9 * params[1]]]
    states = pairs(network, both, [initial, initial]).states
    for side in range(2):
        exact = projection.distribution(network, both[side], initial, TIMES)
        for t in (2, 3):
            assert_distribution(states[:, side, t], exact, t)


@pytest.mark.parametrize("case", ["immigration-death", "birth-death"])
def test_differences_of_pairs_are_quiet_and_right(case):
    network, params, initial = OPEN_CASES[case]
    moments, gradient = {
        "immigration-death": (
            helpers.immigration_death_moments, helpers.immigration_death_mean_gradient,
        ),
        "birth-death": (helpers.birth_death_moments, helpers.birth_death_mean_gradient),
    }[case]  # fmt: skip
    h = 0.02
    for q in range(2):
        above, below = ([*params[:q], params[q] * f, *params[q + 1 :]] for f in (1 + h, 1 - h))
        x = pairs(network, [above, below], [initial, initial]).states[..., 0].astype(float)
        difference = x[:, 0] - x[:, 1]
        exact = moments(*above, TIMES, *initial)[0] - moments(*below, TIMES, *initial)[0]
        error = difference.std(axis=0) / np.sqrt(RUNS)
        assert np.all(np.abs(difference.mean(axis=0) - exact) <= 4 * error)
        independent = moments(*above, TIMES, *initial)[1] + moments(*below, TIMES, *initial)[1]
        assert np.all(difference.var(axis=0)[1:] < 0.1 * independent[1:])
        slope = np.array(gradient(*params, TIMES[1:], *initial)[q]) * 2 * h * params[q]
        assert np.all(np.abs(difference.mean(axis=0)[1:] - slope) <= 5 * error[1:] + 1e-3)


def test_the_variance_of_coupled_arrivals_is_known():
    """Arrivals at k and k' share all but |k − k'|: the difference is Poisson((k' − k) t)."""
    states = pairs(helpers.arrival(), [[5.0], [6.5]], [[0], [0]]).states[..., 0]
    extra = states[:, 1] - states[:, 0]
    assert extra.min() >= 0
    assert_moments(extra, 1.5 * TIMES, 1.5 * TIMES)


def test_equal_sides_never_part():
    network, params, initial = CASES["sir"]
    states = pairs(network, [params, params], [initial, initial], num_runs=500).states
    np.testing.assert_array_equal(states[:, 0], states[:, 1])
    assert np.all(states.sum(axis=-1) == 20)


def test_paths_of_pairs_do_not_depend_on_the_output_grid():
    network, params, initial = CASES["dimerization"]
    both = [params, [0.5, 1.2]]
    coarse = np.array([0.3, 1.1, 4.0])
    fine = np.union1d(coarse, np.linspace(0, 4, 53))
    few, many = (pairs(network, both, [initial, initial], t, 300) for t in (coarse, fine))
    np.testing.assert_array_equal(few.states, many.states[:, :, np.searchsorted(fine, coarse)])


def test_pairs_obey_max_events():
    method = DirectMethod(max_events=3)
    batch = Batch(
        np.ones((2, 2, 1)),
        np.array([[[3], [3]], [[4], [4]]]),
        np.array([100.0]),
        STREAM,
        run_ids(2),
    )
    got = method.sample_pairs(ReactionNetwork.from_text("X -> 0 ; gamma"), batch)
    np.testing.assert_array_equal(got.codes, [0, SampleCode.MAX_EVENTS])
    np.testing.assert_array_equal(got.states[:, :, 0, 0], [[0, 0], [-1, -1]])
