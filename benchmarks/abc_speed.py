"""Sequential Monte Carlo ABC by tumble and by pyABC: the same problem, tolerances and particles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _workers import PEERS_PYTHON, Reply, Worker

import tumble as tb
from tumble._budget import Spending
from tumble._random import Stream

_TRUTH = {"beta": 0.004, "gamma": 0.35}
_INITIAL = (297, 3, 0)
_TIMES = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
_BOUNDS = [(1e-4, 0.1), (0.02, 2.0)]


def question(seed: int, num_particles: int) -> dict[str, Any]:
    """Return data of an outbreak that did not die out, and what is asked of both."""
    model = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    initial = dict(zip(model.species, _INITIAL, strict=True))
    stream = Stream.from_seed(seed)
    for k in range(100):
        seen = tb.simulate(
            model, _TRUTH, initial=initial, times=_TIMES, seed=stream.child(k).key
        ).data.sel(species="I").values.ravel()  # fmt: skip
        if seen.max() > 50:
            break
    return {
        "task": "sample", "seed": seed, "initial": list(_INITIAL), "times": _TIMES,
        "observed": seen.astype(float).tolist(), "bounds": _BOUNDS, "num_particles": num_particles,
    }  # fmt: skip


def scale_of(asked: dict[str, Any]) -> list[float]:
    """Return the scale of the data sets of the first generation, as tumble takes it."""
    model = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    problem = tb.Problem(
        model, data={"time": _TIMES, "I": asked["observed"]},
        initial=dict(zip(model.species, _INITIAL, strict=True)),
        parameters={
            name: tb.Parameter(*pair) for name, pair in zip(_TRUTH, _BOUNDS, strict=True)
        },
    )  # fmt: skip
    stream = Stream.from_seed(asked["seed"]).child("posterior")
    task = tb.posteriors.PosteriorTask(problem, stream, Spending(None))
    first = tb.posteriors.SMCABC(num_particles=asked["num_particles"]).bind(task).init()
    return [float(x) for x in first.scale]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--patience", type=float, default=1200, help="seconds for one answer")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    options = parser.parse_args()
    page = Page("abc_speed", "Sequential Monte Carlo ABC, beside pyABC")
    own, peer = Worker("peers.tumble_posteriors"), Worker("peers.pyabc_smc", options.peers_python)
    rows, ratios, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            asked = question(seed, options.particles)
            kept: dict[str, Reply] = {}
            for kernel in ("local", "global"):
                kept[f"tumble, {kernel}"] = own.ask(
                    {**asked, "kernel": kernel}, options.patience, Path(folder)
                )
                progress(f"{seed}: {kernel} {kept[f'tumble, {kernel}'].failure}")
            first = kept["tumble, local"].last
            memory.append(first["memory"])
            tolerances = [1e9, *first["tolerances"][1:]]
            kept["pyABC"] = peer.ask(
                {**asked, "scale": scale_of(asked), "tolerances": tolerances}, options.patience
            )
            progress(f"{seed}: pyABC {kept['pyABC'].failure}")
            for name, reply in kept.items():
                rows.append(_row(seed, name, reply))
            if "mean" in kept["pyABC"].last:
                spent = [_seconds(kept[n]) for n in ("pyABC", "tumble, local", "tumble, global")]
                ratios.append([spent[0] / t for t in spent[1:]])
    page.text(
        f"""An SIR epidemic of 300 with I seen at {len(_TIMES)} times, both rates unknown within
        factors of 1,000 and 100 (log-uniform priors), {options.particles} particles. tumble finds
        the tolerances by itself (`SMCABC`, with the scale of the first generation held, no
        adjustment); pyABC 0.13 goes through the same ones, with the same distance, its default
        kernel, its sampler for one core and a simulator in C (`peers/sir_mean.c`) that makes a run
        a call. Seconds from the first draw to the last on one core, without imports. The first row
        holds tumble's compilation; all others find compiled code on disk.
        {settings(options)}"""
    )
    page.table(
        ["seed", "by", "data sets", "seconds", "a data set, µs", "log beta", "log gamma", "ended"],
        rows,
    )
    text = ""
    if ratios:
        local, wide = np.median(ratios, axis=0)
        text = f"""pyABC takes {local:.0f} and {wide:.0f} times as long as tumble with the local and
        the global kernel (medians)."""
    flat = "; ".join(", ".join(f"{m:.0f}" for m in ms) for ms in memory)
    page.text(
        f"""{text} Most memory of tumble's process after each
        generation, MiB, seed by seed: {flat}."""
    )
    page.finish(options.save)


def _seconds(reply: Reply) -> float:
    prepared = reply.seconds[0]
    return reply.seconds[-1] - prepared


def _row(seed: int, name: str, reply: Reply) -> list[Any]:
    last = reply.last
    if "mean" not in last:
        return [seed, name, "", "", "", "", "", reply.failure]
    seconds = _seconds(reply)
    means = [f"{m:.3f} ± {s:.3f}" for m, s in zip(last["mean"], last["sd"], strict=True)]
    each = 1e6 * seconds / last["data_sets"]
    return [seed, name, last["data_sets"], f"{seconds:.1f}", f"{each:.0f}", *means, ""]


if __name__ == "__main__":
    main()
