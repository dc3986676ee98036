"""Which estimator is in use, in numbers that a file can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tumble._typing import IntArray
from tumble.gradients._allocated import Allocated, Block
from tumble.gradients._base import AbstractEstimator


def _undivided() -> IntArray:
    return np.zeros((0, 3), dtype=np.int64)


@dataclass(frozen=True)
class Chosen:
    """One of several estimators, as `Auto` chooses it. Final.

    ``index`` among them; ``blocks`` [B, 3] into which its runs are divided, none if they are not.
    """

    index: int = 0
    blocks: IntArray = field(default_factory=_undivided)

    @classmethod
    def of(cls, estimator: AbstractEstimator, members: Sequence[AbstractEstimator]) -> Chosen:
        """Return which of ``members`` an estimator is, or has its runs divided."""
        if isinstance(estimator, Allocated) and estimator not in members:
            blocks = np.array(estimator.blocks, dtype=np.int64)
            return cls(members.index(estimator.member), blocks)
        return cls(members.index(estimator))

    def among(self, members: Sequence[AbstractEstimator]) -> AbstractEstimator:
        """Return the estimator, its runs divided if they are to be."""
        member, blocks = members[self.index], [Block(*row) for row in self.blocks]
        return Allocated(member, blocks) if blocks else member
