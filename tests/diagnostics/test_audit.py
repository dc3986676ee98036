"""The audit names what is wrong and lets pass what is sound."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

import tumble as tb
from tests import helpers
from tumble._errors import CapabilityError, ParameterError
from tumble._random import Stream
from tumble.diagnostics import audit_fit, audit_gradient
from tumble.diagnostics._references import (
    ExactLikelihood,
    PlainDifferences,
    ProvenEstimator,
    SampledLikelihood,
    exact_loss_and_gradient,
    likelihood_reference,
    sampled_reference,
)
from tumble.gradients import AbstractEstimator, CoupledDifference, ScoreFunction
from tumble.objectives import ExpectedLoss, MomentMatching, PathLikelihood
from tumble.plot import audit_plot
from tumble.simulators import FiniteStateProjection, ParticleFilter


def immigration_death():
    return tb.Problem(
        helpers.immigration_death(),
        data={"time": [0.5, 2.0], "X": [5.0, 12.0]},
        initial={"X": 3},
        parameters={"k": tb.Parameter(0.1, 100), "gamma": tb.Parameter(0.1, 10)},
    )


PARAMS = {"k": 10.0, "gamma": 1.0}


@dataclass(frozen=True)
class Planted(AbstractEstimator):
    """The score function estimator with its gradient multiplied, a planted error. Final."""

    factors: tuple[float, ...] = (1.0, 1.0)
    requires = ScoreFunction.requires
    unbiased = False
    guarantee = "none"

    def runs_per_sample(self, objective):
        return 1

    def sample(self, objective, z, num_samples, stream, executor=None):
        sound = ScoreFunction().sample(objective, z, num_samples, stream, executor)
        return replace(sound, jacobians=sound.jacobians * np.array(self.factors))


def verdicts(audit):
    return [row.verdict for row in audit.rows]


@pytest.mark.parametrize(
    ("factors", "expected", "words"),
    [
        ((1.0, 1.0), ["RIGHT", "RIGHT"], "Planted is right for every parameter here."),
        ((0.0, 0.0), ["WRONG", "WRONG"], "zero where it should not be for k"),
        ((3.0, 3.0), ["WRONG", "WRONG"], "3 times too large for k"),
        ((-1.0, -1.0), ["WRONG", "WRONG"], "of the wrong sign for gamma"),
        ((1.0, 0.5), ["RIGHT", "WRONG"], "of what it should be for gamma"),
    ],
)
def test_planted_errors_are_named(factors, expected, words):
    audit = audit_gradient(
        immigration_death(), PARAMS, objective=MomentMatching(order=1), gradients=[Planted(factors)]
    )
    assert verdicts(audit) == expected
    assert words in audit.words
    assert audit.verdicts == {"Planted": "WRONG" if "WRONG" in expected else "RIGHT"}
    assert "finite state projection" in audit.reference


def test_default_estimators_are_right_and_their_costs_are_shown():
    audit = audit_gradient(immigration_death(), PARAMS, objective=ExpectedLoss())
    names = ["ScoreFunction", "ScoreFunction (LinearResponse)", "CoupledDifference"]
    assert audit.verdicts == dict.fromkeys(names, "RIGHT")
    assert all(row.work_variance > 0 for row in audit.rows)
    assert audit.num_runs <= 1_100_000
    text = audit.summary()
    assert "RIGHT" in text and "gamma" in text


def test_the_cheapest_that_is_right_is_named_beside_what_is_wrong():
    gradients = [Planted((3.2, 3.2)), ScoreFunction(), CoupledDifference()]
    audit = audit_gradient(
        immigration_death(), PARAMS, objective=MomentMatching(order=1), gradients=gradients
    )
    costs = {row.estimator: row.work_variance for row in audit.rows if row.verdict == "RIGHT"}
    assert audit.best == min(costs, key=costs.get)
    assert "Planted is 3.2 times too large for k here." in audit.words
    right = "ScoreFunction and CoupledDifference are right; "
    assert audit.words.endswith(f"{right}{audit.best} is the cheapest of them.")
    stored = json.loads(json.dumps(audit.to_dict()))
    assert stored["best"] == audit.best
    assert [row["verdict"] for row in stored["rows"]] == verdicts(audit)
    assert stored["rows"][0]["estimate"] == audit.rows[0].estimate
    ax = audit_plot(audit)
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels[:2] == ["k · Planted", "gamma · Planted"]


def test_members_that_differ_in_their_settings_have_verdicts_of_their_own():
    gradients = [Planted((1.0, 1.0)), Planted((0.0, 0.0))]
    audit = audit_gradient(
        immigration_death(), PARAMS, objective=MomentMatching(order=1), gradients=gradients
    )
    assert audit.verdicts == {str(gradients[0]): "RIGHT", str(gradients[1]): "WRONG"}


def test_too_few_runs_leave_it_undecided_and_say_how_many():
    audit = audit_gradient(
        immigration_death(),
        PARAMS,
        objective=MomentMatching(order=1),
        gradients=[ScoreFunction()],
        margin=0.001,
        budget=tb.Budget(simulations=20_000),
    )
    assert set(verdicts(audit)) == {"UNDECIDED"}
    assert all(row.runs_needed > 20_000 for row in audit.rows)
    assert "more runs would tell" in audit.words


def test_large_spaces_are_compared_with_another_proven_estimator():
    problem = tb.Problem(
        helpers.sir(),
        data={"time": [0.5, 1.0], "I": [60.0, 90.0]},
        initial={"S": 180, "I": 20, "R": 0},
        parameters={"beta": tb.Parameter(1e-3, 1), "gamma": tb.Parameter(0.1, 100)},
    )
    audit = audit_gradient(
        problem,
        {"beta": 0.006, "gamma": 0.5},
        objective=MomentMatching(order=1),
        gradients=[CoupledDifference()],
        budget=tb.Budget(simulations=400_000),
    )
    assert audit.reference == "ScoreFunction (unbiased at every batch size)"
    assert audit.verdicts["CoupledDifference"] == "RIGHT"


def test_linear_noise_is_right_where_it_is_exact():
    """A first-order network with Gaussian noise and large counts."""
    problem = tb.Problem(
        helpers.immigration_death(),
        data={"time": [0.5, 1.0, 1.5], "X": [62.0, 75.0, 90.0]},
        initial={"X": 40},
        observables={"X": tb.Observable("X", tb.noise.Normal(6.0))},
        parameters={"k": tb.Parameter(1, 1e4), "gamma": tb.Parameter(0.01, 100)},
    )
    audit = audit_gradient(problem, {"k": 130.0, "gamma": 1.3})
    assert audit.verdicts == {"LinearNoise": "RIGHT"}
    assert "exact likelihood (finite state projection)" in audit.reference


def few_copies():
    """One infected among ten, seen exactly enough that extinction and granularity matter."""
    return tb.Problem(
        helpers.sir(),
        data={"time": [0.5, 1.0, 2.0, 3.0], "I": [1.0, 0.0, 0.0, 0.0]},
        initial={"S": 9, "I": 1, "R": 0},
        observables={"I": tb.Observable("I", tb.noise.Normal(0.3))},
        parameters={"beta": tb.Parameter(1e-3, 10), "gamma": tb.Parameter(0.01, 20)},
    )


def test_the_default_gradient_is_called_wrong_where_it_is():
    audit = audit_gradient(few_copies(), {"beta": 0.3, "gamma": 1.0})
    assert audit.verdicts == {"LinearNoise": "WRONG"}
    # The reference has been checked by differences of the exact likelihood itself.
    bound = PathLikelihood(FiniteStateProjection()).bind(few_copies())
    z = np.log([0.3, 1.0])
    step = 1e-5 * np.eye(2)
    values = bound.evaluate(np.concatenate([z + step, z - step])).values
    exact = (values[:2] - values[2:]) / 2e-5
    assert np.allclose([row.reference for row in audit.rows], exact, rtol=1e-3)


def test_both_likelihood_references_agree():
    problem = few_copies()
    z = np.log([0.3, 1.0])
    exact = likelihood_reference(PathLikelihood().bind(problem), z)
    assert isinstance(exact, ExactLikelihood)
    truth = exact.gradient(z, 0, Stream(0)).gradient
    sampled = SampledLikelihood(problem, ParticleFilter(num_particles=500))
    found = sampled.gradient(z, 200_000, Stream.from_seed(0))
    assert np.all(np.abs(found.gradient - truth) < 4 * found.errors)
    assert np.all(found.errors < 0.05 * np.linalg.norm(truth))


def test_priors_are_part_of_both_sides():
    problem = few_copies()
    prior = tb.priors.LogNormal(0.0, 0.3)
    parameters = {**problem.parameters, "gamma": tb.Parameter(0.01, 20, prior=prior)}
    informed = replace(problem, parameters=parameters)
    z = np.log([0.3, 2.0])
    plain = ExactLikelihood(problem, FiniteStateProjection()).gradient(z, 0, Stream(0)).gradient
    with_prior = ExactLikelihood(informed, FiniteStateProjection()).gradient(z, 0, Stream(0))
    added = with_prior.gradient - plain
    assert np.allclose(added, [0.0, np.log(2) / 0.09 + 1])


def test_audit_of_a_fit_probes_beside_the_estimate_and_weighs_the_shift():
    fit = tb.fit(few_copies(), num_starts=4)
    audit = audit_fit(fit)
    names = [n for n, held in zip(fit.problem.space.names, fit.at_bound, strict=True) if not held]
    assert set(audit.displacement) <= set(names)
    assert any(audit.params[n] > fit.params[n] for n in names)
    if audit.displacement:
        assert "of its standard errors" in audit.words


def test_exact_moments_by_hand():
    problem = immigration_death()
    bound = MomentMatching(order=1).bind(problem)
    value, gradient = exact_loss_and_gradient(bound, np.log([10.0, 1.0]), FiniteStateProjection())
    mean = np.array([helpers.immigration_death_moments(10, 1, t, 3)[0] for t in (0.5, 2.0)])
    slopes = np.array(
        [helpers.immigration_death_mean_gradient(10, 1, t, 3) for t in (0.5, 2.0)]
    ) * [10, 1]
    residual = mean - [5, 12]
    assert value == pytest.approx((residual**2).mean() / 144, rel=1e-6)
    assert np.allclose(gradient, 2 * (residual / 2 / 144) @ slopes, rtol=1e-6)


def test_refusals():
    with pytest.raises(ParameterError, match=r"expected within \(0, 1\)"):
        audit_gradient(immigration_death(), PARAMS, margin=2.0)
    with pytest.raises(ParameterError, match="no value for 'gamma'"):
        audit_gradient(immigration_death(), {"k": 1.0})


def test_a_reference_of_ones_own():
    bound = MomentMatching(order=1).bind(immigration_death())
    own = ProvenEstimator(bound, CoupledDifference(step=0.005))
    audit = audit_gradient(
        immigration_death(), PARAMS, objective=MomentMatching(order=1),
        gradients=[ScoreFunction()], reference=own,
    )  # fmt: skip
    assert "CoupledDifference" in audit.reference
    assert audit.verdicts == {"ScoreFunction": "RIGHT"}


def of_network(text, parameters, initial=None):
    return tb.Problem(
        tb.ReactionNetwork.from_text(text),
        data={"time": [0.5, 2.0], "X": [5.0, 12.0]},
        initial=initial or {"X": 3},
        parameters={name: tb.Parameter(0.1, 100) for name in parameters},
    )


NOT_JUMPS_ALONE = {
    "a variable": "V(0) = 1\nV' = -V\n0 => X ; k * V\nX -> 0 ; gamma",
    "an event": "0 -> X ; k\nX -> 0 ; gamma\nat X >= 9: X = 0",
    "time": "0 => X ; k * (1 + exp(-time))\nX -> 0 ; gamma",
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[] if name == "an event" else pytest.mark.slow)
        for name, text in NOT_JUMPS_ALONE.items()
    ],
)
def test_networks_that_cannot_be_enumerated_are_compared_with_plain_runs(text):
    audit = audit_gradient(
        of_network(text, ["k", "gamma"]), PARAMS, objective=MomentMatching(order=1),
        budget=tb.Budget(simulations=6_000),
    )  # fmt: skip
    assert list(audit.verdicts) == ["SPSA", "GaussianSmoothing"]
    assert "WRONG" not in verdicts(audit)
    assert audit.reference.startswith("differences between plain runs (step 0.05, bias")
    assert audit.words.endswith(
        "There is no exact reference here: finite state projection takes networks of reactions "
        "alone, whose rates only change when one fires."
    )


def test_plain_differences_agree_with_exact_moments():
    """Two experiments, a quadratic loss and one that is linear; the bias is below 0.1 %."""
    problem = immigration_death()
    twice = replace(problem, experiments=[*problem.experiments, *problem.experiments])
    z = np.log([10.0, 1.0])
    for objective in (MomentMatching(order=1), ExpectedLoss()):
        bound = objective.bind(twice)
        exact = exact_loss_and_gradient(bound, z, FiniteStateProjection())[1]
        found = PlainDifferences(bound).gradient(z, 500_000, Stream.from_seed(1))
        assert abs(found.num_runs - 500_000) < 20
        assert np.all(np.abs(found.gradient - exact) < 4 * found.errors + 2e-3 * np.abs(exact))
        assert np.all(found.errors < 0.03 * np.linalg.norm(exact))


def test_errors_of_plain_differences_are_those_of_repeats():
    bound = MomentMatching(order=1).bind(immigration_death())
    reference, stream = PlainDifferences(bound), Stream.from_seed(2)
    found = [
        reference.gradient(np.log([10.0, 1.0]), 2_000, stream.child("r", i)) for i in range(200)
    ]
    spread = np.std([f.gradient for f in found], axis=0, ddof=1)
    claimed = np.sqrt(np.mean([f.errors**2 for f in found], axis=0))
    np.testing.assert_allclose(spread, claimed, rtol=4 / np.sqrt(2 * 200))


def test_a_plain_black_box_is_compared_with_plain_runs():
    def arrivals(params, times, rng):
        return np.cumsum(rng.poisson(params["k"] * np.diff(times, prepend=0.0)))

    problem = tb.Problem(
        tb.BlackBox(arrivals, ["k"], ["X"]), data={"time": [0.5, 2.0], "X": [5.0, 12.0]},
        parameters={"k": tb.Parameter(0.1, 100)},
    )  # fmt: skip
    audit = audit_gradient(problem, {"k": 10.0}, margin=0.25, budget=tb.Budget(simulations=60_000))
    assert audit.verdicts == {"CoupledDifference": "RIGHT"}
    assert audit.reference.startswith("differences between plain runs") and not audit.notes


def test_estimators_that_are_not_defined_at_a_zero_rate_are_named_and_left_out():
    problem = tb.Problem(
        tb.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma\n0 -> X ; extra"),
        data={"time": [0.5, 2.0], "X": [5.0, 12.0]},
        initial={"X": 3},
        parameters={
            "k": tb.Parameter(0.1, 100),
            "gamma": tb.Parameter(0.1, 10),
            "extra": tb.Parameter(0, 10, scale="linear"),
        },
    )
    params = {**PARAMS, "extra": 0.0}
    audit = audit_gradient(problem, params, objective=MomentMatching(order=1), margin=0.2)
    assert audit.verdicts == {"CoupledDifference": "RIGHT"}
    assert list(audit.refused) == ["ScoreFunction", "ScoreFunction (LinearResponse)"]
    words = "ScoreFunction cannot be used here: the score is not defined at a zero rate"
    assert words in audit.words and words in repr(audit)
    assert "finite state projection" in audit.reference
    bound = MomentMatching(order=1).bind(problem)
    z = np.asarray(problem.space.to_fit(problem.space.pack(params)))
    source = sampled_reference(bound, CoupledDifference(), z, Stream(0))
    assert source.name.startswith("AlternativePath")
    with pytest.raises(ParameterError, match=r"^the score is not defined at a zero rate; keep"):
        audit_gradient(
            problem, params, objective=MomentMatching(order=1), gradients=[ScoreFunction()]
        )


def test_a_likelihood_of_rates_that_depend_on_time_has_no_reference():
    problem = of_network(NOT_JUMPS_ALONE["time"], ["k", "gamma"])
    with pytest.raises(CapabilityError, match=r"there is no reference for the likelihood of a net"):
        audit_gradient(problem, PARAMS)


def test_no_estimators_are_an_error():
    with pytest.raises(ParameterError, match="`gradients` is empty, expected at least one"):
        audit_gradient(immigration_death(), PARAMS, objective=ExpectedLoss(), gradients=[])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sound_estimators_are_seldom_called_wrong():
    """Fewer than one in a hundred of a thousand audits."""
    wrong = right = 0
    for seed in range(1_000):
        audit = audit_gradient(
            immigration_death(),
            PARAMS,
            objective=MomentMatching(order=1),
            gradients=[ScoreFunction()],
            seed=seed,
            budget=tb.Budget(simulations=200_000),
        )
        wrong += audit.verdicts["ScoreFunction"] == "WRONG"
        right += audit.verdicts["ScoreFunction"] == "RIGHT"
    assert wrong < 10
    assert right > 900
