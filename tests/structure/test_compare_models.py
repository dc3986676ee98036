"""Models weighed: evidences against dense quadrature over the parameters, and what is reported."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from tumble import (
    Experiment,
    Observable,
    Parameter,
    Problem,
    ReactionNetwork,
    Ref,
    compare_models,
    inputs,
    noise,
    priors,
    simulate,
)
from tumble._errors import CapabilityError, DataError, ParameterError, SimulationError
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.simulators import DirectMethod, FiniteStateProjection, LinearNoise, ParticleFilter
from tumble.structure import Evidence, HeldOut, Score, WindowSearch
from tumble.structure._model_comparison import ModelComparison, ranked

# Seconds each, mostly of compilation.
pytestmark = pytest.mark.slow

ARRIVAL = ReactionNetwork.from_text("0 -> X ; k")
IMMIGRATION_DEATH = ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")
DEATH = ReactionNetwork.from_text("X -> 0 ; gamma")
SHARP = 0.05


def on_grid(*logs_and_grids):
    """Return log ∫ exp(logs) over uniform priors on the grids: the mean, by the trapezoid rule."""
    logs, *grids = logs_and_grids
    weights = 0.0
    for axis, grid in enumerate(grids):
        w = np.ones(len(grid))
        w[[0, -1]] = 0.5
        shape = [1] * len(grids)
        shape[axis] = -1
        weights = weights + np.log(w / w.sum()).reshape(shape)
    return logsumexp(logs + weights)


def decay_problem(counts, times, start=20, parameter=None):
    return Problem(
        DEATH, data={"time": times, "X": counts}, initial={"X": start},
        parameters={"gamma": parameter or Parameter(0.01, 100)},
    )  # fmt: skip


def log_decay(gammas, counts, times, start=20):
    """Each copy is left after an interval with probability e^{−γ Δt}: a chain of binomials."""
    total, before, last = np.zeros(len(gammas)), start, 0.0
    for count, time in zip(counts, times, strict=True):
        total += stats.binom.logpmf(count, before, np.exp(-gammas * (time - last)))
        before, last = count, time
    return total


def weigh(criterion, problem, seed=0):
    return criterion.weigh(problem, Stream.from_seed(seed))


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_evidence_of_one_rate(seed):
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    z = np.linspace(np.log(0.01), np.log(100), 20_001)
    exact = on_grid(log_decay(np.exp(z), counts, times), z)
    by = Evidence(through=FiniteStateProjection(), tolerance=SHARP)
    found = weigh(by, decay_problem(counts, times), seed)
    assert found.result.ok and found.standard_error <= SHARP
    assert abs(found.log_score - exact) < 4 * found.standard_error
    assert found.fit.result is ResultCode.CONVERGED


def test_exact_evidence_with_a_prior_that_bounds_cut():
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    prior = priors.Gamma(2.0, 1.0)
    gammas = np.linspace(0.5, 1.5, 20_001)
    given = stats.gamma.logpdf(gammas, 2.0) - np.log(np.diff(stats.gamma.cdf([0.5, 1.5], 2.0)))
    exact = on_grid(log_decay(gammas, counts, times) + given, gammas)  # the width is 1
    for scale in ("log", "linear"):
        problem = decay_problem(counts, times, parameter=Parameter(0.5, 1.5, scale, prior))
        by = Evidence(through=FiniteStateProjection(), tolerance=SHARP)
        found = weigh(by, problem)
        assert abs(found.log_score - exact) < 4 * found.standard_error


def test_exact_evidence_of_a_rate_at_its_bound():
    """Nothing was lost: the likelihood falls all the way from the lower bound."""
    counts, times = [20, 20, 20], [0.5, 1.0, 2.0]
    z = np.linspace(np.log(1e-4), np.log(100), 20_001)
    exact = on_grid(log_decay(np.exp(z), counts, times), z)
    problem = decay_problem(counts, times, parameter=Parameter(1e-4, 100))
    found = weigh(Evidence(through=FiniteStateProjection(), tolerance=SHARP), problem)
    assert found.result.ok
    assert abs(found.log_score - exact) < 4 * found.standard_error
    assert found.fit.result is ResultCode.AT_BOUND
    assert "gamma sits at a bound of its range in the best fit" in found.notes[0]
    (gamma,) = found.posterior
    weights = np.exp(log_decay(np.exp(z), counts, times))
    median = np.exp(z[np.searchsorted(np.cumsum(weights) / weights.sum(), 0.5)])
    assert abs(np.log(gamma.value / median)) < 0.5
    assert gamma.interval[0] < gamma.value < gamma.interval[1] < 0.5


def arrivals(counts, times):
    """Series that all begin empty, at several times of their own."""
    return [
        Experiment({"time": [t], "X": [float(c)]}, {"X": 0})
        for t, c in zip(times, counts, strict=True)
    ]


def log_arrivals(k, gamma, counts, times):
    """Linear noise is normal, with the mean of the Poisson law as mean and variance."""
    total = 0.0
    for count, t in zip(counts, times, strict=True):
        mean = k * -np.expm1(-gamma * t) / gamma
        total = total + stats.norm.logpdf(count, mean, np.sqrt(mean + 1 / 12))
    return total


@pytest.mark.parametrize("losses", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_evidence_of_two_rates_of_which_one_may_be_idle(losses):
    """Without losses γ has a plateau down to its bound, where no curvature tells its volume."""
    times = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
    counts = [26, 49, 77, 98, 126, 150] if losses == 0 else [19, 33, 37, 45, 44, 48]
    k, gamma = np.linspace(np.log(1), np.log(1e3), 1201), np.linspace(np.log(1e-4), np.log(10), 801)
    logs = log_arrivals(np.exp(k)[:, None], np.exp(gamma)[None], counts, times)
    exact = on_grid(logs, k, gamma)
    both = Problem(
        IMMIGRATION_DEATH, arrivals(counts, times),
        {"k": Parameter(1, 1e3), "gamma": Parameter(1e-4, 10)},
    )  # fmt: skip
    found = weigh(Evidence(tolerance=SHARP), both)
    assert found.result.ok
    assert abs(found.log_score - exact) < 4 * found.standard_error
    alone = Problem(ARRIVAL, arrivals(counts, times), {"k": Parameter(1, 1e3)})
    mean = np.exp(k)[:, None] * times
    one = on_grid(stats.norm.logpdf(counts, mean, np.sqrt(mean + 1 / 12)).sum(1), k)
    compared = compare_models({"arrival": alone, "both": both}, by=Evidence(tolerance=SHARP))
    odds = np.exp(one - exact)
    share = odds / (1 + odds)
    assert abs(compared.probabilities["arrival"] - share) < 4 * 2 * SHARP * share * (1 - share)
    assert compared.best.name == ("arrival" if losses == 0 else "both")


def test_evidence_of_two_maxima():
    """Which of two decays is the fast one, their sum does not tell."""
    text = "X -> 0 ; a\nY -> 0 ; b"
    times, start = np.array([0.2, 0.5, 1.0, 2.0, 4.0]), 200
    grid = np.linspace(np.log(0.02), np.log(50), 801)

    def chance(rate, t):
        return np.exp(-rate * t)

    rng = np.random.default_rng(3)
    counts = [rng.binomial(start, chance(4.0, t)) + rng.binomial(start, chance(0.3, t))
              for t in times]  # fmt: skip
    logs = 0.0
    for count, t in zip(counts, times, strict=True):
        p, q = chance(np.exp(grid)[:, None], t), chance(np.exp(grid)[None], t)
        spread = start * (p * (1 - p) + q * (1 - q)) + 1 / 12
        logs = logs + stats.norm.logpdf(count, start * (p + q), np.sqrt(spread))
    exact = on_grid(logs, grid, grid)
    problem = Problem(
        ReactionNetwork.from_text(text),
        [Experiment({"time": [t], "all": [float(c)]}, {"X": start, "Y": start})
         for t, c in zip(times, counts, strict=True)],
        {"a": Parameter(0.02, 50), "b": Parameter(0.02, 50)},
        observables={"all": "X + Y"},
    )  # fmt: skip
    found = weigh(Evidence(tolerance=SHARP), problem)
    assert found.result.ok
    assert abs(found.log_score - exact) < 4 * found.standard_error
    assert abs(found.laplace - exact) < 0.2  # both maxima count; one alone would be 0.7 short


def test_held_out_times_and_replicates():
    counts, times = np.array([14, 10, 6, 3]), np.array([0.5, 1.0, 1.5, 2.0])
    z = np.linspace(np.log(0.01), np.log(100), 20_001)
    rates = np.exp(z)
    whole = on_grid(log_decay(rates, counts, times), z)
    first = on_grid(log_decay(rates, counts[:3], times[:3]), z)
    evidence = Evidence(through=FiniteStateProjection(), tolerance=SHARP)
    found = weigh(HeldOut(last=0.3, evidence=evidence), decay_problem(counts, times))
    assert abs(found.log_score - (whole - first)) < 4 * found.standard_error
    many = np.array([[14, 10], [12, 9], [15, 13], [11, 5]])
    logs = np.array([log_decay(rates, row, [0.5, 1.0]) for row in many])
    folds = sum(
        on_grid(logs.sum(0), z) - on_grid(np.delete(logs, [i, i + 2], 0).sum(0), z)
        for i in range(2)
    )  # fmt: skip
    import xarray as xr

    data = xr.DataArray(
        many[:, :, None].astype(float), dims=("replicate", "time", "observable"),
        coords={"time": [0.5, 1.0], "observable": ["X"]},
    )  # fmt: skip
    problem = Problem(
        DEATH, data=data, initial={"X": 20}, parameters={"gamma": Parameter(0.01, 100)}
    )
    found = weigh(HeldOut(folds=2, evidence=evidence), problem)
    assert abs(found.log_score - folds) < 4 * found.standard_error


def epidemic(text, data, *, parameters, initial, **options):
    rates = {"beta": Parameter(1e-4, 1), "gamma": Parameter(0.01, 10), **parameters}
    return Problem(ReactionNetwork.from_text(text), data=data, initial=initial,
                   parameters=rates, **options)  # fmt: skip


SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"
SEIR = "S + I -> E + I ; beta\nE -> I ; sigma\nI -> R ; gamma"


def reported(seed=0):
    """Counts of I in a small outbreak, of which 60 % are reported."""
    run = simulate(
        ReactionNetwork.from_text(SIR), {"beta": 0.04, "gamma": 1.0},
        initial={"S": 47, "I": 3, "R": 0}, times=np.arange(0.5, 6.1, 0.5), num_samples=1, seed=seed,
    )  # fmt: skip
    counts = np.random.default_rng(seed).binomial(run.data.values[0, :, 1], 0.6)
    return {"time": run.times, "cases": counts.astype(float)}


@pytest.mark.slow
def test_likelihoods_agree_on_reported_cases_and_unknown_beginnings():
    """Three ways to the likelihood, two of them exact, for what `learn_structure` refuses.

    This outbreak dies at once. Linear noise gives a count the variance of rounding, so that the
    density of a zero that is certain is not 1 but that of N(0, 1/12).
    """
    data = reported()
    certain = np.sum(data["cases"] == 0) * stats.norm.logpdf(0, 0, np.sqrt(1 / 12))
    problem = epidemic(
        SIR, data, initial={"S": 47, "I": Ref("I0"), "R": 0},
        parameters={"p": Parameter(0.3, 0.9, scale="logit"), "I0": Parameter(1, 8)},
        observables={"cases": Observable("I", noise.Binomial("p"))},
    )  # fmt: skip
    exact = weigh(Evidence(through=FiniteStateProjection()), problem)
    sampled = weigh(Evidence(through=ParticleFilter(1000)), problem)
    linear = weigh(Evidence(), problem)
    error = np.hypot(exact.standard_error, sampled.standard_error)
    assert abs(exact.log_score - sampled.log_score) < 4 * error
    assert -1.5 < linear.log_score - exact.log_score < 1.5 + certain
    assert {e.name for e in exact.posterior} == {"beta", "gamma", "p", "I0"}


@pytest.mark.slow
def test_what_learn_structure_refuses_is_weighed():
    """Hidden species, a rate law, a rate that follows an input, unknown noise."""
    data = reported()
    shared = {
        "observables": {"cases": Observable("p * I", noise.NegativeBinomial("phi"))},
    }
    unknown = {"p": Parameter(0.3, 0.9, scale="logit"), "phi": Parameter(1, 1e3)}
    sir = epidemic(SIR, data, initial={"S": 47, "I": 3, "R": 0}, parameters=unknown, **shared)
    law = "S + I => 2 I ; b * S * I / (1 + I / 20)\nI -> R ; gamma"
    forced = Problem(
        ReactionNetwork.from_text(law),
        [Experiment(data, {"S": 47, "I": 3, "R": 0},
                    {"b": inputs.StepInput([0.0, 2.0], [0.05, 0.02])})],
        {"gamma": Parameter(0.01, 10), **unknown}, **shared,
    )  # fmt: skip
    found = compare_models({"SIR": sir, "forced": forced})
    assert found.result is ResultCode.SUCCESS
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found["SIR"].likelihood == "linear noise (approximate)"
    again = compare_models({"forced": forced, "SIR": sir})
    assert again.probabilities == found.probabilities


def test_nothing_unknown():
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    slow = Problem(DEATH, data={"time": times, "X": counts}, initial={"X": 20},
                   parameters={"gamma": 0.5})  # fmt: skip
    by = Evidence(through=FiniteStateProjection(), tolerance=SHARP)
    found = compare_models({"known": slow, "unknown": decay_problem(counts, times)}, by=by)
    expected = log_decay(np.array([0.5]), counts, times)[0]
    assert found["known"].score.log_score == pytest.approx(expected)
    assert found["known"].fit is None and set(found.fits) == {"unknown"}


def test_models_that_fail_do_not_stop_the_others():
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    data = {"time": times, "X": counts}
    rates = {"k": Parameter(1e2, 1e3), "gamma": Parameter(0.1, 1)}
    endless = Problem(IMMIGRATION_DEATH, data=data, initial={"X": 20}, parameters=rates)
    by = Evidence(through=FiniteStateProjection(max_states=60), num_starts=1)
    problems = {"endless": endless, "death": decay_problem(counts, times)}
    found = compare_models(problems, by=by)
    assert found.result is ResultCode.PARTIAL
    assert found.best.name == "death" and found.probabilities["death"] == 1
    assert found["endless"].score.result is ResultCode.FAILED
    assert "max_states" in found["endless"].score.reason
    assert "endless was not weighed" in found.summary()


def test_impossible_data_have_probability_zero():
    counts, times = [13, 8, 9], [0.5, 1.0, 2.0]
    data = {"time": times, "X": counts}
    both = Problem(IMMIGRATION_DEATH, data=data, initial={"X": 20},
                   parameters={"k": Parameter(0.5, 5), "gamma": Parameter(0.5, 2)})  # fmt: skip
    by = Evidence(through=FiniteStateProjection(), num_starts=1)
    found = compare_models({"death": decay_problem(counts, times), "both": both}, by=by)
    assert found.probabilities == {"both": 1.0, "death": 0.0}
    assert found.differences == ("death cannot have made the data, or next to never",)
    with pytest.raises(SimulationError, match=r"no model could be weighed: a: .*max_states"):
        few = Evidence(through=FiniteStateProjection(max_states=3))
        compare_models({"a": both, "b": both}, by=few)


def scored(value, error=0.01, result=ResultCode.SUCCESS):
    return Score(value, error, None, (), np.nan, result, "100 draws")


def comparison(scores, prior=None):
    prior = prior or dict.fromkeys(scores, 1 / len(scores))
    words = dict.fromkeys(scores, ("linear noise (approximate)", ("beta log-uniform in 1 … 2",)))
    return ModelComparison(ranked(scores, prior, words), Evidence(), 1.0)


def test_words_and_odds():
    found = comparison({"SEIR": scored(-64.0), "SIR": scored(-64.0 + np.log(40))})
    assert found.names == ("SIR", "SEIR")
    assert found.differences == ("SIR is 40 times as probable as SEIR (strong)",)
    assert found.probabilities["SIR"] == pytest.approx(40 / 41)
    close = comparison({"a": scored(0.0, 0.25), "b": scored(-0.7)})
    assert close.differences == ("a and b are hardly told apart (2 to 1, to a factor of 1.3)",)
    far = comparison({"a": scored(0.0), "b": scored(-20.0), "c": scored(-6.0), "d": scored(-1.5)})
    assert far.differences[0] == "a is 4.5 times as probable as d (positive)"
    assert far.differences[1] == "a is 400 times as probable as c (very strong)"
    assert far.differences[2].startswith("a is more than a million times as probable as b")
    weighted = comparison({"a": scored(0.0), "b": scored(0.0)}, {"a": 0.2, "b": 0.8})
    assert weighted.probabilities == pytest.approx({"b": 0.8, "a": 0.2})
    never = comparison({"a": scored(0.0), "b": scored(9.0)}, {"a": 1.0, "b": 0.0})
    assert never.names == ("a", "b") and never.probabilities["b"] == 0
    part = comparison({"a": scored(0.0), "b": Score.failed(ResultCode.FAILED, "too large")})
    assert "b was not weighed: too large (failed)" in part.summary()


def test_a_comparison_can_be_kept(tmp_path):
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    wide = decay_problem(counts, times, parameter=Parameter(1e-8, 100))
    found = compare_models(
        {"narrow": decay_problem(counts, times), "wide": wide},
        prior={"narrow": 1, "wide": 3}, by=Evidence(tolerance=SHARP),
    )  # fmt: skip
    # A range of 10 instead of 4 decades takes a factor of 10/4 off the evidence.
    odds = found.probabilities["narrow"] / found.probabilities["wide"]
    assert odds == pytest.approx(10 / 4 / 3, rel=4 * 2 * SHARP)
    kept = json.loads(found.save(tmp_path / "models.json").read_text())
    assert [m["name"] for m in kept["models"]] == list(found.names)
    assert kept["models"][0]["likelihood"] == "linear noise (approximate)"
    assert "gamma log-uniform in 0.01 … 100" in found.summary()
    assert found.citations()[0].startswith("Kass, Raftery")
    assert "<pre>" in found._repr_html_()


def test_ctrl_c_keeps_what_is_done(monkeypatch):
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    problems = {"a": decay_problem(counts, times), "b": decay_problem(counts, times)}
    original, calls = Evidence.weigh, []

    def stopping(self, problem, stream):
        calls.append(problem)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, problem, stream)

    monkeypatch.setattr(Evidence, "weigh", stopping)
    found = compare_models(problems)
    assert found.result is ResultCode.INTERRUPTED
    assert found.best.name == "a" and not found["b"].weighed


def test_what_is_wrong_is_said():
    counts, times = [13, 8, 3], [0.5, 1.0, 2.0]
    one = decay_problem(counts, times)
    for wrong in (one, {"a": one}, [one, one]):
        with pytest.raises(ParameterError, match="expected two problems or more by name"):
            compare_models(wrong)
    with pytest.raises(ParameterError, match=r"`problems\['b'\]` is 3, expected a Problem"):
        compare_models({"a": one, "b": 3})
    with pytest.raises(ParameterError, match="has the name 1, expected text"):
        compare_models({"a": one, 1: one})
    both = {"a": one, "b": one}
    with pytest.raises(ParameterError, match=r"`by` is .*expected a criterion such as"):
        compare_models(both, by=WindowSearch())
    with pytest.raises(ParameterError, match=r"`prior` has 'c', but `problems` has a, b"):
        compare_models(both, prior={"a": 1, "c": 1})
    with pytest.raises(ParameterError, match=r"`prior` has no weight for 'b'"):
        compare_models(both, prior={"a": 1})
    with pytest.raises(ParameterError, match=r"`prior\['b'\]` is -1"):
        compare_models(both, prior={"a": 1, "b": -1})
    with pytest.raises(ParameterError, match="weights of 0 alone"):
        compare_models(both, prior={"a": 0, "b": 0})
    for other, words in (
        (decay_problem([13, 8, 4], times), "series 1 has other values of 'X'"),
        (decay_problem(counts, [0.5, 1.0, 2.5]), "series 1 has other times"),
        (decay_problem([13, 8], [0.5, 1.0]), "series 1 has other times"),
    ):
        with pytest.raises(DataError, match=f"models 'a' and 'b' have different data .{words}"):
            compare_models({"a": one, "b": other})
    events = ReactionNetwork.from_text("X -> 0 ; gamma\nat time >= 1: X = 5")
    with pytest.raises(CapabilityError, match=r"model 'b': the network has event"):
        compare_models({"a": one, "b": Problem(
            events, data={"time": times, "X": counts}, initial={"X": 20},
            parameters={"gamma": Parameter(0.01, 100)})})  # fmt: skip
    with pytest.raises(ParameterError, match=r"`through` is DirectMethod.*LinearNoise\(\)"):
        Evidence(through=DirectMethod())
    with pytest.raises(ParameterError, match=r"`tolerance` is 0"):
        Evidence(tolerance=0)
    with pytest.raises(ParameterError, match="give `last` or `folds`, not both"):
        HeldOut(last=0.3, folds=2)
    with pytest.raises(ParameterError, match=r"`last` is 1.5, expected between 0 and 1"):
        HeldOut(last=1.5)
    with pytest.raises(DataError, match=r"model 'a': `folds` is 3, but the data have 1 series"):
        compare_models(both, by=HeldOut(folds=3))
    with pytest.raises(ParameterError, match=r"there is no model .c., but the comparison has b, a"):
        comparison({"a": scored(0.0), "b": scored(1.0)})["c"]
    assert Evidence(through=LinearNoise()) == Evidence(through=LinearNoise())
