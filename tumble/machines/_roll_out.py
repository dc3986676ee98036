"""Roll-outs of the recurrent inference machine: what it has simulated on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray
from tumble._xla import keep_programs
from tumble.machines._observations import Observations
from tumble.machines._units import PriorUnits
from tumble.posteriors import DataSets

_WIDEST = 50.0  # log σ, of more of which single precision knows no density


class Record(NamedTuple):
    """What G roll-outs of T steps have done.

    ``first``, ψ_0 [G, 2P]; ``psis`` [T, G, 2P], after each step; ``seen``, a `Simulated` of arrays
    [T, G, …].
    """

    first: FloatArray
    psis: FloatArray
    seen: Any

    @property
    def num_failed(self) -> int:
        """Draws of θ whose runs failed."""
        return int((self.seen.well == 0).sum())


@dataclass(frozen=True)
class RollOuts:
    """Simulates at what the machine proposes, step by step. Final.

    ``problem``, one with as many replicates as are simulated at each θ; ``observations``, how the
    machine is told of them.
    """

    problem: Problem
    observations: Observations
    units: PriorUnits
    num_steps: int
    num_draws: int
    log_width: float
    executor: Any = None

    def __call__(self, net: Any, told: FloatArray, stream: Stream) -> Record:
        """Return roll-outs of a network, ``told`` [G, K] encodings of the real data."""
        from tumble.machines._recurrent_modules import Simulated

        move = compiled().move
        rng = stream.child("draws").numpy()
        size = self.problem.space.size
        mean = self.units.of_normal(rng.standard_normal((len(told), size)))
        psi: Any = np.concatenate(
            [mean, np.full_like(mean, self.log_width)], axis=1, dtype=np.float32
        )
        memory = np.zeros((len(told), net.cell.hidden_size), np.float32)
        first, psis, steps = psi, [], []
        for t in range(self.num_steps):
            noise = rng.standard_normal((len(told), self.num_draws, size))
            place, spread = np.split(psi[:, None].astype(float), 2, axis=2)
            theta = place + widths(spread) * noise
            seen = Simulated(theta.astype(np.float32), *self._simulated(theta, stream.child(t)))
            psi, memory = (np.asarray(a) for a in move(net, psi, memory, told, seen))
            psis.append(psi)
            steps.append(seen)
        rows = tuple(np.stack(parts) for parts in zip(*(s.rows for s in steps), strict=True))
        theta, well = np.stack([s.theta for s in steps]), np.stack([s.well for s in steps])
        return Record(first, np.stack(psis), Simulated(theta, rows, well))

    # -- private -----------------------------------------------------

    def _simulated(
        self, theta: FloatArray, stream: Stream
    ) -> tuple[tuple[FloatArray, ...], FloatArray]:
        """Return replicates [G, B, M, D] of each experiment at θ [G, B, P], and which were well."""
        sets = DataSets(self.problem, stream, self.executor)
        z = self.units.to_fit(theta.reshape(-1, theta.shape[2]))
        pieces: list[tuple[Sequence[FloatArray], BoolArray]] = [
            sets.simulate(z[at : at + sets.at_once], at) for at in range(0, len(z), sets.at_once)
        ]
        data = [np.concatenate(parts) for parts in zip(*(d for d, _ in pieces), strict=True)]
        well = np.concatenate([w for _, w in pieces]).reshape(theta.shape[:2])
        rows = self.observations.rows(data)
        return (
            tuple(r.reshape(*theta.shape[:2], *r.shape[1:]) for r in rows),
            well.astype(np.float32),
        )


def replicated(problem: Problem, count: int) -> Problem:
    """Return a problem whose data have ``count`` replicates of each experiment.

    What is missing of them is what is missing of those of ``problem``, in turn.
    """
    values = []
    for binding in problem.bindings:
        own = binding.observed.values
        known = own[np.isfinite(own).any((1, 2))]
        values.append(known[np.arange(count) % len(known)])
    return problem.with_data(values)


def widths(log_sd: FloatArray) -> FloatArray:
    """Return σ of log σ, within e^±50."""
    return np.exp(np.clip(log_sd, -_WIDEST, _WIDEST))


class Compiled(NamedTuple):
    """What JAX compiles: see `tumble.machines._recurrent_modules`."""

    told: Any
    move: Any
    learn: Any
    init: Any


@cache
def compiled() -> Compiled:
    """Return what JAX compiles, and the start of Adam."""
    import equinox as eqx
    import jax
    import optax

    from tumble.machines._recurrent_modules import loss, moved_all, told_all

    keep_programs()
    tx = optax.scale_by_adam()

    @eqx.filter_jit
    def learn(net: Any, moments: Any, rate: Any, *problems: Any) -> Any:
        """Return network and moments after a step of Adam, and the loss before."""
        value, slope = eqx.filter_value_and_grad(loss)(net, *problems)
        moves, moments = tx.update(slope, moments)
        moves = jax.tree.map(lambda move: -rate * move, moves)
        return eqx.apply_updates(net, moves), moments, value

    return Compiled(eqx.filter_jit(told_all), eqx.filter_jit(moved_all), learn, tx.init)
