"""The command line, in this process where that will do, in one of its own for signals."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tumble.cli import app

RUN = """
title: Decay
model: |
  X -> 0 ; gamma
experiments:
  - data: data.csv
    initial: {X: 100}
parameters:
  gamma: {lower: 0.01, upper: 10, start: 0.5}
derived: {half_life: 0.6931 / gamma}
fit: {num_starts: 2}
predictive: {num_samples: 50}
output: out
"""
DATA = "time,X\n1,61\n2,38\n3,20\n4,13\n"
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch):
    # Signal handlers and the environment belong to the tests.
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)


@pytest.fixture
def tumble(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="tumble")
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def write(tmp_path):
    def write_files(run=RUN, data=DATA):
        (tmp_path / "run.yaml").write_text(textwrap.dedent(run), encoding="utf-8")
        if isinstance(data, bytes):
            (tmp_path / "data.csv").write_bytes(data)
        else:
            (tmp_path / "data.csv").write_text(data, encoding="utf-8")

    return write_files


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a run file, and the complete run it led to."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "run.yaml").write_text(RUN)
    (folder / "data.csv").write_text(DATA)
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.chdir(folder)
        context.setattr("tumble.cli._setup.prepare_process", lambda: None)
        result = CliRunner().invoke(app, ["fit", "run.yaml"])
    assert result.exit_code == 0, result.output
    return folder, result


def assert_refused(result, *words):
    """One line that says what is wrong, and status 2."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("read_data")]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0]


# -- fit -----------------------------------------------------------------------------------------


def test_fit_leaves_a_folder(finished):
    from tumble.io import RunFolder, load_fit

    folder, _ = finished
    run = RunFolder.open(folder / "out")
    assert run.status["state"] == "complete"
    assert run.environment["seed"] == 0 and "jax" in run.environment["versions"]
    assert (run.path / "config.yaml").read_text() == RUN
    assert (run.path / "inputs" / "0-data.csv").read_text() == DATA
    assert run.metrics[-1]["loss"] <= run.metrics[0]["loss"]
    tree = load_fit(run.result_path)
    assert {"fit", "audit", "posterior_predictive"} <= set(tree.children)
    assert "Decay" in run.report_path.read_text(encoding="utf-8")
    assert not list(run.path.glob(".*tmp")), "no temporary file is left"


def test_fit_prints_a_summary(finished):
    _, result = finished
    for words in ("Decay", "converged", "gamma", "half_life", "95 % interval", "gradient",
                  "prediction", "out/report.html"):  # fmt: skip
        assert words in result.stdout
    assert result.stderr.startswith("read_data data.csv: time from column 'time'")


