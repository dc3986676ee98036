"""What a gradient of a lattice gas in five parameters costs, and which are right for what."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _lattice_gas_kernel import after, stripe
from _lattice_gas_movies import TRUTH
from _report import Page, arguments, progress, settings
from scipy import stats

import tumble as tb
from tumble._philox import halves
from tumble._random import Stream
from tumble._site_draws import SiteDraws
from tumble.gradients import (
    AlternativePath,
    CoupledDifference,
    GaussianSmoothing,
    Pathwise,
    ScoreFunction,
)
from tumble.models import FitzHughNagumoLatticeGas, Restarts
from tumble.models.lattices._lattice_gas_closure import carried
from tumble.objectives import MomentMatching

_GAS = FitzHughNagumoLatticeGas()
_STATISTICS = ("mean A", "sd A", "corr(A, B)", "wall", "stability")
_OUTPUTS = ("A", "B", "var_A", "var_B", "cov_AB", "step_A", "wall", "stability")
_STEP = 0.1  # of the logarithm, on both sides, of the reference
_VALUES = np.array(list(TRUTH.values()))


def statistics(frame: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the five statistics of a frame [2, rows, columns] after another."""
    a, b = frame
    side = np.tanh(4 * a / 50 - 2)
    wall = sum(np.abs(side - np.roll(side, -1, k)).mean() for k in (0, 1)) / 2
    change = np.log(((frame - first) ** 2).sum())
    return np.array([a.mean(), a.std(), np.corrcoef(a.ravel(), b.ravel())[0, 1], wall, change])


def by_kernel(first: np.ndarray, interval: int, runs: int) -> tuple[np.ndarray, float]:
    """Return differences [runs, 5 statistics, 5 parameters] of runs with common noise, and s."""
    found, began = [], time.process_time()
    for r in range(runs):
        row = []
        for p in range(5):
            sides = []
            for sign in (1, -1):
                z = np.log(_VALUES)
                z[p] += sign * _STEP
                sides.append(statistics(after(first, np.exp(z), interval, (3, r)), first))
            row.append((sides[0] - sides[1]) / (2 * _STEP))
        found.append(np.stack(row, -1))
    return np.array(found), (time.process_time() - began) / runs


