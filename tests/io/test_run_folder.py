import errno
import json
import os
import subprocess
import sys

import pytest

from tests.io.hand_made import make_fit
from tumble._errors import RunFolderError
from tumble.io import RunFolder, replacing
from tumble.posteriors import ChainRound

STEPS = make_fit().history
NAMES = ("beta", "gamma", "I0")


def run(path, *, overwrite=False, state="complete", steps=2):
    folder = RunFolder.create(path, overwrite=overwrite)
    for step in STEPS[:steps]:
        folder.append_step(step, NAMES)
    folder.result_path.write_text(state)
    folder.finish(state)
    return folder


def test_a_run_can_be_read_while_it_is_written(tmp_path):
    folder = RunFolder.create(tmp_path / "a" / "b")
    folder.append_step(STEPS[0], NAMES)
    reader = RunFolder.open(tmp_path / "a" / "b")
    assert reader.status["state"] == "running"
    assert reader.metrics[0]["params"]["gamma"] == STEPS[0].params[1]
    assert json.loads((folder.path / "checkpoint" / "params.json").read_text())["step"] == 1
    folder.finish("complete")
    assert reader.status["state"] == "complete"
    assert reader.status["started"] <= reader.status["finished"]


def test_an_incomplete_last_line_is_left_out(tmp_path):
    folder = run(tmp_path / "r")
    with open(folder.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')
    assert len(folder.metrics) == 2


def test_numbers_that_json_lacks_become_null(tmp_path):
    from dataclasses import replace

    folder = RunFolder.create(tmp_path / "r")
    folder.append_step(replace(STEPS[0], loss=float("inf"), noise_norm=float("nan")), NAMES)
    assert folder.metrics[0]["loss"] is None and folder.metrics[0]["noise_norm"] is None


def test_a_run_is_not_replaced_unasked(tmp_path):
    run(tmp_path / "r")
    with pytest.raises(RunFolderError, match=r"already holds a run.*--overwrite"):
        RunFolder.create(tmp_path / "r")


def test_a_run_that_failed_before_its_first_step_is_no_obstacle(tmp_path):
    RunFolder.create(tmp_path / "r").finish("failed", "a typing error")
    run(tmp_path / "r")
    folder = RunFolder.create(tmp_path / "s")
    folder.append_step(STEPS[0], NAMES)
    folder.finish("failed")
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.create(tmp_path / "s")


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_touched(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        RunFolder.create(tmp_path, overwrite=overwrite)
    with pytest.raises(RunFolderError, match="is a file, expected a folder"):
        RunFolder.create(tmp_path / "thesis.tex", overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_old_run_is_kept_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "r"
    run(path)
    folder = RunFolder.create(path, overwrite=True)
    assert not folder.result_path.exists(), "an old result must not pass for a new one"
    assert (path / "previous" / "result.nc").read_text() == "complete"
    folder.finish("interrupted")
    assert (path / "previous" / "result.nc").is_file()
    run(path, overwrite=True, state="failed")
    assert (path / "previous" / "result.nc").read_text() == "complete"
    run(path, overwrite=True)
    assert not (path / "previous").exists()


def test_a_run_that_was_only_moved_aside_still_counts(tmp_path):
    path = tmp_path / "r"
    run(path)
    (path / "previous").mkdir()
    for part in list(path.iterdir()):
        if part.name != "previous":
            os.replace(part, path / "previous" / part.name)
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.create(path)
    run(path, overwrite=True)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (KeyboardInterrupt(), "interrupted", "stopped from outside"),
        (SystemExit(143), "interrupted", "stopped from outside"),
        (ValueError("a\n  b"), "failed", "a b"),
    ],
)
def test_leaving_by_an_exception_is_noted(tmp_path, error, state, message):
    with pytest.raises(type(error)), RunFolder.create(tmp_path / "r") as folder:
        raise error
    assert folder.status["state"] == state and folder.status["message"] == message


@pytest.mark.skipif(sys.platform == "win32", reason="needs the locks of POSIX")
def test_two_runs_do_not_share_a_folder(tmp_path):
    code = (
        "import sys, time; from tumble.io import RunFolder\n"
        f"folder = RunFolder.create({str(tmp_path / 'r')!r}); print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(RunFolderError, match="another run is writing"):
            RunFolder.create(tmp_path / "r", overwrite=True)
    finally:
        other.communicate()
    RunFolder.create(tmp_path / "r", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the locks of POSIX")
def test_a_process_that_vanished_does_not_run_for_ever(tmp_path):
    folder = RunFolder.create(tmp_path / "r")
    assert RunFolder.open(folder.path).status["state"] == "running"
    folder.close()
    assert RunFolder.open(folder.path).status["state"] == "interrupted"


def test_a_run_goes_on(tmp_path):
    folder = run(tmp_path / "r", state="interrupted")
    with open(folder.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')
    again = RunFolder.resume(folder.path)
    for step in STEPS[:4]:
        again.append_step(step, NAMES)
    assert [s["step"] for s in again.metrics] == [1, 2, 3, 4]
    assert again.status["started"] == folder.status["started"]
    again.finish("complete")
    with pytest.raises(RunFolderError, match="is complete; there is nothing to go on with"):
        RunFolder.resume(folder.path)


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(RunFolderError, match="there is no folder"):
        RunFolder.open(tmp_path / "nothing")
    with pytest.raises(RunFolderError, match="is not the folder of a run"):
        RunFolder.open(tmp_path)
    folder = RunFolder.create(tmp_path / "r")
    folder.finish("interrupted", "stopped by hand")
    with pytest.raises(
        RunFolderError, match=r"has no result: it is interrupted \(stopped by hand\)"
    ):
        folder.require_result()
    (folder.path / "status.json").write_text("{")
    with pytest.raises(RunFolderError, match="is damaged"):
        _ = folder.status


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_trouble_with_the_disk_is_one_line_and_harms_nothing(tmp_path, code):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RunFolderError) as caught, replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError(code, os.strerror(code))
    assert os.strerror(code) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "r")


def test_rounds_are_kept_once_whoever_tells_them_again(tmp_path):
    rounds = [
        ChainRound(50, 0.3, True),
        ChainRound(50, 0.3, True),
        ChainRound(60, 0.25, False, 1.0),
    ]
    folder = RunFolder.create(tmp_path / "r", command="sample-posterior")
    for done in rounds[:2]:
        folder.append_round(done)
    folder.finish("interrupted")
    # The state was kept before the round was told, or after it.
    for told in (rounds[1:], rounds[2:]):
        again = RunFolder.resume(folder.path, command="sample-posterior")
        for done in told:
            again.append_round(done)
        again.finish("interrupted")
    assert [m["step"] for m in folder.metrics] == [1, 2, 3]
    assert [m["r_hat"] for m in folder.metrics] == [None, None, 1.0]


def test_a_run_goes_on_by_the_command_that_began_it(tmp_path):
    folder = RunFolder.create(tmp_path / "r", command="sample-posterior")
    folder.finish("interrupted")
    assert RunFolder.open(folder.path).command == "sample-posterior"
    with pytest.raises(RunFolderError, match=r"go on with `tumble sample-posterior .* --resume`"):
        RunFolder.resume(folder.path)
    again = RunFolder.resume(folder.path, command="sample-posterior")
    again.finish("complete")
    assert RunFolder.open(folder.path).command == "sample-posterior"
