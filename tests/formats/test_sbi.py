"""Problems for sbi, and draws from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble._errors import CapabilityError, DataError
from tumble.posteriors import GivenDraws

NETWORK = tb.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")
PROBLEM = tb.Problem(
    NETWORK, data={"time": [1.0, 2.0, 3.0], "X": [12, 14, 11]}, initial={"X": 0},
    parameters={"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)},
)  # fmt: skip


def test_without_torch_it_says_so() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(CapabilityError, match="pip install sbi"):
            tb.formats.to_sbi(PROBLEM)
    else:
        pytest.skip("torch is installed")


def test_problems_are_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    given = tb.formats.to_sbi(PROBLEM, seed=1)
    parameters = given.prior.sample((200,))
    assert parameters.shape == (200, 2)
    found = given.simulate(parameters)
    assert found.shape == (200, 3)
    assert given.num_simulated == 200
    assert not torch.equal(found, given.simulate(parameters))
    assert given.observed.tolist() == [12, 14, 11]
    # Coordinates are those of the prior: more of the first is more of k.
    assert np.corrcoef(parameters[:, 0], found[:, 0])[0, 1] > 0.5
    posterior = given.posterior(parameters)
    assert posterior.theta[:, 0].min() >= 1
    assert "draws of sbi" in posterior.summary()


def test_given_draws_are_a_posterior() -> None:
    rng = np.random.default_rng(0)
    theta = np.exp(rng.normal([3, 0.5], 0.1, (500, 2)))
    weights = rng.uniform(size=500)
    found = tb.sample_posterior(PROBLEM, method=GivenDraws(theta, weights, "a friend"))
    assert found.theta == pytest.approx(theta)
    assert found.mean()["k"] == pytest.approx((weights / weights.sum()) @ theta[:, 0])
    assert "draws of a friend" in found.summary()
    assert "500 given draws" in found.summary()
    wrong = tb.sample_posterior(PROBLEM, method=GivenDraws(np.exp(rng.normal(4, 0.01, (500, 2)))
                                                           / [1, 50]))  # fmt: skip
    assert wrong.result is tb.ResultCode.MISSPECIFIED


def test_draws_that_cannot_be() -> None:
    def of(theta: object, weights: object = None) -> None:
        tb.sample_posterior(PROBLEM, method=GivenDraws(theta, weights))  # type: ignore[arg-type]

    with pytest.raises(DataError, match=r"expected \[draws, 2\]"):
        of(np.ones((3, 1)))
    with pytest.raises(DataError, match="outside its bounds, such as 200"):
        of(np.array([[10.0, 1.0], [200.0, 1.0]]))
    with pytest.raises(DataError, match="outside its bounds"):
        of(np.array([[10.0, np.nan]]))
    with pytest.raises(DataError, match="not all 0"):
        of(np.array([[10.0, 1.0]]), np.zeros(1))
