"""What each choice that `fit` makes by default is worth: every problem fitted without it, too.

Six networks and some that are drawn at random (``--networks``), from random starts. The choices:
the warm start, runs that grow with the need for them, the end by the noise, Gauss-Newton steps, and
gradients by whichever estimator measures as the cheapest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from _fit_cases import CASES, TOLERANCE, FitCase, random_fits
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._errors import SimulationError
from tumble.gradients import CoupledDifference, LinearResponse, ScoreFunction
from tumble.optimizers import (
    AbstractOptimizer,
    NoisyTask,
    Optax,
    Report,
    Solution,
    StochasticGaussNewton,
)

_NEAR = 0.01 / TOLERANCE  # what counts as found, in units of the precision that `fit` aims at
_DEFAULT = "defaults"
_RATES = (0.1, 0.02)


@dataclass(frozen=True)
class Plain(AbstractOptimizer):
    """An optax optimizer as elsewhere: so many runs a step, no average, no end. Final."""

    transformation: Any
    runs: int = 256
    task: ClassVar[tuple[type, ...]] = (NoisyTask,)

    def init(self, task: NoisyTask, starts: np.ndarray) -> Any:
        """See `AbstractOptimizer.init`."""
        inner = Optax(self.transformation, self.runs, self.runs)
        return inner.init(task, starts)

    def step(self, task: NoisyTask, state: Any) -> tuple[Any, Report]:
        """See `AbstractOptimizer.step`."""
        import jax

        found = task.estimate(state.z[0], self.runs, state.steps)
        gradient = np.nan_to_num(found.gradient, posinf=0.0, neginf=0.0)
        with jax.enable_x64(True):
            update, inner = self.transformation.update(gradient, state.inner[0], state.z[0])
        z = np.asarray(task.space.clip(state.z[0] + np.asarray(update)))
        after = replace(
            state, z=z[None], inner=(inner,), steps=state.steps + 1, loss=found.value
        )  # fmt: skip
        norms = np.linalg.norm(found.gradient), np.linalg.norm(found.standard_errors)
        return after, Report(found.value, *map(float, norms), found.num_runs, z)

    def solution(self, state: Any) -> Solution:
        """See `AbstractOptimizer.solution`."""
        size = state.z.shape[1]
        return Solution(
            state.z[0], state.loss, np.array([state.loss]), np.full((size, size), np.nan), None
        )


class Watched(AbstractOptimizer):
    """Another optimizer, the solution that it was asked for, and processor seconds. Final."""

    task: ClassVar[tuple[type, ...]] = (NoisyTask,)

    def __init__(self, inner: AbstractOptimizer) -> None:
        self._inner = inner
        self.last: Solution | None = None
        self.seconds = time.process_time()

    def init(self, task: Any, starts: np.ndarray) -> Any:
        """See `AbstractOptimizer.init`."""
        return self._inner.init(task, starts)

    def step(self, task: Any, state: Any) -> tuple[Any, Report]:
        """See `AbstractOptimizer.step`."""
        return self._inner.step(task, state)

    def solution(self, state: Any) -> Solution:
        """See `AbstractOptimizer.solution`."""
        self.last = self._inner.solution(state)
        self.seconds = time.process_time() - self.seconds
        return self.last


@dataclass(frozen=True)
class Setting:
    """Options of `fit` beside its defaults, and the optimizer that takes the place of its own."""

    name: str
    options: Mapping[str, Any]
    optimizer: Callable[[], AbstractOptimizer] = StochasticGaussNewton


def all_settings(plain_steps: int) -> list[Setting]:
    """Return the settings, the defaults first."""
    import optax

    def fixed(runs: int) -> Callable[[], AbstractOptimizer]:
        return lambda: StochasticGaussNewton(first_runs=runs, max_runs=runs)

    def plain(rate: float) -> Callable[[], AbstractOptimizer]:
        return lambda: Plain(optax.adam(rate))

    never = {"warm_start": False, "max_steps": plain_steps}
    return [
        Setting(_DEFAULT, {}),
        Setting("no warm start", {"warm_start": False}),
        Setting("256 runs a step", {}, fixed(256)),
        Setting("4,096 runs a step", {}, fixed(4096)),
        Setting("ScoreFunction", {"gradient": ScoreFunction()}),
        Setting("LinearResponse", {"gradient": ScoreFunction(LinearResponse())}),
        Setting("CoupledDifference", {"gradient": CoupledDifference()}),
        Setting("Adam, 0.05", {}, lambda: Optax(optax.adam(0.05))),
        *(Setting(f"plain Adam, {rate}", never, plain(rate)) for rate in _RATES),
    ]


@dataclass(frozen=True)
class Outcome:
    """One fit: how it ended, its error and the one it states, in units of ``FitCase.unit``."""

    code: str
    error: float
    squares: float
    seconds: float
    runs: float

    @property
    def found(self) -> bool:
        """Whether all parameters are near the minimum."""
        return self.error <= _NEAR


def fit_once(
    case: FitCase, setting: Setting, start: Mapping[str, float], seed: int, most_runs: float
) -> Outcome:
    """Fit, and compare with the minimum."""
    watched = Watched(setting.optimizer())
    try:
        fit = tb.fit(
            case.problem, start=dict(start), seed=seed, progress=False, optimizer=watched,
            budget=tb.Budget(simulations=most_runs), **setting.options,
        )  # fmt: skip
    except SimulationError:
        return Outcome("the simulator failed", np.inf, np.nan, np.nan, np.nan)
    gap = fit.fit_scale - case.minimum
    noise = np.full((len(gap), len(gap)), np.nan) if watched.last is None else watched.last.noise
    stated = np.diag(noise)
    ended = fit.result is tb.ResultCode.NOISE_LIMITED
    squares = float(np.mean(gap**2 / stated)) if ended and np.all(stated > 0) else np.nan
    return Outcome(
        fit.result.value, float(np.max(np.abs(gap) / case.unit)), squares,
        watched.seconds, fit.stats["search_runs"],
    )  # fmt: skip


def fit_all(
    case: FitCase, settings_: Sequence[Setting], options: argparse.Namespace
) -> dict[str, list[Outcome]]:
    """Fit a problem with every setting from every start."""
    starts = case.starts(options.starts)
    found: dict[str, list[Outcome]] = {}
    compiled = tb.Budget(simulations=options.most_runs)
    for setting in settings_:
        first = dict(setting.options) | {"max_steps": 2}  # compiles, so that seconds are of a fit
        tb.fit(case.problem, start=starts[0], progress=False, budget=compiled,
               optimizer=setting.optimizer(), **first)  # fmt: skip
        found[setting.name] = [
            fit_once(case, setting, start, seed, options.most_runs)
            for seed, start in enumerate(starts)
        ]
        worst = max(o.error for o in found[setting.name])
        spent = sum(o.seconds for o in found[setting.name])
        progress(
            f"{case.name}, {setting.name}: {sum(o.found for o in found[setting.name])} of "
            f"{len(starts)}, worst {worst:.3g}, {spent:.1f} s, "
            f"{sorted({o.code for o in found[setting.name]})}"
        )
    return found


# -- the page ----------------------------------------------------------------


def median(values: Sequence[float]) -> float:
    """Return the median of what is known."""
    known = [v for v in values if v == v]
    return float(np.median(known)) if known else float("nan")


def calibration(outcomes: Sequence[Outcome]) -> float:
    """Return the root mean square of errors over the simulation errors that fits state."""
    known = [o.squares for o in outcomes if o.squares == o.squares]
    return float(np.sqrt(np.mean(known))) if known else float("nan")


def row(name: str, outcomes: Sequence[Outcome], default: Sequence[Outcome]) -> list[Any]:
    """Return a row of the table of one problem."""
    runs, seconds = (median([getattr(o, key) for o in outcomes]) for key in ("runs", "seconds"))
    ratio = runs / median([o.runs for o in default])
    endings = ", ".join(
        f"{sum(o.code == code for o in outcomes)} {code}"
        for code in sorted({o.code for o in outcomes})
    )
    return [
        name, f"{sum(o.found for o in outcomes)} of {len(outcomes)}", f"{runs:,.0f}",
        f"{ratio:.2g}", f"{seconds:.2g}", f"{median([o.error for o in outcomes]):.2f}",
        f"{max(o.error for o in outcomes):.3g}", shown(calibration(outcomes)), endings,
    ]  # fmt: skip


def shown(value: float) -> str:
    """Return a figure, or a dash where it is not known."""
    return f"{value:.2f}" if value == value else "–"


def overall(name: str, found: Mapping[str, Mapping[str, Sequence[Outcome]]]) -> list[Any]:
    """Return a row of the table of all problems: ratios are medians over problems."""
    mine = [o for outcomes in found.values() for o in outcomes[name]]
    return [
        name, f"{sum(o.found for o in mine)} of {len(mine)}",
        *(shown(median(ratios(name, found, key))) for key in ("runs", "seconds")),
        f"{max(ratios(name, found, 'runs'), default=float('nan')):.3g}",
        shown(median([o.error for o in mine])), shown(calibration(mine)),
    ]  # fmt: skip


def ratios(
    name: str, found: Mapping[str, Mapping[str, Sequence[Outcome]]], key: str
) -> list[float]:
    """Return the median runs or seconds of each problem, relative to the defaults.

    Of the problems only that both solve, every time: elsewhere the budget is what is compared.
    """
    return [
        median([getattr(o, key) for o in outcomes[name]])
        / median([getattr(o, key) for o in outcomes[_DEFAULT]])
        for outcomes in found.values()
        if all(o.found for o in [*outcomes[name], *outcomes[_DEFAULT]])
    ]


def verdicts(page: Page, found: Mapping[str, Mapping[str, Sequence[Outcome]]]) -> None:
    """Say what each choice is worth, from the figures."""

    def told(name: str) -> str:
        mine = [o for outcomes in found.values() for o in outcomes[name]]
        spent = median(ratios(name, found, "runs"))
        slower = median(ratios(name, found, "seconds"))
        return (
            f"{sum(o.found for o in mine)} of {len(mine)} fits find the minimum, with "
            f"{shown(spent)} times the runs and {shown(slower)} times the seconds of the defaults "
            f"where both do ({len(ratios(name, found, 'runs'))} problems)"
        )

    own = [o for outcomes in found.values() for o in outcomes[_DEFAULT]]
    page.text(f"""With the defaults {sum(o.found for o in own)} of {len(own)} fits find the minimum;
        their errors are {shown(calibration(own))} times what they state (root mean square).""")
    page.text(f"""*Warm start.* Without it {told("no warm start")}.""")
    page.text(
        f"""*Runs that grow.* With 256 a step, always, {told("256 runs a step")}; with 4,096,
        {told("4,096 runs a step")}."""
    )
    page.text(
        f"""*Choosing the estimator.* With `ScoreFunction` always, {told("ScoreFunction")}; with
        `LinearResponse` as its baseline, {told("LinearResponse")}; with `CoupledDifference`,
        {told("CoupledDifference")}. `Auto` pays for its pilots, and these are in its runs."""
    )
    page.text(
        f"""*Gauss-Newton steps.* With Adam of learning rate 0.05, which has the warm start,
        the growth and the end by the noise that every optax optimizer is given here,
        {told("Adam, 0.05")}."""
    )
    page.text(
        "*All of them.* With Adam as other libraries have it, from the start as it is, "
        + "; ".join(f"at a rate of {rate}, {told(f'plain Adam, {rate}')}" for rate in _RATES)
        + "."
    )
    beaten = [
        f"{name} on {case} ({told_runs:.2g} times the runs)"
        for case, outcomes in found.items()
        for name in outcomes
        if name != _DEFAULT
        and (both := ratios(name, {case: outcomes}, "runs"))
        and (told_runs := both[0]) < 0.5
    ]
    better = [
        f"{name} on {case} ({wins} instead of {least})"
        for case, outcomes in found.items()
        for name in outcomes
        if (wins := sum(o.found for o in outcomes[name]))
        > (least := sum(o.found for o in outcomes[_DEFAULT]))
    ]
    page.text(
        f"""Where the defaults always find the minimum, less than half of their runs are enough for
        {"; ".join(beaten) or "no other setting"}. Within the runs allowed, more fits find it than
        with the defaults for {"; ".join(better) or "no other setting"}."""
    )


def main() -> None:
    """Print the page."""
    options = _options()
    settings_ = all_settings(options.plain_steps)
    cases = [*CASES, *random_fits(options.networks)]
    if options.cases is not None:
        cases = [cases[i] for i in options.cases]
    page = Page("fit_choices", "What the choices of a fit are worth")
    _introduce(page, options)
    found = {case.name: fit_all(case, settings_, options) for case in cases}
    page.table(
        ["", "found", "runs / default", "CPU s / default", "largest ratio of runs",
         "median error", "error / stated"],
        [overall(setting.name, found) for setting in settings_],
    )  # fmt: skip
    page.text(
        """Ratios of runs and seconds are of medians, and of these the median over the problems that
        both find in every fit; elsewhere they would compare a budget with itself."""
    )
    verdicts(page, found)
    for case in cases:
        page.heading(case.name[0].upper() + case.name[1:])
        _describe(page, case)
        page.table(
            ["", "found", "median runs", "/ default", "CPU s", "median error", "worst error",
             "error / stated", "ends"],
            [row(name, outcomes, found[case.name][_DEFAULT])
             for name, outcomes in found[case.name].items()],
        )  # fmt: skip
    page.finish(options.save)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--starts", type=int, default=3, help="of each problem and setting")
    parser.add_argument("--networks", type=int, nargs="*", default=[8001, 8002, 8003])
    parser.add_argument("--plain-steps", type=int, default=300, help="of 256 runs, of plain Adam")
    parser.add_argument("--most-runs", type=float, default=3e5, help="of a fit")
    parser.add_argument("--cases", type=int, nargs="*", help="numbers of those to do; default all")
    parser.add_argument("--quick", action="store_true", help="two starts of three problems")
    options = parser.parse_args()
    if options.quick:
        options.starts, options.cases, options.networks = 2, [0, 1, 6], options.networks[:1]
    return options


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.text(
        f"""Each problem is fitted from random starts ({options.starts}), log-uniform within the
        factor given of the rates that made the data, with the defaults of `fit` and with one choice
        changed at a time; starts and seeds are the same for all. Errors are distances on the log
        scale from the *minimum of the loss*, which differs from the rates that made the data by the
        error of the data. It is computed by finite state projection, or, for the SIR model of
        2,000, by {20_000:,} pairs of runs."""
    )
    page.text(
        f"""*Error* is the largest over parameters, in units of what the defaults aim at: {
            TOLERANCE
        } or a tenth of the standard error that the data leave, whichever is larger. The minimum is
        *found* within {_NEAR:.1f} of these: 1 %, or a third of the error of the data. *Runs* and
        processor *seconds* are those of the search, pilots included, without compilation and what
        standard errors cost afterwards, which is the same for all. *Error / stated* is the root
        mean square of errors in units of the simulation error that the fit states when it ends by
        its own judgment: 1 is right. *Plain Adam* takes {options.plain_steps} steps of 256 runs,
        with the gradients of `Auto`, and returns its last point. A search has
        {options.most_runs:,.0f} runs at most; *out of budget* says that they were not enough."""
    )
    given = settings(options).replace(" --cases None", "")
    page.text(f"Options: `{given}`.")


def _describe(page: Page, case: FitCase) -> None:
    rates = ", ".join(f"{k} = {v:.3g}" for k, v in case.rates.items())
    errors = ", ".join(f"{100 * e:.2g} %" for e in case.data_errors)
    kind = "runs, for means and variances," if case.replicates else "runs, as their mean,"
    page.text(
        f"""`{"`, `".join(case.network.split(chr(10)))}` with {rates}; {case.num_runs:,} {kind} at
        {len(case.times)} times. Starts within a factor of {case.factor:g}. The data leave standard
        errors of {errors}."""
    )


if __name__ == "__main__":
    main()
