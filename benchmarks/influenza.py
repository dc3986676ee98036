"""R0 of one influenza outbreak, by route: the objective decides the answer.

Fits the SIR model to the counts of `examples/influenza/influenza.csv` in every way the library has,
and by mean-field least squares, which is written here with SciPy alone, as an independent check.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

import tumble as tb
from tumble._random import Stream
from tumble.simulators import ParticleFilter

_BOYS = 763
_DATA = Path(__file__).resolve().parents[1] / "examples" / "influenza" / "influenza.csv"
_SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"
_RUNS = 20_000
_SMALL = 38  # boys ever ill, 5 % of them: fewer is an outbreak that died out early


@dataclass(frozen=True)
class Route:
    """One way to an estimate."""

    name: str
    beta: float
    gamma: float
    infected: float
    interval: str
    coverage: str
    seconds: float

    @property
    def reproduction(self) -> float:
        """R0."""
        return self.beta * _BOYS / self.gamma


def read_counts() -> tuple[np.ndarray, np.ndarray]:
    """Return days and boys in bed."""
    table = np.genfromtxt(_DATA, delimiter=",", comments="#", skip_header=0, dtype=str)
    return table[1:, 0].astype(float), table[1:, 1].astype(float)


def mean_field(free: bool) -> Route:
    """Least squares on the mean-field equations, with SciPy alone."""
    days, counts = read_counts()

    def residuals(z: np.ndarray) -> np.ndarray:
        beta, gamma = np.exp(z[:2])
        infected = np.exp(z[2]) if free else 1.0

        def flow(t: float, y: np.ndarray) -> list[float]:
            new = beta * y[0] * y[1]
            return [-new, new - gamma * y[1]]

        span, first = (0.0, days[-1]), [_BOYS - infected, infected]
        path = solve_ivp(flow, span, first, t_eval=days, rtol=1e-9, atol=1e-9)
        return path.y[1] - counts

    began = time.perf_counter()
    start = np.log([2.0 / _BOYS, 0.5, 1.0])[: 3 if free else 2]
    z = least_squares(residuals, start, xtol=1e-12, ftol=1e-12).x
    seconds = time.perf_counter() - began
    infected = float(np.exp(z[2])) if free else 1.0
    name = f"mean-field least squares, I(0) {'free' if free else '= 1'}"
    return Route(name, *np.exp(z[:2]).astype(float), infected, "", "", seconds)


def problem(free: bool = False, noisy: bool = True) -> tb.Problem:
    """Return the outbreak as a problem."""
    days, counts = read_counts()
    parameters: dict[str, Any] = {
        "beta": tb.Parameter(1e-4, 0.1),
        "gamma": tb.Parameter(0.05, 5),
    }
    observable = tb.Observable("I")
    if noisy:
        parameters["phi"] = tb.Parameter(1, 1000)
        observable = tb.Observable("I", tb.noise.NegativeBinomial("phi"))
    if free:
        parameters["I0"] = tb.Parameter(1, 10)
    return tb.Problem(
        tb.ReactionNetwork.from_text(_SIR),
        experiments=[
            tb.Experiment(
                {"time": days, "in_bed": counts},
                {"S": _BOYS - 1, "I": tb.Ref("I0") if free else 1, "R": 0},
            )
        ],
        observables={"in_bed": observable},
        parameters=parameters,
        derived={"R0": f"beta * {_BOYS} / gamma"},
    )


def fitted(name: str, fit: tb.FitResult, seconds: float) -> Route:
    """Return the route of a fit; its predictive coverage is that of `posterior_predictive`."""
    infected = fit.params.get("I0", 1.0)
    (ratio,) = fit.derived
    interval = "" if np.isnan(ratio.standard_error) else "{:.2f} … {:.2f}".format(*ratio.interval)
    coverage = f"{100 * tb.posterior_predictive(fit).coverage:.0f} %"
    params = fit.params
    return Route(name, params["beta"], params["gamma"], infected, interval, coverage, seconds)


def fit_route(name: str, task: tb.Problem, objective: Any) -> tuple[Route, tb.FitResult]:
    """Fit, and time it."""
    began = time.perf_counter()
    fit = tb.fit(task, objective=objective, seed=0, progress=False)
    seconds = time.perf_counter() - began
    progress(f"{name}\n{fit}")
    return fitted(name, fit, seconds), fit


def particle_route(
    fit: tb.FitResult, steps: int, filters: int
) -> tuple[Route, float, float, tuple[float, float]]:
    """Climb the exact likelihood from a linear-noise fit by damped Newton steps.

    The curvature is that of the linear-noise likelihood. The gradient at each point is the mean of
    the filters' gradients, weighted by their likelihoods; the points of the second half of the
    steps are averaged. Returns the route, the standard error of log R0 between those points, and
    the shift of log R0 from the linear-noise estimate in its standard errors.
    """
    task = fit.problem
    space = task.space
    likelihood = ParticleFilter(num_particles=1000).likelihood(task)
    stream = Stream.from_seed(0).child("benchmark")
    began = time.perf_counter()
    z, path, values = fit.fit_scale, [], []
    for step in range(steps):
        theta = np.asarray(space.from_fit(z))
        value, gradient = likelihood.estimate(theta, stream.child(step), filters)
        alive = np.isfinite(value)
        top = value[alive].max()
        weight = np.exp(value[alive] - top)
        slope = theta * (weight @ gradient[alive]) / weight.sum()  # every scale is a logarithm
        values.append(top + np.log(weight.sum() / len(value)))
        shift = fit.covariance @ slope
        shift *= min(1.0, 0.5 / np.abs(shift).max()) * (1.0 if step < steps // 2 else 0.5)
        z = space.clip(z + shift)
        path.append(z)
        progress(f"step {step}: log likelihood {values[-1]:.3f}, {np.exp(z)}")
    tail = np.array(path[steps // 2 :])
    z = tail.mean(0)
    seconds = time.perf_counter() - began
    theta = np.asarray(space.from_fit(z))
    names = space.names
    pick = np.array([{"beta": 1.0, "gamma": -1.0}.get(n, 0.0) for n in names])
    spread = float((tail @ pick).std(ddof=1) / np.sqrt(len(tail)))
    error = float(np.sqrt(pick @ fit.covariance @ pick))
    shift = float(pick @ (z - fit.fit_scale)) / error
    params = dict(zip(names, theta.tolist(), strict=True))
    ratio = params["beta"] * _BOYS / params["gamma"]
    low, high = ratio * np.exp(-1.96 * error), ratio * np.exp(1.96 * error)
    free = "free" if "I0" in params else "= 1"
    name = f"particle-filter likelihood, I(0) {free}"
    route = Route(
        name, params["beta"], params["gamma"], params.get("I0", 1.0), f"{low:.2f} … {high:.2f}", "",
        seconds,
    )  # fmt: skip
    return route, spread, shift, (values[0], float(np.mean(values[steps // 2 :])))


def simulate(route: Route, seed: int = 0) -> np.ndarray:
    """Return the states [runs, 14, 3] of runs at an estimate."""
    first = round(route.infected)
    return tb.simulate(
        tb.ReactionNetwork.from_text(_SIR),
        {"beta": route.beta, "gamma": route.gamma},
        initial={"S": _BOYS - 1, "I": first, "R": 0},
        times=read_counts()[0],
        num_samples=_RUNS,
        seed=seed,
    ).data.values


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--filters", type=int, default=64, help="particle filters a step")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    page = Page("influenza", "One outbreak, one model, several answers")
    page.text(
        f"""In January 1978 influenza went through a boarding school of {_BOYS} boys: 14 daily
        counts of boys in bed, which began with one boy the day before the first count. The model
        is S + I → 2 I at β, I → R at γ, and R0 = {_BOYS} β / γ. The same counts are fitted by
        every route. The mean-field rows use SciPy alone, and no code of the library."""
    )
    routes = [mean_field(False), mean_field(True)]
    exact = problem(noisy=False)
    loss, _ = fit_route("expected squared error (i)", exact, tb.objectives.ExpectedLoss())
    mean, fit = fit_route(
        "ensemble mean of exact runs (ii)", exact, tb.objectives.MomentMatching(order=1)
    )
    warning = fit.warnings[0]
    name = "linear-noise likelihood (the default), I(0)"
    fixed, fixed_fit = fit_route(f"{name} = 1", problem(), None)
    free, free_fit = fit_route(f"{name} free in 1 … 10", problem(free=True), None)
    particle = [particle_route(f, 12, options.filters) for f in (fixed_fit, free_fit)]
    routes += [loss, mean, fixed, free, particle[0][0], particle[1][0]]
    runs = {route.name: simulate(route) for route in routes}
    early = {k: early_share(v) for k, v in runs.items()}
    page.table(
        ["route", "R0", "95 % interval", "days ill", "I(0)", "runs that die out early",
         "data in the 95 % band", "seconds"],
        [
            [r.name, f"{r.reproduction:.2f}", r.interval, f"{1 / r.gamma:.2f}",
             f"{r.infected:.2f}", f"{100 * early[r.name]:.0f} %", r.coverage, f"{r.seconds:.1f}"]
            for r in routes
        ],
    )  # fmt: skip
    page.text(
        f"""Counts are boys themselves, without measurement error, in the rows (i) and (ii), and
        negative binomial around the number ill in the likelihoods, with the dispersion φ fitted.
        *Dies out early*: at most {_SMALL} boys ({100 * _SMALL / _BOYS:.0f} %) ever fall ill in a
        run at the estimate ({_RUNS:,} runs). *Data in the 95 % band*: share of the 14 counts
        inside the central 95 % of runs at parameters drawn around the estimate; the band of an
        ensemble mean is wide enough to cover anything. Where I(0) is free in 1 … 10 it ends at the
        bound of 1, and the fit says so. Seconds include compilation."""
    )
    explain(page, mean, routes[0], fixed, runs, early, warning)
    check_expected_loss(page, loss)
    page.heading("How good the linear-noise approximation is")
    rows = []
    for (route, spread, shift, (before, after)), lna in zip(particle, (fixed, free), strict=True):
        rows.append(
            [route.name, f"{lna.reproduction:.3f}", f"{route.reproduction:.3f}",
             f"{spread:.4f}", f"{shift:+.2f}", f"{before:.2f}", f"{after:.2f}"]
        )  # fmt: skip
    page.table(
        ["route", "R0, linear noise", "R0, exact", "noise of log R0", "shift / standard error",
         "exact log likelihood before", "after"],
        rows,
    )  # fmt: skip
    page.text(
        f"""The exact likelihood is estimated by particle filters of 1,000 exact runs,
        {options.filters} of them a step. From the linear-noise estimate it takes 12 damped Newton
        steps with the curvature of the linear-noise likelihood, and the mean of the last six is
        the estimate; *noise* is the standard error of that mean. The intervals in the first table
        are those of the linear-noise likelihood, moved."""
    )
    page.finish(options.save)


def early_share(states: np.ndarray) -> float:
    """Return the share of runs in which at most `_SMALL` boys ever fall ill."""
    return float(np.mean(_BOYS - states[:, -1, 0] <= _SMALL))


def check_expected_loss(page: Page, route: Route) -> None:
    """Compare the minimum of the expected squared error with plain simulation on a grid."""
    page.heading("The expected squared error, by plain simulation")
    _, counts = read_counts()
    rows = []
    for factor in (0.9, 0.95, 1.0, 1.05, 1.1):
        ratio = factor * route.reproduction
        losses = []
        for gamma in route.gamma * np.array([0.9, 0.95, 1.0, 1.05, 1.1]):
            trial = Route("", ratio * gamma / _BOYS, gamma, 1.0, "", "", 0.0)
            infected = simulate(trial)[:, :, 1]
            losses.append((((infected - counts) ** 2).mean() / counts.max() ** 2, gamma))
        least, gamma = min(losses)
        rows.append([f"{ratio:.2f}", f"{1 / gamma:.2f}", f"{least:.5f}"])
    page.table(["R0", "days ill, the best of five", "expected squared error"], rows)
    page.text(
        f"""The loss is flat, so its minimum is easily misjudged. {_RUNS:,} runs at each point of a
        grid around the fit, with no gradient at all, put it at the same place."""
    )


def explain(
    page: Page,
    mean: Route,
    field: Route,
    default: Route,
    runs: dict[str, np.ndarray],
    early: dict[str, float],
    warning: str,
) -> None:
    """Say why the ensemble mean overestimates, with the numbers."""
    page.heading("Why the mean of many runs gives too large an R0")

    def peaks(route: Route) -> tuple[float, float, float]:
        infected = runs[route.name][:, :, 1]
        spread = _BOYS - runs[route.name][:, -1, 0] > _SMALL
        day = infected[spread].argmax(1).std()
        return float(infected.mean(0).max()), float(infected[spread].max(1).mean()), float(day)

    at_field, at_mean = peaks(field), peaks(mean)
    page.text(
        f"""With one boy ill at the beginning, chance decides. At the parameters of the mean-field
        fit (R0 {field.reproduction:.2f}) {100 * early[field.name]:.0f} % of the runs die out
        early, and the others peak at different times (standard deviation {at_field[2]:.2f} days).
        So the mean over runs has a peak of {at_field[0]:.0f} boys, although a run that becomes an
        outbreak peaks at {at_field[1]:.0f} on average. The data are one such run, with a peak of
        {read_counts()[1].max():.0f}. To lift the mean of many runs to the height of a single
        outbreak, the fit has to make infection faster than it was, so that fewer runs die out and
        they peak higher: at its R0 of {mean.reproduction:.2f} outbreaks peak at
        {at_mean[1]:.0f} and {100 * early[mean.name]:.0f} % still die out. The gradient was right,
        and the objective was not: the mean of many runs is not what one observes once. The
        expected squared error suffers less, and pays for the spread between runs instead. The
        likelihood of the path asks how probable *this* outbreak is, and has neither fault; it is
        the default for a single series (R0 {default.reproduction:.2f})."""
    )
    page.text(f'The library says so when it is asked for the ensemble mean: "{warning}"')


if __name__ == "__main__":
    main()
