"""The parametric bootstrap of a fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, ParameterError, SimulationError, TumbleError
from tumble._fit import fit as run_fit
from tumble._fit_result import FitResult
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream, run_ids
from tumble._typing import FloatArray
from tumble.models import RandomTransition, Transitions
from tumble.objectives import BoundLikelihood
from tumble.optimizers import DeterministicTask, GaussNewton
from tumble.simulators import Batch, SupportsFrames


@dataclass(frozen=True, repr=False)
class Bootstrap:
    """Refits to data simulated from a fit.

    ``fit``, the fit; ``thetas`` [K, P], the refits in the natural scale, one row a data set that
    could be refitted; ``num_failed``, data sets that could not.
    """

    fit: FitResult
    thetas: FloatArray
    num_failed: int

    @property
    def standard_errors(self) -> FloatArray:
        """Standard deviation of the refits on the fit scale [P]."""
        return np.std(self.fit.problem.space.to_fit(self.thetas), axis=0, ddof=1)

    @property
    def bias(self) -> FloatArray:
        """Mean of the refits minus the estimate, on the fit scale [P]."""
        space = self.fit.problem.space
        return space.to_fit(self.thetas).mean(0) - self.fit.fit_scale

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Return percentile intervals in the natural scale."""
        tail = (1 - level) / 2
        low, high = np.quantile(self.thetas, [tail, 1 - tail], axis=0)
        names = self.fit.problem.space.names
        return {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}

    def summary(self) -> str:
        """Return the intervals, a line each."""
        lines = [f"Parametric bootstrap: {len(self.thetas)} refits, {self.num_failed} failed"]
        for (name, (low, high)), bias in zip(self.intervals().items(), self.bias, strict=True):
            lines.append(f"  {name}  [{low:.5g}, {high:.5g}]  bias {bias:+.3g} on the fit scale")
        return "\n".join(lines)

    __repr__ = summary


def bootstrap(
    fit: FitResult,
    *,
    num_datasets: int = 100,
    tolerance: float = 0.003,
    seed: int = 0,
    executor: Any = None,
    progress: Any = None,
) -> Bootstrap:
    """Simulate data sets from a fit, refit each from the estimate, and return the refits.

    Data come from the problem's simulator (exact by default) with measurement noise, in the shape
    of the observed ones, missing entries included. For path likelihoods all refits run side by
    side. For the likelihood of movies (`TransitionLikelihood`), and for a `RandomTransition`, the
    data are frames: each transition is simulated anew from the frame before it, as observed.

    Arguments: ``num_datasets``, default 100; ``tolerance`` of each refit of a simulated loss, as in
    `fit`; ``seed``, ``executor``, ``progress``.

    Guarantee: estimates the spread and the bias of the estimator at the fitted parameters, as far
    as ``num_datasets`` allow. It knows nothing of a model that is wrong. Data sets in which an
    epidemic died out early belong to it, and may make intervals wide.

    Reference: Efron, Tibshirani, *An Introduction to the Bootstrap* (1993),
    doi:10.1201/9780429246593.
    """
    if num_datasets < 2:
        raise ParameterError(f"`num_datasets` is {num_datasets}, expected at least 2.")
    stream = Stream.from_seed(seed).child("bootstrap")
    bound = fit.objective.bind(fit.problem)
    if isinstance(bound, BoundLikelihood) and isinstance(fit.problem.model, Transitions):
        return _of_movies(fit, bound, num_datasets, stream, progress)
    problems: Iterable[Problem]
    if isinstance(fit.problem.model, RandomTransition):  # one at a time: frames are large
        streams = [stream.child("movies", i) for i in range(num_datasets)]
        problems = (simulated_movies(fit.problem, fit.theta, branch) for branch in streams)
    else:
        problems = simulated_problems(fit.problem, fit.theta, num_datasets, stream, executor)
    with showing(progress, "bootstrap") as bar:
        if isinstance(bound, BoundLikelihood):
            zs = refit_side_by_side(
                bound, list(problems), np.tile(fit.fit_scale, (num_datasets, 1))
            )
            good = np.isfinite(zs).all(1)
            return Bootstrap(
                fit, np.asarray(fit.problem.space.from_fit(zs[good])), int((~good).sum())
            )
        thetas = []
        for i, problem in enumerate(problems):
            bar.update(i / num_datasets, f"refit {i + 1} of {num_datasets}")
            try:
                refit = run_fit(
                    problem, objective=fit.objective, start=fit.params, warm_start=False,
                    tolerance=tolerance, seed=seed + i + 1,
                    executor=executor, progress=False,
                )  # fmt: skip
                thetas.append(refit.theta)
            except TumbleError:
                continue
    if len(thetas) < 2:
        raise SimulationError("fewer than two bootstrap data sets could be refitted.")
    return Bootstrap(fit, np.stack(thetas), num_datasets - len(thetas))


