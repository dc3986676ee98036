"""Synthetic likelihood: summaries taken to be normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError, require_member, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.posteriors._abc import Simulated
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._log_likelihoods import AbstractLogLikelihood
from tumble.posteriors._random_walk import RandomWalk
from tumble.posteriors._summaries import AbstractSummary
from tumble.posteriors._walk import AbstractChains

_FEWEST = 200  # data sets at a point
_PER_SUMMARY = 4  # of them, for each number that is compared


@dataclass(frozen=True)
class SyntheticLikelihood(AbstractChains):
    """Markov chains through a normal law of the summaries, whose moments are simulated.

    Definition: at each parameter ``num_data_sets`` are simulated; the likelihood is the normal
    density of the observed summaries with their mean and covariance, estimated without bias.
    Chains as in `AdaptiveMetropolis`.

    Guarantee: draws from the posterior given the summaries, if these are normal at every parameter;
    nothing else is approximate, not even the number of data sets. Where summaries are constant, or
    depend on each other exactly, they have no density, and the parameters are impossible.

    Arguments: ``summary`` of a data set, default by the data, see `default_summary`;
    ``num_data_sets``, default None: 200, or four for each number of the summary; ``num_draws``,
    effective draws of every parameter at which it stops, if R̂ is below 1.01, default 1,000;
    ``num_chains``, default 8; ``max_steps`` of each chain, default 20,000.

    When: many numbers are compared, with which ABC gets nowhere, and they are averages of much.

    References: Wood, Nature 466 (2010), doi:10.1038/nature09319; Price, Drovandi, Lee, Nott,
    J. Comput. Graph. Stat. 27 (2018), doi:10.1080/10618600.2017.1302882 (without bias, after Ghurye
    and Olkin).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Wood, Nature 466 (2010), doi:10.1038/nature09319",
        "Price, Drovandi, Lee, Nott, J. Comput. Graph. Stat. 27 (2018), "
        "doi:10.1080/10618600.2017.1302882",
    )
    summary: AbstractSummary | None = None
    num_data_sets: int | None = None
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.summary is not None:
            require_member("summary", self.summary, AbstractSummary, "such as AllData()")
        if self.num_data_sets is not None:
            require_whole("num_data_sets", self.num_data_sets)

    def bind(self, task: PosteriorTask) -> RandomWalk:
        """See `AbstractPosteriorMethod.bind`."""
        simulated = Simulated(task, self.summary)
        width = len(simulated.comparison.observed)
        count = self.num_data_sets or max(_FEWEST, _PER_SUMMARY * width)
        if count < width + 4:
            raise ParameterError(
                f"`num_data_sets` is {count}, expected at least {width + 4} for the {width} "
                "numbers that are compared."
            )
        return RandomWalk(self, task, NormalSummaries(simulated, count))


class NormalSummaries(AbstractLogLikelihood):
    """The normal density of observed summaries, without bias, but for a constant. Final."""

    noisy = True
    width = 8

    def __init__(self, simulated: Simulated, num_data_sets: int) -> None:
        self._simulated, self._count = simulated, num_data_sets
        self._next = 0

    def values(self, z: FloatArray, stream: Stream) -> FloatArray:
        """See `AbstractLogLikelihood.values`."""
        rows = np.repeat(z, self._count, axis=0)
        summaries = self._simulated.summaries(rows, self._next).reshape(len(z), self._count, -1)
        self._next += len(rows)
        return np.array([self._log_density(each) for each in summaries])

    @property
    def memory(self) -> tuple[FloatArray, ...]:
        """See `AbstractLogLikelihood.memory`: the number of the next data set."""
        return (np.array(self._next),)

    @memory.setter
    def memory(self, value: tuple[FloatArray, ...]) -> None:
        self._next = int(value[0])

    # -- private -----------------------------------------------------

    def _log_density(self, summaries: FloatArray) -> float:
        """Return the log of the unbiased estimate from summaries [n, K]; -∞ where it is 0."""
        observed = self._simulated.comparison.observed
        well = summaries[np.isfinite(summaries).all(1)]
        count, width = well.shape
        if count < self._count / 2 or count < width + 4:
            return -np.inf  # most runs fail here
        away = well - well.mean(0)
        scale = away.std(0)
        if not scale.all():
            return -np.inf
        scatter = (away / scale).T @ (away / scale)
        gap = (observed - well.mean(0)) / scale
        sign, log_det = np.linalg.slogdet(scatter)
        inner, log_inner = np.linalg.slogdet(scatter - np.outer(gap, gap) * count / (count - 1))
        if sign <= 0 or inner <= 0:
            return -np.inf
        # Of M = scatter in the units of the summaries, det M = det(scatter) Π scale².
        log_scale = 2 * np.log(scale).sum()
        return float(
            -0.5 * (count - width - 2) * (log_det + log_scale)
            + 0.5 * (count - width - 3) * (log_inner + log_scale)
        )
