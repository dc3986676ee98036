"""The prior of networks: draws against its own probabilities."""

import math
from collections import Counter

import numpy as np
import pytest

from tumble._errors import ParameterError
from tumble.structure import NetworkPrior, equation, mass_action

LIBRARY = mass_action(["A", "B"], order=1, require=["A -> 0"])


def test_draws_are_as_probable_as_it_says():
    """Over 20,000 networks: each size, and each candidate given the size, to 4 standard errors."""
    prior, rng, size = NetworkPrior(largest=3), np.random.default_rng(1), 20_000
    drawn = [
        frozenset(map(equation, prior.sample(LIBRARY, 100.0, 2.0, rng).reactions))
        for _ in range(size)
    ]
    required = frozenset(["A -> 0"])
    assert all(required <= network for network in drawn)
    free = sorted(set(LIBRARY.equations) - required)
    counts = Counter(len(network - required) for network in drawn)
    for k in range(4):
        log_each = prior.log_probability(k, len(free))
        share = math.comb(len(free), k) * math.exp(log_each)
        assert abs(counts[k] / size - share) < 4 * math.sqrt(share * (1 - share) / size)
    assert prior.log_probability(4, len(free)) == -np.inf
    ones = Counter(next(iter(n - required)) for n in drawn if len(n) == 2)
    for name in free:
        share = 1 / len(free)
        sd = math.sqrt(share * (1 - share) / ones.total())
        assert abs(ones[name] / ones.total() - share) < 4 * sd


def test_rates_lie_about_what_matters_in_the_experiment():
    prior, rng = (
        NetworkPrior(largest=1, spread=1.5, count=50.0, duration=4.0),
        np.random.default_rng(2),
    )
    library = mass_action(["A"], forbid=["A -> 0", "0 -> A"])
    chosen = library.positions(["2 A -> A"])[0]
    logs = []
    for _ in range(3000):
        for reaction in prior.sample(library, 1e6, 1e6, rng).reactions:
            if equation(reaction) == "2 A -> A":
                logs.append(math.log(float(str(reaction.rate))))
    # 50 firings in 4 units of time at 50 · 49 / 2 pairs.
    center = math.log(50 / (4 * 50 * 49 / 2))
    assert prior.centers(library, 1e6, 1e6)[chosen] == pytest.approx(center)
    assert abs(np.mean(logs) - center) < 4 * 1.5 / math.sqrt(len(logs))
    assert np.std(logs) == pytest.approx(1.5, rel=4 / math.sqrt(2 * len(logs)))


def test_what_is_wrong_is_said():
    with pytest.raises(ParameterError, match=r"`count` is 0, expected a number > 0 or None"):
        NetworkPrior(count=0)
    with pytest.raises(ParameterError, match=r"`duration` is nan"):
        NetworkPrior(duration=float("nan"))
