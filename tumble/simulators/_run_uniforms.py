"""Uniforms for declared draws: each run has its own, whatever it is batched with."""

from __future__ import annotations

import numpy as np

from tumble._random import Stream
from tumble._typing import FloatArray, IdArray
from tumble.choices import AbstractUniforms

# They are made ahead, ever more at a time, as far as they fill no more than this.
_FIRST, _MOST = 16, 2**16


class RunUniforms(AbstractUniforms):
    """The uniforms of runs [B] of a stream, in order. Final."""

    def __init__(self, stream: Stream, runs: IdArray) -> None:
        self.num_rows = len(runs)
        self._key, self._runs = np.uint64(stream.key), np.require(runs, np.uint64, ["C"])
        self._table = np.empty((len(runs), 0))
        self._used, self._blocks = 0, 0
        # At once, as the kernel may have to be compiled: in a call with a time limit that would
        # count against it, and an alarm in the midst of it leaves Numba in disorder.
        self._make(1)

    def take(self, count: int) -> FloatArray:
        """See `AbstractUniforms.take`."""
        if self._used + count > self._table.shape[1]:
            self._make(count)
        self._used += count
        return self._table[:, self._used - count : self._used]

    def take_one(self) -> float:
        """See `AbstractUniforms.take_one`."""
        if self._used >= self._table.shape[1]:
            self._make(1)
        self._used += 1
        return self._table.item(self._used - 1)

    def _make(self, count: int) -> None:
        from tumble.kernels._philox import fill_uniforms

        left = self._table[:, self._used :]
        ahead = min(max(_FIRST, 2 * self._blocks), _MOST // max(self.num_rows, 1))
        blocks = max(-(-(count - left.shape[1]) // 2), ahead, 1)
        fresh = np.empty((self.num_rows, blocks, 2))
        fill_uniforms(self._key, self._runs, np.uint64(self._blocks), fresh)
        self._table = np.concatenate([left, fresh.reshape(self.num_rows, -1)], axis=1)
        self._used, self._blocks = 0, self._blocks + blocks
