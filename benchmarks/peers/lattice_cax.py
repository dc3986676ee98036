"""Step automata of cax: a JSON request on standard input, an answer on standard output.

The infection is written of cax's own parts: a perception, by convolution as in its `Life` or by
shifts, and an update that draws a number for each site from the `rngs` of the system.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from cax.core import ComplexSystem
from cax.core.perceive import MoorePerceive
from cax.core.update import Update
from cax.cs.life import Life, LifePerceive
from flax import nnx


class InfectionUpdate(Update):
    """Infected for good, with chance 1 − (1 − β)^(infected neighbors)."""

    def __init__(self, beta: float, *, rngs: nnx.Rngs) -> None:
        self.beta, self.rngs = beta, rngs

    def __call__(self, state: Any, perception: Any, input: Any = None) -> Any:
        """Return the next state."""
        around = perception[..., 1:].sum(-1, keepdims=True)
        chance = 1 - (1 - self.beta) ** around
        return jnp.where(jax.random.uniform(self.rngs.draw(), state.shape) < chance, 1.0, state)


class Infection(ComplexSystem):
    """The susceptible-infected automaton."""

    def __init__(self, beta: float, perceive: Any, *, rngs: nnx.Rngs) -> None:
        self.perceive = perceive
        self.update = InfectionUpdate(beta, rngs=rngs)

    def _step(self, state: Any, input: Any = None, *, sow: bool = False) -> Any:
        return self.update(state, self.perceive(state), input)


def _seconds(system: Any, state: Any, steps: int, rounds: int) -> float:
    """Return processor seconds of a call, without compilation, the median of some."""
    taken = []
    for _ in range(rounds + 1):
        began = time.process_time()
        jax.block_until_ready(system(state, num_steps=steps))
        taken.append(time.process_time() - began)
    return sorted(taken[1:])[rounds // 2]


def main() -> None:
    """Answer one request: seconds of both automata, and infected sites after a few steps."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what packages print is no part of the answer
    ask = json.loads(sys.stdin.read())
    size, steps, rounds = ask["size"], ask["steps"], ask["rounds"]
    empty = jnp.zeros((size, size, 1))
    one = empty.at[size // 2, size // 2, 0].set(1.0)
    width = ask["small"]
    small = jnp.zeros((width, width, 1)).at[width // 2, width // 2, 0].set(1.0)
    birth, survival = Life.birth_survival_from_string("B3/S23")
    soup = jax.random.bernoulli(jax.random.key(0), 0.3, empty.shape).astype(float)
    rngs = nnx.Rngs(0)
    by_convolution = Infection(ask["beta"], LifePerceive(rngs=rngs), rngs=rngs)
    infection = Infection(ask["beta"], MoorePerceive(num_spatial_dims=2, radius=1), rngs=rngs)
    answer = {
        "infection by convolution": _seconds(by_convolution, one, steps, rounds),
        "infection by shifts": _seconds(infection, one, steps, rounds),
        "Life": _seconds(
            Life(birth=birth, survival=survival, rngs=nnx.Rngs(0)), soup, steps, rounds
        ),
        "infected": [
            float(infection(small, num_steps=ask["few_steps"]).sum()) for _ in range(ask["runs"])
        ],
    }
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main()
