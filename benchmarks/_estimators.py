"""The gradient estimators that benchmarks compare, by name."""

from __future__ import annotations

from tumble.gradients import (
    SPSA,
    AbstractEstimator,
    AlternativePath,
    Auto,
    CoupledDifference,
    GaussianSmoothing,
    LinearResponse,
    ScoreFunction,
)

ESTIMATORS: dict[str, AbstractEstimator | Auto] = {
    "ScoreFunction": ScoreFunction(),
    "LinearResponse": ScoreFunction(LinearResponse()),
    "CoupledDifference": CoupledDifference(),
    "AlternativePath": AlternativePath(),
    "GaussianSmoothing": GaussianSmoothing(),
    "SPSA": SPSA(),
    "Auto": Auto(),
}
