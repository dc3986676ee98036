"""Seconds from the shell to an answer: import, help, and the first and second fit of an example.

The first fit starts with empty cache folders, the second with those that the first one left.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import Page, arguments, progress

_ROOT = Path(__file__).resolve().parents[1]
_RUN_FILE = _ROOT / "examples" / "influenza" / "run.yaml"
_COMMAND = ["-c", "from tumble.cli import main; main()"]
_TEN_REACTIONS = """
import tumble as tb
rates = {f"k{i}": 1.0 for i in range(10)}
lines = [f"X{i} -> X{(i + 1) % 10} ; k{i}" for i in range(10)]
initial = {f"X{i}": 100 * (i == 0) for i in range(10)}
ring = tb.ReactionNetwork.from_text("\\n".join(lines))
run = tb.simulate(ring, rates, initial=initial, times=[1, 2], num_samples=100, seed=1)
print(run.result)
"""


def seconds(arguments: list[str], caches: Path) -> float:
    """Run Python with ``arguments`` and the given folder for all caches; return its wall time."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(caches),
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "MPLCONFIGDIR": str(caches / "matplotlib"),
    }
    for name in ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} failed:\n{done.stdout}\n{done.stderr}")
    return elapsed


def fit(folder: Path) -> list[str]:
    """Return the arguments that fit the example into a folder."""
    return [*_COMMAND, "fit", str(_RUN_FILE), "--output", str(folder / "run"), "--overwrite"]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    page = Page("startup", "Seconds from the shell to an answer")
    measured: dict[str, list[float]] = {}
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            caches = folder / "caches"
            for what, command in {
                "python -c 'pass'": ["-c", "pass"],
                "python -c 'import tumble'": ["-c", "import tumble"],
                "tumble --help": [*_COMMAND, "--help"],
                "ten reactions, empty caches": ["-c", _TEN_REACTIONS],
                "ten reactions, again": ["-c", _TEN_REACTIONS],
                "ten reactions, once more": ["-c", _TEN_REACTIONS],
                "tumble fit, empty caches": fit(folder),
                "tumble fit, again": fit(folder),
                "tumble fit --no-audit, again": [*fit(folder), "--no-audit"],
            }.items():
                measured.setdefault(what, []).append(seconds(command, caches))
            progress(f"{repeat}: { {k: round(v[-1], 2) for k, v in measured.items()} }")
    page.table(
        ["", "median", "least", "largest"],
        [
            [what, *(f"{f(values):.2f}" for f in (statistics.median, min, max))]
            for what, values in measured.items()
        ],
    )
    page.text(
        f"""Wall seconds of {options.repeats} repeats, each with cache folders that are empty at its
        beginning. Ten reactions: a process that builds a network of ten reactions and simulates 100
        runs of it. `tumble fit` fits the influenza example, checks the fit by 1,000 simulated
        outbreaks, audits its gradient against exact simulation, and writes the results and the
        report. Whoever imported the packages last decides how much of them the file system
        still holds in memory, so the first repeat may be slower."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()
