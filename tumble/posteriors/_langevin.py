"""A step of Langevin dynamics with slopes whose noise is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import BoolArray, FloatArray

_FARTHEST = 6.0  # beyond 2 √P, in standard deviations from the middle: where slopes are cut


class Walkers(NamedTuple):
    """Where C chains are: ``place`` [C, P], and the ``push`` [C, P] of which half is still due."""

    place: FloatArray
    push: FloatArray


class Slopes(NamedTuple):
    """Estimated slopes of −log density at C places: ``slope`` [C, P], NaN where there is none.

    ``noise`` [C, P, P], the covariance of their errors.
    """

    slope: FloatArray
    noise: FloatArray


def langevin_step(
    walkers: Walkers, slopes: Slopes, root: FloatArray, length: float, rng: np.random.Generator
) -> tuple[Walkers, BoolArray]:
    """Return walkers one step on, and of which [C] the slope was too noisy.

    Definition: x' = x + R (−h Rᵀg + √(h/2) (ξ + ξ')), with ``root`` R, R Rᵀ about the covariance of
    the target, ``length`` h < 2, and g the slope. Each normal push ξ serves two steps. With noise S
    of Rᵀg the next push has covariance 1 − h / (2 − h) S: what noise of the slopes adds to the
    spread, pushes bring less. Where that leaves nothing, noise is left over. Slopes as of places
    more than 2 √P + 6 standard deviations off are cut to that, so that none throws a walker far
    beyond; a walker without a slope stays.

    Guarantee: where the target is normal with covariance R Rᵀ, walkers have its mean and covariance
    at any h, noise included. Elsewhere the error of their law is of order h².

    References: Leimkuhler, Matthews, Tretyakov, Proc. R. Soc. A 470 (2014),
    doi:10.1098/rspa.2014.0120 (pushes that serve twice); Ahn, Korattikara, Welling, ICML (2012),
    arXiv:1206.6380 (noise that is taken off).
    """
    pulled = slopes.slope @ root
    known: BoolArray = np.all(np.isfinite(pulled), axis=1)
    far = np.linalg.norm(pulled, axis=1, keepdims=True)
    longest = 2 * np.sqrt(pulled.shape[1]) + _FARTHEST
    pulled = pulled * np.minimum(1.0, longest / np.maximum(far, longest))
    noise = root.T @ np.where(known[:, None, None], slopes.noise, 0.0) @ root
    values, vectors = np.linalg.eigh(noise)
    left = 1 - length / (2 - length) * values
    drawn = rng.standard_normal(pulled.shape)
    push = np.einsum("cpq,cq->cp", vectors, np.sqrt(np.maximum(left, 0.0)) * drawn)
    moved = -length * pulled + np.sqrt(length / 2) * (walkers.push + push)
    place = np.where(known[:, None], walkers.place + moved @ root.T, walkers.place)
    after = Walkers(place, np.where(known[:, None], push, walkers.push))
    return after, known & np.any(left < 0, axis=1)
