"""Whether two sets of draws can be told apart, against laws of which it is known how well."""

import sys

import numpy as np
import pytest
from scipy import stats

from tumble._errors import CapabilityError, DataError
from tumble.diagnostics import c2st


def test_draws_of_one_law_cannot_be_told_apart():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 2000, 2))
    error = 0.5 / np.sqrt(4000)
    assert abs(c2st(first, second) - 0.5) < 4 * error


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_draws_of_two_laws_are_told_apart_as_well_as_can_be(shift):
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((2, 2000, 2))
    second[:, 0] += shift
    best = stats.norm.cdf(shift / 2)  # of the most powerful test
    error = np.sqrt(best * (1 - best) / 4000)
    assert -0.02 - 4 * error < c2st(first, second) - best < 4 * error


def test_what_only_depends_differently_is_seen():
    rng = np.random.default_rng(3)
    first = rng.standard_normal((2000, 2))
    second = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 2000)
    assert c2st(first, second) > 0.7


def test_units_do_not_matter_and_numbers_of_draws_do_not():
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((1000, 1)), 0.5 + rng.standard_normal((3000, 1))
    plain = c2st(first, second)
    assert plain == pytest.approx(c2st(1e6 * first, 1e6 * second), abs=1e-3)
    assert abs(plain - stats.norm.cdf(0.25)) < 4 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((20, 2)), np.zeros((20, 3)), "has 2 columns, but `second` has 3"),
        (np.zeros(20), np.zeros((20, 1)), r"`first` has shape \(20,\)"),
        (np.zeros((20, 1)), np.full((20, 1), np.nan), "`second` has shape"),
        (np.zeros((5, 1)), np.zeros((20, 1)), "there are 5 draws of each"),
        (np.zeros((20, 1)), np.zeros((20, 1)), "the same in all draws"),
    ],
)
def test_what_makes_no_sense_is_refused(first, second, message):
    with pytest.raises(DataError, match=message):
        c2st(first, second)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.exceptions", None)
    with pytest.raises(CapabilityError, match=r"tumble\[diagnostics\]"):
        c2st(np.zeros((20, 1)), np.zeros((20, 1)))
