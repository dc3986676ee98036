"""Networks of the recurrent inference machine, as modules of Equinox. Imported where built."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp


class Simulated(NamedTuple):
    """What was simulated in one step of one roll-out: all that the machine is told of it.

    ``theta`` [B, P], in units of the prior; ``rows``, of each experiment [B, M, D]; ``well`` [B],
    whether the runs were, as 0 or 1. Roll-outs and steps come before: [T, G, …].
    """

    theta: Any
    rows: tuple[Any, ...]
    well: Any


class Recurrent(eqx.Module):
    """The update of a proposal ψ = (μ, log σ) [2P], with a memory [H]."""

    encoders: tuple[eqx.nn.MLP, ...]
    joint: eqx.nn.MLP
    before: eqx.nn.MLP
    cell: eqx.nn.GRUCell
    after: eqx.nn.MLP
    clip: float = eqx.field(static=True)

    def told(self, rows: tuple[Any, ...]) -> Any:
        """Return the encodings [K] of replicates [n, D] of each experiment, averaged over them."""
        return jnp.concatenate(
            [jax.vmap(e)(r).mean(0) for e, r in zip(self.encoders, rows, strict=True)]
        )

    def move(self, psi: Any, memory: Any, told: Any, seen: Simulated) -> tuple[Any, Any]:
        """Return ψ and the memory after one step, ``told`` [K] of the real data."""
        given = jnp.concatenate(
            [
                jnp.tile(told, (len(seen.theta), 1)),
                jax.vmap(self.told)(seen.rows),
                seen.theta,
                jax.vmap(score, (None, 0))(psi, seen.theta),
            ],
            axis=1,
        )
        h = seen.well @ jax.vmap(self.joint)(given) / jnp.maximum(seen.well.sum(), 1)
        memory = self.cell(self.before(jnp.concatenate([h, psi])), memory)
        return psi + jnp.clip(self.after(memory), -self.clip, self.clip), memory


def log_proposal(psi: Any, theta: Any) -> Any:
    """Return log q(θ | ψ), a normal law of independent numbers [P]."""
    mean, log_sd = jnp.split(psi, 2)
    return jax.scipy.stats.norm.logpdf((theta - mean) * jnp.exp(-log_sd)).sum() - log_sd.sum()


score = jax.grad(log_proposal)
"""∂ log q(θ | ψ) / ∂ψ [2P]."""


def recurrent(
    size: int,
    num_given: tuple[int, ...],
    encoder: tuple[int, int],
    joint: tuple[int, int],
    memory: tuple[int, int],
    clip: float,
    seed: int,
) -> Recurrent:
    """Return networks that have not learnt.

    Of ``size`` parameters and experiments of ``num_given`` numbers a replicate; pairs are of hidden
    and last neurons.
    """
    keys = jax.random.split(jax.random.key(seed), 4 + len(num_given))
    relu, tanh = jax.nn.relu, jnp.tanh
    encoders = tuple(
        eqx.nn.MLP(given, encoder[1], encoder[0], 2, relu, tanh, key=key)
        for given, key in zip(num_given, keys[4:], strict=True)
    )
    num_told = 2 * len(num_given) * encoder[1] + 3 * size
    hidden, kept = memory
    return Recurrent(
        encoders,
        eqx.nn.MLP(num_told, joint[1], joint[0], 2, relu, tanh, key=keys[0]),
        eqx.nn.MLP(joint[1] + 2 * size, hidden, hidden, 1, relu, relu, key=keys[1]),
        eqx.nn.GRUCell(hidden, kept, key=keys[2]),
        eqx.nn.MLP(kept, 2 * size, hidden, 1, relu, key=keys[3]),
        clip,
    )


def told_all(net: Recurrent, rows: tuple[Any, ...]) -> Any:
    """Return the encodings [G, K] of data sets [G, n, D] of each experiment."""
    return jax.vmap(net.told)(rows)


def moved_all(net: Recurrent, psi: Any, memory: Any, told: Any, seen: Simulated) -> tuple[Any, Any]:
    """Return ψ [G, 2P] and memories [G, H] of roll-outs after one step."""
    return jax.vmap(net.move)(psi, memory, told, seen)


def proposals(net: Recurrent, first: Any, rows: tuple[Any, ...], seen: Simulated) -> Any:
    """Return ψ [T, G, 2P] after each step of roll-outs from the ``first``, of what was seen."""
    told = told_all(net, rows)

    def step(carry: Any, now: Simulated) -> Any:
        psi, memory = moved_all(net, carry[0], carry[1], told, now)
        return (psi, memory), psi

    blank = jnp.zeros((len(first), net.cell.hidden_size), first.dtype)
    return jax.lax.scan(step, (first, blank), seen)[1]


def loss(
    net: Recurrent, first: Any, rows: tuple[Any, ...], seen: Simulated, truth: Any, weights: Any
) -> Any:
    """Return Σ w_t · −log q(θ* | ψ_t), averaged over roll-outs, of ``truth`` [G, P]."""
    psis = proposals(net, first, rows, seen)
    logs = jax.vmap(jax.vmap(log_proposal), (0, None))(psis, truth)
    return -(weights @ logs).mean()
