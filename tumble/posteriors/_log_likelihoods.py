"""Likelihoods at many parameters at once, computed or estimated from runs."""

from __future__ import annotations

import abc
import itertools
from typing import Any

import numpy as np

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.objectives import PathLikelihood
from tumble.posteriors._base import PosteriorTask
from tumble.simulators import LinearNoise, ParticleFilter

_FEWEST, _MOST = 200, 102_400  # particles that are tried
_SD = 1.2  # of an estimated log likelihood
_FILTERS, _PLACES = 8, 4  # that measure it, at each of some places
_RANGE = 2.847  # of 8 normal draws, in standard deviations
_GROWTH = 3.0  # of the number of particles, at most, in one attempt


class AbstractLogLikelihood(abc.ABC):
    """log p(data | θ) of a task's problem, or estimates whose exponentials are unbiased."""

    noisy: bool
    """Whether they are estimates, another at every call."""

    width: int
    """How many points a call takes at little more than the cost of one."""

    @abc.abstractmethod
    def values(self, z: FloatArray, stream: Stream) -> FloatArray:
        """Return them [M] at z [M, P] on the fit scale; -∞ where the data are impossible."""

    def tune(self, z: FloatArray, stream: Stream) -> int:
        """Settle how precise estimates are to be, at places z [M, P] near the posterior.

        Returns how many likelihoods that took.
        """
        return 0

    @property
    @abc.abstractmethod
    def memory(self) -> tuple[FloatArray, ...]:
        """What the next call of ``values`` depends on besides its arguments."""

    @memory.setter
    @abc.abstractmethod
    def memory(self, value: tuple[FloatArray, ...]) -> None: ...


class ComputedLikelihood(AbstractLogLikelihood):
    """That of a simulator that computes it (`SupportsLikelihood`). Final."""

    noisy = False

    def __init__(self, task: PosteriorTask, through: Any) -> None:
        self._bound = PathLikelihood(through).bind(task.problem)
        self._prior = task.prior
        self.width = 16 if isinstance(through, LinearNoise) else 4

    def values(self, z: FloatArray, stream: Stream) -> FloatArray:
        """See `AbstractLogLikelihood.values`."""
        with np.errstate(invalid="ignore"):
            found = -self._bound.values(z) - self._prior.log_natural(z)
        return np.where(np.isnan(found), -np.inf, found)

    @property
    def memory(self) -> tuple[FloatArray, ...]:
        """See `AbstractLogLikelihood.memory`: nothing."""
        return ()

    @memory.setter
    def memory(self, value: tuple[FloatArray, ...]) -> None:
        assert not value


class FilteredLikelihood(AbstractLogLikelihood):
    """That by a particle filter. Final.

    Without ``num_particles`` they are as many as keep its standard deviation near the posterior
    below 1.2, where chains do best for their cost.

    Reference: Doucet, Pitt, Deligiannidis, Kohn, Biometrika 102 (2015), doi:10.1093/biomet/asu075.
    """

    noisy = True
    width = 8

    def __init__(self, task: PosteriorTask, num_particles: int | None) -> None:
        self._task = task
        self._tunes = num_particles is None
        self._use(_FEWEST if num_particles is None else num_particles)

    def values(self, z: FloatArray, stream: Stream) -> FloatArray:
        """See `AbstractLogLikelihood.values`."""
        if not len(z):
            return np.empty(0)
        self._task.spending.simulations += len(z) * self.num_particles * self._series
        theta = np.asarray(self._task.problem.space.from_fit(z))
        return self._likelihood.values(theta, stream, executor=self._task.executor)

    def tune(self, z: FloatArray, stream: Stream) -> int:
        """See `AbstractLogLikelihood.tune`."""
        if not self._tunes:
            return 0
        places = np.repeat(z[:_PLACES], _FILTERS, axis=0)
        spent = 0
        for attempt in itertools.count():
            found = self.values(places, stream.child("tune", attempt)).reshape(-1, _FILTERS)
            spent += found.size
            spread = float(np.median([_spread(each) for each in found]))
            if spread <= _SD or self.num_particles >= _MOST:
                return spent
            more = np.clip((spread / _SD) ** 2, 1.5, _GROWTH)
            self._use(min(int(more * self.num_particles), _MOST))
        raise AssertionError

    @property
    def memory(self) -> tuple[FloatArray, ...]:
        """See `AbstractLogLikelihood.memory`: how many particles there are."""
        return (np.array(self.num_particles),)

    @memory.setter
    def memory(self, value: tuple[FloatArray, ...]) -> None:
        if int(value[0]) != self.num_particles:
            self._use(int(value[0]))

    # -- private -----------------------------------------------------

    def _use(self, num_particles: int) -> None:
        self.num_particles = num_particles
        self._likelihood = ParticleFilter(num_particles).likelihood(self._task.problem)

    @property
    def _series(self) -> int:
        return sum(b.observed.num_replicates for b in self._task.problem.bindings)


def _spread(values: FloatArray) -> float:
    """Return the standard deviation of estimates, of which one may have collapsed."""
    left = values[np.isfinite(values)]
    return float(np.ptp(left)) / _RANGE if len(left) >= len(values) - 1 else np.inf
