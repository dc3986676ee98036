"""Simulated epidemics, which several tests look at."""

import numpy as np

from tumble import Observable, Problem, ReactionNetwork, noise, simulate

SIR = ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
START = {"S": 1980, "I": 20, "R": 0}
TRUTH = {"I + S -> 2 I", "I -> R"}


def epidemic(library, num_times=101, num_samples=1, seed=1, sd=0.0, seen="SIR"):
    """Return a problem with simulated epidemics at evenly spaced times."""
    data = simulate(
        SIR, {"beta": 0.02, "gamma": 5.0}, initial=START,
        times=np.linspace(0, 1, num_times)[1:], num_samples=num_samples, seed=seed,
    )  # fmt: skip
    data = data.data.rename(sample="replicate", species="observable").astype(float)
    data = data.sel(observable=list(seen))
    rng = np.random.default_rng(seed)
    data = data + rng.normal(0, sd, data.shape) if sd else data
    law = noise.Normal(sd) if sd else noise.Exact()
    return Problem(
        library.network, data=data, initial=START,
        observables={s: Observable(s, noise=law) for s in seen},
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
