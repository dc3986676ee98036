"""What the ways that walk share: rounds of chains, until they have mixed."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import require_whole
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._base import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
)
from tumble.posteriors._chains import ChainRound, Chains

_LEAST_ROUND = 50  # steps of a round after the warm-up
_GROWS = 0.25  # a round, of what was kept so far
_MIXED = 1.01  # R-hat
_MOST_DRAWS = 10_000  # that a posterior shows of all chains


@dataclass(frozen=True, kw_only=True)
class AbstractWalkState(AbstractState):
    """Where chains have got.

    ``kept``, draws [C, n, P] on the fit scale of each round after the warm-up; ``num_steps`` of
    each chain so far, the warm-up included; ``evaluations`` of the likelihood, or of what chains
    follow instead.
    """

    cost: ClassVar[str] = "evaluations"
    """What evaluations are called in the ``stats`` of a posterior."""

    evaluated: ClassVar[str] = "likelihoods"
    """What is evaluated, in words."""

    rounds: tuple[ChainRound, ...] = ()
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
        return {self.cost: float(self.evaluations)}

    @property
    def news(self) -> str:
        """See `AbstractState.news`."""
        if not self.kept:
            return f"warm-up, {self.evaluations:,} {self.evaluated}"
        return f"R-hat {self.rounds[-1].r_hat:.3f}, {self.evaluations:,} {self.evaluated}"


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


class AbstractWalk(AbstractSampler):
    """Chains that walk in rounds, each a quarter of what was kept, so that R̂ is cheap."""

    def __init__(self, method: AbstractChains) -> None:
        self._method = method

    def step(self, state: Any) -> Any:
        """See `AbstractSampler.step`: one round of the warm-up, or after it."""
        if not state.kept and not self._is_warm(state):
            return self._warmed(state)
        own = sum(part.shape[1] for part in state.kept)
        if own >= self._method.max_steps:
            return state.ended(ResultCode.NOT_MIXED, f"after {own:,} steps " + _worth(state.chains))
        length = min(max(_LEAST_ROUND, int(_GROWS * own)), self._method.max_steps - own)
        state, track, acceptance = self._walked(state, length)
        chains = Chains(np.concatenate([*state.kept, track], axis=1))
        r_hat = float(chains.r_hats.max())
        done = ChainRound(length, acceptance, False, r_hat)
        state = replace(state, kept=(*state.kept, track), rounds=(*state.rounds, done))
        if r_hat <= _MIXED and chains.effective_sample_sizes.min() >= self._method.num_draws:
            return state.ended(ResultCode.SUCCESS, _worth(chains))
        return state

    def progress(self, state: Any) -> float:
        """See `AbstractSampler.progress`: by the effective draws."""
        if not state.kept:
            return 0.0
        return min(state.chains.effective_sample_sizes.min() / self._method.num_draws, 1.0)

    def draws(self, state: Any) -> Draws:
        """See `AbstractSampler.draws`: evenly thinned where there are very many."""
        chains = state.chains
        every = -(-chains.z.shape[0] * chains.z.shape[1] // _MOST_DRAWS)
        z = chains.z[:, ::every].reshape(-1, chains.z.shape[2])
        return Draws(z, np.full(len(z), 1 / len(z)), self._basis(state))

    def _basis(self, state: Any) -> AbstractBasis:
        """Return what draws rest on: the chains, unless there is more to say of them."""
        basis: AbstractBasis = state.chains
        return basis

    @abc.abstractmethod
    def _is_warm(self, state: Any) -> bool:
        """Return whether the warm-up is over."""

    @abc.abstractmethod
    def _warmed(self, state: Any) -> Any:
        """Return the state after a round of the warm-up."""

    @abc.abstractmethod
    def _walked(self, state: Any, length: int) -> tuple[Any, FloatArray, float]:
        """Return the state after so many steps, the places passed [C, n, P], and the acceptance."""


def _worth(chains: Chains) -> str:
    effective = chains.effective_sample_sizes.min()
    return f"R-hat is {chains.r_hats.max():.3f}, with {effective:.0f} effective draws"