def of_outputs(slopes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return slopes [..., 5 statistics, P] from those of the outputs [..., O, P] with this mean."""
    m = dict(zip(_OUTPUTS, mean, strict=True))
    s = {name: slopes[..., k, :] for k, name in enumerate(_OUTPUTS)}
    sd = np.sqrt(m["var_A"])
    corr = m["cov_AB"] / np.sqrt(m["var_A"] * m["var_B"])
    of_corr = corr * (
        s["cov_AB"] / m["cov_AB"] - s["var_A"] / m["var_A"] / 2 - s["var_B"] / m["var_B"] / 2
    )
    return np.stack([s["A"], s["var_A"] / (2 * sd), of_corr, s["wall"], s["stability"]], axis=-2)


def sampled(first: np.ndarray, interval: int, estimator: Any, runs: int) -> tuple[Any, float]:
    """Return slopes [runs, 5, 5] by an estimator of the library, and seconds of one."""
    model = Restarts(_GAS, np.stack([first, first]), interval)
    experiment = tb.Experiment(model.data, initial=model.starts)
    free = {name: tb.Parameter(1e-3, 2.0, scale="log") for name in TRUTH}
    bound = MomentMatching(order=1).bind(tb.Problem(model, [experiment], free))
    z = bound.problem.space.to_fit(_VALUES)
    estimator.sample(bound, z, 4, Stream.from_seed(1))
    began = time.process_time()
    found = estimator.sample(bound, z, runs, Stream.from_seed(0))
    seconds = (time.process_time() - began) / runs
    return of_outputs(found.jacobians, found.features.mean(0)), seconds


def by_closure(first: np.ndarray, interval: int) -> tuple[np.ndarray, float]:
    """Return slopes [1, 5, 5] of the statistics of local means; none of the stability."""
    frames = first[:, None].astype(float)
    carried(_GAS, interval, np.log(_VALUES), frames)
    began = time.process_time()
    for _ in range(5):
        means, slopes = carried(_GAS, interval, np.log(_VALUES), frames)
    seconds = (time.process_time() - began) / 5
    at = means[:, 0]
    found = [
        (statistics(at + 1e-4 * s[:, 0], first) - statistics(at - 1e-4 * s[:, 0], first)) / 2e-4
        for s in slopes
    ]
    return np.stack(found, -1)[None], seconds


class _StraightThrough:
    """The draws of a step, a flip having the derivative of its probability, in reverse as well."""

    def __init__(self, step: Any, key: Any) -> None:
        self._draws = SiteDraws(key, halves(0), step)
        self.choose, self.pick = self._draws.choose, self._draws.pick

    def flip(self, p: Any) -> Any:
        import jax

        return self._draws.flip(jax.lax.stop_gradient(p)) + p - jax.lax.stop_gradient(p)


def in_reverse(first: np.ndarray, interval: int, checkpoints: bool) -> tuple[float, float]:
    """Return seconds and MB of one reverse straight-through gradient of the stability."""
    import jax
    import jax.numpy as jnp

    key = halves(1)

    def loss(values: Any, frame: Any) -> Any:
        params = {name: values[p] for p, name in enumerate(_GAS.parameters)}

        def advance(state: Any, step: Any) -> Any:
            return _GAS.step(state, params, _StraightThrough(step, key)), None

        def chunk(state: Any, steps: Any) -> Any:
            return jax.lax.scan(advance, state, steps)

        state = {"A": frame[0], "B": frame[1]}
        steps = jnp.arange(1, interval + 1, dtype=jnp.uint32)
        if checkpoints:
            state, _ = jax.lax.scan(jax.checkpoint(chunk), state, steps.reshape(-1, 20))
        else:
            state, _ = chunk(state, steps)
        return jnp.log(((state["A"] - frame[0]) ** 2 + (state["B"] - frame[1]) ** 2).sum())

    with jax.enable_x64(True):
        values, frame = jnp.asarray(_VALUES), jnp.asarray(first, float)
        program = jax.jit(jax.grad(loss)).lower(values, frame).compile()
        megabytes = program.memory_analysis().temp_size_in_bytes / 1e6
        jax.block_until_ready(program(values, frame))
        began = time.process_time()
        jax.block_until_ready(program(values, frame))
        return time.process_time() - began, megabytes


def verdict(found: np.ndarray, reference: np.ndarray) -> list[str]:
    """Return for each statistic the verdicts on the five parameters, as the audit gives them."""
    mean, error = found.mean(0), _error(found)
    right, spread = reference.mean(0), _error(reference)
    margin = 0.1 * np.maximum(np.abs(right), 0.1 * np.linalg.norm(right, axis=1, keepdims=True))
    # Few samples: Student's law, with the degrees of freedom of the smaller one that has errors.
    fewest = min(len(x) for x in (found, reference) if len(x) > 1)
    half = stats.t.ppf(0.975, fewest - 1) * np.sqrt(error**2 + spread**2)
    low, high = mean - right - half, mean - right + half
    inside = (low > -margin) & (high < margin)
    outside = (low > margin) | (high < -margin)
    words = np.where(inside, "R", np.where(outside, "W", "?"))
    return [" ".join(row) for row in words]


def _error(found: np.ndarray) -> np.ndarray:
    if len(found) < 2:
        return np.zeros(found.shape[1:])
    return found.std(0, ddof=1) / np.sqrt(len(found))


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--interval", type=int, default=500)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--reference", type=int, default=60)
    options = parser.parse_args()
    page = Page("lattice_gas_gradients", "Gradients of a lattice gas")
    interval = options.interval
    first = after(stripe(64), _VALUES, 50_000, 11)
    by_kernel(first, 1, 1)
    reference, seconds = by_kernel(first, interval, options.reference)
    rows = [["coupled differences, Numba", f"{seconds:.3g}", "", *verdict(reference, reference)]]
    progress(f"{rows[-1]}")
    closure, seconds = by_closure(first, interval)
    rows.append(["tangents of the closure", f"{seconds:.3g}", "", *verdict(closure, reference)])
    rows[-1][-1] = "none"
    progress(f"{rows[-1]}")
    for name, estimator, runs in (
        ("straight-through, forward", Pathwise(), options.runs),
        ("coupled differences", CoupledDifference(), options.runs),
        ("Gaussian smoothing", GaussianSmoothing(), options.runs),
        ("scores", ScoreFunction(), options.runs),
        ("alternative path, 4 places", AlternativePath(4), options.runs),
    ):
        found, seconds = sampled(first, interval, estimator, runs)
        rows.append([name, f"{seconds:.3g}", "", *verdict(found, reference)])
        progress(f"{rows[-1]}")
        if name.startswith("straight"):
            forward, mean = rows[-1][3:], found.mean(0)
    for checkpoints in (False, True):
        seconds, size = in_reverse(first, interval, checkpoints)
        name = "straight-through, reverse" + (", with checkpoints" if checkpoints else "")
        rows.append([name, f"{seconds:.3g}", f"{size:.0f}", *forward])
        progress(f"{rows[-1]}")
    page.text(
        f"""Derivatives of statistics {interval} steps after a frame of 64 × 64 sites, which itself
        is 50,000 steps after the stripe, in the logarithms of k1, k2, k3, D_A, D_B. Processor
        seconds of one sample of the whole gradient, without compilation, on a busy core; MB of
        memory that the compiled program takes where it was asked. Verdicts on the five parameters,
        in this order: R right, within 10 % of the derivative or of a tenth of the norm of the five;
        W wrong; ? undecided from {options.runs} samples ({options.reference} for the reference, the
        first row, by a simulator of its own, with differences of ± 10 %). The first row judges
        itself, so that a ? there says that its own error does not decide. Straight-through is
        forward and in reverse the same derivative, in reverse of one statistic at a time.
        Options: `{settings(options)}`."""
    )
    page.table(["", "seconds", "MB", *_STATISTICS], rows)
    page.text(
        """Straight-through beside the reference (± standard error), where it matters most: what
        `StabilityMatching` would see."""
    )
    shown = reference.mean(0), _error(reference)
    page.table(
        ["statistic", "", *TRUTH],
        [
            row
            for k in (1, 4)
            for row in (
                [_STATISTICS[k], "straight-through", *(f"{v:+.3f}" for v in mean[k])],
                [_STATISTICS[k], "reference",
                 *(f"{v:+.3f} ± {e:.3f}" for v, e in zip(shown[0][k], shown[1][k], strict=True))],
            )
        ],
    )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()
