"""How a conditional density learns from draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import ParameterError, SimulationError, require_whole, shown
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble._xla import keep_programs

_STEPS = 20  # in one call
_LOOKS = 5  # at what is held out, at least, until nothing is gained
_FALL = 0.3  # of the rate of learning, where nothing is gained any more
_CLIP = 5.0  # the longest gradient


class Learnt(NamedTuple):
    """A density, and how it learnt.

    ``loss``, the mean of −log density of draws that were held out; ``num_steps`` of the optimizer.
    """

    density: Any
    loss: float
    num_steps: int


@dataclass(frozen=True)
class Learner:
    """Stochastic gradient descent of −log density, watched on draws that are held out.

    Definition: Adam with steps of ``rate`` on batches of ``batch_size`` draws. Where the loss on
    the held-out share has not fallen for ``patience`` epochs, and not in five looks, it goes on
    from the best so far with three tenths of the rate, ``num_falls`` times, and then ends there.

    Arguments: ``rate``, default 1e-3; ``batch_size``, default 100; ``patience``, default 10;
    ``num_falls``, default 2; ``held_out``, default 0.1; ``max_steps``, default 100,000.

    Reference: Kingma, Ba, ICLR (2015), arXiv:1412.6980.
    """

    rate: float = 1e-3
    batch_size: int = 100
    patience: int = 10
    num_falls: int = 2
    held_out: float = 0.1
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        for name in ("batch_size", "patience", "max_steps"):
            require_whole(name, getattr(self, name))
        if not (isinstance(self.rate, (int, float)) and 0 < self.rate < 1):
            raise ParameterError(f"`rate` is {shown(self.rate)}, expected a number in (0, 1).")
        if not (isinstance(self.held_out, (int, float)) and 0 < self.held_out < 1):
            raise ParameterError(
                f"`held_out` is {shown(self.held_out)}, expected a share in (0, 1)."
            )

    def learn(
        self, density: Any, y: FloatArray, given: FloatArray, room: int, stream: Stream
    ) -> Learnt:
        """Return the density that has learnt from draws y [N, P], given [N, K].

        ``room``, the largest number of draws that it is going to learn from: with one room, nothing
        is compiled twice. Raises `SimulationError` where the loss is never finite.
        """
        import equinox as eqx
        import jax.numpy as jnp

        chunk, loss_of, init = _compiled()
        rng = stream.numpy()
        order = rng.permutation(len(y))
        num_out = max(int(self.held_out * len(y)), 1)
        out, own = order[:num_out], order[num_out:]
        size = min(self.batch_size, len(own))
        y_all, given_all = _padded(y, room), _padded(given, room)
        watched = np.resize(out, max(int(self.held_out * room), 1))
        weights = jnp.asarray((np.arange(len(watched)) < num_out) / num_out, jnp.float32)
        y_out, given_out = y_all[watched], given_all[watched]
        params, static = eqx.partition(density, eqx.is_inexact_array)
        moments = init(params)
        best, kept, rate, since, falls, taken = np.inf, params, self.rate, 0, 0, 0
        chunks = max(round(len(own) / (size * _STEPS)), 1)
        epochs = chunks * _STEPS * size / len(own)  # between two looks at what is held out
        while taken < self.max_steps:
            for _ in range(chunks):
                rows = jnp.asarray(_batches(own, size, rng))
                params, moments = chunk(
                    params, static, moments, rows, y_all, given_all, jnp.float32(rate)
                )
            taken += chunks * _STEPS
            loss = float(loss_of(params, static, y_out, given_out, weights))
            since += 1
            if loss < best:
                best, kept, since = loss, params, 0
            elif since >= max(self.patience / epochs, _LOOKS) or not np.isfinite(loss):
                if falls == self.num_falls:
                    break
                falls, since, rate = falls + 1, 0, _FALL * rate
                params, moments = kept, init(kept)
        if not np.isfinite(best):
            raise SimulationError(
                "a density has learnt nothing: its loss was never a finite number; take a smaller "
                "`rate`, or other summaries."
            )
        return Learnt(eqx.combine(kept, static), best, taken)


def _padded(values: FloatArray, room: int) -> Any:
    import jax.numpy as jnp

    table = np.zeros((room, values.shape[1]), np.float32)
    table[: len(values)] = values
    return jnp.asarray(table)


def _batches(own: Any, size: int, rng: np.random.Generator) -> Any:
    """Return rows [S, size] of batches, each draw as often as the others, about."""
    wanted = _STEPS * size
    rows = np.concatenate([rng.permutation(own) for _ in range(-(-wanted // len(own)))])
    return rows[:wanted].reshape(_STEPS, size)


@cache
def _compiled() -> tuple[Any, Any, Any]:
    """Return what JAX compiles: steps of the optimizer, the loss of weighted draws, its start."""
    import equinox as eqx
    import jax
    import optax

    keep_programs()
    tx = optax.chain(optax.clip_by_global_norm(_CLIP), optax.scale_by_adam())

    def nats(params: Any, static: Any, y: Any, given: Any) -> Any:
        return -eqx.combine(params, static).log_prob(y, given)

    @eqx.filter_jit
    def chunk(
        params: Any, static: Any, moments: Any, rows: Any, y: Any, given: Any, rate: Any
    ) -> Any:
        def step(carry: Any, batch: Any) -> Any:
            params, moments = carry
            slope = jax.grad(lambda p: nats(p, static, y[batch], given[batch]).mean())(params)
            move, moments = tx.update(slope, moments, params)
            params = jax.tree.map(lambda p, m: p - rate * m, params, move)
            return (params, moments), None

        return jax.lax.scan(step, (params, moments), rows)[0]

    @eqx.filter_jit
    def loss_of(params: Any, static: Any, y: Any, given: Any, weights: Any) -> Any:
        each = nats(params, static, y, given)
        return each @ weights

    return chunk, loss_of, tx.init
