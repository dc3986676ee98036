"""Run folders: what a fit was asked, how it went, and what came out."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import RunFolderError
from tumble.io._atomic import explaining, write_text
from tumble.io._environment import describe_environment

if TYPE_CHECKING:
    from tumble._fit_result import FitStep
    from tumble.io._run_config import RunConfig

_STATUS = "status.json"
_PREVIOUS = "previous"
_PARTS = ("config.yaml", "inputs", "metrics.jsonl", "checkpoint", "result.nc", "report.html",
          "structure.json", "network.txt", "network.xml", "env.json", _STATUS)  # fmt: skip


@dataclass
class RunFolder:
    """A folder that holds one run, of the ``command`` that began it. Final.

    It holds ``config.yaml`` (the run file, as it was), ``inputs/`` (copies of the data),
    ``metrics.jsonl`` (one line a step or round), ``checkpoint/`` (the best parameters so far of a
    fit, and the state from which the run can go on),
    ``result.nc``, ``report.html``, ``env.json`` (versions, platform, command, seed), of a learnt
    structure also ``structure.json``, ``network.txt`` and ``network.xml``, and
    ``status.json`` (``running``, ``complete``, ``interrupted`` or ``failed``). Files are written
    under another name and renamed, and lines are appended whole, so that the folder can be read at
    any time.

    `RunFolder.create` begins a run, `RunFolder.resume` goes on with one that was stopped, and
    `RunFolder.open` reads one. As a context manager a folder notes
    in ``status.json`` when the run is interrupted or fails. Every trouble with the disk is a
    `RunFolderError`.
    """

    path: Path
    command: str = "fit"
    _metrics: Any = field(default=None, repr=False)
    _last_step: int = field(default=0, repr=False)
    _next_checkpoint: float = field(default=0.0, repr=False)
    _resumed_line: str = field(default="", repr=False)

    # -- beginning and end -------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, overwrite: bool = False, command: str = "fit"
    ) -> RunFolder:
        """Make a folder for a new run.

        A folder that holds a run is refused unless ``overwrite``; then the old run is moved to
        ``previous/`` inside it, and removed when the new one is complete. A run that failed before
        its first step counts for nothing. A folder that holds anything else is always refused.
        Raises `RunFolderError`.
        """
        path = Path(path)
        with explaining(path, "make the run folder"):
            if path.exists() and not path.is_dir():
                raise RunFolderError(f"'{path}' is a file, expected a folder; choose another one.")
            path.mkdir(parents=True, exist_ok=True)
            if _is_run(path):
                if not (overwrite or _is_barren(path)):
                    raise RunFolderError(
                        f"'{path}' already holds a run; choose another folder with --output, "
                        "replace the run with --overwrite, or go on with it with --resume."
                    )
                _refuse_if_running(path)
                _set_aside(path)
            elif any(path.iterdir()):
                raise RunFolderError(
                    f"'{path}' is not empty and holds no run; choose another folder, so that none "
                    "of its files is lost."
                )
            folder = cls(path, command)
            folder._metrics = open(path / "metrics.jsonl", "w", encoding="utf-8")  # noqa: SIM115
            _lock(folder._metrics)
            folder._write_status("running")
            (path / "checkpoint").mkdir(exist_ok=True)
        return folder

    @classmethod
    def resume(cls, path: str | os.PathLike[str], *, command: str = "fit") -> RunFolder:
        """Open the folder of a run that was stopped, to go on with it. Raises `RunFolderError`."""
        folder = cls.open(path)
        if folder.command != command:
            raise RunFolderError(
                f"the run in '{path}' is one of `tumble {folder.command}`, not of `tumble "
                f"{command}`; go on with `tumble {folder.command} {path} --resume`."
            )
        with explaining(folder.path, "go on in"):
            _refuse_if_running(folder.path)
            if folder.status.get("state") == "complete":
                raise RunFolderError(
                    f"the run in '{path}' is complete; there is nothing to go on with."
                )
            steps = folder.metrics  # without a last line that was cut off
            lines = [to_json(s) for s in steps]
            write_text(folder.path / "metrics.jsonl", "".join(f"{line}\n" for line in lines))
            folder._resumed_line = lines[-1] if lines else ""
            folder._metrics = open(folder.path / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
            _lock(folder._metrics)
            folder._last_step = int(steps[-1]["step"]) if steps else 0
            folder._write_status("running")
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Open the folder of a run, whatever its state. Raises `RunFolderError`."""
        path = Path(path)
        if not path.is_dir():
            raise RunFolderError(f"there is no folder '{path}'; check the path.")
        if not _is_run(path):
            raise RunFolderError(
                f"'{path}' is not the folder of a run: it has no {_STATUS}; `tumble fit` makes one."
            )
        folder = cls(path)
        with contextlib.suppress(RunFolderError):  # damaged, as who reads the status will be told
            folder.command = str(folder.status.get("command", folder.command))
        return folder

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self.close()
            return
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        # What went wrong first is what the user must see, not that it could not be noted.
        with contextlib.suppress(RunFolderError):
            if stopped:
                self.finish("interrupted", "stopped from outside")
            else:
                self.finish("failed", " ".join(str(error).split()) or type(error).__name__)

    def finish(self, state: str, message: str = "") -> None:
        """Note how the run ended; a complete run takes the place of the one before it."""
        self.close()
        self._write_status(state, message)
        if state == "complete":
            with explaining(self.path / _PREVIOUS, "remove"):
                shutil.rmtree(self.path / _PREVIOUS, ignore_errors=True)

    def close(self) -> None:
        """Close the file of metrics."""
        if self._metrics is not None:
            with explaining(self.path / "metrics.jsonl"):
                self._metrics.close()
            self._metrics = None

    # -- writing -----------------------------------------------------------------------------------

    def write_config(self, config: RunConfig) -> None:
        """Copy the run file, and the data and the model it names."""
        from tumble.io._run_config import input_name

        write_text(self.path / "config.yaml", config.text)
        copies: dict[str, Path | None] = {
            input_name(i, str(config.experiments[i].file)): file
            for i, file in enumerate(config.data_files)
        }
        for i, movie in enumerate(config.movie_files):
            copies[input_name(f"movie{i}", movie.name)] = movie
        if config.model_file is not None:
            copies[input_name("model", config.model_file.name)] = config.model_file
        for name, file in copies.items():
            if file is not None:
                target = self.path / "inputs" / name
                with explaining(target, "copy the data to"):
                    target.parent.mkdir(exist_ok=True)
                    (shutil.copytree if file.is_dir() else shutil.copyfile)(file, target)

    def write_environment(self, **more: Any) -> None:
        """Write versions, platform and command, with ``more`` such as the seed."""
        self._write_json("env.json", {**describe_environment(), **more})

    def append_step(self, step: FitStep, names: tuple[str, ...]) -> None:
        """Add one line to the metrics; the first step and one a second become checkpoints.

        A step that is there already, since a run that goes on repeats it, is left out.
        """
        if step.step <= self._last_step:
            return
        params = dict(zip(names, step.params, strict=True))
        line = {
            "step": step.step,
            "phase": step.phase,
            "loss": step.loss,
            "gradient_norm": step.gradient_norm,
            "noise_norm": step.noise_norm,
            "num_runs": step.num_runs,
            "seconds": step.seconds,
            "params": params,
        }
        self._append(to_json(line))
        if step.seconds >= self._next_checkpoint:
            self._next_checkpoint = step.seconds + 1.0
            self.write_checkpoint(params, step.step)

    def append_round(self, done: Any) -> None:
        """Add what one round of a sampler did, a dataclass of numbers, to the metrics.

        A run that goes on begins by telling the round before again: that is not there twice.
        """
        if self._resumed_line == _round_line(self._last_step, done):
            self._resumed_line = ""
            return
        self._resumed_line = ""
        self._last_step += 1
        self._append(_round_line(self._last_step, done))

    def _append(self, line: str) -> None:
        with explaining(self.path / "metrics.jsonl"):
            self._metrics.write(line + "\n")
            self._metrics.flush()

    def write_checkpoint(self, params: Mapping[str, Any], step: int) -> None:
        """Write the best parameters so far, as ``fit.start`` of a run file takes them."""
        self._write_json("checkpoint/params.json", {"step": step, "start": dict(params)})

    def _write_status(self, state: str, message: str = "") -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = {"program": "tumble", "command": self.command, "state": state,
                  "message": message, "process": os.getpid()}  # fmt: skip
        started = now
        with contextlib.suppress(RunFolderError):
            started = self.status.get("started", now) if state != "running" else now
        times = {"started": started} | ({} if state == "running" else {"finished": now})
        self._write_json(_STATUS, status | times)

    def _write_json(self, name: str, content: Any) -> None:
        write_text(self.path / name, to_json(content, indent=2) + "\n")

    # -- reading -----------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        """What ``status.json`` says: ``state``, ``message``, ``started``, ``finished``.

        A run whose process is gone without a word, as after a power cut, is ``interrupted``.
        """
        status = self._read_json(_STATUS)
        if status.get("state") == "running" and not _is_running(self.path):
            status |= {"state": "interrupted", "message": "ended without a word"}
        return status

    @property
    def environment(self) -> dict[str, Any]:
        """What ``env.json`` says."""
        return self._read_json("env.json")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The steps so far; a last line that is not complete is left out."""
        steps = []
        with explaining(self.path / "metrics.jsonl", "read"):
            text = (self.path / "metrics.jsonl").read_text(encoding="utf-8")
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                steps.append(json.loads(line))
        return steps

    @property
    def result_path(self) -> Path:
        """Where the result is, or will be."""
        return self.path / "result.nc"

    @property
    def report_path(self) -> Path:
        """Where the report is, or will be."""
        return self.path / "report.html"

    @property
    def state_path(self) -> Path:
        """Where `fit` and `sample_posterior` keep the state from which they can go on."""
        return self.path / "checkpoint" / "state.npz"

    def config(self) -> RunConfig:
        """Return the run file, with the copies of the data."""
        from tumble.io._read_run_config import load_run_config

        return load_run_config(self.path / "config.yaml", inputs=self.path / "inputs")

    def require_result(self) -> Path:
        """Return the path of the result; raises `RunFolderError` when the run has none."""
        if self.result_path.is_file():
            return self.result_path
        status = self.status
        message = f" ({status['message']})" if status.get("message") else ""
        raise RunFolderError(
            f"the run in '{self.path}' has no result: it is {status.get('state')}{message} after "
            f"{len(self.metrics)} steps; go on with `tumble {self.command} {self.path} --resume`."
        )

    def _read_json(self, name: str) -> dict[str, Any]:
        with explaining(self.path / name, "read"):
            text = (self.path / name).read_text(encoding="utf-8")
        try:
            content = json.loads(text)
        except json.JSONDecodeError:
            raise RunFolderError(f"'{self.path / name}' is damaged; run the fit again.") from None
        return dict(content)


