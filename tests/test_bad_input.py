"""What makes no sense is refused where it is given, in one line that names the argument."""

import jax.numpy as jnp
import numpy as np
import pytest

import tumble as tb
from tests import helpers
from tumble import distances, gradients, losses, objectives
from tumble.gradients import ScoreFunction

NAN = float("nan")
Y = np.array([1.0, 2.0])
TWO = [ScoreFunction(), gradients.SPSA()]


def box(**options):
    return tb.BlackBox(print, ["k"], ["x"], **options)


def program(command=("x",), **options):
    return tb.ExternalProgram(command, ["k"], ["x"], **options)


# maker, its argument, values that it must refuse
REFUSED = [
    (losses.Linear, "weight", ["a", [1, NAN], [], np.ones((2, 2)), None]),
    (lambda target: losses.Quadratic(target, Y), "target", [[NAN, 1], 3.0, [], None, np.eye(2)]),
    (lambda weight: losses.Quadratic(Y, weight), "weight",
     ["a", [1, NAN], -Y, [[1, 2], [2, 1]], [[1, 2], [0, 1]], np.ones(3)]),
    (lambda weight: losses.SmoothedAbsolute(Y, weight, 0.1), "weight", [-Y, None, np.ones(3)]),
    (lambda smoothing: losses.SmoothedAbsolute(Y, Y, smoothing), "smoothing", [-1, NAN, "a"]),
    (lambda function: losses.Smooth(function, Y, [0]), "function", [3, None]),
    (lambda present: losses.Smooth(print, Y, present), "present", [[5], [0.5], [], "a", [-1]]),
    (distances.EnergyDistance, "num_cells", ["a", NAN, 1, 3.5, None]),
    (distances.EnergyDistance, "num_projections", ["a", 0, 2.5, NAN]),
    (distances.WassersteinDistance, "smoothing", [-1, 1, "a", NAN, None]),
    (distances.WassersteinDistance, "num_cells", [[3], 0]),
    (distances.MaximumMeanDiscrepancy, "bandwidth", [0, "a", NAN, [1, 2]]),
    (distances.MaximumMeanDiscrepancy, "num_frequencies", [0, 1.5, "x", NAN]),
    (objectives.DistributionMatching, "distance",
     ["energy", distances.EnergyDistance, None]),
    (objectives.DistributionMatching, "joint", ["yes", None]),
    (objectives.LossOfExpectations, "function", [3, None]),
    (lambda order: objectives.LossOfExpectations(print, order), "order",
     [3, "1", NAN, True, None, [1]]),
    (objectives.MomentMatching, "order", [3, "a", np.array([1, 2]), True]),
    (objectives.ExpectedLoss, "loss", [3, "a"]),
    (gradients.Auto, "candidates",
     [[], "ScoreFunction", ScoreFunction(), np.array([])]),
    (lambda c: gradients.Auto([c]), "candidates[0]", [3, ScoreFunction, gradients.Auto()]),
    (gradients.Auto, "pilot_runs", [0, NAN, "a", 2.5]),
    (gradients.Pathwise, "relaxation", ["st", gradients.StraightThrough, None]),
    (gradients.GumbelSoftmax, "temperature", [0, "a", NAN]),
    (gradients.Pooled, "members", [[], TWO[:1], ScoreFunction(), "ab", None]),
    (lambda m: gradients.Pooled([*TWO, m]), "members[2]", [1, ScoreFunction, gradients.Auto()]),
    (lambda pilot: gradients.Pooled(TWO, pilot), "pilot", [0, 1, NAN, "a"]),
    (gradients.AlternativePath, "num_phantoms", [0, 1.5, "a", True, None, NAN]),
    (gradients.SPSA, "step", [0, NAN, "a", None, [0.1, 0.2], 2]),
    (gradients.SPSA, "schedule", [0.1, gradients.ShrinkingStep, None]),
    (gradients.SPSA, "common", ["yes", 3]),
    (gradients.GaussianSmoothing, "step", [0, "a"]),
    (gradients.GaussianSmoothing, "directions",
     [gradients.RademacherDirections(), "normal", gradients.OrthogonalDirections, None]),
    (gradients.GaussianSmoothing, "schedule", [None]),
    (gradients.SmoothedReinforce, "schedule", [3]),
    (gradients.CoupledDifference, "directions", ["x", gradients.RademacherDirections]),
    (gradients.ScoreFunction, "baseline", ["x", gradients.LeaveOneOut, None]),
    (gradients.MeanField, "method", ["x", None]),
    (gradients.OrthogonalDirections, "block", [0, "a", 1.5, NAN]),
    (gradients.ShrinkingStep, "runs", [0, "a", NAN]),
    (gradients.ShrinkingStep, "power", ["a", NAN, 0.5]),
    (gradients.LinearResponse, "windows", [0, "a"]),
    (box, "timeout", ["a", NAN, 0]),
    (box, "choices", ["no", None]),
    (box, "batched", [True, "no"]),
    (box, "initial", ["n", {"k": 1}]),
    (program, "command", ["ls", [], None]),
    (lambda part: program([part]), "command[0]", [None, 1, "a\0b"]),
    (program, "timeout", ["a", None, NAN, 0]),
    (program, "environment", ["a", {"a": 1}, None]),
    (program, "folder", [3]),
]  # fmt: skip
CASES = [
    pytest.param(make, name, value, id=f"{i}-{name}-{j}")
    for i, (make, name, values) in enumerate(REFUSED)
    for j, value in enumerate(values)
]


