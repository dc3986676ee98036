"""Small networks, batches of their runs, and tests of samples against exact laws."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tests import helpers
from tumble._random import Stream, run_ids
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, FiniteStateProjection

STREAM = Stream.from_seed(12)
TIMES = np.array([0.0, 0.4, 1.0, 2.5])
projection = FiniteStateProjection(tolerance=1e-12)

# Networks with params and initial counts.
CASES = {
    "dimerization": (helpers.dimerization(), [0.4, 1.3], [9, 1]),
    "sir": (helpers.sir(), [0.1, 0.7], [18, 2, 0]),
    "trimers": (
        ReactionNetwork.from_text("3 A -> B ; k\nB -> 3 A ; h\nA -> 0 ; 0.2"), [0.05, 0.8], [12, 0],
    ),
    "shared": (
        ReactionNetwork.from_text("A -> B ; k\nB -> C ; k\n2 C -> A ; 0.5"), [0.8], [7, 0, 3],
    ),
}  # fmt: skip
OPEN_CASES = {
    "arrival": (helpers.arrival(), [8.0], [2]),
    "immigration-death": (helpers.immigration_death(), [10.0, 1.5], [3]),
    "birth-death": (helpers.birth_death(), [0.9, 1.1], [7]),
}
LAW_CASES = {
    "enzyme": (
        ReactionNetwork.from_text("S => P ; V * S / (K + S)\nP -> S ; k"), [9.0, 3.0, 0.8], [14, 1],
    ),
    "repression": (
        ReactionNetwork.from_text("0 => X ; V / (1 + (X / K)^n)\nX -> 0 ; d"),
        [20.0, 4.0, 2.0, 1.1],
        [2],
    ),
}  # fmt: skip
# Schlögl's model at a fifth of its usual volume: two states, near 17 and 113, from between them.
SCHLOEGL = (
    ReactionNetwork.from_text("2 X -> 3 X ; a\n3 X -> 2 X ; b\n0 -> X ; k\nX -> 0 ; d"),
    [0.15, 2.5e-3, 40.0, 3.5],
    [50],
)


def rows(values, num_runs):
    return np.broadcast_to(np.asarray(values, dtype=float), (num_runs, len(values)))


def counts(values, num_runs):
    return np.broadcast_to(np.asarray(values, dtype=np.int64), (num_runs, len(values)))


def batch_of(params, initial, num_runs, times=TIMES, stream=STREAM, start=0.0):
    return Batch(
        rows(params, num_runs), counts(initial, num_runs), np.asarray(times, dtype=float), stream,
        run_ids(num_runs), start,
    )  # fmt: skip


def pairs_of(params, initial, num_runs, times=TIMES, stream=STREAM):
    """Pairs with params [2, Q] and initial [2, S]."""
    return Batch(
        np.broadcast_to(np.array(params, dtype=float), (num_runs, *np.shape(params))),
        np.broadcast_to(np.array(initial, dtype=np.int64), (num_runs, *np.shape(initial))),
        np.asarray(times, dtype=float),
        stream,
        run_ids(num_runs),
    )


def assert_same(a, b):
    for name in ("states", "codes", "events"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    if hasattr(a, "score"):
        np.testing.assert_array_equal(a.score, b.score)


def assert_moments(x, mean, variance, deviations=4.0):
    """The sample mean and variance of x [B, ...] are right within so many standard errors."""
    n = len(x)
    x = x.astype(float)
    error = np.sqrt(variance / n)
    assert np.all(np.abs(x.mean(axis=0) - mean) <= deviations * error)
    squares = (x - mean) ** 2
    error = squares.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(squares.mean(axis=0) - variance) <= deviations * error)


def assert_distribution(states, exact, at):
    """χ² of the whole joint distribution, states of small chance put together."""
    statistic, freedom = chi_squared(states, exact, at)
    assert freedom > 2
    assert 1e-4 < stats.chi2.sf(statistic, freedom) < 1 - 1e-4


def chi_squared(states, exact, at):
    """χ² of states [B, S] against a `StateDistribution`, and its degrees of freedom."""
    place = {tuple(state): i for i, state in enumerate(exact.states.tolist())}
    found = [place.get(tuple(s), len(place)) for s in states.tolist()]
    got = np.bincount(found, minlength=len(place) + 1)
    # Last comes all that the projection leaves out.
    chance = exact.probabilities[at]
    expected = len(states) * np.append(chance, max(0.0, 1 - chance.sum()))
    rare = expected < 8
    got = np.append(got[~rare], got[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 1e-6
    assert got[~keep].sum() == 0
    statistic = ((got - expected)[keep] ** 2 / expected[keep]).sum()
    return statistic, keep.sum() - 1
