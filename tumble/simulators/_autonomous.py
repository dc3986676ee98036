"""The one place that refuses networks that are more than a jump process."""

from __future__ import annotations

from tumble._errors import CapabilityError, ModelError
from tumble._expressions import TIME
from tumble.models import ReactionNetwork


def require_autonomous(model: ReactionNetwork, method: str) -> None:
    """Raise `CapabilityError` unless rates only change when a reaction fires.

    That is so without variables, without events, and when no rate depends on ``time``.
    """
    require_reactions_alone(model, method)
    for reaction, rate in zip(model.reactions, model.rate_expressions, strict=True):
        if TIME in rate.names:
            raise CapabilityError(
                f"the rate of reaction '{reaction}' depends on `time`, but {method} needs rates "
                "that only change when a reaction fires; simulate it with DirectMethod, fit time "
                "series with LinearNoise, or split the time into experiments with constant rates."
            )


def require_reactions_alone(model: ReactionNetwork, method: str) -> None:
    """Raise `CapabilityError` when a network has variables or events.

    Raises `ModelError` for what is no network, whose states and rates nobody knows.
    """
    if not isinstance(model, ReactionNetwork):
        raise ModelError(
            f"{method} computes with the reactions of a network, but the model is a "
            f"{type(model).__name__}, which can only be run; compare moments of its runs with "
            "those of the data: objective=objectives.MomentMatching()."
        )
    if model.events:
        what = f"event '{model.events[0]}'"
    elif model.variables:
        what = f"variable {next(iter(model.variables))!r}"
    else:
        return
    raise CapabilityError(
        f"the network has {what}, but {method} takes networks of reactions alone; DirectMethod can "
        "simulate it. To fit it, match moments of its runs: objectives.MomentMatching()."
    )
