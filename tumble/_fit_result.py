"""The result of `fit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tumble._late import call_late
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """One estimated number.

    ``value`` in the natural scale; ``standard_error`` on the fit scale (relative error for a log
    scale), NaN where unknown; ``interval``, 95 %, in the natural scale; ``at_bound``; ``scale``.
    """

    name: str
    value: float
    standard_error: float
    interval: tuple[float, float]
    at_bound: bool
    scale: str


@dataclass(frozen=True)
class FitStep:
    """What one step of a fit did: what people want to see.

    ``loss`` of the best start so far; ``gradient_norm`` of the free gradient on the fit scale and
    ``noise_norm``, its standard error (0 for deterministic objectives); ``num_runs`` of the
    simulator in the step; ``seconds`` since the fit began; ``params``, θ [P]; ``phase``.
    """

    step: int
    phase: str
    loss: float
    gradient_norm: float
    noise_norm: float
    num_runs: int
    seconds: float
    params: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class FitResult:
    """The estimate, how it was found, and how far to trust it.

    Attributes:

    - ``problem``, ``objective``, ``gradient``, ``optimizer``: what was fitted, and how.
    - ``theta`` [P]: the estimate in the natural scale; ``params`` gives it by name.
    - ``covariance`` [P, P] on the fit scale; NaN rows where unknown; 0 rows at a bound.
    - ``loss``: the objective at the estimate (−log likelihood for path likelihoods).
    - ``result`` and ``reason``: how the fit ended, in a code and in words.
    - ``history``: one `FitStep` a step. ``starts``: final loss of each start.
    - ``warnings``: sentences worth reading.
    - ``stats``: what it cost. ``seconds``, ``steps``, ``runs`` of the simulator, and
      ``search_runs``, those of them that were not spent on standard errors.
    - ``uncertainty``: how the covariance was found, in words.
    """

    problem: Problem
    objective: Any
    gradient: str
    optimizer: str
    theta: FloatArray
    covariance: FloatArray
    loss: float
    result: ResultCode
    reason: str
    history: Sequence[FitStep]
    starts: FloatArray
    warnings: tuple[str, ...] = ()
    stats: Mapping[str, float] = field(default_factory=dict)
    uncertainty: str = ""

    @property
    def params(self) -> dict[str, Any]:
        """The estimate by name."""
        values = self.problem.space.unpack(self.theta)
        return {k: float(v) if np.ndim(v) == 0 else np.asarray(v) for k, v in values.items()}

    @property
    def fit_scale(self) -> FloatArray:
        """The estimate z [P] on the fit scale."""
        return np.asarray(self.problem.space.to_fit(self.theta))

    @property
    def at_bound(self) -> BoolArray:
        """Whether each entry of θ [P] sits at a bound."""
        space, z = self.problem.space, self.fit_scale
        slack = 1e-6 * (space.upper - space.lower)
        return (z <= space.lower + slack) | (z >= space.upper - slack)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """One `Estimate` for each entry of θ."""
        space, z = self.problem.space, self.fit_scale
        errors = np.sqrt(np.diag(self.covariance))
        low = space.from_fit(np.clip(z - _Z95 * errors, space.lower, space.upper))
        high = space.from_fit(np.clip(z + _Z95 * errors, space.lower, space.upper))
        return tuple(
            Estimate(
                name,
                float(self.theta[i]),
                float("nan") if self.at_bound[i] else float(errors[i]),
                (float("nan"),) * 2 if self.at_bound[i] else (float(low[i]), float(high[i])),
                bool(self.at_bound[i]),
                space.scales[i],
            )
            for i, name in enumerate(space.names)
        )

    @property
    def derived(self) -> tuple[Estimate, ...]:
        """One `Estimate` for each derived quantity, by the delta method.

        On the log scale where the quantity is positive, so that its interval is too.
        """
        names = list(self.problem.derived)
        if not names:
            return ()
        values = self.problem.derived_values(self.theta)
        slopes = self._derived_slopes()
        estimates = []
        for name in names:
            value, slope = float(values[name]), slopes[name]
            positive = value > 0
            slope = slope / value if positive else slope
            error = float(np.sqrt(slope @ self.covariance @ slope))
            if positive:
                interval = (value * np.exp(-_Z95 * error), value * np.exp(_Z95 * error))
            else:
                interval = (value - _Z95 * error, value + _Z95 * error)
            scale = "log" if positive else "linear"
            estimates.append(Estimate(name, value, error, interval, False, scale))
        return tuple(estimates)

    def sample_params(self, num_samples: int, rng: np.random.Generator) -> FloatArray:
        """Draw θ [num_samples, P] from the normal approximation on the fit scale, within bounds.

        Where the covariance is unknown the estimate itself is repeated.
        """
        space, z = self.problem.space, self.fit_scale
        known = np.nan_to_num(self.covariance, nan=0.0)
        values, vectors = np.linalg.eigh(known)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = z + rng.standard_normal((num_samples, space.size)) @ root.T
        return np.asarray(space.from_fit(space.clip(draws)))

    def summary(self) -> str:
        """Return the fit on one screen."""
        loss = f"{self.objective.loss_name} {self.loss:.6g}"
        lines = [
            f"Fit: {self.result.value} · {loss} · {len(self.history)} steps · "
            f"{self.stats.get('runs', 0):.3g} runs · {self.stats.get('seconds', 0):.2g} s",
            f"  {self.reason}",
        ]
        if not self.result.ok:
            lines.append(f"  advice: {self.result.advice}")
        width = max(len(e.name) for e in [*self.estimates, *self.derived])
        for e in [*self.estimates, *self.derived]:
            lines.append(f"  {e.name:<{width}}  {_format_estimate(e)}")
        lines.append(f"  intervals: 95 %, {self.uncertainty}")
        lines.append(f"  objective: {self.objective} · gradient: {self.gradient}")
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def save(self, path: str | Path) -> Path:
        """Write the fit to a netCDF file (groups as ArviZ names them) and return its path."""
        return call_late("tumble.io", "save_fit", self, path)

    def report(self, path: str | Path, **parts: Any) -> Path:
        """Write a self-contained HTML page and return its path.

        ``parts`` are further results to show: ``audit=``, ``predictive=``.
        """
        return call_late("tumble.report", "write_report", self, path, **parts)

    def citations(self) -> tuple[str, ...]:
        """What to cite for the methods that made this result."""
        simulator = self.problem.simulator.citations if self.stats.get("runs") else ()
        return tuple(dict.fromkeys([*self.objective.citations, *simulator]))

    def _derived_slopes(self) -> dict[str, FloatArray]:
        import jax
        import jax.numpy as jnp

        space = self.problem.space

        def values(z: Any) -> dict[str, Any]:
            return self.problem.derived_values(space.from_fit(z, jnp), jnp)

        with jax.enable_x64(True):
            slopes = jax.jacfwd(values)(self.fit_scale)
        return {name: np.asarray(slope) for name, slope in slopes.items()}


def _format_estimate(estimate: Estimate) -> str:
    low, high = estimate.interval
    if estimate.at_bound:
        return f"{estimate.value:.5g}  (at its bound)"
    if np.isnan(low):
        return f"{estimate.value:.5g}"
    return f"{estimate.value:.5g}  [{low:.5g}, {high:.5g}]"
