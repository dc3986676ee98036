"""Whether the fitted model makes data like the observed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, SimulationError, shown
from tumble._fit_result import FitResult
from tumble._problem import Problem
from tumble._random import Stream, run_ids
from tumble._results import describe_codes
from tumble._typing import FloatArray
from tumble.posteriors import Posterior
from tumble.simulators import Batch

LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)
_QUIET = 0.1


@dataclass(frozen=True)
class PredictiveBand:
    """Simulated data of one experiment beside the observed ones.

    ``times`` [T]; ``observed`` [N, T, O]; ``observables``, names; ``quantiles`` [5, T, O] at
    ``levels``; ``coverage``, share of the data inside the 95 % band; ``quiet_fraction``, share of
    runs in which no observable ever reaches a tenth of its largest datum (early extinction).
    """

    name: str
    times: FloatArray
    observed: FloatArray
    observables: tuple[str, ...]
    levels: tuple[float, ...]
    quantiles: FloatArray
    coverage: float
    quiet_fraction: float


@dataclass(frozen=True, repr=False)
class PosteriorPredictive:
    """Data simulated at parameters drawn around the estimate. ``experiments``: one band each."""

    experiments: tuple[PredictiveBand, ...]
    num_samples: int
    simulator: str

    @property
    def coverage(self) -> float:
        """Share of all data inside the 95 % bands."""
        counts = [np.isfinite(b.observed).sum() for b in self.experiments]
        shares = [b.coverage for b in self.experiments]
        return float(np.average(shares, weights=counts))

    @property
    def verdict(self) -> str:
        """The check in plain words."""
        inside = f"{100 * self.coverage:.0f} % of the data lie in the 95 % band"
        quiet = max(b.quiet_fraction for b in self.experiments)
        text = (
            f"The model {'covers' if self.coverage >= 0.9 else 'misses part of'} the data: {inside}"
        )
        if quiet >= 0.01:
            text += f"; {100 * quiet:.0f} % of its runs die out early"
        return text + "."

    def summary(self) -> str:
        """Return the check in a line or two."""
        return f"Posterior predictive, {self.num_samples} {self.simulator} runs. {self.verdict}"

    __repr__ = summary


def posterior_predictive(
    answer: FitResult | Posterior, *, num_samples: int = 1000, seed: int = 0, executor: Any = None
) -> PosteriorPredictive:
    """Simulate data from an answer by the problem's simulator (exact by default).

    Parameters are drawn from the posterior; of a fit from the normal approximation around the
    estimate, on the fit scale and within the bounds. Measurement noise is added. Runs that fail are
    an error when more than one in a hundred do.

    Arguments: ``answer``, of `fit` or `sample_posterior`; ``num_samples``, runs of each experiment,
    default 1000; ``seed``; ``executor``.
    """
    if num_samples < 20:
        raise ParameterError(f"`num_samples` is {num_samples}, expected at least 20.")
    stream = Stream.from_seed(seed).child("predictive")
    if not isinstance(answer, (FitResult, Posterior)):
        raise ParameterError(f"`answer` is {shown(answer)}, expected a fit or a posterior.")
    thetas = answer.sample_params(num_samples, stream.child("params").numpy())
    problem = answer.problem
    bands = tuple(
        _band(problem, e, thetas, stream.child("experiment", e), executor)
        for e in range(len(problem.bindings))
    )
    return PosteriorPredictive(bands, num_samples, type(problem.simulator).__name__)


def _band(
    problem: Problem, experiment: int, thetas: FloatArray, stream: Stream, executor: Any
) -> PredictiveBand:
    binding = problem.bindings[experiment]
    runs = run_ids(len(thetas))
    params = binding.params_given(np.asarray(thetas), binding.sample_effects(stream, runs))
    initial = np.concatenate(
        [
            binding.sample_initial(t, stream.child("initial"), runs[i : i + 1])[0]
            for i, t in enumerate(thetas)
        ]
    )
    batch = Batch(
        params, initial, binding.times, stream.child("events"), runs, binding.experiment.start
    )
    sample = problem.simulator.sample(binding.model, batch, executor=executor)
    good = sample.codes == 0
    if np.mean(good) < 0.99:
        failed = describe_codes(
            sample.codes, sample.culprits, binding.model.reactions, messages=sample.messages
        )
        raise SimulationError(f"the posterior predictive check failed: {failed}.")
    rng = stream.child("noise").numpy()
    data = np.stack(
        [
            binding.sample_data(s, t, rng)
            for s, t in zip(sample.states[good], thetas[good], strict=True)
        ]
    )
    quantiles = np.quantile(data, LEVELS, axis=0)
    observed = binding.observed.values
    present = np.isfinite(observed)
    inside = (observed >= quantiles[0]) & (observed <= quantiles[-1])
    largest = np.nanmax(np.abs(observed), axis=(0, 1))
    quiet = np.all(np.abs(data).max(axis=1) < _QUIET * largest, axis=-1)
    return PredictiveBand(
        f"experiment {experiment + 1}",
        binding.times,
        observed,
        binding.observed.names,
        LEVELS,
        quantiles,
        float(inside[present].mean()),
        float(quiet.mean()) if problem.model.shows_counts else 0.0,
    )
