"""Problems with simulated losses, where their losses have their minima, and where fits start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from exactness import random_case

import tumble as tb
from tumble._random import Stream
from tumble._uncertainty import sandwich
from tumble.diagnostics._references import _exact_features
from tumble.gradients import CoupledDifference
from tumble.objectives import BoundOutputs, MomentMatching
from tumble.simulators import FiniteStateProjection

TOLERANCE = 0.003
"""The default of `fit`."""

_MOST_STATES = 30_000
_REFERENCE_PAIRS = 20_000


@dataclass(frozen=True)
class FitCase:
    """A network, and the data of ``num_runs`` runs of it at ``rates``.

    ``replicates``: whether the data are all runs, for means and variances, or their mean only.
    ``factor``: how far from the rates starts are, at most; bounds are three times as far.
    ``few_states``: whether finite state projection can tell the minimum.
    """

    name: str
    network: str
    rates: Mapping[str, float]
    initial: Mapping[str, int]
    times: Sequence[float]
    observed: Sequence[str]
    num_runs: int = 10_000
    replicates: bool = False
    factor: float = 10.0
    few_states: bool = True

    @cached_property
    def problem(self) -> tb.Problem:
        """The problem; its data are made with seed 0."""
        model = tb.ReactionNetwork.from_text(self.network, species=tuple(self.initial))
        runs = tb.simulate(
            model, dict(self.rates), initial=dict(self.initial), times=list(self.times),
            num_samples=self.num_runs, seed=0,
        ).data.sel(species=list(self.observed)).rename(species="observable")  # fmt: skip
        if self.replicates:
            data = runs.rename(sample="replicate")
            experiment = tb.Experiment(data, initial=dict(self.initial))
        else:
            experiment = tb.Experiment(
                runs.mean("sample"), initial=dict(self.initial), kind="mean",
                num_averaged=self.num_runs,
            )  # fmt: skip
        reach = 3 * self.factor
        return tb.Problem(
            model,
            experiments=[experiment],
            parameters={k: tb.Parameter(v / reach, v * reach) for k, v in self.rates.items()},
        )

    @cached_property
    def bound(self) -> BoundOutputs:
        """The loss."""
        return MomentMatching().bind(self.problem)

    @cached_property
    def minimum(self) -> np.ndarray:
        """Where the loss is least [P], on the fit scale: next to the rates that made the data."""
        truth = np.log(list(self.rates.values()))
        return self._exact_minimum(truth) if self.few_states else self._simulated_minimum(truth)

    @cached_property
    def data_errors(self) -> np.ndarray:
        """The standard errors [P] that the data leave."""
        size = len(self.rates)
        covariance, _, _ = sandwich(
            self.bound, CoupledDifference(), self.minimum, np.ones(size, bool),
            np.zeros((size, size)), Stream.from_seed(0).child("errors of the data"),
        )  # fmt: skip
        return np.sqrt(np.diag(covariance))

    @cached_property
    def unit(self) -> np.ndarray:
        """The precision [P] that `fit` aims at by default, if it knew these errors."""
        return np.maximum(TOLERANCE, 0.1 * self.data_errors)

    def starts(self, count: int) -> list[dict[str, float]]:
        """Return random starts, log-uniform within ``factor`` of the rates, from seed 0."""
        powers = np.random.default_rng(0).uniform(-1, 1, (count, len(self.rates)))
        return [
            {k: v * self.factor**p for (k, v), p in zip(self.rates.items(), row, strict=True)}
            for row in powers
        ]

    def _exact_minimum(self, truth: np.ndarray) -> np.ndarray:
        from scipy.optimize import least_squares

        root = np.sqrt(self.bound.loss.weight)
        found = least_squares(
            lambda z: root * (self._exact_features(z)[0] - self.bound.loss.target),
            truth,
            lambda z: root[:, None] * self._exact_features(z)[1],
            bounds=(self.problem.space.lower, self.problem.space.upper), x_scale="jac",
            xtol=1e-10, ftol=1e-14, gtol=1e-14,
        )  # fmt: skip
        return np.asarray(found.x)

    def _exact_features(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _exact_features(self.bound, 0, z, FiniteStateProjection(max_states=_MOST_STATES))

    def _simulated_minimum(self, truth: np.ndarray) -> np.ndarray:
        """Take one Gauss-Newton step from the truth, which is near, by far more runs than a fit."""
        stream = Stream.from_seed(0).child("minimum")
        sampled = CoupledDifference().sample(self.bound, truth, _REFERENCE_PAIRS, stream)
        moments, slopes = sampled.features.mean(0), sampled.jacobians.mean(0)
        weighted = slopes * self.bound.loss.weight[:, None]
        gap = moments - self.bound.loss.target
        return truth - np.linalg.solve(weighted.T @ slopes, weighted.T @ gap)


CASES = [
    FitCase("immigration-death", "0 -> X ; k\nX -> 0 ; gamma", {"k": 10.0, "gamma": 1.0},
            {"X": 0}, [0.5, 1.0, 2.0, 4.0], ["X"]),
    FitCase("dimerization of 100", "2 P -> P2 ; bind\nP2 -> 2 P ; part",
            {"bind": 0.02, "part": 0.4}, {"P": 100, "P2": 0}, [0.25, 0.5, 1.0, 2.0], ["P", "P2"]),
    FitCase("SIR of 200", "S + I -> 2 I ; beta\nI -> R ; gamma", {"beta": 0.005, "gamma": 0.5},
            {"S": 198, "I": 2, "R": 0}, np.linspace(2, 14, 7), ["I", "R"]),
    FitCase("SIR of 2,000", "S + I -> 2 I ; beta\nI -> R ; gamma", {"beta": 0.02, "gamma": 5.0},
            {"S": 1980, "I": 20, "R": 0}, np.linspace(0.1, 0.7, 7), ["I", "R"], few_states=False),
    FitCase("Schlögl, bistable", "2 X -> 3 X ; a\n3 X -> 2 X ; b\n0 -> X ; k\nX -> 0 ; d",
            {"a": 0.248, "b": 0.012, "k": 6.8, "d": 1.93}, {"X": 17}, np.linspace(0.5, 6, 8),
            ["X"], num_runs=1000, replicates=True, factor=2.0),
    FitCase("enzyme, Michaelis–Menten", "S => P ; mm(S, V, K)\nP -> S ; back",
            {"V": 8.0, "K": 12.0, "back": 0.2}, {"S": 40, "P": 0}, [1.0, 2.0, 4.0, 8.0, 15.0],
            ["P"], num_runs=1000, replicates=True),
]  # fmt: skip


def random_fits(seeds: Sequence[int]) -> list[FitCase]:
    """Return networks of three species and six reactions that nobody chose."""
    return [
        FitCase(drawn.name, drawn.network, drawn.params, drawn.initial, drawn.times,
                list(drawn.initial), num_runs=1000, replicates=True)
        for drawn in map(random_case, seeds)
    ]  # fmt: skip
