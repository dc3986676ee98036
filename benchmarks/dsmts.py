"""The stochastic cases of the SBML Test Suite: means and standard deviations of many runs.

FOLDER holds folders NNNNN, each with NNNNN-sbml-l3v2.xml (or another level), NNNNN-settings.txt and
NNNNN-results.csv. With n runs, at each time, Z = √n (m − µ) / σ has to lie in the case's meanRange,
(−3, 3), and Y = √(n/2) (s² / σ² − 1) in its sdRange, (−5, 5); of each variable, at most 3 times may
lie outside, for the mean and for the standard deviation each. A case passes if most of the seeds
do. All levels of a case have to read as one network.

Prints a line for each case and seed, and `PASSED k of n`. Exits with 0 if all pass, 1 if some do
not, 2 if it is used in a wrong way.

Reference: Evans, Gillespie, Wilkinson, Bioinformatics 24 (2008), doi:10.1093/bioinformatics/btm566.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tumble as tb

MOST_OUTSIDE = 3
MOST_RUNS = 10_000_000


@dataclass(frozen=True)
class Case:
    """One case: its models by file name, the settings, and the columns of its results."""

    name: str
    models: dict[str, tb.ImportedModel]
    settings: dict[str, str]
    results: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Read a folder. Raises `ValueError` for what is missing, or a model that is refused."""
        files = sorted(folder.glob(f"{folder.name}-sbml-*.xml"), reverse=True)
        if not files:
            raise ValueError(f"{folder} has no {folder.name}-sbml-….xml")
        lines = (folder / f"{folder.name}-settings.txt").read_text().splitlines()
        pairs = (line.partition(":") for line in lines if ":" in line)
        settings = {key.strip(): value.strip() for key, _, value in pairs}
        with open(folder / f"{folder.name}-results.csv", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        table = np.array(rows, dtype=float).T
        results = dict(zip((name.strip() for name in header), table, strict=True))
        return cls(folder.name, {f.name: tb.read_sbml(f) for f in files}, settings, results)

    @property
    def model(self) -> tb.ImportedModel:
        """The model of the highest level."""
        return next(iter(self.models.values()))

    def listed(self, key: str) -> list[str]:
        """Return the names in a setting, such as ``output``."""
        return [name.strip() for name in self.settings.get(key, "").split(",") if name.strip()]

    def range(self, key: str) -> tuple[float, float]:
        """Return the two numbers of a setting, such as ``meanRange``."""
        low, high = self.settings[key].strip("()[] ").split(",")
        return float(low), float(high)

    def odd_levels(self) -> list[str]:
        """Return the files that do not read as the first one does."""
        first, *others = self.models.items()
        return [name for name, other in others if not same(first[1], other)]


def same(a: tb.ImportedModel, b: tb.ImportedModel) -> bool:
    """Whether two models are one, but for what triggers were before the start, if false there.

    Level 2 cannot say that; the difference shows only if a trigger is true at the start.
    """
    settled = [replace(m.network, events=tuple(_settled(e, m) for e in m.network.events))
               for m in (a, b)]  # fmt: skip
    return (settled[0], a.params, a.initial) == (settled[1], b.params, b.initial)


def _settled(event: tb.models.Event, model: tb.ImportedModel) -> tb.models.Event:
    values = {**model.params, **model.initial, "time": 0.0}
    known = set(event.trigger.names) <= set(values)
    return replace(event, initially=True) if known and not event.trigger(values) else event


def simulated(case: Case, runs: int, seed: int) -> dict[str, np.ndarray]:
    """Return the values [run, time] of each variable."""
    model, times = case.model, case.results["time"]
    start = float(case.settings["start"])
    done = tb.simulate(model.network, model.params, initial=model.initial, times=times,
                       num_samples=runs, seed=seed, start=start)  # fmt: skip
    if np.any(done.codes != 0):
        raise ValueError(f"{np.sum(done.codes != 0)} of {runs} runs failed")
    counts = {s: np.asarray(done.data.sel(species=s), dtype=float) for s in model.network.species}
    values = {**model.params, **counts, "time": times}
    if done.variables is not None:
        values |= {v: np.asarray(done.variables.sel(variable=v)) for v in model.network.variables}
    for name, formula in model.network.resolved_definitions.items():
        values[name] = np.broadcast_to(formula(values), (runs, len(times)))
    return {name: values[name] for name in case.listed("variables")}


def outside(case: Case, values: dict[str, np.ndarray]) -> dict[str, int]:
    """Return how often each output lies outside its range."""
    found = {}
    for column in case.listed("output"):
        name, _, kind = column.rpartition("-")
        mean, sd = case.results[f"{name}-mean"], case.results[f"{name}-sd"]
        n = len(values[name])
        if kind == "mean":
            off, scale = values[name].mean(axis=0) - mean, sd / np.sqrt(n)
        else:
            off, scale = values[name].var(axis=0, ddof=1) - sd**2, sd**2 / np.sqrt(n / 2)
        low, high = case.range("meanRange" if kind == "mean" else "sdRange")
        # What does not vary has to be right, but for the digits of the file.
        fixed = np.where(np.abs(off) < 1e-6, 0.0, np.inf)
        score = np.divide(off, scale, out=fixed, where=scale > 0)
        found[column] = int(np.sum((score <= low) | (score >= high)))
    return found


def judge(case: Case, runs: int, seed: int) -> bool:
    """Print the line of a case and a seed, and return whether it passes."""
    try:
        counts = outside(case, simulated(case, runs, seed))
    except (tb.TumbleError, ValueError, KeyError) as error:
        print(f"{case.name} seed {seed}: FAILED  {type(error).__name__}: {error}", flush=True)
        return False
    good = max(counts.values()) <= MOST_OUTSIDE
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    steps = len(case.results["time"]) - 1
    print(f"{case.name} seed {seed}: {'passed' if good else 'FAILED'}  outside in {steps} steps: "
          f"{shown}", flush=True)  # fmt: skip
    return good


def passes(folder: Path, runs: int, seeds: list[int]) -> bool:
    """Print the lines of a case, and return whether most of its seeds pass."""
    try:
        case = Case.read(folder)
        if case.listed("concentration"):
            raise ValueError("concentrations are asked for; this script compares amounts")
    except (OSError, ValueError, KeyError) as error:
        print(f"{folder.name}: FAILED  {error}", flush=True)
        return False
    odd = case.odd_levels()
    if odd:
        print(f"{case.name}: FAILED  {odd[0]} reads differently", flush=True)
    good = sum([judge(case, runs, seed) for seed in seeds])
    return not odd and 2 * good > len(seeds)


def main() -> int:
    """Run all cases of a folder, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--cases", nargs="+", default=None, help="names; default all")
    options = parser.parse_args()
    if not 2 <= options.runs <= MOST_RUNS:
        parser.error(f"--runs is {options.runs}, expected 2 to {MOST_RUNS}")
    folders = sorted(f for f in options.folder.glob("[0-9]*") if f.is_dir())
    if options.cases is not None:
        missing = set(options.cases) - {f.name for f in folders}
        if missing:
            parser.error(f"no case {sorted(missing)[0]} in {options.folder}")
        folders = [f for f in folders if f.name in options.cases]
    if not folders:
        parser.error(f"no cases in {options.folder}; expected folders such as 00001")
    passed = sum([passes(folder, options.runs, options.seeds) for folder in folders])
    print(f"PASSED {passed} of {len(folders)}")
    return 0 if passed == len(folders) else 1


if __name__ == "__main__":
    sys.exit(main())
