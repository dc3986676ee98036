"""Models with exact answers. Each function says the formula, or where it comes from."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr

from tumble import noise
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter, Ref
from tumble._problem import Problem
from tumble.models import ReactionNetwork


def arrival():
    """0 -> X at k: X(t) ~ Poisson(k t) from 0."""
    return ReactionNetwork.from_text("0 -> X ; k")


def immigration_death():
    """0 -> X at k, X -> 0 at γ: X(t) from 0 is Poisson(k/γ (1 − e^{−γt}))."""
    return ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")


def immigration_death_moments(k, gamma, t, x0=0):
    """Return E = x0 e + k/γ (1 − e) and Var = x0 e (1 − e) + k/γ (1 − e), with e = e^{−γt}.

    X(t) is the sum of Binomial(x0, e) survivors and Poisson(k/γ (1 − e)) immigrants.
    """
    e = np.exp(-gamma * t)
    return x0 * e + k / gamma * (1 - e), x0 * e * (1 - e) + k / gamma * (1 - e)


def immigration_death_mean_gradient(k, gamma, t, x0=0):
    """Return (∂/∂k, ∂/∂γ) of x0 e + k/γ (1 − e): (1 − e)/γ, −x0 t e − k (1 − e)/γ² + k t e/γ."""
    e = np.exp(-gamma * t)
    return (1 - e) / gamma, -x0 * t * e - k * (1 - e) / gamma**2 + k * t * e / gamma


def birth_death():
    """X -> 2 X at λ, X -> 0 at μ."""
    return ReactionNetwork.from_text("X -> 2 X ; birth\nX -> 0 ; death")


def birth_death_moments(birth, death, t, x0):
    """Return E = x0 g and Var = x0 (λ + μ)/(λ − μ) g (g − 1), with g = e^{(λ − μ) t}.

    The linear birth-death process; Bailey, *The Elements of Stochastic Processes* (1964), §8.6.
    """
    growth = np.exp((birth - death) * t)
    return x0 * growth, x0 * (birth + death) / (birth - death) * growth * (growth - 1)


def birth_death_mean_gradient(birth, death, t, x0):
    """Return (∂/∂λ, ∂/∂μ) of x0 e^{(λ − μ) t}: (x0 t g, −x0 t g)."""
    slope = x0 * t * np.exp((birth - death) * t)
    return slope, -slope


def dimerization():
    """2 P -> P2 at k1 P (P − 1)/2, P2 -> 2 P at k2 P2; P + 2 P2 is conserved."""
    return ReactionNetwork.from_text("2 P -> P2 ; k1\nP2 -> 2 P ; k2")


def sir():
    """S + I -> 2 I at β S I, I -> R at γ I."""
    return ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")


def sir_final_sizes(beta, gamma, susceptible, infected):
    """Return P(S(∞) = s), s = 0 … susceptible, by the embedded jump chain.

    The next event in (s, i) is an infection with probability β s / (β s + γ).
    """
    chance = {(susceptible, infected): 1.0}
    final = np.zeros(susceptible + 1)
    for s in range(susceptible, -1, -1):
        for i in range(susceptible + infected - s, 0, -1):
            here = chance.pop((s, i), 0.0)
            up = beta * s / (beta * s + gamma)
            if s:
                chance[s - 1, i + 1] = chance.get((s - 1, i + 1), 0.0) + here * up
            chance[s, i - 1] = chance.get((s, i - 1), 0.0) + here * (1 - up)
        final[s] = chance.pop((s, 0), 0.0)
    return final


def enzyme():
    """S => P at V S / (K + S): Michaelis–Menten."""
    return ReactionNetwork.from_text("S => P ; mm(S, V, K)")


def repressed_gene():
    """P is made at b + V Kⁿ / (Kⁿ + Pⁿ), which it represses itself, and lost at d P."""
    return ReactionNetwork.from_text("0 => P ; b + hillr(P, V, K, n)\nP -> 0 ; d")


def sis():
    """S + I => 2 I at β S I / N with N = S + I, I -> S at γ I; N is conserved."""
    return ReactionNetwork.from_text("N = S + I\nS + I => 2 I ; beta * S * I / N\nI -> S ; gamma")


def logistic():
    """X => 2 X at r X max(0, 1 − X/K), X -> 0 at d."""
    return ReactionNetwork.from_text("X => 2 X ; r * X * max(0, 1 - X / K)\nX -> 0 ; d")


def series(times, *replicates, name="X"):
    """Return replicates [N, T] of one observable as data."""
    values = np.array(replicates, dtype=float)[:, :, None]
    dims = ("replicate", "time", "observable")
    return xr.DataArray(values, dims=dims, coords={"time": times, "observable": [name]})


def sir_problem():
    """SIR of about 20; a share of I is counted in two replicates with gaps. θ near `SIR_PARAMS`."""
    gap = np.nan
    data = series(
        np.arange(1, 9) * 0.7,
        [3, 5, gap, 9, 8, 6, gap, 2],
        [2, 3, 3, 6, gap, 8, gap, 5],
        name="cases",
    )
    return Problem(
        sir(),
        experiments=[Experiment(data, {"S": 18, "I": Ref("I0"), "R": 0})],
        observables={"cases": Observable("share * I", noise.NegativeBinomial("phi"))},
        parameters={
            "beta": Parameter(1e-3, 1),
            "gamma": Parameter(0.05, 5),
            "share": Parameter(0.1, 1),
            "phi": Parameter(1, 1e3),
            "I0": Parameter(0.5, 10),
        },
    )


SIR_PARAMS = np.array([0.1, 0.7, 0.8, 15.0, 2.4])


def z_of_counts(counts, expected):
    """How far counts are from what is expected of them, as χ² in its standard errors.

    Cells of which less than 5 are expected are put together.
    """
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    counts, expected = counts[expected > 0], expected[expected > 0]
    freedom = len(counts) - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


def mostly_slow(*columns):
    """All combinations for `parametrize`, slow but for a few in which each value occurs."""
    most = max(map(len, columns))
    few = {tuple(i % len(column) for column in columns) for i in range(most)}
    return [
        pytest.param(
            *(column[i] for column, i in zip(columns, places, strict=True)),
            marks=[] if places in few else pytest.mark.slow,
        )
        for places in product(*(range(len(column)) for column in columns))
    ]
