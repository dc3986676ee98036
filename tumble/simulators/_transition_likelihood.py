"""The likelihood of movies whose frames tell what was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from tumble._draw_laws import AbstractLaw
from tumble._errors import CapabilityError
from tumble._site_draws import AbstractSiteDraws
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit
from tumble.models.lattices import AbstractLattice, Transitions
from tumble.simulators._base import SupportsLikelihood

_CHUNK = 64  # transitions that are computed together


@dataclass(frozen=True)
class TransitionLikelihood(SupportsLikelihood):
    """log p(frames | θ) of a movie, from the declared draws of a lattice model.

    Definition: Σ over the transitions, and over the draws of a step, of log p(outcome), where the
    outcomes are what the model's ``outcomes`` reads from two frames that follow each other.

    Guarantee: exact where frames tell all draws that matter.

    When: every frame was seen, step by step. The problem's model is a `Transitions`.
    """

    deterministic: ClassVar[bool] = True

    def likelihood(self, problem: Any) -> MovieLikelihood:
        """Return the log likelihood of a problem's movies. Raises `CapabilityError`."""
        for binding in problem.bindings:
            if not isinstance(binding.model, Transitions):
                raise CapabilityError(
                    "the likelihood of transitions needs a movie: make the problem of a "
                    f"Transitions(model, movies), not of {binding.model!r}."
                )
            binding.model.require_likelihood()
        return MovieLikelihood(problem)


@dataclass(frozen=True)
class MovieLikelihood:
    """log p(frames | θ). Made by `TransitionLikelihood.likelihood`."""

    problem: Any

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the log likelihood of all movies at θ [P] (natural scale), and its gradient."""
        import jax

        value, gradient = 0.0, np.zeros(len(theta))
        with jax.enable_x64(True):
            for binding in self.problem.bindings:
                params = np.asarray(binding.model_params(theta), dtype=float)
                program = _program(binding.model.model)
                own, slopes = program(params, binding.model.before, binding.model.after)
                value += float(own)
                gradient += np.asarray(slopes) @ binding.model_slopes
        return value, gradient


class _Replay(AbstractSiteDraws):
    """Draws whose outcomes are known, and the sum of their log probabilities. Final."""

    def __init__(self, outcomes: tuple[JaxArray, ...]) -> None:
        super().__init__()
        self._outcomes = outcomes
        self.log_p: Any = 0.0

    def _outcome(
        self, law: AbstractLaw, args: tuple[JaxArray, ...], hot: bool, even: bool = False
    ) -> JaxArray:
        import jax.numpy as jnp

        call = self._next_call()
        if call >= len(self._outcomes):
            raise CapabilityError(f"`outcomes` tells of {call} draws, but a step makes more.")
        found = self._outcomes[call]
        self.log_p = self.log_p + law.log_probability(found, args, jnp).sum()
        return _one_hot(found, args[0]) if hot else found


def _one_hot(labels: JaxArray, weights: JaxArray) -> JaxArray:
    import jax.numpy as jnp

    return (labels[..., None] == jnp.arange(weights.shape[-1])).astype(weights.dtype)


@lru_cache(maxsize=16)
def _program(inner: AbstractLattice) -> Any:
    import jax

    def log_p(params: JaxArray, before: Any, after: Any) -> JaxArray:
        named = {name: params[q] for q, name in enumerate(inner.parameters)}

        def one(pair: Any) -> JaxArray:
            old, new = jax.tree.map(Transitions.real, pair)
            draw = _Replay(tuple(inner.outcomes(old, new)))
            inner.step(old, named, draw)
            return draw.log_p

        return jax.lax.map(one, (before, after), batch_size=_CHUNK).sum()

    return jit(jax.value_and_grad(log_p))
