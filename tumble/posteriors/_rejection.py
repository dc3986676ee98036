"""Rejection: the parameters whose data sets are nearest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError, require_whole
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._abc import (
    ABCState,
    AbstractABC,
    AbstractABCSampler,
    Generation,
    Particles,
    require_some,
)
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._summaries import AbstractSummary

_FOR_SCALE = 2000  # data sets from which the scale of summaries is taken


@dataclass(frozen=True)
class RejectionABC(AbstractABC):
    """Rejection ABC: of many draws from the prior, those whose data sets are nearest.

    Definition: ``num_simulations`` parameters are drawn from the prior, a data set is simulated at
    each, and the ``num_particles`` nearest are kept. The scale of summaries is that of the first
    2,000.

    Guarantee: draws from p(θ | distance ≤ tolerance), exact for the posterior as the tolerance goes
    to 0 and the summary is sufficient; for few unknowns only, since the prior proposes.

    Arguments: ``num_particles``, default 1,000; ``num_simulations`` data sets, default 100,000;
    ``summary`` of a data set that is compared, default by the data, see `default_summary`;
    ``adjustment``, default `LocalLinear`, or None.

    Reference: Pritchard et al., Mol. Biol. Evol. 16 (1999),
    doi:10.1093/oxfordjournals.molbev.a026091.
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Pritchard et al., Mol. Biol. Evol. 16 (1999), doi:10.1093/oxfordjournals.molbev.a026091",
    )
    num_particles: int = 1000
    num_simulations: int = 100_000
    summary: AbstractSummary | None = None
    adjustment: LocalLinear | None = field(default_factory=LocalLinear)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("num_particles", self.num_particles)
        require_whole("num_simulations", self.num_simulations)
        if self.num_simulations < self.num_particles:
            raise ParameterError(
                f"`num_simulations` is {self.num_simulations}, expected at least `num_particles`, "
                f"{self.num_particles}."
            )

    def bind(self, task: PosteriorTask) -> RejectionSampler:
        """See `AbstractPosteriorMethod.bind`."""
        return RejectionSampler(self, task)


class RejectionSampler(AbstractABCSampler):
    """`RejectionABC` of one problem. Final."""

    def __init__(self, method: RejectionABC, task: PosteriorTask) -> None:
        super().__init__(method, task)
        self._method = method

    def init(self) -> ABCState:
        """See `AbstractSampler.init`; the first data sets give the scale."""
        state = self.nothing()
        z, summaries, failed = self._drawn(state, min(_FOR_SCALE, self._method.num_simulations))
        well = np.isfinite(summaries).all(1)
        require_some(int(well.sum()), len(z))
        state = replace(state, scale=self.comparison.scale(summaries[well]))
        return self._taken(state, z, summaries, failed)

    def step(self, state: ABCState) -> ABCState:
        """See `AbstractSampler.step`: one batch."""
        left = self._method.num_simulations - state.num_simulated
        if left <= 0:
            return state.ended(ResultCode.SUCCESS, "all data sets were simulated")
        z, summaries, failed = self._drawn(state, left)
        return self._taken(state, z, summaries, failed)

    def progress(self, state: ABCState) -> float:
        """See `AbstractSampler.progress`."""
        return state.num_simulated / self._method.num_simulations

    # -- private -----------------------------------------------------

    def _drawn(self, state: ABCState, count: int) -> tuple[FloatArray, FloatArray, int]:
        branch = self.task.stream.child("prior", state.num_simulated)
        z = self.task.prior.sample(self.simulated.affordable(count), branch.numpy())
        return z, *self.simulated.tried(z, state.num_simulated)

    def _taken(
        self, state: ABCState, z: FloatArray, summaries: FloatArray, failed: int
    ) -> ABCState:
        """Return the state with the nearest of what there was and these."""
        distances = self.comparison.distances(summaries, state.scale)
        near = np.isfinite(distances)
        some = Particles(z[near], np.empty(near.sum()), summaries[near], distances[near])
        particles = state.particles.joined(some).nearest(self._method.num_particles)
        num_simulated = state.num_simulated + len(z)
        done = Generation(
            float(particles.distances.max(initial=0.0)), num_simulated,
            len(particles.z) / num_simulated, particles.effective_sample_size,
        )  # fmt: skip
        return replace(
            state, particles=particles, num_simulated=num_simulated,
            num_failed=state.num_failed + failed, rounds=(done,),
        )  # fmt: skip
