"""One Cellular Potts model in three programs: tumble, C and glazier."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tumble as tb
from tumble.models import Cells, CellularPotts, ContactLength, ShapeIndex

_PEERS = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True)
class Tissue:
    """Square cells of one type on a torus with eight neighbors, ``cells`` along each side.

    ``size`` of the torus, ``width`` of a cell, energies, and ``runs``, each seen in ``frames``
    frames, from step ``steps`` on and ``every`` steps apart.
    """

    size: int
    cells: int
    width: int
    J01: float
    J11: float
    strength: float
    target: float
    steps: int
    runs: int = 1
    frames: int = 1
    every: int = 1

    @property
    def times(self) -> list[int]:
        """The steps after which frames are seen."""
        return [self.steps + self.every * k for k in range(self.frames)]

    @property
    def model(self) -> CellularPotts:
        """The model in tumble."""
        start = Cells.blocks((self.size,) * 2, (self.cells,) * 2, self.width)
        return CellularPotts(start, measures=(ContactLength(), ShapeIndex()))

    @property
    def params(self) -> dict[str, float]:
        """Its parameters."""
        return {"J_0_1": self.J01, "J_1_1": self.J11, "lambda_volume": self.strength,
                "target_volume": self.target}  # fmt: skip

    def seen(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Return what is compared of frames [runs, frames, size, size]: the mean of each run."""
        rows = np.array([self.model.observe(some).mean(0) for some in frames])
        found = dict(zip(self.model.outputs, rows.T, strict=True))
        flat = frames.reshape(*frames.shape[:2], -1)
        sizes = np.stack([(flat == c).sum(-1) for c in range(1, self.cells**2 + 1)], axis=-1)
        return {
            "contact of cells": found["contact_1_1"],
            "contact with medium": found["contact_0_1"],
            "mean volume": sizes.mean((1, 2)),
            "(V − V*)²": ((sizes - self.target) ** 2).mean((1, 2)),
            "P / √V": found["shape_1"],
        }


Engine = Callable[[Tissue, int], tuple[float, np.ndarray]]
"""From a tissue and a seed to processor seconds and frames [runs, frames, size, size]."""


def by_tumble(simulator: Any = None) -> Engine:
    """Return tumble, by its default simulator or another."""

    def run(tissue: Tissue, seed: int) -> tuple[float, np.ndarray]:
        began = time.process_time()
        kept = tb.simulate(
            tissue.model, tissue.params, times=np.array(tissue.times, float),
            num_samples=tissue.runs, seed=seed, simulator=simulator, outputs=tb.outputs.Frames(),
        )  # fmt: skip
        return time.process_time() - began, kept.states

    return run


@cache
def _program() -> Path:
    folder = Path(tempfile.mkdtemp())
    source, program = _PEERS / "cellular_potts.c", folder / "cellular_potts"
    command = ["cc", "-O3", "-march=native", "-o", str(program), str(source), "-lm"]
    subprocess.run(command, check=True)
    return program


def by_c(tissue: Tissue, seed: int) -> tuple[float, np.ndarray]:
    """Run plain C."""
    out = _program().with_name("frames")
    t = tissue
    numbers = [t.size, t.cells, t.width, t.J01, t.J11, t.strength, t.target, t.steps,
               seed * 100_003 + 1, t.runs, out, t.frames, t.every]  # fmt: skip
    done = subprocess.run(
        [str(_program()), *map(str, numbers)], check=True, capture_output=True, text=True
    )
    frames = np.fromfile(out, np.int32).reshape(t.runs, t.frames, t.size, t.size)
    return float(done.stdout), frames


def by_glazier(python: Path) -> Engine:
    """Return glazier, in an environment of its own.

    It shows last frames only, so its runs have one frame each, and end in turn at each time.
    """

    def run(tissue: Tissue, seed: int) -> tuple[float, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/frames.npy"
            ask = {**asdict(tissue), "lambda": tissue.strength, "seed": seed * 100_003 + 1,
                   "times": tissue.times, "out": out}  # fmt: skip
            done = subprocess.run(
                [str(python), str(_PEERS / "cellular_glazier.py")], input=json.dumps(ask),
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            return float(json.loads(done.stdout)["seconds"]), np.load(out)[:, None]

    return run


def steps_a_second(engines: dict[str, Engine], tissue: Tissue, rounds: int) -> dict[str, float]:
    """Return Monte Carlo steps a second of each engine, the median of rounds in turn."""
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for name, engine in engines.items():  # compilation and caches
        engine(replace(tissue, steps=2), 0)
        print(f"{name} is warm", file=sys.stderr)
    for seed in range(rounds):
        for name, engine in engines.items():
            seconds, _ = engine(tissue, seed)
            rates[name].append(tissue.runs * tissue.steps / seconds)
    return {name: float(np.median(some)) for name, some in rates.items()}
