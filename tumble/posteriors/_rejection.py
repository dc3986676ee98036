"""Rejection: the parameters whose data sets are nearest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tumble._errors import ParameterError, SimulationError, require_whole
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import (
    AbstractPosteriorMethod,
    Generation,
    Particles,
    PosteriorTask,
    State,
)

_FOR_SCALE = 2000  # data sets from which the scale of summaries is taken


@dataclass(frozen=True)
class RejectionABC(AbstractPosteriorMethod):
    """Rejection ABC: of many draws from the prior, those whose data sets are nearest.

    Definition: ``num_simulations`` parameters are drawn from the prior, a data set is simulated at
    each, and the ``num_particles`` nearest are kept. The scale of summaries is that of the first
    2,000.

    Guarantee: draws from p(θ | distance ≤ tolerance), exact for the posterior as the tolerance goes
    to 0 and the summary is sufficient; for few unknowns only, since the prior proposes.

    Arguments: ``num_particles``, default 1,000; ``num_simulations`` data sets, default 100,000;
    ``adjustment``, default `LocalLinear`, or None.

    Reference: Pritchard et al., Mol. Biol. Evol. 16 (1999),
    doi:10.1093/oxfordjournals.molbev.a026091.
    """

    num_particles: int = 1000
    num_simulations: int = 100_000
    adjustment: LocalLinear | None = field(default_factory=LocalLinear)

    def __post_init__(self) -> None:
        require_whole("num_particles", self.num_particles)
        require_whole("num_simulations", self.num_simulations)
        if self.num_simulations < self.num_particles:
            raise ParameterError(
                f"`num_simulations` is {self.num_simulations}, expected at least `num_particles`, "
                f"{self.num_particles}."
            )

    def init(self, task: PosteriorTask) -> State:
        """See `AbstractPosteriorMethod.init`; the first data sets give the scale."""
        count = min(_FOR_SCALE, self.num_simulations)
        state = State(_none(task), np.ones(len(task.comparison.observed)))
        z, summaries, failed = self._drawn(task, state, count)
        well = np.isfinite(summaries).all(1)
        if not well.any():
            raise SimulationError(
                f"all of the first {len(z)} data sets failed, or their summaries are no numbers; "
                "check the bounds and priors of the parameters."
            )
        state = replace(state, scale=task.comparison.scale(summaries[well]))
        return self._taken(task, state, z, summaries, failed)

    def step(self, task: PosteriorTask, state: State) -> State:
        """See `AbstractPosteriorMethod.step`: one batch."""
        left = self.num_simulations - state.num_simulated
        if left <= 0:
            state = replace(state, generations=(self._round(state),))
            return state.ended(ResultCode.SUCCESS, "all data sets were simulated")
        z, summaries, failed = self._drawn(task, state, min(left, task.data_sets.at_once))
        state = self._taken(task, state, z, summaries, failed)
        return replace(state, generations=(self._round(state),))

    def progress(self, state: State) -> float:
        """See `AbstractPosteriorMethod.progress`."""
        return state.num_simulated / self.num_simulations

    # -- private -----------------------------------------------------

    def _drawn(
        self, task: PosteriorTask, state: State, count: int
    ) -> tuple[FloatArray, FloatArray, int]:
        branch = task.stream.child("prior", state.num_simulated)
        z = task.prior.sample(task.affordable(count), branch.numpy())
        return z, *task.tried(z, state.num_simulated)

    def _taken(
        self, task: PosteriorTask, state: State, z: FloatArray, summaries: FloatArray, failed: int
    ) -> State:
        distances = task.comparison.distances(summaries, state.scale)
        near = np.isfinite(distances)
        some = Particles(z[near], np.empty(near.sum()), summaries[near], distances[near])
        return replace(
            state,
            particles=state.particles.joined(some).nearest(self.num_particles),
            num_simulated=state.num_simulated + len(z),
            num_failed=state.num_failed + failed,
        )

    def _round(self, state: State) -> Generation:
        particles = state.particles
        return Generation(
            float(particles.distances.max(initial=0.0)), state.num_simulated,
            len(particles.z) / state.num_simulated, particles.effective_sample_size,
        )  # fmt: skip


def _none(task: PosteriorTask) -> Particles:
    size, width = task.problem.space.size, len(task.comparison.observed)
    return Particles(np.empty((0, size)), np.empty(0), np.empty((0, width)), np.empty(0))
