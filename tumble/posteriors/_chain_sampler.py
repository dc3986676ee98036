"""Metropolis chains through a likelihood, computed or estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tumble._errors import SimulationError, require_whole
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.posteriors._base import (
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
    PosteriorTask,
)
from tumble.posteriors._chains import ChainRound, Chains
from tumble.posteriors._log_likelihoods import AbstractLogLikelihood
from tumble.posteriors._tempering import Population, covariance, population

_WARM_ROUNDS = (4, 20)  # of the warm-up, at least and at most
_WARM_STEPS = 50  # a round
_LEAST_ROUND = 50  # steps of a round after it
_GROWS = 0.25  # a round, of what was kept so far
_MIXED = 1.01  # R-hat
_MOST_DRAWS = 10_000  # that a posterior shows of all chains
_ACCEPTED = 0.25  # the share of proposals at which a random walk does best: Gelman, Roberts, Gilks


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
class ChainState(AbstractState):
    """Where chains have got.

    ``places``; proposals by ``root`` [P, P] of their covariance, times exp ``log_scale``; ``kept``,
    draws [C, n, P] of each round after the warm-up; ``num_steps`` so far; ``evaluations`` of the
    likelihood.
    """

    places: Places
    root: FloatArray
    log_scale: float = 0.0
    kept: tuple[FloatArray, ...] = ()
    num_steps: int = 0
    evaluations: int = 0

    @property
    def chains(self) -> Chains:
        """What was kept."""
        return Chains(np.concatenate(self.kept, axis=1))

    @property
    def has_draws(self) -> bool:
        """See `AbstractState.has_draws`."""
        return bool(self.kept)

    @property
    def costs(self) -> dict[str, float]:
        """See `AbstractState.costs`."""
        return {"evaluations": float(self.evaluations)}

    @property
    def news(self) -> str:
        """See `AbstractState.news`."""
        if not self.kept:
            return f"warm-up, {self.evaluations:,} likelihoods"
        return f"R-hat {self.rounds[-1].r_hat:.3f}, {self.evaluations:,} likelihoods"


class AbstractChains(AbstractPosteriorMethod):
    """A way that walks: until R̂ is below 1.01 and there are ``num_draws`` effective ones."""

    num_draws: int
    num_chains: int | None
    max_steps: int

    def __post_init__(self) -> None:
        require_whole("num_draws", self.num_draws)
        require_whole("max_steps", self.max_steps)
        if self.num_chains is not None:
            require_whole("num_chains", self.num_chains)


class ChainSampler(AbstractSampler):
    """Random walks of C chains, with one covariance of proposals that adapts in the warm-up. Final.

    ``screen``, a computed likelihood that a proposal has to pass first (delayed acceptance), or
    None. ``start`` returns the population that chains start from; default `population`.
    """

    def __init__(
        self, method: AbstractChains, task: PosteriorTask, target: AbstractLogLikelihood,
        screen: AbstractLogLikelihood | None = None,
        start: Callable[[], Population] | None = None,
    ) -> None:  # fmt: skip
        self._method, self._task, self._target, self._screen = method, task, target, screen
        self._count = method.num_chains or max(target.width, 2)
        self._start = start or self._led

    def init(self) -> ChainState:
        """See `AbstractSampler.init`: places from a population near the posterior."""
        found = self._start()
        places, spent = self._placed(found)
        root = np.linalg.cholesky(found.covariance) * 2.38 / np.sqrt(found.z.shape[1])
        return ChainState(places=places, root=root, evaluations=found.evaluations + spent)

    def step(self, state: ChainState) -> ChainState:
        """See `AbstractSampler.step`: one round of the warm-up, or after it."""
        if not state.kept and not self._is_warm(state):
            return self._warmed(state)
        own = sum(part.shape[1] for part in state.kept)
        if own >= self._method.max_steps:
            chains = state.chains
            return state.ended(
                ResultCode.NOT_MIXED,
                f"after {own:,} steps R-hat is {chains.r_hats.max():.3f}, with "
                f"{chains.effective_sample_sizes.min():.0f} effective draws",
            )
        length = min(max(_LEAST_ROUND, int(_GROWS * own)), self._method.max_steps - own)
        state, track, acceptance = self._walked(state, length)
        state = replace(state, kept=(*state.kept, track))
        chains = state.chains
        r_hat = float(chains.r_hats.max())
        state = replace(state, rounds=(*state.rounds, ChainRound(length, acceptance, False, r_hat)))
        effective = chains.effective_sample_sizes.min()
        if r_hat <= _MIXED and effective >= self._method.num_draws:
            return state.ended(
                ResultCode.SUCCESS, f"R-hat is {r_hat:.3f}, with {effective:.0f} effective draws"
            )
        return state

    def progress(self, state: ChainState) -> float:
        """See `AbstractSampler.progress`: by the effective draws."""
        if not state.kept:
            return 0.0
        return min(state.chains.effective_sample_sizes.min() / self._method.num_draws, 1.0)

    def draws(self, state: ChainState) -> Draws:
        """See `AbstractSampler.draws`: evenly thinned where there are very many."""
        chains = state.chains
        every = -(-chains.z.shape[0] * chains.z.shape[1] // _MOST_DRAWS)
        z = chains.z[:, ::every].reshape(-1, chains.z.shape[2])
        return Draws(z, np.full(len(z), 1 / len(z)), chains)

    # -- private -----------------------------------------------------

    def _led(self) -> Population:
        guide = self._target if self._screen is None else self._screen
        size = self._task.problem.space.size
        return population(self._task, guide, max(2 * guide.width, 10 * size, 48))

    def _placed(self, found: Population) -> tuple[Places, int]:
        """Return where chains start: in the population, where the data are possible."""
        task, count = self._task, self._count
        rng = task.stream.child("start").numpy()
        order = rng.permutation(len(found.z))
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
        chosen = np.resize(possible, count)
        screen = screened[chosen] if self._screen is not None else np.zeros(count)
        prior = task.prior.log_density(z[chosen])
        return Places(z[chosen], prior, values[chosen], screen), spent

    def _is_warm(self, state: ChainState) -> bool:
        least, most = _WARM_ROUNDS
        if len(state.rounds) < least:
            return False
        if self._target.noisy:
            return True
        settled = _ACCEPTED / 2 < state.rounds[-1].acceptance < 2 * _ACCEPTED
        return settled or len(state.rounds) >= most

    def _warmed(self, state: ChainState) -> ChainState:
        """Return the state after a round of the warm-up, with proposals adapted."""
        state, track, acceptance = self._walked(state, _WARM_STEPS)
        points = track.reshape(-1, track.shape[2])
        root = state.root
        if acceptance * len(points) > 10 * points.shape[1]:
            root = np.linalg.cholesky(covariance(points)) * 2.38 / np.sqrt(points.shape[1])
        log_scale = state.log_scale
        if not self._target.noisy:  # else small steps would be refused as well
            log_scale += float(np.log(np.clip(acceptance / _ACCEPTED, 0.25, 2.0))) / 2
        return replace(
            state, root=root, log_scale=log_scale,
            rounds=(*state.rounds, ChainRound(_WARM_STEPS, acceptance, True)),
        )  # fmt: skip

    def _walked(self, state: ChainState, length: int) -> tuple[ChainState, FloatArray, float]:
        """Return the state after so many steps, the places passed [C, n, P], and the acceptance."""
        places, spent, accepted = state.places, 0, 0
        root = state.root * np.exp(state.log_scale)
        track = np.empty((self._count, length, places.z.shape[1]))
        for i in range(length):
            stream = self._task.stream.child("step", state.num_steps + i)
            rng = stream.numpy()
            proposed = places.z + rng.standard_normal(places.z.shape) @ root.T
            other, hopeful = self._screened(places, proposed, rng, stream)
            likelihood = np.full(self._count, -np.inf)
            if len(hopeful):
                own = stream.child("target")
                likelihood[hopeful] = self._target.values(proposed[hopeful], own)
            other = other._replace(likelihood=likelihood)
            gain = (likelihood - other.screen) - (places.likelihood - places.screen)
            taken = np.log(rng.random(self._count)) < gain
            places = places.where(taken, other)
            spent += len(hopeful)
            accepted += int(taken.sum())
            track[:, i] = places.z
        state = replace(
            state, places=places, num_steps=state.num_steps + length,
            evaluations=state.evaluations + spent,
        )  # fmt: skip
        return state, track, accepted / (length * self._count)

    def _screened(
        self, places: Places, proposed: FloatArray, rng: np.random.Generator, stream: Stream
    ) -> tuple[Places, IntArray]:
        """Return proposed places, of which the likelihood is yet unknown, and which pass.

        A proposal passes with the probability at which a chain for the prior times the screen would
        accept it; the likelihood then decides by what the screen got wrong.
        """
        prior = self._task.prior.log_density(proposed)
        inside = np.flatnonzero(np.isfinite(prior))
        screen = np.full(self._count, -np.inf)
        if self._screen is None:
            screen[inside] = 0.0
        else:
            screen[inside] = self._screen.values(proposed[inside], stream.child("screen"))
        gain = prior + screen - places.prior - places.screen
        passes = np.flatnonzero(np.log(rng.random(self._count)) < gain)
        # What did not pass must not be taken: its likelihood stays 0, its screen a number.
        safe = np.where(np.isfinite(screen), screen, 0.0)
        return Places(proposed, prior, np.full(self._count, -np.inf), safe), passes
