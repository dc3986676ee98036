"""Which observation would tell most of what is not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tumble._errors import ParameterError, SimulationError, require_whole, shown
from tumble._experiment import Experiment, ObservedData
from tumble._fit_result import FitResult
from tumble._observable import Observable
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.posteriors import Posterior
from tumble.posteriors._data_sets import DataSets

_TIMES, _LONGER = 12, 1.5  # that are tried, up to this many times as long as was observed
_FEWEST = 200
_SHOWN = 5
_NOISE = 3.0  # standard errors by which a gain has to be above what chance makes


@dataclass(frozen=True)
class Offer:
    """One observation that could be made: an ``observable`` at a ``time`` of an ``experiment``.

    ``left``, by parameter, what is expected to be left of its standard error, at most; ``gain``,
    the information in nats: minus the logarithm of what is left of the volume of uncertainty.
    """

    experiment: int
    observable: str
    time: float
    left: Mapping[str, float]
    gain: float


@dataclass(frozen=True, repr=False)
class NextObservation:
    """Observations that could be made, those that tell most first. ``num_runs``, new runs each."""

    offers: tuple[Offer, ...]
    num_runs: int
    num_samples: int

    @property
    def best(self) -> Offer:
        """The observation that tells most about all parameters together."""
        return self.offers[0]

    def best_for(self, name: str) -> Offer:
        """Return the observation that tells most about one parameter."""
        if name not in self.best.left:
            raise ParameterError(
                f"`name` is {name!r}, expected one of {', '.join(self.best.left)}."
            )
        return min(self.offers, key=lambda offer: offer.left[name])

    @property
    def verdict(self) -> str:
        """What to do, in words."""
        best, chance = self.best, len(self.best.left) / self.num_samples
        if best.gain < _NOISE * chance:
            return "None of these observations would tell anything that is not known yet."
        most = min(best.left, key=lambda name: best.left[name])
        return (
            f"Most would be told by {best.observable} at time {best.time:.4g}: the standard error "
            f"of {most} would fall to {100 * best.left[most]:.0f} % or less."
        )

    def summary(self) -> str:
        """Return the best of them as a table."""
        names = list(self.best.left)
        several = len({offer.experiment for offer in self.offers}) > 1
        lines = [self.verdict, f"  left of standard errors, of {self.num_runs} new run(s) each:"]
        for offer in self.offers[:_SHOWN]:
            where = f" of experiment {offer.experiment}" if several else ""
            left = "  ".join(f"{name} {100 * offer.left[name]:.0f} %" for name in names)
            lines.append(f"  {offer.observable} at {offer.time:.4g}{where}: {left}")
        return "\n".join(lines)

    __repr__ = summary


def next_observation(
    answer: FitResult | Posterior,
    *,
    times: Any = None,
    observables: Mapping[str, Observable | str] | None = None,
    num_runs: int = 1,
    num_samples: int = 2000,
    seed: int = 0,
    executor: Any = None,
) -> NextObservation:
    """Say which further observation would narrow an answer most.

    Definition: parameters are drawn from the posterior, or from the normal approximation about a
    fit, and new runs are simulated at each, with measurement noise. Of an observation y, the mean
    and the mean square over the new runs are regressed on: what is left of the variance of each
    parameter, on the scale of the fit, after the best linear use of the two is what would be left
    on average. An observation at another time is one more run, observed once.

    Guarantee: any simulator will do. Up to the error of ``num_samples`` draws (the gains are
    corrected for it on average), the expected variance would be no larger than what is said, since
    a better use than a linear one may be made of y. It supposes that the model is right.

    Arguments: ``answer``, of `fit` or `sample_posterior`; ``times``, default 12 evenly spaced ones
    up to one and a half times as long as was observed; ``observables`` to be thought of besides
    those of the problem, name → `Observable` or formula; ``num_runs``, new runs in which each is
    made, default 1; ``num_samples``, default 2,000; ``seed``; ``executor``. Raises
    `ParameterError`, and `SimulationError` where more than one in a hundred runs fail.

    References: Goldstein, Wooff, *Bayes Linear Statistics* (2007), doi:10.1002/9780470065662.

    >>> import tumble as tb
    >>> problem = tb.Problem(
    ...     tb.ReactionNetwork.from_text("0 -> X ; k"), data={"time": [1.0], "X": [9]},
    ...     initial={"X": 0}, parameters={"k": tb.Parameter(1, 50)},
    ... )
    >>> found = next_observation(tb.fit(problem), times=[1.0, 8.0])
    >>> found.best.time
    8.0
    """
    if not isinstance(answer, (FitResult, Posterior)):
        raise ParameterError(f"`answer` is {shown(answer)}, expected a fit or a posterior.")
    require_whole("num_runs", num_runs)
    if not (type(num_samples) is int and num_samples >= _FEWEST):
        raise ParameterError(
            f"`num_samples` is {shown(num_samples)}, expected a whole number ≥ {_FEWEST}."
        )
    stream = Stream.from_seed(seed).child("next observation")
    theta = answer.sample_params(num_samples, stream.child("params").numpy())
    space = answer.problem.space
    z = np.asarray(space.to_fit(theta), dtype=float)
    free = np.flatnonzero(z.std(axis=0) > 0)
    if not len(free):
        raise ParameterError(
            "the answer leaves nothing open: its covariance is unknown or all parameters are at "
            "their bounds; draw a posterior by `sample_posterior`."
        )
    imagined = _imagined(answer.problem, times, observables, num_runs)
    data, well = DataSets(imagined, stream.child("runs"), executor).simulate(z, 0)
    if well.mean() < 0.99:
        raise SimulationError(
            f"{100 * (1 - well.mean()):.0f} % of the new runs failed, so nothing can be said of "
            "what they would show; look at the answer, or give earlier `times`."
        )
    names = [space.names[p] for p in free]
    offers = [
        _offer(e, imagined, o, t, values[well][:, :, t, o], z[well][:, free], names)
        for e, values in enumerate(data)
        for t in range(values.shape[2])
        for o in range(values.shape[3])
    ]
    offers.sort(key=lambda offer: -offer.gain)
    return NextObservation(tuple(offers), num_runs, num_samples)


def _imagined(
    problem: Problem,
    times: Any,
    observables: Mapping[str, Observable | str] | None,
    num_runs: int,
) -> Problem:
    """Return the problem with all that could be observed, in new runs of each experiment."""
    extra = {
        name: value if isinstance(value, Observable) else Observable(value)
        for name, value in (observables or {}).items()
    }
    experiments = []
    for experiment in problem.experiments:
        seen: ObservedData = experiment.data
        end = experiment.start + _LONGER * (seen.times[-1] - experiment.start)
        default = np.linspace(experiment.start, end, _TIMES + 1)[1:]
        grid = np.unique(np.asarray(default if times is None else times, dtype=float))
        names = (*seen.names, *(name for name in extra if name not in seen.names))
        values = np.ones((num_runs, len(grid), len(names)))
        experiments.append(
            Experiment(
                ObservedData(values, grid, names), experiment.initial, experiment.conditions,
                experiment.start,
            )
        )  # fmt: skip
    return replace(
        problem, experiments=experiments, observables={**(problem.observables or {}), **extra},
        data=None, initial=None,
    )  # fmt: skip


def _offer(
    experiment: int,
    problem: Problem,
    o: int,
    t: int,
    values: FloatArray,
    z: FloatArray,
    names: list[str],
) -> Offer:
    """Return what an observation [n, N] leaves of the uncertainty of parameters z [n, P]."""
    features = np.stack([values.mean(1), (values**2).mean(1)], axis=1)
    moving = features.std(axis=0) > 0
    features = (features[:, moving] - features[:, moving].mean(0)) / features[:, moving].std(0)
    away = z - z.mean(axis=0)
    before = away.T @ away
    rest = away
    if features.shape[1]:
        rest = away - features @ np.linalg.lstsq(features, away, rcond=1e-9)[0]
    # By chance alone, a regression on k numbers explains k / n of what there is.
    degrees = (len(z) - 1) / max(len(z) - 1 - features.shape[1], 1)
    after = rest.T @ rest * degrees
    scale = np.sqrt(np.diag(before))
    volumes = [np.linalg.slogdet(m / np.outer(scale, scale))[1] for m in (before, after)]
    left = np.sqrt(np.minimum(np.diag(after) / np.diag(before), 1.0))
    observed = problem.experiments[experiment].data
    return Offer(
        experiment, observed.names[o], float(observed.times[t]),
        dict(zip(names, left.tolist(), strict=True)), float(volumes[0] - volumes[1]) / 2,
    )  # fmt: skip
