"""The seed tree: one integer at the surface, a named stream for every use of randomness.

A stream is a 64-bit key. Its children are found by hashing the path that leads to them
(``Stream.from_seed(0).child("simulate", 2)``), so that adding a use of randomness somewhere never
moves the random numbers of another. Inside a stream, run ``i`` draws block ``d`` as
Philox4x32-10(counter=(d, i), key): a pure function of (seed, path, run, draw), hence the same
whatever the threads, batches and executor.

Reference: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC11 (2011),
doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import IdArray


@dataclass(frozen=True)
class Stream:
    """A node of the seed tree.

    Arguments: ``key``, the 64-bit stream id. Use `Stream.from_seed` for the root.
    """

    key: int

    @classmethod
    def from_seed(cls, seed: int) -> Stream:
        """Return the root stream of a seed, an integer in [0, 2**64)."""
        try:
            number = operator.index(seed)
        except TypeError:
            raise ParameterError(
                f"`seed` is {seed!r}, expected an integer such as seed=0."
            ) from None
        if not 0 <= number < 2**64:
            raise ParameterError(f"`seed` is {number}, expected 0 <= seed < 2**64.")
        return cls(_hash("tumble", number))

    def child(self, *path: str | int) -> Stream:
        """Return the stream at the end of ``path``, a sequence of names and integers."""
        key = self.key
        for step in path:
            key = _hash(key, step)
        return Stream(key)

    def numpy(self) -> np.random.Generator:
        """Return a NumPy generator of this stream, for draws outside the kernels."""
        return np.random.Generator(np.random.Philox(key=self.key))


def run_ids(count: int, start: int = 0) -> IdArray:
    """Return the ids ``start … start+count-1`` of consecutive runs of a stream, shape [count]."""
    return np.arange(start, start + count, dtype=np.uint64)


def _hash(parent: int | str, step: str | int) -> int:
    text = f"{parent}/{type(step).__name__}:{step}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
