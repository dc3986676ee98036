"""How to divide runs between experiments and observation times, from what a pilot shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._allocated import Allocated, Block
from tumble.gradients._base import AbstractEstimator
from tumble.gradients._estimate import GradientEstimate, SampledJacobian, assemble
from tumble.losses import times
from tumble.models import ReactionNetwork
from tumble.objectives import BoundOutputs

# Below this, what is gained may be the noise of the pilot, and joint samples get larger.
_WORTH_DIVIDING = 1.25
# An experiment that gets few runs shows little of its rare ones, on which its error may rest.
_MULTIPLES = (1, 2, 3, 4)
# Relative error of a variance, beyond which a few runs decide what the pilot says.
_LARGEST_DOUBT = 0.5
_MOST_ENDS = 4
_RUNS_FOR_A_COST = 16
# Joint samples are to be as small as they can for nearly the least variance times work.
_NEARLY = 1.02


class Allocation(NamedTuple):
    """``estimator``, with its runs divided or as it was, and what was found.

    ``gain``, the factor by which it needs less work for the same variance; the ``pilot`` that tells
    so, with all that it cost.
    """

    estimator: AbstractEstimator
    gain: float
    pilot: GradientEstimate


def allocate(
    estimator: AbstractEstimator,
    objective: BoundOutputs,
    z: FloatArray,
    num_samples: int,
    stream: Stream,
    executor: Any = None,
) -> Allocation:
    """Return how the runs of an estimator are best divided at z [P].

    Definition: to first order, a run adds its influence to the error of the gradient: that of its
    Jacobian, weighted by the slope of the loss, and that of its features, by ∂²ℓ/∂m² ∂m/∂z. Their
    covariances between times are taken from ``num_samples`` joint samples, the work up to a time
    from a few runs that end there. Variance times work is then made least over blocks: for each
    experiment, runs to the end, runs to one earlier time, and how many of each, at most four for
    one. Nothing is divided where the variances of the pilot rest on a few of its runs.
    """
    began = time.perf_counter()
    num_runs = 0

    def sampled(e: int, end: int, size: int) -> tuple[SampledJacobian, float]:
        """Return a sample up to a time of one experiment, and the work of a joint sample."""
        nonlocal num_runs
        part = objective.part(e, end)
        found = estimator.sample(part, z, size, stream.child("until", e, end), executor)
        num_runs += found.num_runs
        work = estimator.cost_of_event(part) * (found.num_events + found.num_runs)
        return found, (work + estimator.overhead(part) * found.num_runs) / size

    sizes = [len(binding.times) for binding in objective.problem.bindings]
    pilots = [sampled(e, size, num_samples) for e, size in enumerate(sizes)]
    pilot = SampledJacobian(
        np.concatenate([found.features for found, _ in pilots], axis=1),
        np.concatenate([found.jacobians for found, _ in pilots], axis=1),
        0,
        0,
    )
    work = num_samples * sum(each for _, each in pilots)
    units = []
    spreads, doubt = _spreads(objective, pilot)
    for e, spread in enumerate(spreads):
        ends = _candidates(objective, e, spread)
        costs = {end: sampled(e, end, _RUNS_FOR_A_COST)[1] for end in ends}
        work += _RUNS_FOR_A_COST * sum(costs.values())
        units.append(_best_unit(e, spread, {**costs, sizes[e]: pilots[e][1]}))
    charged = replace(
        assemble(objective, pilot),
        num_runs=num_runs,
        work=work,
        seconds=time.perf_counter() - began,
    )
    counts = _multiplicities(units)
    before = sum(u.all_variance for u in units) * sum(u.all_work for u in units)
    gain = before / max(_product(units, counts), 1e-300)
    if gain < _WORTH_DIVIDING or doubt > _LARGEST_DOUBT:
        return Allocation(estimator, 1.0, charged)
    blocks = [
        block._replace(num_runs=block.num_runs * k)
        for unit, k in zip(units, counts, strict=True)
        for block in unit.blocks
    ]
    return Allocation(Allocated(estimator, blocks), gain, charged)


class _Unit(NamedTuple):
    """The least of one experiment: ``blocks``, with their ``variance`` and ``work``.

    ``all_variance`` and ``all_work`` are those of one run to the end.
    """

    blocks: tuple[Block, ...]
    variance: float
    work: float
    all_variance: float
    all_work: float


def _spreads(objective: BoundOutputs, pilot: SampledJacobian) -> tuple[list[FloatArray], float]:
    """Return covariances [T, T] of the influence of each time, summed over the parameters.

    And the largest relative error of the variances of experiments that they sum up to.
    """
    loss, f, jacobians = objective.loss, pilot.features, pilot.jacobians
    mean = f.mean(0)
    slopes = loss.slope(mean)
    pulled = times(loss.second(mean), jacobians.mean(0))
    spreads, doubts, offset = [], [0.0], 0
    for data in objective.data:
        num_times, width = data.target.shape
        here = slice(offset, offset + num_times * width)
        offset += num_times * width
        influence = jacobians[:, here] * slopes[here, None]
        influence = influence + (f[:, here] - mean[here])[..., None] * pulled[here]
        by_time = influence.reshape(len(f), num_times, width, -1).sum(2)
        centered = by_time - by_time.mean(0)
        spreads.append(np.einsum("ntp,nsp->ts", centered, centered) / (len(f) - 1))
        squares = (centered.sum(1) ** 2).sum(-1)
        if squares.any():
            doubts.append(float(squares.std() / squares.mean() / np.sqrt(len(f))))
    return spreads, max(doubts)


def _candidates(objective: BoundOutputs, experiment: int, spread: FloatArray) -> list[int]:
    """Return the numbers of times to which runs might go that end early, four at most."""
    binding = objective.problem.bindings[experiment]
    if not isinstance(binding.model, ReactionNetwork):
        return []
    most = max(_MULTIPLES)
    able = [
        end
        for end in range(1, len(spread))
        if binding.times[end - 1] > binding.experiment.start
        # Would it pay if runs to there cost nothing?
        and spread.sum() > _WORTH_DIVIDING * _variance(spread, end, most)
    ]
    picked = np.linspace(0, len(able) - 1, min(len(able), _MOST_ENDS))
    return [able[int(i)] for i in np.rint(picked)]


def _variance(spread: FloatArray, end: int, repeats: int) -> float:
    """Return the variance for one run to the last time and ``repeats`` to number ``end``."""
    late = float(spread[end:, end:].sum())
    return (float(spread.sum()) - late) / (1 + repeats) + late


def _best_unit(experiment: int, spread: FloatArray, costs: dict[int, float]) -> _Unit:
    size = len(spread)
    variance, work = float(spread.sum()), costs[size]
    best = _Unit((Block(experiment, size, 1),), variance, work, variance, work)
    for end in costs:
        if end == size:
            continue
        for repeats in _MULTIPLES:
            own, cost = _variance(spread, end, repeats), work + repeats * costs[end]
            if own * cost < best.variance * best.work:
                blocks = (Block(experiment, size, 1), Block(experiment, end, repeats))
                best = _Unit(blocks, own, cost, variance, work)
    return best


def _multiplicities(units: Sequence[_Unit]) -> list[int]:
    """Return how often each unit is to be in a joint sample: nearly as √(variance / work)."""
    ideal = np.array([np.sqrt(max(u.variance, 0.0) / u.work) for u in units])
    if not ideal.max() > 0:
        return [1] * len(units)
    ideal = np.maximum(ideal / ideal.max(), 1 / max(_MULTIPLES))
    tried = [np.maximum(np.rint(k * ideal), 1).astype(int).tolist() for k in _MULTIPLES]
    products = [_product(units, counts) for counts in tried]
    return next(c for c, p in zip(tried, products, strict=True) if p <= _NEARLY * min(products))


def _product(units: Sequence[_Unit], counts: Sequence[int]) -> float:
    variance = sum(u.variance / k for u, k in zip(units, counts, strict=True))
    return variance * sum(u.work * k for u, k in zip(units, counts, strict=True))
