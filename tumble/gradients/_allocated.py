"""Runs divided between experiments, and between observation times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import ParameterError, require_member, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import LARGEST_PIECE, AbstractEstimator
from tumble.gradients._estimate import SampledJacobian, concatenated
from tumble.objectives import BoundOutputs
from tumble.simulators import AbstractSimulator


class Block(NamedTuple):
    """``num_runs`` runs of an experiment that end at its ``num_times``-th observation time."""

    experiment: int
    num_times: int
    num_runs: int


@dataclass(frozen=True)
class Allocated(AbstractEstimator):
    """The Jacobian of a member, with more runs where they tell more for what they cost.

    Definition: a joint sample consists of blocks: some runs of one experiment that end at one of
    its observation times. Features and Jacobians at a time are averages over all runs of the sample
    that reach it.

    Guarantee: that of its member.

    Arguments: ``member``, an estimator; ``blocks``, `Block(experiment, num_times, num_runs)`, of
    which at least one for each experiment reaches its last time. Raises `ParameterError`.

    When: the noise of a gradient comes from early times, and runs to late ones cost much, as away
    from the minimum of a relaxation; or from one experiment, and another costs more. `Auto` finds
    the blocks and takes them where they pay. For networks only, where there are times to choose
    from: a black box may treat the times that it is given as it likes.

    Reference: Neyman, J. R. Stat. Soc. 97 (1934), doi:10.2307/2342192 (allocation).
    """

    member: AbstractEstimator
    blocks: Sequence[Block]
    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = False
    guarantee: ClassVar[str] = "that of its member"
    divisible: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_member(
            "member", self.member, AbstractEstimator, "an estimator such as ScoreFunction()"
        )
        for block in self.blocks:
            for name, number in zip(Block._fields, block, strict=True):
                require_whole(f"blocks: {name}", number, least=0 if name == "experiment" else 1)
        object.__setattr__(self, "blocks", tuple(Block(*map(int, b)) for b in self.blocks))

    @property
    def label(self) -> str:
        """See `AbstractEstimator.label`."""
        return f"{self.member.label}, runs divided"

    @property
    def any_size(self) -> bool:
        """See `AbstractEstimator.any_size`."""
        return self.member.any_size

    def check(self, objective: BoundOutputs) -> None:
        """Raise `CapabilityError` where the member does not fit, `ParameterError` for blocks."""
        self.member.check(objective)
        sizes = [len(binding.times) for binding in objective.problem.bindings]
        for block in self.blocks:
            if block.experiment >= len(sizes) or block.num_times > sizes[block.experiment]:
                raise ParameterError(
                    f"`blocks` has {block}, but there are {len(sizes)} experiment(s), of "
                    f"{', '.join(map(str, sizes))} times."
                )
        for experiment, size in enumerate(sizes):
            if not any(b[:2] == (experiment, size) for b in self.blocks):
                raise ParameterError(
                    f"`blocks` has no runs of experiment {experiment} to the last of its {size} "
                    "times; add one."
                )

    def cost_of_event(self, objective: BoundOutputs) -> float:
        """See `AbstractEstimator.cost_of_event`."""
        return self.member.cost_of_event(objective)

    def overhead(self, objective: BoundOutputs) -> float:
        """See `AbstractEstimator.overhead`: the mean over the runs."""
        costs = [self.member.overhead(objective.part(b.experiment, b.num_times))
                 for b in self.blocks]  # fmt: skip
        return float(np.average(costs, weights=[b.num_runs for b in self.blocks]))

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`; the mean over the experiments, rounded up."""
        return -(-self.runs_in_all(objective) // len(objective.problem.bindings))

    def runs_in_all(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_in_all`."""
        return self.member.runs_per_sample(objective) * sum(b.num_runs for b in self.blocks)

    def tuned(self, num_runs: int) -> Allocated:
        """See `AbstractEstimator.tuned`."""
        return replace(self, member=self.member.tuned(num_runs))

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        return concatenated(self.batches(objective, z, num_samples, stream, executor))

    def batches(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> list[SampledJacobian]:
        """See `AbstractEstimator.batches`."""
        self.check(objective)
        drawn = [
            self._drawn(objective, block, z, num_samples, stream.child("block", i), executor)
            for i, block in enumerate(self.blocks)
        ]
        return [self._together(objective, list(parts)) for parts in zip(*drawn, strict=True)]

    def _drawn(
        self, objective: BoundOutputs, block: Block, z: FloatArray, num_samples: int,
        stream: Stream, executor: Any,
    ) -> list[SampledJacobian]:  # fmt: skip
        """Return batches of joint samples of one block, each the average of its runs."""
        part = objective.part(block.experiment, block.num_times)
        count = self.member.num_batches(num_samples)
        # All blocks are to fall into as many batches; those of many runs would into more.
        drawn = num_samples * block.num_runs
        fits = 8 * drawn * part.num_features * max(len(z), 1) <= LARGEST_PIECE
        at_once = fits and self.member.num_batches(drawn) == count
        calls = 1 if at_once else block.num_runs
        each = num_samples * block.num_runs // calls
        pieces = [
            self.member.batches(part, z, each, stream.child("call", k), executor)
            for k in range(calls)
        ]
        return [
            _averaged([piece[b] for piece in pieces], block.num_runs // calls) for b in range(count)
        ]

    def _together(self, objective: BoundOutputs, parts: list[SampledJacobian]) -> SampledJacobian:
        """Join one batch of every block: average over what reaches each time."""
        size = min(len(part.features) for part in parts)
        features, jacobians = [], []
        for e, data in enumerate(objective.data):
            num_times, width = data.target.shape
            total: list[Any] = [0.0, 0.0]
            reached = np.zeros(num_times * width)
            for block, part in zip(self.blocks, parts, strict=True):
                if block.experiment != e:
                    continue
                end = block.num_times * width
                reached[:end] += block.num_runs
                for i, values in enumerate((part.features, part.jacobians)):
                    padded = np.zeros((size, num_times * width, *values.shape[2:]))
                    padded[:, :end] = values[:size] * block.num_runs
                    total[i] = total[i] + padded
            features.append(total[0] / reached)
            jacobians.append(total[1] / reached[:, None])
        return SampledJacobian(
            np.concatenate(features, axis=1),
            np.concatenate(jacobians, axis=1),
            sum(part.num_runs for part in parts),
            sum(part.num_events for part in parts),
        )


def _averaged(pieces: list[SampledJacobian], group: int) -> SampledJacobian:
    """Return samples that are each the average of ``group`` runs of each of the pieces.

    Runs that are left over are not used, and are counted.
    """
    size = min(len(piece.features) for piece in pieces) // group

    def average(arrays: list[FloatArray]) -> FloatArray:
        grouped = [a[: size * group].reshape(size, group, *a.shape[1:]).mean(1) for a in arrays]
        return np.asarray(np.mean(grouped, axis=0))

    return SampledJacobian(
        average([p.features for p in pieces]),
        average([p.jacobians for p in pieces]),
        sum(p.num_runs for p in pieces),
        sum(p.num_events for p in pieces),
    )