def test_fit_refuses_a_folder_that_holds_a_run(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    before = (folder / "out" / "result.nc").read_bytes()
    result = CliRunner().invoke(app, ["fit", "run.yaml"])
    assert_refused(result, "'out' already holds a run", "--overwrite")
    assert (folder / "out" / "result.nc").read_bytes() == before


def test_json_is_one_object_and_nothing_else(tumble, write, tmp_path):
    write()
    result = tumble("fit", "run.yaml", "--json", "--no-audit", "-o", "elsewhere", "--seed", 5)
    assert result.exit_code == 0 and result.stderr == ""
    content = json.loads(result.stdout)
    assert content["result"] == "converged" and content["ok"]
    low, high = content["estimates"]["gamma"]["interval"]
    assert low < content["estimates"]["gamma"]["value"] < high
    assert set(content["derived"]) == {"half_life"}
    assert content["audit"] is None
    assert content["predictive"]["coverage"]["experiment 1"] > 0.5
    assert content["folder"] == "elsewhere"
    assert json.loads((tmp_path / "elsewhere" / "env.json").read_text())["seed"] == 5


def test_quiet_prints_nothing_and_a_bad_end_is_still_status_0(tumble, write):
    write(RUN.replace("lower: 0.01, upper: 10, start: 0.5", "lower: 2, upper: 10"))
    result = tumble("fit", "run.yaml", "--quiet", "--no-audit")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert "at a bound" in Path("out/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("run", "data", "words"),
    [
        (RUN, "", ("data.csv", "is empty")),
        (RUN, "time,X\n", ("no line of numbers",)),
        (RUN, DATA.replace("38", "many"), ("line 3", "'many'", "'X'")),
        (RUN, DATA.replace("38", "-38"), ("column 'X' holds -38", "cannot be negative")),
        (RUN, DATA.replace("38", "38.5"), ("38.5", "whole numbers")),
        (RUN, "time,X\n1,NaN\n2,NA\n", ("no column of numbers beside the times",)),
        (RUN, "time,X\n-1,3\n2,4\n", ("begin at time -1, before `start` = 0",)),
        (RUN, b"\x00\x01\x02", ("is not text",)),
        (RUN.replace("{X: 100}", "{Y: 100}"), DATA, ("species 'Y'", "the network has X")),
        (RUN.replace("{X: 100}", "{X: -1}"), DATA, ("`initial['X']`", "whole numbers ≥ 0")),
        (RUN.replace("start: 0.5", "start: 50"), DATA, ("`start` is 50", "outside the bounds")),
        (RUN.replace("fit: {", "fit: {start: {gamma: 50}, "), DATA, ("outside the bounds",)),
        (RUN.replace("; gamma", "; delta"), DATA, ("'delta'",)),
        (RUN.replace("data.csv", "date.csv"), DATA, ("there is no file", "date.csv")),
        (RUN.replace("  - data:", "\t- data:"), DATA, ("a tab is used",)),
        (RUN.replace("fit: {", "fti: {"), DATA, ("'fti'", "Did you mean 'fit'?")),
        ("", DATA, ("run.yaml", "is empty")),
    ],
)  # fmt: skip
def test_fit_refuses_what_makes_no_sense(tumble, write, run, data, words):
    write(run, data)
    assert_refused(tumble("fit", "run.yaml"), *words)


def test_refusing_a_problem_leaves_the_old_run_alone(tumble, write, tmp_path):
    from tumble.io import RunFolder

    write(data="")
    RunFolder.create(tmp_path / "out").finish("complete")
    assert_refused(tumble("fit", "run.yaml", "--overwrite"), "is empty")
    assert RunFolder.open(tmp_path / "out").status["state"] == "complete"
    assert not (tmp_path / "out" / "previous").exists()


def test_missing_data_are_left_out(tumble, write):
    write(data="time,X\n1,61\n2,\n3,NaN\n4,13\n")
    result = tumble("fit", "run.yaml", "--no-audit")
    assert result.exit_code == 0 and "2 data" in result.stdout


def test_a_network_that_explodes_is_one_line(tumble, write):
    run = """
    model: |
      X -> 2 X ; k
    simulator: {direct_method: {max_events: 2000}}
    experiments:
      - data: data.csv
        initial: {X: 5}
    parameters:
      k: {lower: 20, upper: 100}
    fit: {objective: moment_matching, warm_start: false}
    output: out
    """
    write(run)
    result = tumble("fit", "run.yaml")
    assert_refused(result, "max_events", "may explode")
    assert json.loads(Path("out/status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("output", ["file", "file/inside"])
def test_an_output_that_cannot_be_written(tumble, write, output):
    write()
    Path("file").write_text("mine")
    assert_refused(tumble("fit", "run.yaml", "--output", output), "file")
    assert Path("file").read_text() == "mine"


def test_an_output_that_holds_something_else(tumble, write):
    write()
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    assert_refused(tumble("fit", "run.yaml", "--overwrite"), "holds no run")
    assert Path("out/thesis.tex").read_text() == "mine"


# A shell that runs the tests in the background has its children ignore Ctrl-C.
LISTENING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tumble.cli import main
main()
"""


@POSIX
def test_a_request_to_end_is_not_lost_in_a_finalizer():
    code = """
import os, signal, time
from tumble.cli._setup import prepare_process

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)

prepare_process()
last = Last()
del last
time.sleep(20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 143
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_a_fit_that_is_stopped_leaves_a_readable_folder(tumble, write, tmp_path, number, status):
    from tumble.io import RunFolder

    # An error that is never reached: the fit goes on until it is stopped.
    write(RUN.replace("fit: {", "fit: {objective: expected_loss, warm_start: false, "
                                "tolerance: 1.0e-9, "))  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING, "fit", "run.yaml"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Written last of a step, after its metrics and parameters.
    begun = tmp_path / "out" / "checkpoint" / "state.npz"
    deadline = time.monotonic() + 120
    while not begun.is_file():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    if number == signal.SIGINT:
        assert "interrupted; what was computed is in out" in errors
    folder = RunFolder.open(tmp_path / "out")
    assert folder.status["state"] == "interrupted"
    assert folder.metrics and folder.config().title == "Decay"
    start = json.loads((tmp_path / "out" / "checkpoint" / "params.json").read_text())["start"]
    assert set(start) == {"gamma"}
    if number == signal.SIGINT:
        goes_on(tmp_path, tumble, len(folder.metrics))


def goes_on(path, tumble, num_steps):
    """The run goes on where it was: no step is missing or there twice."""
    from tumble.io import RunFolder

    assert_refused(tumble("fit", "run.yaml"), "already holds a run", "--resume")
    assert_refused(tumble("fit", "out", "--resume", "--overwrite"), "exclude each other")
    assert_refused(tumble("fit", "out", "--resume", "--seed", "9"), "belongs to another run")
    config = path / "out" / "config.yaml"
    limit = f"fit: {{max_steps: {num_steps + 3}, "
    config.write_text(config.read_text().replace("fit: {", limit))
    result = tumble("fit", "out", "--resume", "--no-audit")
    assert result.exit_code == 0, result.output
    assert "out of steps" in result.stdout
    folder = RunFolder.open(path / "out")
    assert folder.status["state"] == "complete"
    assert [s["step"] for s in folder.metrics] == list(range(1, num_steps + 4))
    assert_refused(tumble("fit", "out", "--resume"), "is complete")


# -- the other commands ----------------------------------------------------------------------------


def test_report_is_written_again(finished, tumble):
    folder, _ = finished
    page = folder / "out" / "report.html"
    page.unlink()
    result = tumble("report", folder / "out")
    assert result.exit_code == 0 and result.stdout.strip() == str(page)
    assert page.stat().st_size > 10_000


def test_report_of_nothing(tumble, tmp_path):
    from tumble.io import RunFolder

    assert_refused(tumble("report", "nothing"), "there is no folder 'nothing'")
    assert_refused(tumble("report", tmp_path), "is not the folder of a run")
    RunFolder.create("broken").finish("interrupted", "stopped by hand")
    assert_refused(tumble("report", "broken"), "has no result", "stopped by hand")


def test_audit_of_a_run_adds_to_it(finished, tumble):
    from tumble.io import load_fit

    folder, _ = finished
    result = tumble("audit", folder / "out", "--json", "--seed", 2)
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert {"verdicts", "words", "reference", "best", "rows", "num_runs"} <= set(content)
    tree = load_fit(folder / "out" / "result.nc")
    assert json.loads(tree["audit"].attrs["verdicts"]) == content["verdicts"]


def test_audit_of_a_run_file(tumble, write):
    write()
    result = tumble("audit", "run.yaml", "--param", "gamma=0.7")
    assert result.exit_code == 0, result.output
    assert "gamma = 0.7" in result.stderr and "reference:" in result.stdout
    assert_refused(tumble("audit", "run.yaml", "-p", "gama=0.7"), "Did you mean 'gamma'?")
    assert_refused(tumble("audit", "run.yaml", "-p", "gamma=70"), "outside the bounds")


def test_simulate_prints_and_writes_what_can_be_read_back(tumble, write):
    import xarray as xr

    from tumble.io import read_data

    write()
    result = tumble("simulate", "run.yaml", "-n", 20, "--output", "runs.csv", "-p", "gamma=2")
    assert result.exit_code == 0, result.output
    assert "20 runs" in result.stdout and "gamma = 2" in result.stdout
    array = read_data("runs.csv", say=lambda line: None)
    assert array.sizes == {"replicate": 20, "time": 101, "observable": 1}
    assert tumble("simulate", "run.yaml", "-n", 20, "-o", "runs.nc", "-p", "gamma=2").exit_code == 0
    with xr.open_dataset("runs.nc", engine="h5netcdf") as data:
        assert (data["counts"].values[..., 0] == array.values[..., 0]).all()


def test_simulate_takes_its_values_from_where_they_are(finished, tumble, write):
    folder, _ = finished
    write(RUN + "simulate: {times: {stop: 3, num: 4}, num_samples: 2}\n")
    result = tumble("simulate", "run.yaml")
    assert "2 runs x 4 times" in result.stdout and "gamma = 0.5" in result.stdout
    result = tumble("simulate", folder / "out")
    assert result.exit_code == 0 and "gamma = 0.5\n" not in result.stdout
    write(RUN.replace(", start: 0.5", ""))
    assert_refused(tumble("simulate", "run.yaml"), "'gamma' has no value", "--param gamma=")


@pytest.mark.parametrize(("option", "name"), [("--moments", "mean"), ("--histogram", "num_runs")])
def test_simulate_keeps_what_is_asked_for(tumble, write, option, name):
    import pandas as pd
    import xarray as xr

    write()
    result = tumble("simulate", "run.yaml", "-n", 300, option, "--output", "kept.nc")
    assert result.exit_code == 0, result.output
    assert "300 runs" in result.stdout
    with xr.open_dataset("kept.nc", engine="h5netcdf") as data:
        kept = data[name].load()
    assert kept.dims[:2] == ("time", "species")
    arguments = ("-n", 300, option, "--species", "X", "--output", "kept.csv", "--quiet")
    assert tumble("simulate", "run.yaml", *arguments).stdout == ""
    table = pd.read_csv("kept.csv", index_col=list(kept.dims))
    assert table[name].to_numpy() == pytest.approx(kept.values.ravel())


def test_simulate_that_is_interrupted_writes_what_is_complete(tumble, write, monkeypatch):
    import tumble as package
    from tests.outputs.cases import StopsAfter

    def interrupted(*arguments, **options):
        return simulate(*arguments, **options, executor=StopsAfter(2))

    simulate = package.simulate
    write()
    monkeypatch.setattr(package, "simulate", interrupted)
    result = tumble("simulate", "run.yaml", "-n", 500, "--output", "kept.csv")
    assert result.exit_code == 130 and result.stderr.endswith("interrupted\n")
    assert "256 runs" in result.stdout and Path("kept.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--moments", "--histogram"), ("`--moments` and `--histogram` exclude each other",)),
        (("--species", "Y"), ("`species` has 'Y', but the network has X",)),
        (("--output", "runs.txt"), ("ends in .nc or .csv",)),
        (("--output", "nowhere/runs.csv"), ("cannot write", "nowhere")),
        (("--param", "gamma"), ("expected a name and a number",)),
        (("--param", "gamma=fast"), ("expected a name and a number",)),
        (("--param", "gama=1"), ("Did you mean 'gamma'?",)),
        (("--param", "gamma=-1"), ("-1", "≥ 0")),
    ],
)
def test_simulate_refuses(tumble, write, arguments, words):
    write()
    assert_refused(tumble("simulate", "run.yaml", *arguments), *words)


