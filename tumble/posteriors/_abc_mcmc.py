"""Markov chain Monte Carlo ABC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError, SimulationError, require_member, require_whole, shown
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.posteriors._abc import Simulated
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._log_likelihoods import AbstractLogLikelihood
from tumble.posteriors._random_walk import RandomWalk
from tumble.posteriors._summaries import AbstractSummary
from tumble.posteriors._tempering import Population
from tumble.posteriors._walk import AbstractChains


@dataclass(frozen=True)
class ABCMCMC(AbstractChains):
    """Markov chain Monte Carlo ABC: chains that go where a simulated data set is near.

    Definition: a pilot draws ``num_pilot`` parameters from the prior; the ``quantile`` of the
    distances of their data sets is the tolerance, and chains start from those within it. A proposal
    is accepted as one for the prior would be, if the data set simulated there is nearer than the
    tolerance.

    Guarantee: draws from p(θ | distance ≤ tolerance) in the limit of long chains.

    Arguments: ``num_pilot``, default 20,000; ``quantile``, default 0.005, or ``tolerance`` itself,
    default None; ``summary`` of a data set, default by the data, see `default_summary`;
    ``num_draws``, effective draws of every parameter at which it stops, if R̂ is below 1.01, default
    1,000; ``num_chains``, default 20, as data sets are simulated many at once; ``max_steps`` of
    each chain, default 20,000.

    When: to compare with published results. `SMCABC` finds its tolerance itself, and gets nearer
    for the same number of data sets.

    Reference: Marjoram, Molitor, Plagnol, Tavaré, PNAS 100 (2003), doi:10.1073/pnas.0306899100.
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Marjoram, Molitor, Plagnol, Tavaré, PNAS 100 (2003), doi:10.1073/pnas.0306899100",
    )
    num_pilot: int = 20_000
    quantile: float = 0.005
    tolerance: float | None = None
    summary: AbstractSummary | None = None
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("num_pilot", self.num_pilot)
        if not (isinstance(self.quantile, (int, float)) and 0 < self.quantile < 1):
            raise ParameterError(f"`quantile` is {shown(self.quantile)}, expected within (0, 1).")
        if self.tolerance is not None and not (
            isinstance(self.tolerance, (int, float)) and 0 <= self.tolerance < np.inf
        ):
            raise ParameterError(f"`tolerance` is {shown(self.tolerance)}, expected ≥ 0 or None.")
        if self.summary is not None:
            require_member("summary", self.summary, AbstractSummary, "such as AllData()")

    def bind(self, task: PosteriorTask) -> RandomWalk:
        """See `AbstractPosteriorMethod.bind`."""
        target = NearEnough(self, task)
        return RandomWalk(self, task, target, start=target.pilot)


class NearEnough(AbstractLogLikelihood):
    """Whether a simulated data set is within the tolerance: 0 if so, else -∞. Final."""

    noisy = True
    width = 20

    def __init__(self, method: ABCMCMC, task: PosteriorTask) -> None:
        self._method, self._task = method, task
        self._simulated = Simulated(task, method.summary)
        self._scale, self.tolerance = np.empty(0), np.nan
        self._next = 0

    def values(self, z: FloatArray, stream: Stream) -> FloatArray:
        """See `AbstractLogLikelihood.values`."""
        summaries = self._summaries(z)
        distances = self._simulated.comparison.distances(summaries, self._scale)
        return np.where(distances <= self.tolerance, 0.0, -np.inf)

    def pilot(self) -> Population:
        """Settle scale and tolerance, and return what of the pilot is within it."""
        rng = self._task.stream.child("pilot").numpy()
        z = self._task.prior.sample(self._method.num_pilot, rng)
        summaries = self._summaries(z)
        well = np.isfinite(summaries).all(1)
        if well.sum() < 2:
            raise SimulationError(
                f"of the {len(z):,} data sets of the pilot {well.sum()} were simulated; check the "
                "bounds and priors of the parameters."
            )
        comparison = self._simulated.comparison
        self._scale = comparison.scale(summaries[well])
        distances = comparison.distances(summaries, self._scale)
        given = self._method.tolerance
        self.tolerance = (
            float(np.quantile(distances[well], self._method.quantile)) if given is None else given
        )
        near = np.flatnonzero(distances <= self.tolerance)
        if len(near) < 2:
            raise SimulationError(
                f"of the pilot {len(near)} data sets are nearer than {self.tolerance:.3g}, where "
                f"chains have to start; the nearest is at {distances.min():.3g}: raise `tolerance` "
                "or `num_pilot`."
            )
        return Population(z[near], np.zeros(len(near)), len(z))

    @property
    def memory(self) -> tuple[FloatArray, ...]:
        """See `AbstractLogLikelihood.memory`: scale, tolerance, the number of the next data set."""
        return self._scale, np.array(self.tolerance), np.array(self._next)

    @memory.setter
    def memory(self, value: tuple[FloatArray, ...]) -> None:
        self._scale, self.tolerance, self._next = value[0], float(value[1]), int(value[2])

    # -- private -----------------------------------------------------

    def _summaries(self, z: FloatArray) -> FloatArray:
        """Return the summaries [M, K] of a new data set at each place."""
        self._next += len(z)
        return self._simulated.summaries(z, self._next - len(z))
