"""External programs: what they are told, what they answer, and how they fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import declared
from tumble import ExternalProgram, Parameter, Problem, simulate
from tumble._errors import ModelError, SimulationError
from tumble._random import Stream
from tumble._results import SampleCode
from tumble.gradients import CoupledDifference
from tumble.objectives import MomentMatching
from tumble.simulators import RunProgram

POISSON = """
import json, random, sys
q = json.load(sys.stdin)
rng = random.Random(q["seed"])
rate, x, t, xs = q["params"]["rate"], q["initial"]["X"], q["start"], []
while True:
    later = t + rng.expovariate(rate)
    xs += [x] * sum(t <= s < later for s in q["times"])
    t, x = later, x + 1
    if t > q["times"][-1]:
        break
json.dump({"outputs": {"X": xs, "twice": [2 * x for x in xs]}}, sys.stdout)
"""

NAUGHTY = """
import json, os, subprocess, sys, time
how = json.load(sys.stdin)["params"]["how"]
answer = {"outputs": [[1.0], [2.0]]}
if how == 1:
    raise RuntimeError("out of luck")
if how == 2:
    print("Welcome to the simulator!")
if how == 3:
    answer = {"outputs": {"y": [1, 2]}}
if how == 4:
    answer = {"outputs": [[1.0], [float("nan")]]}
if how == 5:
    answer = {"outputs": [1, 2, 3]}
if how == 6:
    subprocess.Popen(["sleep", "300"])
    open(sys.argv[1], "a").write(str(os.getpid()) + "\\n")
    time.sleep(300)
if how == 7:
    os.kill(os.getpid(), 9)
if how == 8:
    sys.stderr.write("first line\\nsecond line\\n")
    sys.exit(3)
if how == 9:
    answer = [1, 2]
