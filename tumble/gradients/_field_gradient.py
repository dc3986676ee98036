"""Gradients by fields: parameters of a lattice with a value for every site."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import (
    DerivativeError,
    ParameterError,
    require_member,
    require_times,
    require_whole,
)
from tumble._random import Stream, run_ids
from tumble._relaxation import AbstractRelaxation
from tumble._typing import FloatArray, JaxArray
from tumble.gradients._relaxations import StraightThrough
from tumble.models import AbstractLattice
from tumble.simulators import BackwardSample, Batch, LatticeSteps


@dataclass(frozen=True)
class FieldGradient:
    """The mean ``loss`` of runs, and its derivatives by name, of the shapes of the parameters.

    ``standard_errors`` likewise, NaN for a single run; ``num_samples``; ``seconds``.
    """

    loss: float
    gradient: Mapping[str, FloatArray]
    standard_errors: Mapping[str, FloatArray]
    num_samples: int
    seconds: float = field(compare=False)


def field_gradient(
    model: AbstractLattice,
    params: Mapping[str, Any],
    times: Sequence[float] | FloatArray,
    loss: Callable[[JaxArray], JaxArray],
    *,
    initial: Mapping[str, float] | None = None,
    num_samples: int = 1,
    seed: int = 0,
    relaxation: AbstractRelaxation | None = None,
) -> FieldGradient:
    """Return ∂E[loss(outputs)] by parameters of which there may be one a site.

    Definition: pathwise derivatives, as those of `Pathwise`, but backwards through the run, so that
    they cost the same for one parameter and for a million: some six runs. States are kept at √N
    of N steps and computed again between them, so memory grows as √N.

    Guarantee: that of `Pathwise`: exact for one step and where draws enter linearly, else biased.
    Audit the model by a few numbers first (`audit_gradient`).

    Arguments: ``model``, a lattice whose state consists of real numbers; ``params``, by name a
    number, or an array that the model's `step` can take in its place, mostly of the grid's shape;
    ``times`` [T], whole steps; ``loss``, a function in `jax.numpy` of the outputs [T, O] of a run,
    in the order of ``model.outputs``, to a number; ``initial`` counts, where the model has any;
    ``num_samples`` of runs, one after the other, default 1; ``seed``, default 0; ``relaxation``,
    default `StraightThrough()`.

    Raises `ParameterError`, `DataError`, and `DerivativeError` where a derivative is not finite.

    References: Griewank, Walther, ACM Trans. Math. Softw. 26 (2000), doi:10.1145/347837.347846
    (checkpoints); Bengio, Léonard, Courville (2013), arXiv:1308.3432.
    """
    relaxation = StraightThrough() if relaxation is None else relaxation
    require_member("model", model, AbstractLattice, "a lattice such as SusceptibleInfected()")
    require_member("relaxation", relaxation, AbstractRelaxation, "such as StraightThrough()")
    require_whole("num_samples", num_samples)
    given = {**params, **(initial or {})}
    wanted = (*model.parameters, *model.initial)
    if set(given) != set(wanted):
        raise ParameterError(
            f"values are given for {', '.join(given)}, expected {', '.join(wanted)}."
        )
    fields = tuple(_numbers(name, given[name]) for name in model.parameters)
    counts = np.array([[float(given[name]) for name in model.initial]])
    stream, began = Stream.from_seed(seed).child("field"), time.perf_counter()
    when, blank = require_times(times), np.zeros((1, len(fields)))
    simulator = LatticeSteps()
    losses: list[float] = []
    sums = [np.zeros(values.shape) for values in fields]
    squares = [np.zeros(values.shape) for values in fields]
    for run in range(num_samples):
        batch = Batch(blank, counts, when, stream, run_ids(1, run), 0.0)
        found = simulator.backward(model, fields, batch, loss, relaxation)
        _require_sound(model, found)
        losses.append(found.loss)
        for k, slope in enumerate(found.slopes):
            sums[k] += slope
            squares[k] += slope**2
    means = [total / num_samples for total in sums]
    errors = [
        _standard_error(square / num_samples, mean, num_samples)
        for square, mean in zip(squares, means, strict=True)
    ]
    return FieldGradient(
        float(np.mean(losses)),
        dict(zip(model.parameters, means, strict=True)),
        dict(zip(model.parameters, errors, strict=True)),
        num_samples,
        time.perf_counter() - began,
    )


def _numbers(name: str, value: Any) -> FloatArray:
    array = np.asarray(value, dtype=float)
    if not np.isfinite(array).all():
        raise ParameterError(f"the parameter {name!r} has values that are not finite.")
    return array


def _require_sound(model: AbstractLattice, found: BackwardSample) -> None:
    if not found.valid:
        raise ParameterError(
            "a draw got a probability outside 0 to 1, negative weights, or a rate or sd that makes "
            "no sense; check the values of the parameters."
        )
    broken = [
        f"the derivative by {name!r}"
        for name, slope in zip(model.parameters, found.slopes, strict=True)
        if not np.isfinite(slope).all()
    ]
    if broken or not math.isfinite(found.loss):
        raise DerivativeError(
            f"{(*broken, 'the loss')[0]} is not finite: the loss has none here, or a draw has a "
            "probability of 0 or 1 that depends on a parameter; StraightThrough() takes those."
        )


def _standard_error(square: FloatArray, mean: FloatArray, n: int) -> FloatArray:
    if n == 1:
        return np.full(np.shape(mean), np.nan)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0.0) / (n - 1)))
