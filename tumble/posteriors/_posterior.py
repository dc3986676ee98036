"""The result of `sample_posterior`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import require_whole
from tumble._late import call_late
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._base import AbstractBasis, AbstractPosteriorMethod

_COSTS = {
    "data_sets": "data sets",
    "evaluations": "likelihoods",
    "gradients": "gradients",
    "draws": "given draws",
}
_QUANTILES = (0.025, 0.5, 0.975)
_FEW = 100  # effective draws, below which quantiles are rough


@dataclass(frozen=True, repr=False)
class Posterior:
    """Weighted draws of the parameters, given the data.

    Attributes:

    - ``problem`` and ``method``: what was sampled, and how.
    - ``theta`` [N, P]: draws in the natural scale, and their ``weights`` [N], which sum to 1.
    - ``basis``: what they rest on: `NearDataSets` with what was compared and the draws before
      adjustment, `Chains` with their R̂, `AdjustedChains`, or a `LearntDensity`.
    - ``rounds``: one `Generation`, `ChainRound` or `LearningRound` each.
    - ``result`` and ``reason``: how it ended, in a code and in words; ``warnings``, all that was
      found wrong with it.
    - ``seed``: that of all random numbers.
    - ``stats``: what it cost. ``seconds`` and ``runs`` of the simulator; of comparisons
      ``data_sets`` simulated and ``failed`` of them, of chains ``evaluations`` of the likelihood
      or ``gradients`` of a loss.
    """

    problem: Problem
    method: AbstractPosteriorMethod
    theta: FloatArray
    weights: FloatArray
    basis: AbstractBasis
    rounds: tuple[Any, ...]
    result: ResultCode
    reason: str
    stats: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of θ."""
        return self.problem.space.names

    @property
    def effective_sample_size(self) -> float:
        """How many independent draws they are worth: (Σ w)² / Σ w², or the least of any parameter.

        Of chains it counts that successive draws depend on each other.
        """
        return float(self.effective_sample_sizes.min())

    def mean(self) -> dict[str, float]:
        """Return the posterior mean of each entry, in the natural scale."""
        return dict(zip(self.names, (self.weights @ self.theta).tolist(), strict=True))

    def sd(self) -> dict[str, float]:
        """Return the posterior standard deviation of each entry, in the natural scale."""
        away = self.theta - self.weights @ self.theta
        spread = np.sqrt(self.weights @ away**2)
        return dict(zip(self.names, spread.tolist(), strict=True))

    def quantile(self, level: float) -> dict[str, float]:
        """Return the quantile of each entry, ``level`` in [0, 1]."""
        columns = [weighted_quantile(c, self.weights, level) for c in self.theta.T]
        return dict(zip(self.names, columns, strict=True))

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Return central intervals of each entry that hold ``level`` of the draws."""
        low, high = self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)
        return {name: (low[name], high[name]) for name in self.names}

    def derived(self) -> dict[str, FloatArray]:
        """Return the derived quantities of the problem at each draw, [N]."""
        rows = [self.problem.derived_values(theta) for theta in self.theta]
        return {name: np.array([float(row[name]) for row in rows]) for name in self.problem.derived}

    def sample(self, num_samples: int, *, seed: int = 0) -> FloatArray:
        """Return even draws θ [num_samples, P], with replacement by the weights."""
        return self.sample_params(
            num_samples, Stream.from_seed(seed).child("posterior", "sample").numpy()
        )

    def sample_params(self, num_samples: int, rng: np.random.Generator) -> FloatArray:
        """Return what `sample` does, by a generator of yours."""
        require_whole("num_samples", num_samples)
        return np.asarray(self.theta[rng.choice(len(self.theta), num_samples, p=self.weights)])

    def save(self, path: str | Path) -> Path:
        """Write the posterior to a netCDF file (groups as ArviZ names them) and return its path."""
        return call_late("tumble.io", "save_posterior", self, path)

    def report(self, path: str | Path, **parts: Any) -> Path:
        """Write a self-contained HTML page and return its path; see `tumble.report.write_report`.

        ``parts`` are ``predictive=``, of `posterior_predictive`, which else is simulated, and
        ``title=``.
        """
        return call_late("tumble.report", "write_report", self, path, **parts)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader is warned of: ``warnings``, few draws, and data sets that failed."""
        found = list(self.warnings)
        if self.effective_sample_size < _FEW:
            found.append("so few effective draws tell quantiles roughly; ask for more")
        if self.stats.get("failed"):
            found.append(f"{self.stats['failed']:.0f} data sets failed and count as far")
        return tuple(words for words in found if words not in self.reason)

    @property
    def effective_sample_sizes(self) -> FloatArray:
        """How many independent draws they are worth for each entry of θ, [P]."""
        return self.basis.effective_each(self.weights, self.theta.shape[1])

    def citations(self) -> tuple[str, ...]:
        """What to cite for the methods that made this result."""
        simulator = self.problem.simulator.citations if self.stats.get("runs") else ()
        return tuple(dict.fromkeys([*self.method.citations, *simulator]))

    def to_dict(self) -> dict[str, Any]:
        """Return what `summary` shows, as plain numbers and words."""
        return {
            "result": self.result.value,
            "ok": self.result.ok,
            "reason": self.reason,
            "method": type(self.method).__name__,
            "draws": len(self.theta),
            "effective_sample_size": self.effective_sample_size,
            "parameters": self.estimates(),
            "stats": dict(self.stats),
            "warnings": list(self.warnings),
        }

    def estimates(self) -> dict[str, dict[str, Any]]:
        """Return mean, sd, median and 95 % interval of each entry of θ and derived quantity."""
        shown = dict(zip(self.names, self.theta.T, strict=True)) | self.derived()
        return {name: self._told(draws) for name, draws in shown.items()}

    def _told(self, draws: FloatArray) -> dict[str, Any]:
        low, middle, high = (weighted_quantile(draws, self.weights, q) for q in _QUANTILES)
        mean = float(self.weights @ draws)
        spread = float(np.sqrt(self.weights @ (draws - mean) ** 2))
        return {"mean": mean, "sd": spread, "median": middle, "interval": [low, high]}

    def plot(self, *, seed: int = 0) -> Any:
        """Draw it; see `tumble.plot.posteriors`, which also draws several over each other."""
        return call_late("tumble.plot", "posteriors", self, seed=seed)

    def summary(self) -> str:
        """Return the posterior on one screen."""
        cost = self.basis.cost
        lines = [
            f"Posterior: {self.result.value} · {len(self.theta)} draws worth "
            f"{self.effective_sample_size:.0f} · {self.stats[cost]:.3g} {_COSTS[cost]} · "
            f"{self.stats['seconds']:.2g} s",
            f"  {self.reason}",
        ]
        if not self.result.ok:
            lines.append(f"  advice: {self.result.advice}")
        shown = self.estimates()
        width = max(len(name) for name in shown)
        for name, told in shown.items():
            low, high = told["interval"]
            lines.append(f"  {name:<{width}}  {told['median']:.4g}  [{low:.4g}, {high:.4g}]")
        lines.append("  medians, with intervals that hold 95 % of the draws")
        lines.append(
            f"  {type(self.method).__name__}, {len(self.rounds)} rounds · {self.basis.words}"
        )
        lines += [f"  warning: {words}" for words in self.cautions]
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"


def weighted_quantile(values: FloatArray, weights: FloatArray, level: float) -> float:
    """Return the quantile of weighted draws, linear between them."""
    order = np.argsort(values)
    inner = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(level * weights.sum(), inner, values[order]))