def refuse(call, name):
    with pytest.raises(tb.TumbleError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    assert f"`{name}`" in text, text


@pytest.mark.parametrize(("make", "name", "value"), CASES)
def test_what_makes_no_sense_is_refused(make, name, value):
    keyword = isinstance(make, type) or make in (box, program)
    refuse((lambda: make(**{name: value})) if keyword else lambda: make(value), name)


def test_a_class_in_place_of_a_member_is_told_of_its_brackets():
    with pytest.raises(
        tb.TumbleError, match=r"is EnergyDistance, .* Write EnergyDistance\(\.\.\.\)"
    ):
        objectives.DistributionMatching(distances.EnergyDistance)


PROBLEM = tb.Problem(
    helpers.immigration_death(),
    data={"time": [1.0, 2.0], "X": [5.0, 8.0]},
    initial={"X": 0},
    parameters={"k": tb.Parameter(0.1, 100), "gamma": tb.Parameter(0.1, 10)},
)
OF_FIT = {
    "objective": ["x", objectives.MomentMatching],
    "gradient": ["x", ScoreFunction],
    "tolerance": ["a", NAN, 0],
    "max_steps": ["a", 1.5, 0],
    "num_starts": ["a", 1.5, 0, -1],
    "warm_start": ["a"],
    "start": [3],
    "seed": ["a", 1.5, -1],
    "budget": [3],
    "callback": [3],
    "checkpoint": [3],
}
OF_AUDIT = {
    "objective": ["x"],
    "gradients": ["x", [], gradients.SPSA()],
    "reference": ["x"],
    "margin": ["a", NAN],
    "level": ["a", NAN],
    "budget": [3],
    "seed": ["a"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in OF_FIT.items() for v in vs])
def test_arguments_of_fit(name, value):
    options = {"objective": objectives.MomentMatching(order=1), name: value}
    refuse(lambda: tb.fit(PROBLEM, **options), "params" if name == "start" else name)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in OF_AUDIT.items() for v in vs])
def test_arguments_of_the_audit(name, value):
    options = {"objective": objectives.MomentMatching(order=1), name: value}
    refuse(lambda: tb.audit_gradient(PROBLEM, {"k": 5, "gamma": 1}, **options), name)


@pytest.mark.parametrize("params", [3, None])
def test_parameters_are_values_by_name(params):
    refuse(lambda: tb.audit_gradient(PROBLEM, params), "params")
    refuse(lambda: tb.fit(PROBLEM, start=params or 3), "params")
    with pytest.raises(tb.TumbleError, match=r"`params\['k'\]` is 'a', expected a number"):
        tb.audit_gradient(PROBLEM, {"k": "a", "gamma": 1})


def test_what_is_no_problem():
    refuse(lambda: tb.fit(3), "problem")
    refuse(lambda: tb.audit_gradient(3, {}), "problem")


OF_MOMENTS = {
    "raises": lambda m, y: 1 / 0,
    "a vector": lambda m, y: m - y,
    "no arguments": lambda: 0.0,
    "text": lambda m, y: "a",
    "a whole number": lambda m, y: 1,
    "complex": lambda m, y: 1j * jnp.sum(m),
    "nothing": lambda m, y: None,
    "NumPy": lambda m, y: np.sum(np.asarray(m) - y),
    "not a number": lambda m, y: jnp.nan * jnp.sum(m),
}
OF_RUNS = {
    "raises": lambda y, observed: 1 / 0,
    "a sum": lambda y, observed: jnp.sum(y - observed),
    "no arguments": lambda: 0.0,
    "text": lambda y, observed: "a",
    "nothing": lambda y, observed: None,
    "NumPy": lambda y, observed: np.abs(np.asarray(y) - observed),
}


@pytest.mark.parametrize("function", OF_MOMENTS.values(), ids=OF_MOMENTS)
def test_functions_of_moments_that_cannot_be_used(function):
    refuse(lambda: tb.fit(PROBLEM, objective=objectives.LossOfExpectations(function)), "function")


@pytest.mark.parametrize("loss", OF_RUNS.values(), ids=OF_RUNS)
def test_losses_of_runs_that_cannot_be_used(loss):
    refuse(lambda: tb.fit(PROBLEM, objective=objectives.ExpectedLoss(loss)), "loss")


DRAWS = {
    "flip(2)": lambda c: c.flip(2), "flip(nan)": lambda c: c.flip(NAN),
    "flip('a')": lambda c: c.flip("a"), "choose([])": lambda c: c.choose([]),
    "choose([-1, 2])": lambda c: c.choose([-1, 2]), "choose([0, 0])": lambda c: c.choose([0, 0]),
    "count(-1)": lambda c: c.count(-1), "count(nan)": lambda c: c.count(NAN),
    "wait(-1)": lambda c: c.wait(-1), "normal(0, 0)": lambda c: c.normal(0, 0),
    "pick": lambda c: c.pick([1, 2], [1]), "size": lambda c: c.flip(0.5, size="a"),
}  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_that_make_no_sense_are_codes_with_a_message(draw):
    def run(params, times, c):
        draw(c)
        return np.zeros(len(times))

    model = tb.BlackBox(run, ["k"], ["x"], choices=True)
    with pytest.raises(tb.TumbleError) as caught:
        tb.simulate(model, {"k": 1.0}, times=[1.0], num_samples=2, progress=False)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 40
