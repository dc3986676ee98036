"""Which site belongs to which cell, and what kind of cell that is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_whole, shown
from tumble._random import Stream
from tumble._typing import IntArray

MOST_TYPES, MOST_CELLS = 64, 2**24


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """A lattice of cells: what a Cellular Potts model starts from.

    Arguments: ``ids`` [*shape], the number of the cell that each site belongs to, 0 for the medium;
    ``types``, the type of cell 1, 2, …, a whole number from 1 to 63. A cell may have no site.
    Raises `ModelError`.

    >>> import numpy as np
    >>> pair = Cells(np.array([[0, 1, 1], [0, 2, 2]]), types=[1, 2])
    >>> pair.num_cells, pair.volumes.tolist()
    (2, [2, 2])
    """

    ids: Any
    types: Any

    def __post_init__(self) -> None:
        types, ids = np.asarray(self.types), np.asarray(self.ids)
        whole = types.ndim == 1 and (types.dtype.kind in "iu" or types.size == 0)
        if not (whole and len(types) < MOST_CELLS) or not np.all(
            (types >= 1) & (types < MOST_TYPES)
        ):
            raise ModelError(
                f"`types` is {shown(self.types)}, expected a type from 1 to {MOST_TYPES - 1} for "
                "each cell; 0 is the medium, which is no cell."
            )
        if ids.dtype.kind not in "iu" or not 1 <= ids.ndim <= 3 or ids.size == 0:
            raise ModelError(
                f"`ids` is {shown(self.ids)}, expected an array of whole numbers with one to three "
                "axes: the cell of each site, 0 for the medium."
            )
        if ids.min() < 0 or ids.max() > len(types):
            raise ModelError(
                f"`ids` go from {ids.min()} to {ids.max()}, expected 0 (the medium) to "
                f"{len(types)}, one for each entry of `types`."
            )
        ids, types = ids.astype(np.int32), types.astype(np.int64)
        ids.flags.writeable = types.flags.writeable = False
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "types", types)

    @classmethod
    def blocks(
        cls,
        shape: Sequence[int],
        counts: Sequence[int],
        width: int,
        types: Sequence[int] = (1,),
        seed: int = 0,
    ) -> Cells:
        """Return square (cubic) cells side by side in the middle of a lattice.

        Arguments: ``shape`` of the lattice; ``counts``, how many cells along each axis; ``width``
        of a cell in sites; ``types``, which are dealt out in turn and then shuffled by ``seed``.
        Raises `ModelError` where they do not fit.
        """
        require_whole("width", width)
        if len(counts) != len(shape) or any(
            c * width > n for c, n in zip(counts, shape, strict=True)
        ):
            raise ModelError(
                f"{tuple(counts)} cells of width {width} do not fit on a lattice of shape "
                f"{tuple(shape)}."
            )
        number = int(np.prod(counts))
        block = np.arange(1, number + 1).reshape(tuple(counts))
        for axis in range(len(counts)):
            block = np.repeat(block, width, axis=axis)
        before = [(n - b) // 2 for n, b in zip(shape, block.shape, strict=True)]
        widths = [(a, n - a - b) for n, a, b in zip(shape, before, block.shape, strict=True)]
        dealt = np.resize(np.asarray(types, dtype=int), number)
        Stream.from_seed(seed).child("cells").numpy().shuffle(dealt)
        return cls(np.pad(block, widths), dealt)

    @classmethod
    def of_masks(cls, masks: Any, types: int | Mapping[int, int] = 1) -> tuple[Cells, IntArray]:
        """Return the cells in the first frame of label masks, and all frames with their numbers.

        Cells are numbered 1, 2, … in the order of their labels; those that are not yet there have
        no site.

        Arguments: ``masks`` [frames, *shape], 0 around cells, as `read_masks` returns them;
        ``types``, one for all cells, or a type for each label. Raises `ModelError`.
        """
        labels = np.asarray(masks)
        whole = labels.dtype.kind in "iu" and labels.ndim > 1 and labels.size > 0
        if not whole or labels.min() < 0:
            raise ModelError(
                f"`masks` are {shown(masks)}, expected frames of whole numbers: 0 around cells, "
                "and a label for each cell."
            )
        known = np.unique(labels[labels > 0])
        if isinstance(types, Mapping):
            missing = [int(label) for label in known if label not in types]
            if missing:
                raise ModelError(
                    f"`types` has no type for {len(missing)} of {len(known)} cells, the first with "
                    f"label {missing[0]}."
                )
            found = [types[int(label)] for label in known]
        else:
            found = [types] * len(known)
        numbers = np.where(labels > 0, np.searchsorted(known, labels) + 1, 0)
        frames: Any = numbers.astype(np.int32)
        return cls(frames[0], np.array(found, dtype=int)), frames

    @property
    def shape(self) -> tuple[int, ...]:
        """Sites along each axis."""
        return tuple(int(n) for n in self.ids.shape)

    @property
    def num_cells(self) -> int:
        """How many cells there are, those without a site included."""
        return len(self.types)

    @property
    def num_types(self) -> int:
        """How many types there are, the medium included."""
        return int(self.types.max(initial=0)) + 1

    @property
    def types_of_ids(self) -> IntArray:
        """The type of the medium, cell 1, 2, … [C + 1]."""
        return np.concatenate([[0], self.types])

    @property
    def volumes(self) -> IntArray:
        """Sites of cell 1, 2, … [C]."""
        return np.bincount(self.ids.ravel(), minlength=self.num_cells + 1)[1:]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cells) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        digest = hashlib.blake2b(self.ids.tobytes() + self.types.tobytes(), digest_size=8)
        return self.shape, self.num_cells, digest.hexdigest()

    def __repr__(self) -> str:
        shape, number, digest = self._key
        return f"Cells(shape={shape}, num_cells={number}, digest={digest!r})"