json.dump(answer, sys.stdout)
"""


def program(folder, text, *arguments, **options):
    path = folder / "program.py"
    path.write_text(text)
    return ExternalProgram([sys.executable, "-S", str(path), *arguments], **options)


@pytest.fixture
def poisson(tmp_path):
    names = {"parameters": ["rate"], "outputs": ["X", "twice"], "initial": ["X0"]}
    return program(tmp_path, POISSON.replace('["X"], q["start"]', '["X0"], q["start"]'), **names)


def test_a_program_is_simulated(poisson):
    found = simulate(poisson, {"rate": 3.0}, initial={"X0": 2}, times=[0.0, 2.0], num_samples=60)
    assert found.species == ("X", "twice") and not found.codes.any()
    x = found.data.sel(species="X").values
    np.testing.assert_array_equal(found.data.sel(species="twice"), 2 * x)
    np.testing.assert_array_equal(x[:, 0], 2)
    assert abs(x[:, 1].mean() - 8) < 4 * np.sqrt(6 / 60)
    assert len(np.unique(x[:, 1])) > 4


def test_runs_do_not_depend_on_batches_or_executors(poisson):
    def run(num_samples, **options):
        return simulate(poisson, {"rate": 3.0}, initial={"X0": 0}, times=[2.0],
                        num_samples=num_samples, **options).data.values  # fmt: skip

    whole = run(12)
    np.testing.assert_array_equal(run(3), whole[:3])
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(run(12, executor=pool), whole)
    assert np.any(run(12, seed=1) != whole)


def test_each_failure_has_a_code_and_its_first_line(tmp_path):
    naughty = program(
        tmp_path, NAUGHTY, str(tmp_path / "pids"), parameters=["how"], outputs=["x"], timeout=1.0
    )
    ways = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    began = time.perf_counter()
    found = simulate(naughty, {"how": ways}, times=[0, 1])
    assert time.perf_counter() - began < 30
    C = SampleCode
    expected = [C.OK, C.EXIT_STATUS, C.WRONG_OUTPUT, C.WRONG_OUTPUT, C.NOT_FINITE, C.WRONG_OUTPUT,
                C.TIMEOUT, C.EXIT_STATUS, C.EXIT_STATUS, C.WRONG_OUTPUT, C.OK]  # fmt: skip
    assert found.codes[:, 0].tolist() == expected
    np.testing.assert_array_equal(found.data.values[[0, -1], 0, :, 0], [[1, 2], [1, 2]])
    assert np.isnan(found.data.values[1:-1]).all()
    assert found.messages[C.EXIT_STATUS] == "it ended with status 1: RuntimeError: out of luck"
    assert found.messages[C.WRONG_OUTPUT].endswith(": Welcome to the simulator!")
    assert found.messages[C.NOT_FINITE] == "output 'x' is nan at time number 1"
    assert found.messages[C.TIMEOUT] == "killed after 1 s"
    assert_gone(tmp_path / "pids")


@pytest.mark.parametrize(
    "how, text",
    [
        (3, "its answer has no 'x'"),
        (5, r"it returned outputs of shape \(3,\), expected \(2, 1\)"),
        (7, "it was ended by SIGKILL"),
        (8, "it ended with status 3: first line"),
        (9, "list indices must be integers"),
    ],
)
def test_messages(tmp_path, how, text):
    naughty = program(tmp_path, NAUGHTY, parameters=["how"], outputs=["x"])
    with pytest.raises(SimulationError, match=f"every run failed: 1 of 1 runs: .*{text}"):
        simulate(naughty, {"how": how}, times=[0, 1])


def test_a_program_that_is_not_there():
    missing = ExternalProgram(["/nowhere/to/be/found"], outputs=["x"])
    with pytest.raises(SimulationError, match=r"it could not be started: .*No such file"):
        simulate(missing, {}, times=[0, 1])


def test_no_shell_sees_the_command(tmp_path):
    """An argument that a shell would run, or split, arrives as it is."""
    echo = "import json, sys; json.dump({'outputs': [[len(sys.argv[1])]]}, sys.stdout)"
    argument = f"$(touch {tmp_path}/owned); a  b"
    found = simulate(
        ExternalProgram([sys.executable, "-S", "-c", echo, argument], outputs=["n"]), {}, times=[0]
    )
    assert found.data.values.item() == len(argument)
    assert not (tmp_path / "owned").exists()


def test_environment_and_folder(tmp_path):
    tell = (
        "import json, os; "
        "print(json.dumps({'outputs': [[len(os.getcwd()), int(os.environ['N'])]]}))"
    )
    model = ExternalProgram(
        [sys.executable, "-S", "-c", tell], outputs=["a", "b"], environment={"N": "7"},
        folder=str(tmp_path.resolve()),
    )  # fmt: skip
    found = simulate(model, {}, times=[0])
    assert found.data.values.ravel().tolist() == [len(str(tmp_path.resolve())), 7]
    assert hash(model) == hash(model)


INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
import tumble as tb
model = tb.ExternalProgram([sys.executable, "-S", sys.argv[1], sys.argv[2]],
                           parameters=["how"], outputs=["x"])
tb.simulate(model, {"how": 6}, times=[0, 1], num_samples=20)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interruption_leaves_nothing_running(tmp_path):
    program(tmp_path, NAUGHTY, outputs=["x"])
    pids = tmp_path / "pids"
    code = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "program.py"), str(pids)]
    process = subprocess.Popen(code, stderr=subprocess.PIPE)
    deadline = time.time() + 60
    while not (pids.exists() and pids.read_text().count("\n")) and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complained = process.communicate(timeout=30)
    assert process.returncode != 0 and b"KeyboardInterrupt" in complained
    assert_gone(pids)


def assert_gone(pids: Path) -> None:
    """No process is left in the groups that the programs led."""
    groups = [int(line) for line in pids.read_text().split()]
    assert groups
    deadline = time.time() + 10
    while groups and time.time() < deadline:
        groups = [group for group in groups if _is_there(group)]
        time.sleep(0.05)
    assert not groups


def _is_there(group: int) -> bool:
    """Whether a group has a process that is not a zombie."""
    found = subprocess.run(["ps", "-eo", "pgid,stat"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in found.stdout.splitlines()[1:]]
    return any(int(row[0]) == group and not row[1].startswith("Z") for row in rows)


def test_pairs_share_their_seed_and_a_fit_can_use_them(poisson):
    params = np.tile([[[3.0], [3.3]]], (6, 1, 1))
    batch = declared.batch(params, np.zeros((6, 2, 1), np.int64), [4.0], Stream.from_seed(2))
    states = RunProgram().sample_pairs(poisson, batch).states
    assert states.shape == (6, 2, 1, 2)
    assert np.all(states[:, 1, 0, 0] >= states[:, 0, 0, 0])  # the same waits, faster
    problem = Problem(
        poisson, data={"time": [4.0], "X": [12.0]}, initial={"X0": 0},
        parameters={"rate": Parameter(0.1, 100)},
    )  # fmt: skip
    bound = MomentMatching(order=1).bind(problem)
    found = CoupledDifference(step=0.2).estimate(bound, np.log([4.0]), 40, Stream.from_seed(1))
    assert found.gradient[0] > 0 and np.isfinite(found.standard_errors).all()


def test_settings_are_checked():
    with pytest.raises(ModelError, match="`command` is 'sim -x', expected a list of texts"):
        ExternalProgram("sim -x", outputs=["x"])
    with pytest.raises(ModelError, match="`timeout` is 0, expected seconds > 0"):
        ExternalProgram(["sim"], outputs=["x"], timeout=0)
    assert json.loads(json.dumps(ExternalProgram(["sim"], ["k"], ["x"]).to_text())) == (
        "sim (k) -> x"
    )
