"""Diagnostics: how far an answer can be trusted."""

from tumble.diagnostics._audit import AuditRow, GradientAudit, audit_fit, audit_gradient
from tumble.diagnostics._calibration import Calibration, check_calibration
from tumble.diagnostics._next_observation import NextObservation, Offer, next_observation
from tumble.diagnostics._overlap import dice, jaccard
from tumble.diagnostics._posterior_predictive import (
    PosteriorPredictive,
    PredictiveBand,
    posterior_predictive,
)
from tumble.diagnostics._profile import Profile, Profiles, profile_likelihood
from tumble.diagnostics._two_samples import c2st

__all__ = [
    "AuditRow",
    "Calibration",
    "GradientAudit",
    "NextObservation",
    "Offer",
    "PosteriorPredictive",
    "PredictiveBand",
    "Profile",
    "Profiles",
    "audit_fit",
    "audit_gradient",
    "c2st",
    "check_calibration",
    "dice",
    "jaccard",
    "next_observation",
    "posterior_predictive",
    "profile_likelihood",
]
