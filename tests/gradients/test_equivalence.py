"""The equivalence test: its verdicts, and how often it errs."""

import numpy as np
import pytest

from tumble.gradients import Verdict, equivalence_test

REFERENCE = np.array([10.0, 1.0])
ZERO = np.zeros(2)


def verdicts(estimate, error, **options):
    outcome = equivalence_test(np.array(estimate), np.full(2, error), REFERENCE, ZERO, **options)
    return [v.value for v in outcome.verdicts]


def test_the_three_verdicts():
    assert verdicts([10.2, 1.02], 0.01) == ["RIGHT", "RIGHT"]
    assert verdicts([12.0, 1.02], 0.01) == ["WRONG", "RIGHT"]
    assert verdicts([12.0, -1.0], 0.01) == ["WRONG", "WRONG"]
    assert verdicts([0.0, 0.0], 0.01) == ["WRONG", "WRONG"]
    assert verdicts([10.2, 1.02], 10.0) == ["UNDECIDED", "UNDECIDED"]


def test_far_off_but_imprecise_is_undecided_and_says_how_many_more():
    outcome = equivalence_test(np.array([40.0, 1.0]), np.array([2.0, 0.01]), REFERENCE, ZERO)
    assert outcome.verdicts[0] is Verdict.UNDECIDED
    assert outcome.more[0] == pytest.approx((outcome.half_widths[0] / outcome.margins[0]) ** 2)
    assert outcome.more[1] == 1


def test_small_components_are_judged_against_the_whole():
    """m_j = 10 % of max(|ref_j|, 0.1 ‖ref‖): a hundredth of the norm for a component near zero."""
    outcome = equivalence_test(np.zeros(2), ZERO, np.array([10.0, 0.0]), ZERO)
    assert np.allclose(outcome.margins, [1.0, 0.1])


def test_the_error_of_the_reference_counts():
    noisy = equivalence_test(REFERENCE, ZERO, REFERENCE, np.full(2, 10.0))
    assert all(v is Verdict.UNDECIDED for v in noisy.verdicts)


def test_verdicts_err_less_often_than_the_level():
    """Estimates at the edge of the margin, where errors are likeliest."""
    rng = np.random.default_rng(0)
    sound = wrong = 0
    for _ in range(4_000):
        at_edge = REFERENCE * 1.0999 + rng.normal(size=2) * 0.02
        outcome = equivalence_test(at_edge, np.full(2, 0.02), REFERENCE, ZERO, level=0.05)
        sound += any(v is Verdict.WRONG for v in outcome.verdicts)
        beyond = REFERENCE * 1.1001 + rng.normal(size=2) * 0.02
        outcome = equivalence_test(beyond, np.full(2, 0.02), REFERENCE, ZERO, level=0.05)
        wrong += all(v is Verdict.RIGHT for v in outcome.verdicts)
    assert sound / 4_000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)
    assert wrong / 4_000 < 0.05
