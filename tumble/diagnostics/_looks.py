"""How the audit looks: with ever more runs, until it can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._budget import Spending
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.diagnostics._references import AbstractReference, ReferenceGradient
from tumble.gradients import AbstractEstimator, Equivalence, Verdict, equivalence_test
from tumble.objectives import BoundOutputs

_LOOKS = 6
_FIRST_RUNS = 4_000


@dataclass(frozen=True)
class AuditRow:
    """One parameter under one estimator, on the fit scale.

    ``estimate`` ± ``standard_error`` against ``reference`` ± ``reference_error``; ``margin``;
    ``verdict``, ``"RIGHT"``, ``"WRONG"`` or ``"UNDECIDED"``; ``runs_needed`` to decide (0 if
    decided); ``work_variance``, summed variance of the gradient × work (0: deterministic).
    """

    estimator: str
    parameter: str
    estimate: float
    standard_error: float
    reference: float
    reference_error: float
    margin: float
    verdict: str
    runs_needed: float
    work_variance: float

    @property
    def signal_to_noise(self) -> float:
        """The estimate over its standard error, from all runs of the audit."""
        return abs(self.estimate) / self.standard_error if self.standard_error > 0 else np.inf


@dataclass(frozen=True)
class FixedGradient:
    """A deterministic gradient under test."""

    gradient: FloatArray

    def __call__(self, z: FloatArray, num_runs: int, stream: Stream) -> Any:
        return self.gradient, np.zeros_like(self.gradient), 0.0, 0


@dataclass(frozen=True)
class SampledGradient:
    """An estimator under test."""

    estimator: AbstractEstimator
    bound: BoundOutputs
    executor: Any

    def __call__(self, z: FloatArray, num_runs: int, stream: Stream) -> Any:
        e = self.estimator.estimate(self.bound, z, num_runs, stream, self.executor)
        return e.gradient, e.standard_errors, e.work_variance, e.num_runs


def look(
    problem: Problem,
    name: str,
    tested: Any,
    source: AbstractReference,
    z: FloatArray,
    margin: float,
    level: float,
    allowance: float,
    spending: Spending,
    stream: Stream,
    bar: Any,
) -> list[AuditRow]:
    """Look with ever more runs until every component is decided or the allowance is spent."""
    left = max(allowance, 4 * _FIRST_RUNS)
    runs = max(_FIRST_RUNS, int(left / 2 / 2**_LOOKS))
    mine, theirs = _Pool(len(z)), _Pool(len(z))
    for k in range(_LOOKS):
        branch = stream.child("look", k)
        gradient, errors, work, spent = tested(z, runs, branch.child("tested"))
        reference: ReferenceGradient = source.gradient(z, runs, branch.child("reference"))
        mine.add(gradient, errors, runs)
        theirs.add(reference.gradient, reference.errors, runs)
        spending.simulations += spent + reference.num_runs
        left -= spent + reference.num_runs
        outcome = equivalence_test(
            mine.mean, mine.errors, theirs.mean, theirs.errors,
            fraction=margin, level=level, num_looks=_LOOKS,
        )  # fmt: skip
        bar.update((k + 1) / _LOOKS, f"{name}: {mine.runs:.3g} runs")
        noiseless = not np.any(mine.errors) and not np.any(theirs.errors)
        hopeless = not np.all(np.isfinite(theirs.errors))
        decided = all(v is not Verdict.UNDECIDED for v in outcome.verdicts)
        per_run = (spent + reference.num_runs) / runs
        if decided or noiseless or hopeless or left < runs * per_run:
            break
        # As many as the least decided component seems to need, and at least as many again.
        wanted = 1.2 * mine.runs * min(float(outcome.more.max()), 16.0) - mine.runs
        runs = int(min(max(wanted, mine.runs), left / per_run))
    return _rows(problem, name, mine, theirs, outcome, work)


class _Pool:
    """Independent estimates of one gradient [P], averaged with weights by their runs. Final."""

    def __init__(self, size: int) -> None:
        self.runs = 0.0
        self._sum = np.zeros(size)
        self._variance = np.zeros(size)

    def add(self, gradient: FloatArray, errors: FloatArray, runs: int) -> None:
        """Take in one more estimate with its standard errors."""
        self.runs += runs
        self._sum += runs * gradient
        self._variance += (runs * errors) ** 2

    @property
    def mean(self) -> FloatArray:
        """The average [P]."""
        return self._sum / self.runs

    @property
    def errors(self) -> FloatArray:
        """Its standard errors [P]."""
        return np.sqrt(self._variance) / self.runs


def _rows(
    problem: Problem,
    name: str,
    mine: _Pool,
    theirs: _Pool,
    outcome: Equivalence,
    work: float,
) -> list[AuditRow]:
    rows = []
    for j, parameter in enumerate(problem.space.names):
        decided = outcome.verdicts[j] is not Verdict.UNDECIDED
        rows.append(
            AuditRow(
                name,
                parameter,
                float(mine.mean[j]),
                float(mine.errors[j]),
                float(theirs.mean[j]),
                float(theirs.errors[j]),
                float(outcome.margins[j]),
                outcome.verdicts[j].value,
                0.0 if decided else float(mine.runs * outcome.more[j]),
                float(work),
            )
        )
    return rows
