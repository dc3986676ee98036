"""The one place that refuses networks that are more than a jump process."""

from __future__ import annotations

from tumble._errors import CapabilityError
from tumble._expressions import TIME
from tumble.models import ReactionNetwork


def require_autonomous(model: ReactionNetwork, method: str) -> None:
    """Raise `CapabilityError` unless rates only change when a reaction fires.

    That is so without variables, without events, and when no rate depends on ``time``.
    """
    if model.is_jump_process:
        return
    for reaction, rate in zip(model.reactions, model.rate_expressions, strict=True):
        if TIME in rate.names:
            raise CapabilityError(
                f"the rate of reaction '{reaction}' depends on `time`, but {method} needs rates "
                "that only change when a reaction fires. DirectMethod can simulate it; to fit, "
                "let it depend on the state, or split the time into experiments with constant "
                "rates."
            )
    if model.events:
        what = f"event '{model.events[0]}'"
    else:
        what = f"variable '{next(iter(model.variables))}'"
    raise CapabilityError(
        f"the network has {what}, but {method} takes networks of reactions alone. DirectMethod can "
        "simulate it; to fit, leave it out, or say the same by reactions."
    )