def to_json(content: Any, indent: int | None = None) -> str:
    """Return JSON in which numbers that are not finite are null, as the standard has none."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False, ensure_ascii=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(k): _finite(v) for k, v in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(v) for v in content]
    if isinstance(content, (bool, int, str)) or content is None:
        return content
    value = float(content)
    return value if math.isfinite(value) else None


def _round_line(number: int, done: Any) -> str:
    return to_json({"step": number, **asdict(done)})


# -- the state of a folder -----------------------------------------------------------------------


def _is_run(path: Path) -> bool:
    # Between moving an old run aside and beginning the new one there is only the old one.
    return (path / _STATUS).is_file() or (path / _PREVIOUS / _STATUS).is_file()


def _is_barren(path: Path) -> bool:
    with contextlib.suppress(RunFolderError):
        folder = RunFolder(path)
        kept = (path / _PREVIOUS, folder.result_path, folder.state_path)
        gone = not any(part.exists() for part in kept)
        return gone and folder.status.get("state") == "failed" and not folder.metrics
    return False


def _set_aside(path: Path) -> None:
    """Move the run in ``path`` to ``previous/``; a complete run there outlives a broken one."""
    previous = path / _PREVIOUS
    complete = False
    with contextlib.suppress(RunFolderError):  # a damaged run is not worth keeping
        complete = RunFolder(path).status.get("state") == "complete"
    if previous.exists() and not complete:
        for part in _PARTS:
            _remove(path / part)
        return
    shutil.rmtree(previous, ignore_errors=True)
    previous.mkdir()
    for part in _PARTS:
        if (path / part).exists():
            os.replace(path / part, previous / part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _refuse_if_running(path: Path) -> None:
    if _is_running(path):
        raise RunFolderError(
            f"another run is writing to '{path}'; wait for it, stop it, or choose another folder "
            "with --output."
        )


def _is_running(path: Path) -> bool:
    """Whether a process holds the lock on the metrics."""
    metrics = path / "metrics.jsonl"
    if not metrics.is_file():
        return False
    with open(metrics, "rb") as file:
        try:
            _lock(file)
        except BlockingIOError:
            return True
    return False


def _lock(file: Any) -> None:
    """Lock an open file until it is closed or the process ends, where the system offers that."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # some network file systems have no locks
        return
