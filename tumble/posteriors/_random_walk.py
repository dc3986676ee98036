"""Metropolis chains through a likelihood, computed or estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tumble._errors import SimulationError
from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._chains import ChainRound
from tumble.posteriors._log_likelihoods import AbstractLogLikelihood
from tumble.posteriors._tempering import Population, population, root_of_steps
from tumble.posteriors._walk import AbstractChains, AbstractWalk, AbstractWalkState

_WARM_ROUNDS = (4, 20)  # of the warm-up, at least and at most
_WARM_STEPS = 50  # a round
_ACCEPTED = 0.25  # the share of proposals at which a random walk does best: Gelman, Roberts, Gilks
_FEWEST_STARTS = 48  # parameters that are led from the prior to the posterior


class Places(NamedTuple):
    """Where C chains are: ``z`` [C, P]; log ``prior`` [C], ``likelihood`` [C], ``screen`` [C]."""

    z: FloatArray
    prior: FloatArray
    likelihood: FloatArray
    screen: FloatArray

    def where(self, taken: BoolArray, other: Places) -> Places:
        """Return the other places of the chains that are taken there."""
        return Places(
            np.where(taken[:, None], other.z, self.z),
            *(np.where(taken, a, b) for a, b in zip(other[1:], self[1:], strict=True)),
        )


@dataclass(frozen=True, kw_only=True)
class RandomWalkState(AbstractWalkState):
    """Where chains have got.

    ``places``; proposals by ``root`` [P, P] of their covariance, times exp ``log_scale``; what the
    likelihood has in ``memory``.
    """

    places: Places
    root: FloatArray
    log_scale: float = 0.0
    memory: tuple[FloatArray, ...] = ()


class RandomWalk(AbstractWalk):
    """Random walks of C chains, with one covariance of proposals that adapts in the warm-up. Final.

    ``screen``, a computed likelihood that a proposal has to pass first (delayed acceptance), or
    None. ``start`` returns the population that chains start from; default `population`.
    """

    state_type = RandomWalkState

    def __init__(
        self, method: AbstractChains, task: PosteriorTask, target: AbstractLogLikelihood,
        screen: AbstractLogLikelihood | None = None,
        start: Callable[[], Population] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(method)
        self._task, self._target, self._screen = task, target, screen
        self._count = method.num_chains or target.width
        self._start = start or self._led

    def init(self) -> RandomWalkState:
        """See `AbstractSampler.init`: places from a population near the posterior."""
        found = self._start()
        places, spent = self._placed(found)
        root = root_of_steps(found.z)
        return RandomWalkState(
            places=places, root=root, evaluations=found.evaluations + spent,
            memory=self._target.memory,
        )  # fmt: skip

    # -- private -----------------------------------------------------

    def _led(self) -> Population:
        guide = self._target if self._screen is None else self._screen
        size = self._task.problem.space.size
        return population(self._task, guide, max(2 * guide.width, 10 * size, _FEWEST_STARTS))

    def _placed(self, found: Population) -> tuple[Places, int]:
        """Return where chains start: in the population, where the data are possible."""
        task = self._task
        order = task.stream.child("start").numpy().permutation(len(found.z))
        z, screened = found.z[order], found.log_likelihoods[order]
        values, spent = screened, self._target.tune(z, task.stream)
        if self._target.noisy or self._screen is not None:
            values = self._target.values(z, task.stream.child("start"))
            spent += len(z)
        possible = np.flatnonzero(np.isfinite(values))
        if not len(possible):
            raise SimulationError(
                f"at none of {len(z)} places near the posterior the likelihood could be "
                "estimated; use more particles, or let there be measurement noise."
            )
        chosen = np.resize(possible, self._count)
        screen = np.zeros(len(chosen)) if self._screen is None else screened[chosen]
        prior = task.prior.log_density(z[chosen])
        return Places(z[chosen], prior, values[chosen], screen), spent

    def _is_warm(self, state: RandomWalkState) -> bool:
        least, most = _WARM_ROUNDS
        if len(state.rounds) < least:
            return False
        settled = _ACCEPTED / 2 < state.rounds[-1].acceptance < 2 * _ACCEPTED
        return self._target.noisy or settled or len(state.rounds) >= most

    def _warmed(self, state: RandomWalkState) -> RandomWalkState:
        state, track, acceptance = self._walked(state, _WARM_STEPS)
        points = track.reshape(-1, track.shape[2])
        moved = acceptance * len(points) > 10 * points.shape[1]
        log_scale = state.log_scale
        if not self._target.noisy:  # where estimates are, small steps would be refused as well
            log_scale += float(np.log(np.clip(acceptance / _ACCEPTED, 0.25, 2.0))) / 2
        return replace(
            state, root=root_of_steps(points) if moved else state.root, log_scale=log_scale,
            rounds=(*state.rounds, ChainRound(_WARM_STEPS, acceptance, True)),
        )  # fmt: skip

    def _walked(
        self, state: RandomWalkState, length: int
    ) -> tuple[RandomWalkState, FloatArray, float]:
        self._target.memory = state.memory
        places, spent, accepted = state.places, 0, 0
        root = state.root * np.exp(state.log_scale)
        track = np.empty((self._count, length, places.z.shape[1]))
        for i in range(length):
            stream = self._task.stream.child("step", state.num_steps + i)
            rng = stream.numpy()
            proposed = places.z + rng.standard_normal(places.z.shape) @ root.T
            other, hopeful = self._screened(places, proposed, rng, stream.child("screen"))
            if len(hopeful):
                other.likelihood[hopeful] = self._target.values(
                    proposed[hopeful], stream.child("target")
                )
            gain = (other.likelihood - other.screen) - (places.likelihood - places.screen)
            taken = np.log(rng.random(self._count)) < gain
            places = places.where(taken, other)
            spent += len(hopeful)
            accepted += int(taken.sum())
            track[:, i] = places.z
        state = replace(
            state, places=places, num_steps=state.num_steps + length,
            evaluations=state.evaluations + spent, memory=self._target.memory,
        )  # fmt: skip
        return state, track, accepted / (length * self._count)

    def _screened(
        self, places: Places, proposed: FloatArray, rng: np.random.Generator, stream: Stream
    ) -> tuple[Places, IntArray]:
        """Return proposed places, the likelihood of which is still -∞, and which of them pass.

        A proposal passes with the probability at which a chain for the prior times the screen would
        accept it; the likelihood then decides by what the screen got wrong.
        """
        prior = self._task.prior.log_density(proposed)
        inside = np.flatnonzero(np.isfinite(prior))
        screen = np.full(self._count, -np.inf)
        screen[inside] = 0.0
        if self._screen is not None and len(inside):
            screen[inside] = self._screen.values(proposed[inside], stream)
        gain = prior + screen - places.prior - places.screen
        passes = np.flatnonzero(np.log(rng.random(self._count)) < gain)
        unknown = np.full(self._count, -np.inf)
        return Places(proposed, prior, unknown, np.where(np.isfinite(screen), screen, 0.0)), passes