def _of_movies(
    fit: FitResult, bound: BoundLikelihood, num_datasets: int, stream: Stream, progress: Any
) -> Bootstrap:
    """Refit movies one after another: frames are large."""
    found = []
    with showing(progress, "bootstrap") as bar:
        for i in range(num_datasets):
            bar.update(i / num_datasets, f"refit {i + 1} of {num_datasets}")
            problem = simulated_movies(fit.problem, fit.theta, stream.child("movies", i))
            found.append(refit_side_by_side(bound, [problem], fit.fit_scale[None])[0])
    zs = np.array(found)
    good = np.isfinite(zs).all(1)
    return Bootstrap(fit, np.asarray(fit.problem.space.from_fit(zs[good])), int((~good).sum()))


def simulated_movies(problem: Problem, theta: FloatArray, stream: Stream) -> Problem:
    """Return a problem of movies whose frames after each transition are simulated at θ."""
    import jax

    model, simulator = problem.model, problem.simulator
    movie = model.transitions if isinstance(model, RandomTransition) else model
    if not isinstance(simulator, SupportsFrames):
        raise CapabilityError(
            f"{type(simulator).__name__} keeps no frames, of which the likelihood of movies is "
            "made; leave out `simulator`."
        )
    params = np.asarray(problem.bindings[0].model_params(theta), dtype=float)
    times = np.arange(1.0, movie.num_transitions + 1)
    batch = Batch(params[None], np.zeros((1, 0), np.int64), times, stream, run_ids(1))
    states, codes = simulator.record_frames(movie, batch)
    if np.any(codes != 0):
        raise SimulationError("runs at the estimate failed, so movies cannot be simulated there.")
    after = jax.tree.map(lambda leaf: leaf[0], states["state"])
    other = movie.followed_by(after)
    return replace(problem, model=other if movie is model else model.among(other))


def simulated_problems(
    problem: Problem, theta: FloatArray, count: int, stream: Stream, executor: Any = None
) -> list[Problem]:
    """Return ``count`` copies of a problem with data simulated at θ [P]."""
    per_experiment = []
    for e, binding in enumerate(problem.bindings):
        observed = binding.observed.values
        replicates = observed.shape[0]
        branch = stream.child("experiment", e)
        sample = problem.simulate_binding(e, theta, branch, count * replicates, executor)
        if np.any(sample.codes != 0):
            raise SimulationError("runs at the estimate failed, so data cannot be simulated there.")
        data = binding.sample_data(sample.states, theta, branch.child("noise").numpy())
        if problem.kind == "snapshots":
            data = _apart(data, branch.child("cells").numpy())
        data = data.reshape(count, replicates, *data.shape[1:])
        per_experiment.append(np.where(np.isfinite(observed), data, np.nan))
    return [problem.with_data([d[i] for d in per_experiment]) for i in range(count)]


def _apart(data: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return runs [n, T, O] whose numbers at each time are shuffled by themselves.

    Of a data set, cells at different times are then of different runs, but for one in as many as
    there are data sets.
    """
    orders = rng.permuted(np.tile(np.arange(len(data))[:, None], (1, data.shape[1])), axis=0)
    return np.asarray(np.take_along_axis(data, orders[:, :, None], axis=0))


def refit_side_by_side(
    bound: BoundLikelihood, problems: list[Problem], starts: FloatArray, max_steps: int = 200
) -> FloatArray:
    """Return the maximizers z [K, P] of one likelihood on K data sets; NaN where none was found."""
    task = DeterministicTask(
        bound.problem.space,
        lambda z, rows: bound.evaluate(z, [problems[i] for i in rows]),
        tolerance=1e-5,
    )
    optimizer = GaussNewton(patience=np.inf)
    state = optimizer.init(task, starts)
    for _ in range(max_steps):
        if state.stop is not None:
            break
        state, _report = optimizer.step(task, state)
    return np.where(
        (state.finished > 0)[:, None] & np.isfinite(state.values)[:, None], state.z, np.nan
    )
