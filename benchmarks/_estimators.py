"""The gradient estimators that benchmarks compare, by name."""

from __future__ import annotations

from tumble.gradients import AbstractEstimator, Auto, CoupledDifference, ScoreFunction

_ALL: tuple[AbstractEstimator | Auto, ...] = (
    ScoreFunction(),
    CoupledDifference(),
    Auto(),
)
ESTIMATORS = {type(estimator).__name__: estimator for estimator in _ALL}