def test_examples_are_listed_and_copied(tumble):
    result = tumble("example")
    assert "influenza" in result.stdout and "Plague in Eyam, 1666" in result.stdout
    assert tumble("example", "influenza", "--to", "flu").exit_code == 0
    assert {"run.yaml", "influenza.csv", "README.md"} <= {p.name for p in Path("flu").iterdir()}
    assert_refused(tumble("example", "influenza", "--to", "flu"), "'flu' exists already")
    assert_refused(tumble("example", "influensa"), "Did you mean 'influenza'?")


def test_version_and_help(tumble):
    import tumble as package

    assert tumble("--version").stdout == f"tumble {package.__version__}\n"
    for command in ("fit", "simulate", "audit", "report", "example"):
        assert command in tumble("--help").stdout
        assert tumble(command, "--help").exit_code == 0
    assert tumble("fitt").exit_code == 2
    assert tumble("fit").exit_code == 2


def test_a_bug_is_called_one(tumble, write, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("three\nlines\nof it")

    write()
    monkeypatch.setattr("tumble.cli._fit_command.run_fit", broken)
    result = tumble("fit", "run.yaml")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: RuntimeError: three lines of it (this is a bug; TUMBLE_DEBUG=1 shows where it "
        "happened)\n"
    )


def test_importing_the_command_line_loads_nothing_heavy():
    code = (
        "import sys, tumble.cli\n"
        "heavy = {'jax', 'numba', 'pandas', 'xarray', 'matplotlib', 'scipy', 'numpy', 'yaml'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "tumble", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tumble ")


@pytest.mark.slow
def test_a_movie_from_a_file_to_its_report(tumble):
    assert tumble("example", "infection", "--to", "movie").exit_code == 0
    checked = tumble("check", "movie/run.yaml")
    assert "19 transitions of SusceptibleInfected(40 x 40 sites, Moore, Periodic)" in checked.stdout
    fitted = tumble("fit", "movie/run.yaml", "--output", "out")
    assert fitted.exit_code == 0 and "beta" in fitted.stdout
    assert {p.name for p in Path("out/inputs").iterdir()} == {"movie0-infection.tif"}
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert '<div class="tumble-player"' in page and "one step simulated at the estimate" in page
    Path("movie/infection.tif").unlink()  # the folder of the run is complete by itself
    simulated = tumble("simulate", "out", "--num-samples", "3", "--output", "runs.csv")
    assert simulated.exit_code == 0
    assert len(Path("runs.csv").read_text().splitlines()) == 1 + 3 * 20
