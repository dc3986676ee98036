"""A posterior that was stopped goes on bitwise as if it had not been."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

import tumble as tb
from tests.gradients.test_allocated import unequal
from tests.posteriors.test_likelihood_methods import EXACT, few_arrivals, two_rates
from tests.posteriors.test_loss_posterior import MEANS, counted
from tests.posteriors.test_sample_posterior import arrivals
from tests.posteriors.test_tsnpe import SMALL, problem_of
from tumble import Budget, ResultCode, TumbleError
from tumble.gradients import Auto, ScoreFunction
from tumble.posteriors import (
    ABCMCMC,
    NUTS,
    SMCABC,
    TSNPE,
    AdaptiveMetropolis,
    FreshRuns,
    LossPosterior,
    ParticleMCMC,
    RejectionABC,
    Summary,
    SyntheticLikelihood,
    _log_likelihoods,
    _loss_posterior,
    _smc,
)

SMC = SMCABC(num_particles=200, max_generations=4)
SLOW = {"nuts", "loss, divided"}
NOISY = few_arrivals(noise=tb.noise.Poisson())
# The method, its problem, and the number of the rounds after which it is stopped.
CASES = {
    "smc": (SMC, arrivals(), (1, 4)),
    "rejection": (RejectionABC(200, 60_000), arrivals(), (1, 3)),
    "abc chains": (ABCMCMC(num_pilot=2000, num_draws=100, max_steps=400), arrivals(), (2, 6)),
    "synthetic": (SyntheticLikelihood(num_draws=20, max_steps=100), arrivals(200), (1, 5)),
    "metropolis": (AdaptiveMetropolis(EXACT, num_draws=50), few_arrivals(), (1, 3)),
    "particles": (ParticleMCMC(num_draws=100, max_steps=200), NOISY, (1, 5)),
    "loss, surface": (LossPosterior(MEANS, num_draws=500), counted(), (2, 3)),
    "loss, fresh runs": (
        LossPosterior(MEANS, slopes=FreshRuns(), num_chains=2, num_draws=20, max_steps=120),
        counted(), (2, 4),
    ),
    "loss, divided": (  # Auto divides the runs between experiments
        LossPosterior(MEANS, gradient=Auto([ScoreFunction()]), num_draws=100), unequal(), (2,),
    ),
    "nuts": (NUTS(num_draws=100, max_steps=100), two_rates(), (2,)),
    "tsnpe": (
        TSNPE(num_data_sets=300, num_rounds=3, num_draws=200, num_flows=2, flow=SMALL),
        problem_of(), (2,),
    ),
}  # fmt: skip


def until(number, rounds):
    """Return a callback that stops at the round of this number, and collects them."""

    def stop(done):
        rounds.append(done)
        if len(rounds) == number:
            raise KeyboardInterrupt

    return stop


def assert_same(one, other):
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.weights, other.weights)
    assert repr(one.rounds) == repr(other.rounds)  # in which NaN is NaN
    assert (one.result, one.reason, one.warnings) == (other.result, other.reason, other.warnings)
    assert {**one.stats, "seconds": 0} == {**other.stats, "seconds": 0}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow if c in SLOW else []) for c in CASES]
)
def test_what_was_stopped_goes_on_bitwise_as_if_it_had_not_been(case, tmp_path):
    method, problem, stops = CASES[case]
    options = {"method": method, "seed": 3, "checkpoint": tmp_path / "state.npz"}
    whole = tb.sample_posterior(problem, method=method, seed=3)
    for number in stops:
        rounds = []
        # A chain that is stopped before it has draws has no posterior yet; its state is kept.
        with contextlib.suppress(KeyboardInterrupt):
            half = tb.sample_posterior(problem, callback=until(number, rounds), **options)
            assert half.result is ResultCode.INTERRUPTED
        assert len(rounds) == number and options["checkpoint"].is_file()
    again = []
    rest = tb.sample_posterior(problem, callback=again.append, **options)
    assert repr(again[0]) == repr(rounds[-1])
    assert_same(rest, whole)
    unfinished = whole.result in (ResultCode.MAX_STEPS, ResultCode.NOT_MIXED)
    assert options["checkpoint"].exists() == unfinished


def test_the_fit_before_chains_is_not_made_again(tmp_path, monkeypatch):
    method, problem, _ = CASES["loss, surface"]
    options = {"method": method, "seed": 3, "checkpoint": tmp_path / "state.npz"}
    with pytest.raises(KeyboardInterrupt):
        tb.sample_posterior(problem, callback=until(1, []), **options)
    for name in ("fit", "looked_at", "sandwich"):
        monkeypatch.setattr(_loss_posterior, name, None)
    assert tb.sample_posterior(problem, **options).result.ok


def test_how_many_particles_are_enough_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(_log_likelihoods, "_SD", 0.04)
    method, file = ParticleMCMC(num_draws=100, max_steps=50), tmp_path / "state.npz"
    whole = tb.sample_posterior(NOISY, method=method, seed=3)
    with contextlib.suppress(KeyboardInterrupt):
        tb.sample_posterior(NOISY, method=method, seed=3, callback=until(2, []), checkpoint=file)
    with np.load(file) as arrays:
        assert arrays["state/memory/0"] > 200  # with which the filter begins
    assert_same(tb.sample_posterior(NOISY, method=method, seed=3, checkpoint=file), whole)


def test_what_was_amid_a_round_is_made_again(tmp_path, monkeypatch):
    step, file = _smc.SMCSampler._try, tmp_path / "state.npz"
    whole = tb.sample_posterior(arrivals(), method=SMC)
    calls = []

    def killed(self, batch, *arguments):
        calls.append(batch)
        step(self, batch, *arguments)
        if len(calls) == 3:
            raise SystemExit(143)

    with monkeypatch.context() as patch:
        patch.setattr(_smc.SMCSampler, "_try", killed)
        with pytest.raises(SystemExit):
            tb.sample_posterior(arrivals(), method=SMC, checkpoint=file)
    assert_same(tb.sample_posterior(arrivals(), method=SMC, checkpoint=file), whole)


def test_spending_goes_on(tmp_path):
    file, budget = tmp_path / "state.npz", Budget(simulations=5000)
    whole = tb.sample_posterior(arrivals(), budget=budget)
    assert whole.result is ResultCode.OUT_OF_BUDGET and len(whole.rounds) > 1
    with contextlib.suppress(KeyboardInterrupt):
        tb.sample_posterior(arrivals(), budget=budget, callback=until(1, []), checkpoint=file)
    assert_same(tb.sample_posterior(arrivals(), budget=budget, checkpoint=file), whole)
    # What was spent is spent; more of it goes on from the last whole round.
    more = tb.sample_posterior(arrivals(), budget=Budget(simulations=50_000), checkpoint=file)
    assert repr(more.rounds[: len(whole.rounds)]) == repr(whole.rounds)
    assert len(more.rounds) > len(whole.rounds) and more.stats["runs"] > 5000
    assert more.stats["seconds"] > whole.stats["seconds"]


@pytest.fixture
def stopped(tmp_path):
    file = tmp_path / "state.npz"
    tb.sample_posterior(arrivals(), method=SMC, callback=until(2, []), checkpoint=file)
    return file


@pytest.mark.parametrize(
    "other",
    [
        {"problem": arrivals(38)},
        {"method": SMCABC(num_particles=201, max_generations=4)},
        {"method": RejectionABC(200, 60_000)},
        {"seed": 1},
    ],
    ids=["data", "settings", "method", "seed"],
)
def test_the_state_of_another_run_is_refused(other, stopped):
    options = {"problem": arrivals(), "method": SMC, "checkpoint": stopped} | other
    with pytest.raises(TumbleError, match=r"belongs to another run.*delete it to begin anew"):
        tb.sample_posterior(**options)


def test_another_simulator_is_another_problem(stopped):
    other = replace(arrivals(), simulator=tb.simulators.TauLeaping())
    with pytest.raises(TumbleError, match="belongs to another run"):
        tb.sample_posterior(other, method=SMC, checkpoint=stopped)


def middle(sets):
    return sets[0].mean()


def test_functions_are_known_by_their_name_in_any_process():
    one, two = (SMCABC(summary=Summary(f)) for f in (middle, lambda sets: 1.0))
    problem = arrivals()
    assert "0x" not in repr(one) and "middle" in repr(one)
    assert problem.fingerprint(middle) == problem.fingerprint(middle)
    assert problem.fingerprint(one) != problem.fingerprint(two)
    at = [object() for _ in range(2)]
    assert repr(at[0]) != repr(at[1])  # they have places in memory
    assert problem.fingerprint(at[0]) == problem.fingerprint(at[1])


def test_a_damaged_state_is_named_whatever_the_damage(stopped):
    whole = stopped.read_bytes()
    rng = np.random.default_rng(0)
    told = 0
    for k in range(60):
        some = bytearray(whole)
        some[int(rng.integers(len(some)))] ^= 1 << int(rng.integers(8))
        stopped.write_bytes(bytes(some) if k % 2 else whole[: int(rng.integers(len(whole)))])
        try:
            tb.sample_posterior(arrivals(), method=SMC, checkpoint=stopped)
        except TumbleError as error:
            told += 1
            assert "delete it to begin anew" in str(error) and "\n" not in str(error)
    assert told >= 30  # all that were cut off; what is in no use may change


def test_nothing_in_a_state_is_run(stopped, tmp_path):
    trap = tmp_path / "trap"

    class Evil:
        def __reduce__(self):
            return trap.write_text, ("caught",)

    with np.load(stopped) as arrays:
        content = dict(arrays)
    content["state/scale"] = np.array([Evil()], dtype=object)
    np.savez(stopped.with_suffix(""), **content)
    trap.unlink(missing_ok=True)
    with pytest.raises(TumbleError, match="cannot be read"):
        tb.sample_posterior(arrivals(), method=SMC, checkpoint=stopped)
    assert not trap.exists()


def test_it_is_written_completely_or_not_at_all(stopped, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    before = stopped.read_bytes()
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        tb.sample_posterior(arrivals(), method=SMC, checkpoint=stopped)
    assert stopped.read_bytes() == before and list(stopped.parent.iterdir()) == [stopped]


@pytest.mark.parametrize(
    ("given", "message"),
    [(3, "`checkpoint` is 3"), ("nowhere/state.npz", "there is no folder 'nowhere'"),
     (".", "a folder, expected the path of a file")],
)  # fmt: skip
def test_a_path_that_cannot_be_is_refused_at_once(given, message):
    with pytest.raises(TumbleError, match=message):
        tb.sample_posterior(arrivals(), checkpoint=given)
