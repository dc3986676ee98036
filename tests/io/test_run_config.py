import textwrap
from pathlib import Path

import numpy as np
import pytest

from tumble._errors import TumbleError
from tumble._parameters import Parameter, Ref
from tumble.io import RunFileError, load_run_config

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD = """
title: Decay
model: |
  X -> 0 ; gamma
experiments:
  - data: data.csv
    time: day
    initial: {X: n0}
observables:
  count: {formula: X, noise: {normal: {sd: sd}}}
parameters:
  gamma: {lower: 1e-3, upper: "1e+1", start: 0.5, prior: {log_normal: {loc: 0, scale: 1}}}
  n0: 100
  sd: 5
derived: {half_life: 0.693 / gamma}
fit: {gradient: score_function, optimizer: {adam: {learning_rate: 0.1}}, num_starts: 3, seed: 7}
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "data.csv").write_text("day,count\n1,60\n2,38\n")

    def write_text(text, name="run.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_text


def test_reads_a_problem(write):
    config = load_run_config(write(GOOD))
    problem = config.problem(say=lambda line: None)
    gamma = problem.space.parameters["gamma"]
    assert isinstance(gamma, Parameter)
    assert (gamma.lower, gamma.upper, gamma.start) == (1e-3, 10.0, 0.5)
    assert type(gamma.prior).__name__ == "LogNormal"
    assert problem.fixed == {"n0": 100.0, "sd": 5.0}
    assert problem.experiments[0].initial == {"X": 100}
    assert problem.observables["count"].noise.sd == "sd"
    assert config.title == "Decay"


def test_makes_the_algorithms(write):
    import optax

    from tumble.gradients import ScoreFunction

    options = load_run_config(write(GOOD)).fit_options
    assert options["gradient"] == ScoreFunction()
    assert isinstance(options["optimizer"], optax.GradientTransformation)
    assert (options["num_starts"], options["seed"]) == (3, 7)
    assert "objective" not in options and "max_steps" not in options


def test_a_name_of_an_unknown_parameter_is_a_ref(write):
    text = GOOD.replace("n0: 100", "n0: {lower: 50, upper: 200}")
    config = load_run_config(write(text))
    assert config.experiments[0].initial == {"X": Ref("n0")}


def test_a_model_may_have_rate_laws_and_definitions(write):
    text = GOOD.replace(
        "  X -> 0 ; gamma\n", "  twice = 2 * X  # for the formula\n  X => 0 ; mm(X, gamma, 7)\n"
    ).replace("formula: X", "formula: twice / 2")
    problem = load_run_config(write(text)).problem(say=lambda line: None)
    assert problem.model.to_text() == "twice = 2 * X\nX => 0 ; gamma * X / (7 + X)"
    observed = problem.bindings[0].observe(np.array([[3]]), np.array([0.5]))
    np.testing.assert_array_equal(observed, [[3]])


def test_members_nest(write):
    from tumble.simulators import FiniteStateProjection

    text = GOOD + "  \n"
    text = text.replace(
        "fit: {", "fit: {objective: {path_likelihood: {through: finite_state_projection}}, "
    )
    objective = load_run_config(write(text)).objective
    assert isinstance(objective.through, FiniteStateProjection)


def test_distances_are_settings_of_an_objective(write):
    from tumble.distances import WassersteinDistance
    from tumble.objectives import DistributionMatching

    wanted = "{distance: {wasserstein_distance: {smoothing: 0.05}}, joint: false}"
    text = GOOD.replace("fit: {", "fit: {objective: {distribution_matching: " + wanted + "}, ")
    expected = DistributionMatching(WassersteinDistance(smoothing=0.05))
    assert load_run_config(write(text)).fit_options["objective"] == expected


def test_data_can_stand_in_the_file(write):
    text = GOOD.replace("data: data.csv\n    time: day", "data: {time: [1, 2], count: [60, null]}")
    problem = load_run_config(write(text)).problem()
    assert problem.num_observations == 1


def test_the_words_of_yaml_1_1_stay_words(write):
    """NO is nitric oxide, not false; y and n are names; 012 is twelve."""
    text = """
    model: |
      NO -> y ; n
    experiments:
      - data: {time: [1], NO: [012]}
        initial: {NO: 10, y: 0}
    parameters:
      n: {lower: .1, upper: 10}
    """
    problem = load_run_config(write(text)).problem()
    assert problem.model.species == ("NO", "y")
    assert problem.experiments[0].data.values.item() == 12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title:", "titel:", "the run file has the unknown key 'titel'"),
        ("title:", "titel:", "Did you mean 'title'?"),
        ("initial:", "inital:", "`experiments[0]` has the unknown key 'inital'"),
        ("lower: 1e-3", "lower: low", "`parameters.gamma.lower` is 'low', expected a number"),
        ("lower: 1e-3", "lower: 0", "`parameters.gamma`: `lower` is 0, but scale='log'"),
        ("lower: 1e-3, ", "", "`parameters.gamma` has no `lower`; add it"),
        ("start: 0.5", "start: 50", "`parameters.gamma`: `start` is 50, outside the bounds"),
        ("{X: n0}", "{X: n1}", "`experiments[0].initial.X` names parameter 'n1'"),
        ("{X: n0}", "{Y: n0}", "run.yaml: `initial` has species 'Y', but the network has X"),
        ("{normal:", "{norml:", "`observables.count.noise` is 'norml'"),
        (
            "{sd: sd}",
            "{sdd: sd}",
            "noise.normal` has 'sdd', but normal takes sd",
        ),
        ("scale: 1}", "scale: -1}", "`parameters.gamma.prior`: `LogNormal(scale=...)` is -1"),
        ("loc: 0, ", "", "`parameters.gamma.prior.log_normal` cannot be made: missing"),
        ("score_function", "score", "`fit.gradient` is 'score', expected one of auto"),
        ("num_starts: 3", "num_starts: 0", "`fit.num_starts` is 0, expected a whole number ≥ 1"),
        ("num_starts: 3", "num_starts: 2.5", "`fit.num_starts` is 2.5, expected a whole number"),
        ("X -> 0 ; gamma", "X -> 0", "`model` line 1: 'X -> 0' has no rate"),
        ("title: Decay", "title: [1]", "`title` is [1], expected text"),
        ("title: Decay", "title: a: b", "line 2: an unexpected ':'"),
        ("title: Decay", "title: 1\ntitle: 2", "line 3: 'title' is given twice (first in line 2)"),
        ("title: Decay", "title: !x 1", "tags such as '!name' are not used"),
        ("  - data:", "\t- data:", "line 6: a tab is used for indentation"),
        ("data: data.csv", "data: other.csv", "there is no file"),
        ("time: day", "time: days", "`time` names column 'days'"),
        ("fit: {", "fit: {budgets: 3, ", "`fit` has the unknown key 'budgets'"),
    ],
)
def test_errors_name_the_entry_in_one_line(write, old, new, message):
    assert old in GOOD
    with pytest.raises(TumbleError) as caught:
        load_run_config(write(GOOD.replace(old, new, 1))).problem(say=lambda line: None)
    assert message in str(caught.value)
    assert "run.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- 1\n- 2\n", "holds a list"),
        (b"just words\n", "holds a text"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"a: \x07\n", "is not a text in YAML"),
        (b"{" * 5000, "nested too deeply"),
        (b"model: [\n", "line 2"),
        (b"? [a]\n: 1\n", "a key must be a word"),
        (b"title: x\n", "the run file has no `model`; add it"),
    ],
)
def test_what_is_no_run_file(tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(RunFileError) as caught:
        load_run_config(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(RunFileError, match="there is no file"):
        load_run_config(tmp_path / "run.yaml")
    with pytest.raises(RunFileError, match="is a folder"):
        load_run_config(tmp_path)


def test_every_name_of_the_table_exists():
    from importlib import import_module

    from tumble.io._algorithms import ALGORITHMS

    for members in ALGORITHMS.values():
        for home in members.values():
            module, name = home.split(":")
            assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("family", ["noise", "prior"])
def test_every_member_has_a_name(family):
    """A new noise or prior must be reachable from a file."""
    from importlib import import_module

    from tumble.io._algorithms import ALGORITHMS

    module = import_module({"noise": "tumble.noise", "prior": "tumble.priors"}[family])
    members = {n for n in module.__all__ if not n.startswith("Abstract")} - {"DatumLaw"}
    assert members == {home.split(":")[1] for home in ALGORITHMS[family].values()}


def test_the_page_on_run_files_keeps_its_word(tmp_path):
    import re
    import shutil

    from tumble.io._algorithms import ALGORITHMS

    page = (Path(__file__).parents[2] / "docs" / "run-file.md").read_text(encoding="utf-8")
    shutil.copy(EXAMPLES / "influenza" / "influenza.csv", tmp_path)
    (tmp_path / "run.yaml").write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    assert load_run_config(tmp_path / "run.yaml").problem(say=lambda line: None)
    for family, members in ALGORITHMS.items():
        missing = [name for name in members if f"`{name}`" not in page]
        assert not missing, f"{family}: {missing}"


@pytest.mark.parametrize("name", ["influenza", "eyam"])
def test_the_examples_read(name):
    config = load_run_config(EXAMPLES / name / "run.yaml")
    problem = config.problem(say=lambda line: None)
    assert "R0" in problem.derived
    assert config.output == Path("runs") / name


MODEL_TEXT = "model m\nA => B; k * A; B => A; j * B\nA = 7; B = 2; k = 0.5; j = 0.25\nend"


def test_a_model_can_be_a_file_with_values(tmp_path):
    pytest.importorskip("antimony")
    (tmp_path / "m.ant").write_text(MODEL_TEXT)
    (tmp_path / "run.yaml").write_text(
        "model: m.ant\nexperiments: [{initial: {A: 20}, data: {time: [1], A: [3]}}]\n"
        "parameters: {k: {lower: 0.1, upper: 1}}\n"
    )
    config = load_run_config(tmp_path / "run.yaml")
    assert config.model.to_text() == "A -> B ; k\nB -> A ; j"
    assert config.parameters["j"] == 0.25
    assert config.parameters["k"].lower == 0.1
    assert config.experiments[0].initial == {"A": 20, "B": 2}
    assert config.model_file == tmp_path / "m.ant"
    problem = config.problem(say=lambda line: None)
    assert list(problem.space.parameters) == ["k"]
    # A run folder has a copy, which is read where the file is not.
    (tmp_path / "inputs").mkdir()
    (tmp_path / "m.ant").rename(tmp_path / "inputs" / "model-m.ant")
    again = load_run_config(tmp_path / "run.yaml", inputs=tmp_path / "inputs")
    assert again.model == config.model
    with pytest.raises(TumbleError, match=r"run.yaml: `model` '.*m.ant' cannot be read: No such"):
        load_run_config(tmp_path / "run.yaml")


def test_estimators_are_made_with_their_parts():
    from tumble import gradients
    from tumble.io._algorithms import make

    for given, expected in [
        ("spsa", gradients.SPSA()),
        ({"score_function": "linear_response"},
         gradients.ScoreFunction(gradients.LinearResponse())),
        ({"coupled_difference": {"directions": "rademacher"}},
         gradients.CoupledDifference(directions=gradients.RademacherDirections())),
        ({"gaussian_smoothing": {"step": 0.1, "schedule": {"shrinking": {"runs": 500}}}},
         gradients.GaussianSmoothing(0.1, gradients.ShrinkingStep(500))),
    ]:  # fmt: skip
        assert make("gradient", given, "fit.gradient") == expected
    with pytest.raises(RunFileError, match="smoothing with a Gaussian needs normal ones"):
        make("gradient", {"gaussian_smoothing": {"directions": "coordinate"}}, "fit.gradient")
