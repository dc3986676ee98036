"""The lines along which perturbation estimators look."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import require_whole
from tumble._typing import FloatArray


class AbstractDirections(abc.ABC):
    """Where the two sides of a difference lie, in units of its step.

    One joint sample takes a block of D directions u [D, P] with Σ_d E[u_d u_dᵀ] = D' I for some D',
    so that Σ_d (∂m · u_d) u_d / D' is ∂m on average.
    """

    is_normal: ClassVar[bool]
    """Whether each direction by itself is standard normal."""

    @abc.abstractmethod
    def count(self, num_params: int) -> int:
        """Return D, the directions of one joint sample, among ``num_params`` parameters."""

    @abc.abstractmethod
    def draw(self, num_samples: int, num_params: int, rng: np.random.Generator) -> FloatArray:
        """Return directions [n, D, P]; different samples are independent."""

    @abc.abstractmethod
    def reach(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Return Σ_d E[u_dj clip(u_dj, lower_j, upper_j)], with lower ≤ 0 ≤ upper, [P].

        It is what a difference along a direction that is cut at the bounds has to be divided by.
        """


@dataclass(frozen=True)
class CoordinateDirections(AbstractDirections):
    """Each parameter by itself, one after another: no noise from the directions, D = P."""

    is_normal: ClassVar[bool] = False

    def count(self, num_params: int) -> int:
        """See `AbstractDirections.count`."""
        return num_params

    def draw(self, num_samples: int, num_params: int, rng: np.random.Generator) -> FloatArray:
        """See `AbstractDirections.draw`."""
        return np.broadcast_to(np.eye(num_params), (num_samples, num_params, num_params))

    def reach(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """See `AbstractDirections.reach`."""
        return _half_width(lower, upper)


@dataclass(frozen=True)
class RademacherDirections(AbstractDirections):
    """All parameters at once, each up or down by the same step with probability ½; D = 1.

    Reference: Spall, IEEE Trans. Autom. Control 37 (1992), doi:10.1109/9.119632.
    """

    is_normal: ClassVar[bool] = False

    def count(self, num_params: int) -> int:
        """See `AbstractDirections.count`."""
        return 1

    def draw(self, num_samples: int, num_params: int, rng: np.random.Generator) -> FloatArray:
        """See `AbstractDirections.draw`."""
        return rng.choice(np.array([-1.0, 1.0]), size=(num_samples, 1, num_params))

    def reach(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """See `AbstractDirections.reach`."""
        return _half_width(lower, upper)


@dataclass(frozen=True)
class GaussianDirections(AbstractDirections):
    """Standard normal vectors, D = 1."""

    is_normal: ClassVar[bool] = True

    def count(self, num_params: int) -> int:
        """See `AbstractDirections.count`."""
        return 1

    def draw(self, num_samples: int, num_params: int, rng: np.random.Generator) -> FloatArray:
        """See `AbstractDirections.draw`."""
        return rng.standard_normal((num_samples, 1, num_params))

    def reach(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """See `AbstractDirections.reach`."""
        return _share_inside(lower, upper)


@dataclass(frozen=True)
class OrthogonalDirections(AbstractDirections):
    """Blocks of vectors that are orthogonal to each other, and each by itself standard normal.

    Definition: the first D rows of a random rotation, uniform over all (Haar), times independent
    lengths with the law of a standard normal vector's (chi with P degrees of freedom). A whole
    block is one joint sample, since its vectors depend on each other.

    Arguments: ``block``, D; default, and at most, as many as there are parameters.

    Reference: Choromanski et al., ICML (2018), doi:10.48550/arXiv.1804.02395.
    """

    block: int | None = None
    is_normal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.block is not None:
            require_whole("block", self.block)

    def count(self, num_params: int) -> int:
        """See `AbstractDirections.count`."""
        return num_params if self.block is None else min(int(self.block), num_params)

    def draw(self, num_samples: int, num_params: int, rng: np.random.Generator) -> FloatArray:
        """See `AbstractDirections.draw`."""
        count = self.count(num_params)
        columns, triangle = np.linalg.qr(rng.standard_normal((num_samples, num_params, count)))
        # Signs that make the triangle's diagonal positive make the rotation uniform.
        signs = np.where(np.diagonal(triangle, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
        lengths = np.sqrt(rng.chisquare(num_params, (num_samples, count)))
        return np.swapaxes(columns * (signs * lengths)[:, None, :], -1, -2)

    def reach(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """See `AbstractDirections.reach`."""
        return self.count(len(lower)) * _share_inside(lower, upper)


def _half_width(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return E[u clip(u, lower, upper)] of u = ±1."""
    return (np.minimum(upper, 1.0) - np.maximum(lower, -1.0)) / 2


def _share_inside(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return E[u clip(u, lower, upper)] of normal u: by Stein's identity, P(lower < u < upper)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(upper) - ndtr(lower))
