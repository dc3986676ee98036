"""The one place that refuses rates that read the time."""

from __future__ import annotations

from tumble._errors import CapabilityError
from tumble._expressions import TIME
from tumble.models import ReactionNetwork


def require_autonomous(model: ReactionNetwork, method: str) -> None:
    """Raise `CapabilityError` when a rate of ``model`` depends on ``time``."""
    for reaction, rate in zip(model.reactions, model.rate_expressions, strict=True):
        if TIME in rate.names:
            raise CapabilityError(
                f"the rate of reaction '{reaction}' depends on `time`, but {method} needs rates "
                "that only change when a reaction fires; make it depend on the state, or split the "
                "time into experiments with constant rates."
            )
