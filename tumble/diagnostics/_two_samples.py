"""Whether two sets of draws can be told apart."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, DataError, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray

_WIDTH = 10  # times the number of columns: neurons in each of two layers


def c2st(first: Any, second: Any, *, seed: int = 0, num_folds: int = 5) -> float:
    """Return how often a classifier tells from which of two sets a draw is: C2ST.

    Definition: both sets are shifted and scaled by mean and standard deviation of the ``first``; a
    perceptron with two layers of ten neurons a column learns to tell them apart, and its accuracy
    is measured on draws that it has not seen, in ``num_folds`` parts. 0.5 where the sets are of one
    law, 1 where they have nothing in common. Needs ``pip install "tumble[diagnostics]"``.

    Arguments: ``first`` and ``second``, draws [N, P], the reference first; as many of both, else
    the longer one is cut, since a classifier might guess by their numbers. ``seed``;
    ``num_folds``, default 5.

    Guarantee: below 0.5 plus a few hundredths says little with fewer than a thousand draws each;
    and a classifier of this size may miss what a larger one would find.

    Raises `DataError`, and `CapabilityError` where scikit-learn is not installed.

    References: Lopez-Paz, Oquab, ICLR (2017), arXiv:1610.06545; Lueckmann, Boelts, Greenberg,
    Gonçalves, Macke, AISTATS (2021), arXiv:2101.04653 (this classifier).
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import KFold, cross_val_score
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        raise CapabilityError(
            "C2ST needs the package scikit-learn, which is not installed; run: "
            'pip install "tumble[diagnostics]"'
        ) from None
    require_whole("num_folds", num_folds)
    one, other = _draws("first", first), _draws("second", second)
    if one.shape[1] != other.shape[1]:
        raise DataError(
            f"`first` has {one.shape[1]} columns, but `second` has {other.shape[1]}; give draws of "
            "the same parameters."
        )
    count = min(len(one), len(other))
    if count < 2 * num_folds:
        raise DataError(f"there are {count} draws of each, expected at least {2 * num_folds}.")
    spread = one.std(0)
    if not np.all(spread > 0):
        raise DataError("`first` has a column that is the same in all draws; leave it out.")
    rng = Stream.from_seed(seed).child("c2st").numpy()
    both = np.concatenate([_some(one, count, rng), _some(other, count, rng)])
    both = (both - one.mean(0)) / spread
    label = np.repeat([0, 1], count)
    width = _WIDTH * both.shape[1]
    state = int(rng.integers(2**31))
    machine = MLPClassifier((width, width), max_iter=1000, random_state=state)
    folds = KFold(num_folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # What has not converged after 1,000 epochs is judged as it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(cross_val_score(machine, both, label, cv=folds).mean())


def _draws(name: str, given: Any) -> FloatArray:
    array = np.asarray(given, dtype=float)
    if array.ndim != 2 or not array.shape[1] or not np.isfinite(array).all():
        raise DataError(
            f"`{name}` has shape {array.shape}, expected finite draws [N, P]; of a posterior, "
            "`posterior.sample(10_000)`."
        )
    return array


def _some(draws: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Return so many of the draws, in random order."""
    return np.asarray(draws[rng.permutation(len(draws))[:count]])
