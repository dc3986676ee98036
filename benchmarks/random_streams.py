"""Whether a battery of statistical tests tells the random streams from true randomness.

Every way in which tumble lines its streams up goes through dieharder, and so do two references: a
generator that was weakened on purpose, which the battery has to find, and the cryptographic one of
the operating system, which shows what the battery says of words that nobody can tell from random.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _report import Page, arguments, progress
from scipy.stats import ks_2samp

from tumble._random import Stream
from tumble.kernels._philox import fill_uniforms, philox_block

_SOURCE = Path(__file__).with_suffix(".c")
_MISSING = """\
random_streams found no {names} on the PATH, and needs it. On Debian and Ubuntu:
apt-get install {packages}
For another battery that reads 32-bit words, --words LAYOUT writes them to standard output."""

_LAYOUTS = {
    "draws": "one run, block after block",
    "runs": "block 0 of runs 0, 1, 2, …",
    "lanes": "block 0 of 1,024 runs, then block 1 of each, …",
    "seeds": "block 0 of run 0, for seeds s, s + 1, s + 2, … of the seed tree",
    "keys": "block 0 of run 0, for keys k, k + 1, k + 2, …, without the tree",
    "bits": "the lowest 32 of the 52 bits of each uniform of one run",
    "backwards": "one run, the bits of each word in reverse order",
}

# Number and tuple sizes of dieharder's tests: all that its authors rate Good, less what would take
# most of the time: lagged sums of every lag to 32, bit distributions of every size to 12, and most
# of the pairs of which it takes greatest common divisors.
_TESTS = {
    **dict.fromkeys((0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102), (0,)),
    200: (1, 2, 3, 4, 5, 6, 7, 8),
    201: (2, 3, 4, 5),
    202: (2, 3, 4, 5),
    203: (0, 1, 3, 7),
    **dict.fromkeys((204, 205, 206, 207, 208, 209), (0,)),
}
_SAMPLES = {17: 1_000_000}
_FAILED = 1e-6  # where dieharder draws its lines
_WEAK = 0.005


@dataclass(frozen=True)
class Source:
    """The words of one layout, from a Philox of so many rounds; tumble has ten.

    The layout ``system`` is that of the operating system's generator, ``copy`` after ``copy``.
    """

    layout: str
    rounds: int = 10
    copy: int = 0

    @property
    def name(self) -> str:
        """What the tables call it."""
        weakened = f", {self.rounds} rounds" if self.rounds != 10 else ""
        return self.layout + weakened + (f" {self.copy}" if self.copy else "")

    def key(self, *path: str | int) -> int:
        """Return the key, or the first seed, of the words for one use."""
        key = Stream.from_seed(0).child("random_streams", self.layout, *path).key
        return key >> 1 if self.layout in ("seeds", "keys") else key  # room to count upwards


@dataclass(frozen=True)
class Finding:
    """One p-value, at ``place`` among those of a test (number and tuple size) on a source."""

    source: Source
    test: tuple[int, int]
    place: int
    name: str
    p: float

    @property
    def weak(self) -> bool:
        """Whether dieharder calls it weak or failed."""
        return min(self.p, 1 - self.p) < _WEAK


def compiled(folder: Path) -> Path:
    """Return the program that writes the words, or exit and say what is missing."""
    needs = {"cc": "gcc", "dieharder": "dieharder"}
    missing = [name for name in needs if shutil.which(name) is None]
    if missing:
        packages = " ".join(needs[name] for name in missing)
        print(_MISSING.format(names=" and ".join(missing), packages=packages), file=sys.stderr)
        raise SystemExit(2)
    program = folder / "random_streams"
    options = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-o", str(program)]
    subprocess.run(["cc", *options, str(_SOURCE)], check=True)
    return program


def command(program: Path, source: Source, key: int, *count: int) -> list[str]:
    """Return the command line that writes words, without end or ``count`` of them."""
    return [str(program), source.layout, str(key), str(source.rounds), *map(str, count)]


def words_of_tumble(layout: str, key: int, count: int) -> np.ndarray:
    """Return the first ``count`` words [count] of a layout, from the kernels of tumble."""
    blocks = np.arange(count // 4)
    if layout == "bits":
        out = np.empty((1, count // 2, 2))
        fill_uniforms(np.uint64(key), np.zeros(1, np.uint64), np.uint64(0), out)
        return ((out.ravel() - 2.0**-53) * 2.0**52).astype(np.uint64).astype(np.uint32)
    place = {  # key, run, draw of block n
        "draws": lambda n: (key, 0, n),
        "runs": lambda n: (key, n, 0),
        "lanes": lambda n: (key, n % 1024, n // 1024),
        "seeds": lambda n: (Stream.from_seed(key + n).key, 0, 0),
        "keys": lambda n: (key + n, 0, 0),
        "backwards": lambda n: (key, 0, n),
    }[layout]
    words = np.array([_block(*place(int(n))) for n in blocks], dtype=np.uint32).ravel()
    if layout == "backwards":
        bits = np.unpackbits(words[:, None].view(np.uint8), axis=1, bitorder="little")
        words = np.packbits(bits, axis=1).view(">u4").astype(np.uint32).ravel()
    return words


def _block(key: int, run: int, draw: int) -> tuple[int, int, int, int]:
    low = 2**32 - 1
    counter = np.array([draw & low, draw >> 32, run & low, run >> 32], dtype=np.uint64)
    return philox_block(counter, np.array([key & low, key >> 32], dtype=np.uint64))


def check(program: Path, count: int = 2**16) -> None:
    """Raise unless the first ``count`` words of every layout are those of tumble."""
    for layout in _LAYOUTS:
        source = Source(layout)
        key = source.key("check")
        done = subprocess.run(command(program, source, key, count), capture_output=True, check=True)
        written = np.frombuffer(done.stdout, dtype="<u4")
        if not np.array_equal(written, words_of_tumble(layout, key, count)):
            raise RuntimeError(f"{_SOURCE.name} writes other words than tumble for {layout!r}.")


def examine(
    program: Path, source: Source, test: tuple[int, int], attempt: int
) -> tuple[list[Finding], int]:
    """Run one test on words of its own; return its p-values and the number of words taken."""
    key = source.key(*test, attempt)
    fields = [f"-D{field}" for field in ("test_name", "ntuple", "tsamples", "psamples", "pvalues")]
    asked = ["-g", "200", "-d", str(test[0]), "-n", str(test[1]), "-c", ",", *fields]
    if test[0] in _SAMPLES:
        asked += ["-t", str(_SAMPLES[test[0]])]
    writer = subprocess.Popen(
        command(program, source, key), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    reader = subprocess.run(
        ["dieharder", *asked], stdin=writer.stdout, capture_output=True, text=True, check=True
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    words = int(writer.stderr.read())
    writer.wait()
    found = []
    for line in reader.stdout.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 5:
            name = fields[0] if fields[1] == "0" else f"{fields[0]} {fields[1]}"
            found.append(Finding(source, test, len(found), name, float(fields[4])))
    if not found:
        raise RuntimeError(f"dieharder {asked} found nothing:\n{reader.stdout}{reader.stderr}")
    progress(f"{source.name}: {found[0].name} {[f.p for f in found]}")
    return found, words


def summary(source: Source, found: Sequence[Finding], words: int) -> list[object]:
    """Return the row of one source."""
    p = np.array([finding.p for finding in found])
    least = min(found, key=lambda finding: finding.p)
    chance = -np.expm1(len(p) * np.log1p(-least.p)) if least.p < 1 else 1.0
    return [
        source.name, f"{words / 1e9:.1f}", len(p), int(np.sum(p < _FAILED)),
        int(np.sum(p < _WEAK)), int(np.sum(p > 1 - _WEAK)), f"{least.p:.2g} ({least.name})",
        f"{chance:.2g}",
    ]  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--layouts", nargs="+", default=list(_LAYOUTS), choices=_LAYOUTS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tests at a time")
    parser.add_argument("--words", metavar="LAYOUT", choices=_LAYOUTS, help="write words, no page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        check(program)
        if options.words:
            source = Source(options.words)
            subprocess.run(command(program, source, source.key("words")), check=True)
        else:
            write(program, options.layouts, options.jobs, options.save)


def write(program: Path, layouts: Sequence[str], jobs: int, save: bool) -> None:
    """Run the battery and write the page."""
    streams = [Source(layout) for layout in layouts]
    fair = [Source("system", copy=copy) for copy in (1, 2, 3)]
    sources = [*streams, *fair, Source("lanes", rounds=3)]
    page = Page("random_streams", "Do the random streams look random?")
    tests = [(number, size) for number, sizes in _TESTS.items() for size in sizes]
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            source: [pool.submit(examine, program, source, test, 0) for test in tests]
            for source in sources
        }
        done = {source: [task.result() for task in running[source]] for source in sources}
    found = {source: [f for part, _ in done[source] for f in part] for source in sources}
    words = {source: sum(count for _, count in done[source]) for source in sources}
    introduce(page, len(tests), layouts)
    page.table(
        ["stream", "10⁹ words", "p-values", f"below {_FAILED:g}", f"below {_WEAK:g}",
         f"above {1 - _WEAK:g}", "smallest p-value", "chance of one as small"],
        [summary(source, found[source], words[source]) for source in sources],
    )  # fmt: skip
    of_streams = [f for source in streams for f in found[source]]
    compare(page, of_streams, [f for source in fair for f in found[source]])
    repeat(page, program, [f for f in of_streams if f.weak])
    page.finish(save)


def introduce(page: Page, num_tests: int, layouts: Sequence[str]) -> None:
    """Write what was tested, and by what."""
    version = subprocess.run(["dieharder", "-l"], capture_output=True, text=True).stdout.split()
    page.text(
        f"""Philox4x32-10 in the ways in which tumble uses it, through {num_tests} tests of
        dieharder {version[version.index("version") + 1]}: those that its authors rate *Good*, with
        their usual samples (a tenth of the pairs for greatest common divisors), bit distributions
        of 1 … 8 bits, and lagged sums of every word and of every second, fourth and eighth. The
        words come from a program of its own, after its first 65,536 words of each layout were found
        equal to those of tumble's kernels. Each test reads words of its own: its key is a node of
        the seed tree."""
    )
    page.table(["stream", "its words"], [[name, _LAYOUTS[name]] for name in layouts])


def compare(page: Page, streams: Sequence[Finding], fair: Sequence[Finding]) -> None:
    """Say how the p-values of the streams compare with those of the references."""
    ours, theirs = ([finding.p for finding in found] for found in (streams, fair))
    page.text(
        f"""dieharder fails a p-value below {_FAILED:g}, and calls one within {_WEAK:g} of 0 or 1
        weak. *system* is the cryptographic generator of the operating system, and the last row is
        our own with 3 rounds rather than 10: the battery finds what is wrong."""
    )
    page.text(
        f"""Fair p-values would have a mean of 0.5, and {100 * _WEAK:g} % of them would be below
        {_WEAK:g} and as many above {1 - _WEAK:g}. Those of dieharder lean towards 1, whatever the
        generator: the mean is {np.mean(ours):.2f} for the streams and {np.mean(theirs):.2f} for
        *system*, and {100 * np.mean(np.array(ours) > 1 - _WEAK):.1f} % and
        {100 * np.mean(np.array(theirs) > 1 - _WEAK):.1f} % are above {1 - _WEAK:g}. So the chances
        in the last column are upper bounds, and *system* is what to compare with. That both have
        one distribution has p = {ks_2samp(ours, theirs).pvalue:.2g} (two samples,
        Kolmogorov-Smirnov; some p-values share their words, so that this is approximate)."""
    )


def repeat(page: Page, program: Path, weak: Sequence[Finding]) -> None:
    """Write the section on weak p-values, each with its test done again on fresh words."""
    if not weak:
        return
    page.heading("Weak p-values, and the same tests on fresh words")
    rows = []
    for finding in weak:
        again, _ = examine(program, finding.source, finding.test, 1)
        p = again[finding.place].p
        rows.append([finding.source.name, finding.name, f"{finding.p:.4f}", f"{p:.4f}"])
    page.table(["stream", "test", "p-value", "again"], rows)


if __name__ == "__main__":
    main()
