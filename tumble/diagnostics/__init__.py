"""Diagnostics: how far an answer can be trusted."""

from tumble.diagnostics._audit import AuditRow, GradientAudit, audit_fit, audit_gradient
from tumble.diagnostics._calibration import Calibration, check_calibration
from tumble.diagnostics._overlap import dice, jaccard
from tumble.diagnostics._posterior_predictive import (
    PosteriorPredictive,
    PredictiveBand,
    posterior_predictive,
)

__all__ = [
    "AuditRow",
    "Calibration",
    "GradientAudit",
    "PosteriorPredictive",
    "PredictiveBand",
    "audit_fit",
    "audit_gradient",
    "check_calibration",
    "dice",
    "jaccard",
    "posterior_predictive",
]
