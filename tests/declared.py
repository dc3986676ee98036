"""Simulators with declared draws whose derivatives are known."""

from __future__ import annotations

import numpy as np
from scipy import integrate, stats

from tests import helpers
from tumble import BlackBox
from tumble._random import run_ids
from tumble.simulators import Batch


def batch(params, initial, times, stream):
    return Batch(params, initial, np.asarray(times, float), stream, run_ids(len(params)))


def of_one(draw, parameters):
    """A batched model of one output, one time."""

    def function(params, times, c):
        return draw(c, *params.values())[:, None, None]

    return BlackBox(function, parameters=parameters, outputs=["x"], choices=True, batched=True)


def sums(pmf, values, size=400, step=1e-6):
    """Return f -> ∂ Σ f(x) pmf(x; values) / ∂ values, the pmf by central differences."""

    def exact(f):
        slopes = []
        for j in range(len(values)):
            shift = step * np.eye(len(values))[j]
            up, down = (pmf(np.arange(size), *(np.array(values) + s)) for s in (shift, -shift))
            slopes.append(np.sum(f(np.arange(size, dtype=float)) * (up - down)) / (2 * step))
        return np.array(slopes)

    return exact


def integrals(density, values, low, high, step=1e-5):
    """Return f -> ∂ ∫ f(x) density(x; values) dx / ∂ values."""

    def exact(f):
        def expected(at):
            return integrate.quad(
                lambda x: f(np.asarray(x, float)) * density(x, *at), low, high,
                points=[2.0], limit=400, epsabs=1e-11,
            )[0]  # fmt: skip

        slopes = []
        for j in range(len(values)):
            shift = step * np.eye(len(values))[j]
            slopes.append(
                (expected(np.array(values) + shift) - expected(values - shift)) / (2 * step)
            )
        return np.array(slopes)

    return exact


def geometric(c, p):
    failures = np.zeros(len(p.value if hasattr(p, "value") else p))
    going = np.ones(len(failures), bool)
    while going.any():
        going &= ~c.flip(np.where(going, p, 1.0))
        failures += going
    return failures


def _geometric_one_by_one(params, times, c):
    failures = 0
    while not c.flip(params["p"]):
        failures += 1
    return [failures]


def _categorical(x, a, b):
    return np.select([x == 0, x == 1, x == 2], [a, b, 1 - a - b], 0.0)


CONTINUOUS = {"exponential", "normal"}
LABELS = {"geometric", "categorical", "weights"}
"""Cases of which a pathwise derivative knows nothing."""

CASES = {
    "bernoulli": (
        of_one(lambda c, p: c.flip(p), ["p"]), [0.3],
        sums(lambda x, p: stats.bernoulli(p).pmf(x), [0.3]),
    ),
    "geometric": (
        of_one(geometric, ["p"]), [0.4],
        sums(lambda x, p: p * (1 - p) ** x, [0.4]),
    ),
    "poisson": (
        of_one(lambda c, k: c.count(k), ["p"]), [3.3],
        sums(lambda x, k: stats.poisson(k).pmf(x), [3.3]),
    ),
    "categorical": (
        of_one(lambda c, a, b: c.choose([a, b, 1 - a - b]), ["a", "b"]), [0.5, 0.2],
        sums(_categorical, [0.5, 0.2]),
    ),
    "weights": (
        of_one(lambda c, a, b: c.choose([a, a * b, b**2, 0.5]), ["a", "b"]), [0.7, 1.4],
        sums(lambda x, a, b: np.append([a, a * b, b**2, 0.5], np.zeros(396))
             / (a + a * b + b**2 + 0.5), [0.7, 1.4]),
    ),
    "picked": (
        of_one(lambda c, a, b: c.pick([-1.0, 0.5, 2.0], [a, b, 1 - a - b]), ["a", "b"]), [0.5, 0.2],
        lambda f: np.array([f(-1.0) - f(2.0), f(0.5) - f(2.0)], float),
    ),
    "picked steps": (
        of_one(lambda c, a: c.pick([[1, 0], [0, 3]], [a, 1 - a], 4).sum((1, 2)), ["a"]), [0.3],
        lambda f: np.array([sum(
            stats.binom(4, 0.3).pmf(m) * (m / 0.3 - (4 - m) / 0.7) * f(12.0 - 2 * m)
            for m in range(5)
        )]),
    ),
    "binomial": (
        of_one(lambda c, p: c.flip(p, 5).sum(1), ["p"]), [0.6],
        sums(lambda x, p: stats.binom(5, p).pmf(x), [0.6]),
    ),
    "exponential": (
        of_one(lambda c, k: c.wait(k), ["k"]), [0.8],
        integrals(lambda x, k: k * np.exp(-k * x), [0.8], 0, 60),
    ),
    "normal": (
        of_one(lambda c, m, s: c.normal(m, s), ["m", "s"]), [0.5, 1.3],
        integrals(lambda x, m, s: stats.norm(m, s).pdf(x), [0.5, 1.3], -15, 15),
    ),
    "a rate of its own": (
        of_one(lambda c, a, b: c.flip(np.exp(-a / (1 + b)), 3).sum(1) + c.count(a * b), ["a", "b"]),
        [0.9, 1.2],
        sums(lambda x, a, b: np.convolve(stats.binom(3, np.exp(-a / (1 + b))).pmf(np.arange(4)),
                                         stats.poisson(a * b).pmf(x))[: len(x)], [0.9, 1.2]),
    ),
}  # fmt: skip
"""Name → model, parameters, f -> exact derivatives of E[f]."""

GEOMETRIC_ONE_BY_ONE = (
    BlackBox(_geometric_one_by_one, parameters=["p"], outputs=["x"], choices=True),
    [0.4],
    CASES["geometric"][2],
)


def _plain_walk(params, times, c):
    """Two axes; each stays with probability ``stay``, else goes one way or the other."""
    now, position = 0, 0.0
    for time in times.astype(int):
        moves = ~c.flip(params["stay"], (time - now, 2))
        steps = np.where(c.flip(0.5, (time - now, 2)), 1, -1)
        position = position + (moves * steps).sum(1)
        now = time
        yield position


def plain_walk():
    return BlackBox(
        _plain_walk, parameters=["stay"], outputs=["x", "y"], choices=True, batched=True
    )


def stuck(params, times, rng):
    """Never returns where k is 2."""
    while params["k"] == 2:
        pass
    return times * params["k"]


def _direct_method_of_sir(params, times, c):
    beta, gamma = params["beta"], params["gamma"]
    num_runs = len(beta)
    susceptible, infected = np.full(num_runs, 8), np.full(num_runs, 2)
    time = np.zeros(num_runs)
    outputs = np.zeros((num_runs, len(times), 2))
    while True:
        infection, recovery = beta * (susceptible * infected), gamma * infected
        later = time + c.wait(infection + recovery)
        seen = (times >= time[:, None]) & (times < later[:, None])
        state = np.stack([infected, 10 - susceptible - infected], axis=1)
        outputs = np.where(seen[:, :, None], state[:, None], outputs)
        if np.all(later > times[-1]):
            return outputs
        going = infected > 0
        which = c.choose([np.where(going, infection, 1.0), np.where(going, recovery, 1.0)])
        time = later
        susceptible = susceptible - (going & (which == 0))
        infected = infected + going * np.where(which == 0, 1, -1)


def sir():
    """The network from (8, 2, 0), and I and R of the same process by the direct method."""
    model = BlackBox(
        _direct_method_of_sir, parameters=["beta", "gamma"], outputs=["I", "R"],
        choices=True, batched=True,
    )  # fmt: skip
    return helpers.sir(), model
