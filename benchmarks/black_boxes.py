"""Declared draws: whether their gradients are right, and what they cost.

Seconds are those of the processor, so that a busy machine makes little difference.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import Page, arguments, progress

import tumble as tb
from tumble._random import Stream, run_ids
from tumble.simulators import Batch, CallFunction, CallWithChoices

_DRAWS = 1000  # of one run, in a loop
_WIDE = (100, 100)  # draws of one run in a batch: calls, and draws in a call
_STEPS = 100
_STREAM = Stream.from_seed(0)


def batch_of(values: list[float], num_runs: int, times: Any = (1.0,)) -> Batch:
    """Return runs at one row of parameters."""
    params = np.tile(np.array(values), (num_runs, 1))
    none = np.zeros((num_runs, 0), np.int64)
    return Batch(params, none, np.array(times, float), _STREAM, run_ids(num_runs))


# -- what a draw costs ----------------------------------------------------------------------------


def in_a_loop(draw: Callable[[Any, float], Any]) -> tb.BlackBox:
    """Return a model that makes one draw after another."""

    def function(params: dict[str, Any], times: Any, c: Any) -> Any:
        p, total = params["p"], 0.0
        for _ in range(_DRAWS):
            total += draw(c, p)
        return [[total]]

    return tb.BlackBox(function, ["p"], ["x"], choices=True)


def of_a_generator(params: dict[str, Any], times: Any, rng: Any) -> Any:
    """The same with a NumPy generator."""
    p, total = params["p"], 0.0
    for _ in range(_DRAWS):
        total += rng.random() < p
    return [[total]]


def in_arrays(draw: Callable[[Any, Any, int], Any]) -> tb.BlackBox:
    """Return a batched model of as many draws in arrays."""

    def function(params: dict[str, Any], times: Any, c: Any) -> Any:
        total: Any = 0.0
        for _ in range(_WIDE[0]):
            total = total + draw(c, params["p"], _WIDE[1]).sum(1)
        return total[:, None, None]

    return tb.BlackBox(function, ["p"], ["x"], choices=True, batched=True)


def costs(model: tb.BlackBox, num_runs: int, num_draws: int) -> list[float]:
    """Return microseconds a draw to simulate, with the score, and with one alternative."""
    simulator, batch = CallWithChoices(), batch_of([0.3], num_runs)
    ways: list[Callable[[], Any]] = [
        lambda: simulator.sample(model, batch),
        lambda: simulator.sample_with_score(model, batch),
        lambda: simulator.sample_with_alternatives(model, batch, np.ones(1), 1),
    ]
    return [1e6 * fastest(way) / num_runs / num_draws for way in ways]


def fastest(work: Callable[[], Any]) -> float:
    """Return the least seconds of the processor in three times."""
    work()
    seconds = []
    for _ in range(3):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def cost_rows() -> list[list[Any]]:
    """Return the table of costs."""
    loops = {
        "flip": lambda c, p: c.flip(p),
        "choose of 3": lambda c, p: c.choose([p, 0.2, 1 - p]),
        "count": lambda c, p: c.count(p),
        "wait": lambda c, p: c.wait(p),
        "normal": lambda c, p: c.normal(p, 1.0),
    }
    arrays = {
        "flip": lambda c, p, n: c.flip(p, n),
        "choose of 3": lambda c, p, n: c.choose([p, 0.2, 1 - p], n),
        "count": lambda c, p, n: c.count(p, n),
        "wait": lambda c, p, n: c.wait(p, n),
        "normal": lambda c, p, n: c.normal(p, 1.0, n),
    }
    rows: list[list[Any]] = []
    for name, one in loops.items():
        progress(f"{name} …")
        alone = costs(in_a_loop(one), 5, _DRAWS)
        wide = costs(in_arrays(arrays[name]), 100, _WIDE[0] * _WIDE[1])
        rows.append([name, *(f"{x:.1f}" for x in alone), *(f"{1000 * x:.0f}" for x in wide)])
    plain = tb.BlackBox(of_a_generator, ["p"], ["x"])
    seconds = fastest(lambda: CallFunction().sample(plain, batch_of([0.3], 5)))
    rows.append(["a NumPy generator", f"{1e6 * seconds / 5 / _DRAWS:.1f}", *["–"] * 5])
    return rows


def cost_of_runs() -> tuple[float, float]:
    """Return what a call of a function costs by itself in microseconds, a program in ms."""
    empty = tb.BlackBox(lambda params, times, c: [[c.flip(0.5)]], [], ["x"], choices=True)
    batch = batch_of([], 2000)
    call = 1e6 * fastest(lambda: CallWithChoices().sample(empty, batch)) / 2000
    answer = "import sys; sys.stdin.read(); print('{\"outputs\": [[1]]}')"
    program = tb.ExternalProgram([sys.executable, "-S", "-c", answer], outputs=["x"])
    began = time.perf_counter()
    tb.simulate(program, {}, times=[1.0], num_samples=40)
    return call, 1e3 * (time.perf_counter() - began) / 40


# -- whether gradients are right -----------------------------------------------------------------


def walk(params: dict[str, Any], times: Any, c: Any) -> Any:
    """Squared distance of a walk on two axes, each of which stays with probability ``stay``."""
    position, now = 0.0, 0
    for later in times.astype(int):
        moves = ~c.flip(params["stay"], (later - now, 2))
        steps = np.where(c.flip(0.5, (later - now, 2)), 1, -1)
        position = position + (moves * steps).sum(1)
        now = later
        yield (position**2).sum(1)


def gradient_rows(num_runs: int) -> list[list[Any]]:
    """Return estimates of d msd / d stay with standard errors and seconds."""
    model = tb.BlackBox(walk, ["stay"], ["msd"], choices=True, batched=True)
    simulator = CallWithChoices()
    rows: list[list[Any]] = []
    for stay in (0.1, 0.5, 0.9):
        batch = batch_of([stay], num_runs, [float(_STEPS)])

        def by_score(batch: Batch = batch) -> Any:
            found = simulator.sample_with_score(model, batch)
            distance = found.states[:, 0, 0]
            return (distance - distance.mean()) * found.score[:, 0, 0]

        def by_alternatives(batch: Batch = batch) -> Any:
            found = simulator.sample_with_alternatives(model, batch, np.ones(1), 4)
            change = found.pairs[:, :, 0, 0, 0] - found.pairs[:, :, 1, 0, 0]
            return (change * found.weights[..., 0]).sum(1)

        def by_differences(batch: Batch = batch, stay: float = stay) -> Any:
            sides = np.tile([[[stay - 0.02], [stay + 0.02]]], (num_runs, 1, 1))
            none = np.zeros((num_runs, 2, 0), np.int64)
            pairs = Batch(sides, none, batch.times, batch.stream, batch.runs)
            states = simulator.sample_pairs(model, pairs).states[:, :, 0, 0]
            return (states[:, 1] - states[:, 0]) / 0.04

        for name, estimate in (
            ("score", by_score),
            ("4 alternatives", by_alternatives),
            ("differences of 0.04", by_differences),
        ):
            began = time.process_time()
            each = estimate()
            seconds = time.process_time() - began
            error = each.std() / np.sqrt(num_runs)
            off = (each.mean() + 2 * _STEPS) / error
            work = each.var() * seconds / num_runs
            rows.append(
                [stay, name, f"{each.mean():.1f} ± {error:.1f}", f"{off:+.1f}", f"{work:.2g}"]
            )
    return rows


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=40_000, help="of the walk, a row")
    options = parser.parse_args()
    page = Page("black_boxes", "Declared draws: right, and what they cost")
    page.text(
        f"""A walk on two axes, each of which stays with probability p at each of {_STEPS} steps:
        the mean squared distance is 2 (1 − p) n, and its derivative −{2 * _STEPS} at every p.
        {options.runs:,} runs a row, in batched calls."""
    )
    page.table(
        ["p", "estimator", "d msd / dp", "off, in standard errors", "variance × seconds a run"],
        gradient_rows(options.runs),
    )
    page.heading("What a draw costs")
    call, program = cost_of_runs()
    page.text(
        f"""Microseconds a draw where each is a call in a loop of plain Python, and nanoseconds
        where {_WIDE[1]} are one call and `batched=True`; on one core. A call of a function costs
        {call:.0f} µs besides; an external program that is an empty Python script
        {program:.0f} ms, side by side on all cores."""
    )
    page.table(
        ["draw", "loop, µs", "with score", "with alternative", "arrays, ns", "with score",
         "with alternative"],
        cost_rows(),
    )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()
