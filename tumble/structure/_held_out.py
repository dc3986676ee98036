"""Weighing models by what they predict of data that they have not seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tumble._errors import DataError, ParameterError, require_member, require_whole, shown
from tumble._experiment import ObservedData
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.structure._criteria import AbstractCriterion, Evidence, Score

_LAST = 0.3


@dataclass(frozen=True)
class HeldOut(AbstractCriterion):
    """log p(held-out data | the other data, model), with parameters as the other data leave them.

    Definition: log p(all data | model) − log p(data that were not held out | model), both by
    `Evidence`. Held out are the last of the times, or each of several parts of the replicates in
    turn, whose scores are added. What the prior says of a parameter enters both terms, and matters
    only as far as the data that were not held out leave it open.

    Guarantee: that of `Evidence`. Probabilities from later times are those for equal odds after the
    earlier ones; those from replicates left out are weights for predictions (pseudo-Bayes factors),
    no probabilities of models.

    Arguments: ``last``, the share of the times of each experiment that are held out, default 0.3;
    or ``folds``, into how many parts the replicates are divided; ``evidence``, how the integrals
    are computed, default `Evidence()`.

    When: bounds and priors are arbitrary, or predictions are what models are for. Less sharp than
    `Evidence`, as the earlier data only serve to estimate parameters.

    References: Geisser, Eddy, J. Am. Stat. Assoc. 74 (1979), doi:10.1080/01621459.1979.10481632
    (parts left out); Berger, Pericchi, J. Am. Stat. Assoc. 91 (1996),
    doi:10.1080/01621459.1996.10476668 (some data to make the prior).
    """

    last: float | None = None
    folds: int | None = None
    evidence: Evidence = field(default_factory=Evidence)
    score_name: ClassVar[str] = "log predictive likelihood"
    citations: ClassVar[tuple[str, ...]] = (
        "Geisser, Eddy, J. Am. Stat. Assoc. 74 (1979), doi:10.1080/01621459.1979.10481632",
        "Berger, Pericchi, J. Am. Stat. Assoc. 91 (1996), doi:10.1080/01621459.1996.10476668",
    )

    def __post_init__(self) -> None:
        require_member("evidence", self.evidence, Evidence, "such as structure.Evidence()")
        if self.last is not None and self.folds is not None:
            raise ParameterError("give `last` or `folds`, not both.")
        if self.folds is not None:
            require_whole("folds", self.folds, least=2)
        last = _LAST if self.last is None else self.last
        if not (isinstance(last, (int, float)) and 0 < last < 1):
            raise ParameterError(f"`last` is {shown(self.last)}, expected between 0 and 1.")

    def check(self, problem: Problem) -> None:
        """See `AbstractCriterion.check`."""
        for part in self._parts(problem):
            self.evidence.check(part)

    def likelihood_of(self, problem: Problem) -> str:
        """See `AbstractCriterion.likelihood_of`."""
        return self.evidence.likelihood_of(problem)

    def weigh(self, problem: Problem, stream: Stream) -> Score:
        """See `AbstractCriterion.weigh`."""
        whole = self.evidence.weigh(problem, stream)
        if not np.isfinite(whole.log_score):
            return whole
        total, variance, count, settled = 0.0, 0.0, 0, True
        for i, part in enumerate(self._parts(problem)):
            found = self.evidence.integral(part, stream.child("part", i))
            if isinstance(found, Score):
                return replace(found, reason=f"without what was held out, {found.reason}")
            total += found[0].log_value
            variance += found[0].standard_error ** 2
            settled &= found[0].settled
            count += 1
        error = math.sqrt(variance + (count * whole.standard_error) ** 2)
        code, reason = whole.result, whole.reason
        if code is ResultCode.SUCCESS and not settled:
            code = ResultCode.OUT_OF_BUDGET
            reason = f"integration leaves an error of {error:.2g}; raise `max_draws`"
        return replace(
            whole, log_score=count * whole.log_score - total, standard_error=error,
            laplace=np.nan, result=code, reason=reason,
        )  # fmt: skip

    # -- private -----------------------------------------------------

    def _parts(self, problem: Problem) -> Iterator[Problem]:
        """Yield the problem without what is held out, for each part of it."""
        if self.folds is None:
            yield self._until(problem)
            return
        series = [(e, n) for e, x in enumerate(problem.experiments)
                  for n in range(x.data.num_replicates)]  # fmt: skip
        if len(series) < self.folds:
            raise DataError(
                f"`folds` is {self.folds}, but the data have {len(series)} series; use fewer, or "
                "hold out the last of the times: HeldOut(last=0.3)."
            )
        for fold in range(self.folds):
            values = [e.data.values.copy() for e in problem.experiments]
            for e, n in series[fold :: self.folds]:
                values[e][n] = np.nan
            yield _with_values(problem, values)

    def _until(self, problem: Problem) -> Problem:
        last = _LAST if self.last is None else self.last
        values = [e.data.values.copy() for e in problem.experiments]
        for array in values:
            count = array.shape[1]
            if count < 2:
                raise DataError(
                    "an experiment has a single time, so that none can be held out; leave out "
                    "replicates instead: HeldOut(folds=...)."
                )
            array[:, count - min(max(round(last * count), 1), count - 1) :] = np.nan
        return _with_values(problem, values)


def _with_values(problem: Problem, values: list[FloatArray]) -> Problem:
    """Return the problem with other data; experiments of which none are left are left out."""
    experiments = [
        replace(e, data=ObservedData(v, e.data.times, e.data.names))
        for e, v in zip(problem.experiments, values, strict=True)
        if np.isfinite(v).any()
    ]
    return replace(problem, experiments=experiments)
