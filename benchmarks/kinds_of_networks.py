"""How fast runs, scores and coupled pairs are for each kind of network, without compilation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _ssa_models import MODELS

import tumble as tb
from tumble._errors import CapabilityError
from tumble._random import Stream, run_ids
from tumble.simulators import Batch, DirectMethod

_STEP = 0.02
_FEWEST, _MOST = 16, 200_000


@dataclass(frozen=True)
class Kind:
    """A network, where it starts, and how long it runs."""

    name: str
    network: tb.ReactionNetwork
    params: Mapping[str, float]
    initial: Mapping[str, int]
    end: float
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def batch(self, runs: int, sides: int = 1) -> tuple[Any, Batch]:
        """Return the model and ``runs`` runs of it, or pairs that differ in the first parameter."""
        model = self.network.with_inputs(self.inputs) if self.inputs else self.network
        params = np.tile([self.params[name] for name in model.parameters], (runs, sides, 1))
        if sides == 2:
            params[:, 1, 0] *= 1 + _STEP
        counts = np.tile([self.initial.get(name, 0) for name in model.species], (runs, sides, 1))
        if sides == 1:
            params, counts = params[:, 0], counts[:, 0]
        times = np.linspace(0, self.end, 11)[1:]
        stream = Stream.from_seed(0).child("kinds", self.name)
        return model, Batch(params, counts.astype(np.int64), times, stream, run_ids(runs))


def kinds() -> list[Kind]:
    """Return the networks."""
    sir = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    rates, start = {"beta": 0.003, "gamma": 1.0}, {"S": 990, "I": 10}
    enzyme = tb.ReactionNetwork.from_text("S => P ; mm(S, V, K)\nP -> S ; r")
    toggle = "0 => A ; hillr(B, a, K, n)\n0 => B ; hillr(A, a, K, n)\nA -> 0 ; d\nB -> 0 ; d"
    gene = {"a": 20.0, "K": 6.0, "d": 1.0}
    waves = tb.ReactionNetwork.from_text(
        "S + I => 2 I ; beta * (1 + 0.3 * sin(time)) * S * I\nI -> R ; gamma"
    )
    large = MODELS["random-genes"]()
    return [
        Kind("mass action, 2 reactions", sir, rates, start, 10.0),
        Kind("Michaelis–Menten", enzyme, {"V": 300.0, "K": 40.0, "r": 1.0}, {"S": 200}, 10.0),
        Kind("Hill, exponent 2", tb.ReactionNetwork.from_text(toggle), {**gene, "n": 2.0},
             {"A": 5, "B": 5}, 50.0),
        Kind("Hill, exponent 2.5", tb.ReactionNetwork.from_text(toggle), {**gene, "n": 2.5},
             {"A": 5, "B": 5}, 50.0),
        Kind("constant between known times", sir, rates, start, 10.0,
             {"beta": tb.inputs.StepInput([0.0, 3.0, 6.0], [0.003, 0.001, 0.003])}),
        Kind("smooth in time", waves, rates, start, 10.0),
        Kind("linear between known times", sir, rates, start, 10.0,
             {"beta": tb.inputs.LinearInput([0.0, 3.0, 10.0], [0.003, 0.001, 0.003])}),
        Kind("mass action, 1,200 reactions", tb.ReactionNetwork.from_text(large.text),
             large.params, dict(large.initial), large.end / 10),
    ]  # fmt: skip


def speed(
    run: Callable[[Any, Batch], Any], kind: Kind, seconds: float, repeats: int, sides: int
) -> float:
    """Return million events a second (of pairs: of both sides), from calls of so many seconds."""
    simulate = lambda n: run(*kind.batch(n, sides))  # noqa: E731
    runs = _FEWEST
    simulate(runs)
    while True:
        began = time.perf_counter()
        simulate(runs)
        took = time.perf_counter() - began
        if took > seconds / 4 or runs >= _MOST:
            break
        runs = min(_MOST, 4 * runs)
    runs = int(np.clip(runs * seconds / took, _FEWEST, _MOST))
    speeds = []
    for _ in range(repeats):
        began = time.perf_counter()
        found = simulate(runs)
        speeds.append(float(found.events.sum()) / (time.perf_counter() - began) / 1e6)
    return statistics.median(speeds)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a call")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    page = Page("kinds_of_networks", "Speed by kind of network")
    page.text(
        f"""Million events a second of `DirectMethod`, called with batches of some
        {options.seconds:g} seconds at ten observation times: runs alone, runs with their scores,
        and coupled pairs {100 * _STEP:g} % apart in one parameter (events of both sides). No kernel
        is compiled for the network. Medians of {options.repeats} calls. Options:
        `{settings(options)}`."""
    )
    direct = DirectMethod()
    rows = []
    for kind in kinds():
        row: list[Any] = [kind.name]
        for sides, run in ((1, direct.sample), (1, direct.sample_with_score),
                           (2, direct.sample_pairs)):  # fmt: skip
            try:
                row.append(f"{speed(run, kind, options.seconds, options.repeats, sides):.3g}")
            except CapabilityError:
                row.append("–")
        progress(f"{row}")
        rows.append(row)
    page.table(["network", "runs", "with scores", "pairs"], rows)
    page.text(
        """Rate laws are interpreted for all runs of a group at once; powers other than ½, ±1, 2, 3
        and 4 are taken one by one. Rates that change smoothly in time are integrated, and have no
        scores and pairs."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()
