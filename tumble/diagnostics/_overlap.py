"""How far two masks agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._errors import DataError
from tumble._typing import BoolArray


def dice(mask: Any, truth: Any) -> float:
    """Return Dice's coefficient 2 |A ∩ B| / (|A| + |B|) of two masks.

    Arguments: arrays of one shape, True or 1 inside. Returns a number in [0, 1], 1 where they are
    the same; two empty masks are. Raises `DataError`.

    Reference: Dice, Ecology 26 (1945), doi:10.2307/1932409.

    >>> dice([1, 1, 0, 0], [1, 0, 0, 0])
    0.6666666666666666
    """
    one, other = _masks(mask, truth)
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def jaccard(mask: Any, truth: Any) -> float:
    """Return Jaccard's index |A ∩ B| / |A ∪ B| of two masks, which is d / (2 − d) of Dice's d.

    Arguments, result and errors: as `dice`.

    Reference: Jaccard, New Phytol. 11 (1912), doi:10.1111/j.1469-8137.1912.tb05611.x.

    >>> jaccard([1, 1, 0, 0], [1, 0, 0, 0])
    0.5
    """
    one, other = _masks(mask, truth)
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _masks(*given: Any) -> tuple[BoolArray, BoolArray]:
    found = []
    for name, mask in zip(("mask", "truth"), given, strict=True):
        array = np.asarray(mask)
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise DataError(f"`{name}` holds other values than True and False, or 1 and 0.")
        found.append(array.astype(bool))
    if found[0].shape != found[1].shape:
        raise DataError(f"`mask` has shape {found[0].shape}, but `truth` has {found[1].shape}.")
    return found[0], found[1]
