"""Slots with choices and with coefficients: their gradients, exactly, and what they find."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tumble import (
    Experiment,
    Observable,
    Parameter,
    Problem,
    ReactionNetwork,
    learn_structure,
    noise,
    simulate,
)
from tumble._errors import CapabilityError, ParameterError
from tumble._random import Stream, run_ids
from tumble.gradients import SmoothedReinforce
from tumble.simulators import Batch
from tumble.structure import (
    ChoiceSearch,
    CoefficientSearch,
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    ReactionLibrary,
    RelaxedCoefficients,
    RelaxedLikelihood,
    ScoredChoice,
    SimulatedLoss,
    StraightThroughChoice,
    StraightThroughCoefficients,
    mass_action,
)
from tumble.structure._slots import (
    Complexes,
    DrawnNetworks,
    RoundedNetworks,
    log_probabilities,
    slot_model,
)

# Seconds each, mostly of compilation.
pytestmark = pytest.mark.slow

SIR = ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
TRUTH = {"I + S -> 2 I", "I -> R"}
LIBRARY = mass_action(["S", "I"], 1)  # 6 candidates
CHOICE_ERRORS = 4.0


def exact_gradient(log_p, f):
    """Return E[f] by logarithms of weights [2, R], over all pairs."""
    p, size = np.exp(log_p), log_p.shape[1]
    found = np.zeros_like(log_p)
    for i, j in itertools.product(range(size), repeat=2):
        score = np.eye(size)[[i, j]] - p
        found += p[0, i] * p[1, j] * f(i, j) * score
    return found


def mean_and_error(estimates):
    estimates = np.array(estimates)
    return estimates.mean(0), estimates.std(0, ddof=1) / np.sqrt(len(estimates))


def regret(rates, target):
    """Return f of a pair of candidates, from a distance of sums that grows as its square."""

    def f(i, j):
        return -np.log1p((sum({i: rates[i], j: rates[j]}.values()) - target) ** 2)

    return f


@pytest.fixture
def log_p():
    return log_probabilities(np.random.default_rng(1).normal(size=(2, len(LIBRARY))))


RATES = np.array([0.5, 3.0, -2.0, 4.0, 1.0, -1.0])


def test_gradient_of_choices_is_unbiased(log_p):
    """In batches of two; each component to four standard errors, all of them not zero."""
    f, rng = regret(RATES, 6.0), np.random.default_rng(2)
    estimates = []
    for _ in range(20_000):
        chosen = ScoredChoice().draw(log_p, 2, rng)
        values = np.array([f(*row) for row in chosen.picks])
        estimates.append(ScoredChoice().estimate(log_p, chosen, values, np.zeros((2, 0))))
    mean, error = mean_and_error(estimates)
    exact = exact_gradient(log_p, f)
    assert np.all(np.abs(mean - exact) < CHOICE_ERRORS * error)
    assert np.abs(exact).max() > 20 * error.max()


def test_straight_through_is_biased(log_p):
    """Its mean is off by far more than its error, whatever the batch; so the docstring says."""
    f, rng, target = regret(RATES, 6.0), np.random.default_rng(2), 6.0
    estimates = []
    for _ in range(4000):
        chosen = StraightThroughChoice().draw(log_p, 8, rng)
        values = np.array([f(*row) for row in chosen.picks])
        sums = np.array([sum(RATES[r] for r in set(row)) for row in chosen.picks.tolist()])
        slopes = (-2 * (sums - target) / (1 + (sums - target) ** 2))[:, None] * RATES
        estimates.append(StraightThroughChoice().estimate(log_p, chosen, values, slopes))
    mean, error = mean_and_error(estimates)
    assert np.abs(mean - exact_gradient(log_p, f)).max() > 20 * error.max()


def test_choices_follow_their_probabilities(log_p):
    chosen = ScoredChoice().draw(log_p, 40_000, np.random.default_rng(3))
    p = np.exp(log_p)
    for k in range(2):
        share = np.bincount(chosen.picks[:, k], minlength=len(LIBRARY)) / 40_000
        assert np.all(np.abs(share - p[k]) < 4 * np.sqrt(p[k] * (1 - p[k]) / 40_000))


def decay_or_arrival():
    """Return a simulator of one slot, one of two reactions of X alone, and its parameters."""
    library = mass_action(["X"], 1)
    assert library.equations == ("0 -> X", "X -> 0")
    return DrawnNetworks(library, 1), np.array([0.3, -0.2, 5.0, 0.8])


def test_score_of_drawn_networks_is_unbiased():
    """E[X(1)] from 10, by weights of complexes and by rates, against closed forms."""
    simulator, params = decay_or_arrival()
    size, when = 40_000, 1.0
    batch = Batch(
        np.tile(params, (size, 1)), np.full((size, 1), 10), np.array([when]),
        Stream.from_seed(4), run_ids(size),
    )  # fmt: skip
    model = slot_model(simulator.library, simulator.parameters)
    sample = simulator.sample_with_score(model, batch)
    k, g = params[2:]
    means = np.array([10 + k * when, 10 * np.exp(-g * when)])
    p = np.exp(log_probabilities(params[:2]))
    by_candidate = p * (means - p @ means)
    exact = np.concatenate(
        [by_candidate, [p[0] * when, -p[1] * 10 * when * np.exp(-g * when)]]
    )  # fmt: skip
    values = sample.states[:, 0, 0] - p @ means
    mean, error = mean_and_error(values[:, None] * sample.score[:, 0])
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert np.all(np.abs(exact) > 8 * error)


def test_a_run_does_not_depend_on_its_batch():
    simulator, params = decay_or_arrival()
    model = slot_model(simulator.library, simulator.parameters)
    rows, first = np.tile(params, (20, 1)), np.full((20, 1), 10)
    batch = Batch(rows, first, np.array([1.0]), Stream.from_seed(5), run_ids(20))
    whole = simulator.sample(model, batch).states
    part = Batch(rows[7:9], first[7:9], batch.times, batch.stream, run_ids(2, 7))
    np.testing.assert_array_equal(simulator.sample(model, part).states, whole[7:9])


def test_coefficients_are_rounded_to_the_nearest_candidate():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    networks = RoundedNetworks(library, 2, np.full(len(library), 10.0))
    first = [0.8, 1.1, 0.1, 0.1, 1.7, 0.0]
    second = [0.2, 0.9, 0.0, 0.0, 0.3, 1.2]
    picks, rates = networks.networks_of(np.array([*first, *second, 20.0, 30.0]))
    assert {library.equations[r] for r in picks} == TRUTH
    assert rates.tolist() == [2.0, 3.0]


def problem_of(library, times, num_samples, seed, initial=None, observables=None):
    initial = {"S": 290, "I": 10, "R": 0} if initial is None else initial
    data = simulate(
        SIR, {"beta": 0.02, "gamma": 1.5}, initial=initial, times=times, num_samples=num_samples,
        seed=seed,
    )  # fmt: skip
    experiment = Experiment(data, initial)
    return Problem(
        library.network, experiments=[experiment], parameters=library.parameters(1e-6, 1e3),
        observables=observables,
    )  # fmt: skip


def test_relaxed_likelihood_is_that_of_the_network_at_whole_coefficients():
    """One interval from a known state, where neither has to filter; and slopes elsewhere."""
    library = ReactionLibrary(SIR.reactions, SIR.species)
    problem = problem_of(library, [0.1], 6, 1)
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())
    relaxed, complexes = RelaxedLikelihood.of(posterior), Complexes.of(library)
    rates = np.array([0.021, 1.4])
    u = np.log(rates * relaxed.firings)
    value, _ = relaxed.evaluate(complexes.before, complexes.after, u, 0.0)
    whole = NetworkLikelihood(problem, library).evaluate(rates, [0, 1])
    constant = 0.5 * np.log(2 * np.pi) * problem.experiments[0].data.values.size
    assert abs(-6 * value - constant - whole.value) < 0.02
    c, d = complexes.before + 0.2, complexes.after * 0.9 + 0.1
    _, slopes = relaxed.evaluate(c, d, u, 0.1)
    for which, place in ((0, (0, 0)), (0, (1, 1)), (1, (0, 1)), (1, (1, 2)), (2, (1,))):
        sides = []
        for step in (1e-5, -1e-5):
            at = [c.copy(), d.copy(), u.copy()]
            at[which][place] += step
            sides.append(relaxed.evaluate(*at, 0.1)[0])
        assert abs(slopes[which][place] - (sides[0] - sides[1]) / 2e-5) < 1e-5


def test_straight_through_of_coefficients_has_other_slopes():
    """At coefficients between whole numbers they are those of the nearest whole ones."""
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    posterior = NetworkPosterior(
        NetworkLikelihood(problem_of(library, [0.1, 0.2, 0.4], 4, 1), library), NetworkPrior()
    )
    relaxed, complexes = RelaxedLikelihood.of(posterior), Complexes.of(library)
    c = np.array([[0.7, 0.8, 0.0], [0.1, 0.8, 0.0]])
    d = np.array([[0.1, 1.6, 0.1], [0.0, 0.2, 0.8]])
    picks = complexes.nearest(c, d)
    u = np.log([200.0, 100.0])
    assert {library.equations[r] for r in picks} == TRUTH
    own = relaxed.evaluate(*RelaxedCoefficients().place(complexes, picks, c, d), u, 0.01)
    passed = relaxed.evaluate(*StraightThroughCoefficients().place(complexes, picks, c, d), u, 0.01)
    assert np.abs(own[1][0] - passed[1][0]).max() > 0.5 * np.abs(own[1][0]).max()


SEARCHES = {
    "choice": ChoiceSearch(2, starts=2, steps=80),
    "coefficients": CoefficientSearch(2, starts=2),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_descents_find_a_small_epidemic(name):
    library = mass_action(["S", "I", "R"])
    problem = problem_of(library, np.linspace(0, 4, 41)[1:], 2, 3)
    found = learn_structure(problem, library=library, method=SEARCHES[name])
    assert set(found.networks[0].equations) == TRUTH
    assert len(found.descents) == 2
    passed = {n for descent in found.descents for n in descent.networks}
    weighed = {
        frozenset(found.library.equations.index(e) for e in n.equations) for n in found.networks
    }
    if name == "choice":
        assert weighed == passed  # nothing but what descents met
    else:  # and what is near where they ended
        assert passed < weighed
        assert len(weighed - passed) <= 2 * SEARCHES[name].near ** 2
        nearest = learn_structure(problem, library=library, method=replace(SEARCHES[name], near=1))
        assert len(nearest.networks) < len(found.networks)
    assert "start 1 ended in" in found.summary()
    path = found.path(0)
    assert len(path) == len(found.descents[0].losses)
    once = learn_structure(problem, library=library, method=replace(SEARCHES[name], starts=1))
    assert once.descents[0].networks == found.descents[0].networks


@pytest.mark.parametrize(
    "method",
    [
        ChoiceSearch(2, 1, 3, gradient=SimulatedLoss(num_runs=8)),
        ChoiceSearch(2, 1, 3, gradient=SimulatedLoss(SmoothedReinforce(0.1), num_runs=8)),
        ChoiceSearch(2, 1, 3, gradient=StraightThroughChoice()),
        CoefficientSearch(2, 1, 3, gradient=SimulatedLoss(num_runs=8)),
        CoefficientSearch(2, 1, 3, gradient=StraightThroughCoefficients()),
    ],
    ids=["scores", "smoothed", "Gumbel", "rounded", "straight"],
)
def test_other_gradients_step(method):
    """A few steps: each is noted, with its own networks, and moves something."""
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    problem = problem_of(library, [0.5, 1.0, 2.0], 2, 1)
    found = learn_structure(problem, library=library, method=method)
    (descent,) = found.descents
    assert len(descent.networks) == 3 and np.isfinite(descent.losses).all()
    assert descent.shares.shape == (3, 36)
    assert descent.losses[0] != descent.losses[-1]


def test_what_is_required_is_there():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"], require=["R -> S"])
    problem = problem_of(library, [0.5, 1.0, 2.0], 2, 1)
    found = learn_structure(problem, library=library, method=ChoiceSearch(2, 1, 5))
    assert all("R -> S" in n.equations for n in found.networks)
    with pytest.raises(CapabilityError, match=r"the library requires reactions, but all coeff"):
        learn_structure(problem, library=library, method=CoefficientSearch(2))


def test_what_is_wrong_is_said():
    with pytest.raises(ParameterError, match=r"`slots` is 0"):
        ChoiceSearch(0)
    with pytest.raises(ParameterError, match=r"`samples` is 1"):
        ChoiceSearch(2, samples=1)
    with pytest.raises(ParameterError, match=r"`rate` is -1, expected between 0 and 10"):
        CoefficientSearch(2, rate=-1)
    with pytest.raises(ParameterError, match=r"`gradient` is 3.*ScoredChoice\(\)"):
        ChoiceSearch(2, gradient=3)
    with pytest.raises(ParameterError, match=r"`gradient` is 3.*RelaxedCoefficients\(\)"):
        CoefficientSearch(2, gradient=3)
    with pytest.raises(ParameterError, match=r"`temperature` is 0, expected a number > 0"):
        StraightThroughChoice(0)
    with pytest.raises(ParameterError, match=r"`num_runs` is 2"):
        SimulatedLoss(num_runs=2)
    library = mass_action(["S", "I", "R"])
    noisy = {s: Observable(s, noise=noise.Normal(5.0)) for s in "SIR"}
    problem = problem_of(library, [0.5, 1.0], 2, 1, observables=noisy)
    with pytest.raises(CapabilityError, match=r"the data do not show whole states exactly"):
        learn_structure(problem, library=library, method=CoefficientSearch(2))
    known = {"k1": 0.0}
    data = simulate(SIR, {"beta": 0.02, "gamma": 1.5}, initial={"S": 290, "I": 10, "R": 0},
                    times=[0.5, 1.0], num_samples=2, seed=1)  # fmt: skip
    conditioned = Problem(
        library.network,
        experiments=[Experiment(data, {"S": 290, "I": 10, "R": 0}, known)],
        parameters={k: Parameter(1e-6, 1e3) for k in library.network.parameters if k != "k1"},
    )
    for method in (CoefficientSearch(2), ChoiceSearch(2, gradient=SimulatedLoss())):
        with pytest.raises(CapabilityError, match=r"an experiment has conditions"):
            learn_structure(conditioned, library=library, method=method)
