"""The laws that declared draws can have, with the derivatives of their probabilities."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar

import numpy as np

from tumble._relaxation import AbstractRelaxation
from tumble._typing import BoolArray, FloatArray

_SLACK = 1e-9  # a probability may leave [0, 1] by rounding
_ONE_BY_ONE = 30.0  # mean below which a Poisson number is found by adding up probabilities


class AbstractLaw(abc.ABC):
    """A law of outcomes, given arguments [...], which are numbers or arrays.

    Derivatives of arguments are ``slopes`` [..., Q], None for those without; ``categories`` is 1
    for a law whose argument has the probabilities of its outcomes along a last dimension, else 0.
    """

    categories: ClassVar[int] = 0
    num_extra: ClassVar[int] = 0
    """Uniforms that `alternatives` needs for each draw."""

    @abc.abstractmethod
    def draw(self, u: FloatArray, *args: Any) -> Any:
        """Return outcomes [...] from uniforms u [...]: the inverse of the distribution function.

        Raises `ValueError` for arguments that make no sense.
        """

    @abc.abstractmethod
    def draw_one(self, u: float, *args: Any) -> Any:
        """Return one outcome, as a plain number, from one uniform."""

    @abc.abstractmethod
    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        """Return log p(x) [...], of the density where x is real; −∞ for what cannot be."""

    @abc.abstractmethod
    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        """Return ∂ log p(x) [..., Q], NaN where it is not defined; in NumPy or JAX, as ``xp``."""

    @abc.abstractmethod
    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        """Return weights [..., C, Q] and other outcomes [..., C], from extra uniforms [..., num].

        Σ_c weights[c] (f(outcomes[c]) − f(x)) has the expectation ∂ E[f].
        """

    @abc.abstractmethod
    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        """Return the pathwise derivative ∂x [..., Q], or ∂ one-hot [..., n, Q] of categories.

        ``u`` [...], the uniforms x was made of, ``extra`` [..., n] more for a noisy relaxation of
        categories. NaN where it is not defined.
        """


class _Flip(AbstractLaw):
    def draw(self, u: FloatArray, p: Any) -> BoolArray:
        if not np.all((p >= -_SLACK) & (p <= 1 + _SLACK)):
            raise ValueError(f"flip(p) got p = {_odd(p, 0, 1)}, expected 0 to 1")
        return np.asarray(u < p)

    def draw_one(self, u: float, p: Any) -> bool:
        if not -_SLACK <= p <= 1 + _SLACK:
            raise ValueError(f"flip(p) got p = {float(p)}, expected 0 to 1")
        return bool(u < p)

    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        return _log(xp.where(x, args[0], 1 - args[0]), xp)

    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        if isinstance(x, bool) and 0 < args[0] < 1:  # a single draw, quickly
            return xp.asarray(slopes[0] / (args[0] if x else args[0] - 1))
        p = xp.asarray(args[0], float)
        inside = (p > 0) & (p < 1)
        safe = xp.where(inside, p, 0.5)
        factor = xp.where(inside, xp.where(x, 1 / safe, 1 / (safe - 1)), xp.nan)
        return _times(slopes[0], factor, xp)

    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        other = 1.0 - xp.asarray(x, float)
        return _times(slopes[0], 2 * other - 1, xp)[..., None, :], other[..., None]

    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        p = xp.asarray(args[0], float)
        return _times(slopes[0], relaxation.flip(xp.asarray(x), p, u, xp), xp)


class _Choose(AbstractLaw):
    categories: ClassVar[int] = 1

    def draw(self, u: FloatArray, weights: Any) -> Any:
        edges = np.cumsum(weights, axis=-1)
        self._check(weights, edges[..., -1])
        found = (edges <= (u * edges[..., -1])[..., None]).sum(-1)
        # Rounding must not choose what has no weight at the end.
        return np.minimum(found, _last_positive(np.asarray(weights)))

    def draw_one(self, u: float, weights: Any) -> int:
        numbers = [float(w) for w in weights]
        total = math.fsum(numbers)
        if not (min(numbers) >= 0 and 0 < total < math.inf):
            self._check(np.asarray(numbers), total)
        left, last = u * total, 0
        for i, weight in enumerate(numbers):
            if weight > 0:
                if left < weight:
                    return i
                left, last = left - weight, i
        return last

    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        weights = xp.asarray(args[0], float)
        index = xp.asarray(x)[..., None].astype(int)
        chosen = xp.take_along_axis(weights, index, -1)[..., 0]
        return _log(chosen / weights.sum(-1), xp)

    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        weights = xp.asarray(args[0], float)
        total, of_total = weights.sum(-1), slopes[0].sum(-2)
        index = xp.asarray(x)[..., None]
        weight = xp.take_along_axis(weights, index, -1)[..., 0]
        slope = xp.take_along_axis(slopes[0], index[..., None], -2)[..., 0, :]
        score = slope / weight[..., None] - of_total / total[..., None]
        lost = (weights == 0)[..., None] & (slopes[0] != 0)
        return xp.where(lost.any(-2), xp.nan, score)

    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        weights = xp.asarray(args[0], float)
        total = weights.sum(-1)[..., None, None]
        of_total = slopes[0].sum(-2)[..., None, :]
        found = slopes[0] / total - weights[..., None] * of_total / total**2
        outcomes = xp.broadcast_to(xp.arange(weights.shape[-1], dtype=float), weights.shape)
        return xp.where((outcomes == xp.asarray(x)[..., None])[..., None], 0.0, found), outcomes

    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        weights = xp.asarray(args[0], float)
        total = weights.sum(-1, keepdims=True)
        p, of_total = weights / total, slopes[0].sum(-2, keepdims=True)
        slope = (slopes[0] - p[..., None] * of_total) / total[..., None]
        return xp.asarray(relaxation.pick(xp.asarray(x), p, slope, extra, xp))

    @staticmethod
    def _check(weights: Any, total: Any) -> None:
        if not (np.all(weights >= 0) and np.all(total > 0) and np.all(np.isfinite(total))):
            odd = _odd(weights, 0, np.inf)
            what = (
                f"a weight of {odd}" if np.isfinite(odd) and odd < 0 else f"the weights {weights}"
            )
            raise ValueError(f"choose(weights) got {what}, expected finite weights ≥ 0, not all 0")


class _Count(AbstractLaw):
    def draw(self, u: FloatArray, rate: Any) -> Any:
        self._check(rate)
        mean = np.broadcast_to(np.asarray(rate, float), np.shape(u))
        large = mean > _ONE_BY_ONE
        if not np.any(large):
            return _poisson_by_sums(u, mean)
        count = np.empty(np.shape(u), np.int64)
        count[large] = _poisson_by_inversion(u[large], mean[large])
        count[~large] = _poisson_by_sums(u[~large], mean[~large])
        return count

    def draw_one(self, u: float, rate: Any) -> int:
        self._check(rate)
        if rate > _ONE_BY_ONE:
            return int(_poisson_by_inversion(np.asarray(u), np.asarray(rate, float)))
        count, share = 0, math.exp(-float(rate))
        below = share
        while u > below and share > 0:
            count += 1
            share *= float(rate) / count
            below += share
        return count

    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        rate = xp.asarray(args[0], float)
        x = xp.asarray(x, float)
        some = xp.where(x > 0, x * _log(rate, xp), 0.0)
        return some - rate - _log_factorial(x, xp)

    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        return _times(slopes[0], xp.asarray(x, float) / xp.asarray(args[0], float) - 1, xp)

    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        return slopes[0][..., None, :], (xp.asarray(x, float) + 1)[..., None]

    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        rate = xp.asarray(args[0], float)
        return _times(slopes[0], relaxation.count(xp.asarray(x), rate, xp), xp)

    @staticmethod
    def _check(rate: Any) -> None:
        if not np.all((rate >= 0) & (rate < 2.0**52)):
            raise ValueError(f"count(rate) got rate = {_odd(rate, 0, 2.0**52)}, expected ≥ 0")


class _Wait(AbstractLaw):
    num_extra: ClassVar[int] = 1

    def draw(self, u: FloatArray, rate: Any) -> Any:
        self._check(rate)
        positive = np.asarray(rate) > 0
        return np.where(positive, -np.log(u) / np.where(positive, rate, 1.0), np.inf)

    def draw_one(self, u: float, rate: Any) -> float:
        self._check(rate)
        return -math.log(u) / float(rate) if rate > 0 else math.inf

    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        return _log(xp.asarray(args[0], float), xp) - args[0] * x

    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        return _times(slopes[0], 1 / xp.asarray(args[0], float) - xp.asarray(x), xp)

    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        # ∂ (λ e^{−λt}) = (the density of one wait − that of two after each other) / λ
        rate = xp.asarray(args[0], float)
        later = xp.asarray(x) - xp.log(extra[..., 0]) / rate
        return _times(slopes[0], -1 / rate, xp)[..., None, :], later[..., None]

    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        rate = xp.asarray(args[0], float)
        return _times(slopes[0], -xp.asarray(x) / rate, xp)

    @staticmethod
    def _check(rate: Any) -> None:
        if not np.all((rate >= 0) & (rate < np.inf)):
            raise ValueError(f"wait(rate) got rate = {_odd(rate, 0, np.inf)}, expected ≥ 0")


class _Normal(AbstractLaw):
    num_extra: ClassVar[int] = 5

    def draw(self, u: FloatArray, mean: Any, sd: Any) -> Any:
        from scipy.special import ndtri

        self._check(mean, sd)
        return mean + sd * ndtri(u)

    def draw_one(self, u: float, mean: Any, sd: Any) -> float:
        return float(self.draw(np.asarray(u), mean, sd))

    def log_probability(self, x: Any, args: Any, xp: Any = np) -> Any:
        mean, sd = args
        return -0.5 * ((x - mean) / sd) ** 2 - xp.log(sd) - 0.5 * math.log(2 * math.pi)

    def score(self, x: Any, args: Any, slopes: Any, xp: Any = np) -> FloatArray:
        mean, sd = (xp.asarray(a, float) for a in args)
        standard = (x - mean) / sd
        parts: Any = 0.0
        for slope, factor in zip(slopes, (standard / sd, (standard**2 - 1) / sd), strict=True):
            if slope is not None:
                parts = parts + _times(slope, factor, xp)
        return xp.asarray(parts)

    def alternatives(
        self, x: Any, args: Any, slopes: Any, extra: FloatArray, xp: Any = np
    ) -> tuple[FloatArray, FloatArray]:
        # ∂φ/∂mean: a Rayleigh deviation to either side, over √(2π) sd; ∂φ/∂sd = (z² φ − φ) / sd,
        # z² φ being the density of a Maxwell deviation to either side, the length of three normal
        # numbers.
        mean, sd = (xp.asarray(a, float) for a in args)
        side = xp.where(extra[..., 0] < 0.5, -1.0, 1.0)
        rayleigh = xp.sqrt(-2 * xp.log(extra[..., 1]))
        third = -2 * xp.log(extra[..., 3]) * xp.cos(2 * math.pi * extra[..., 4]) ** 2
        maxwell = xp.sqrt(-2 * xp.log(extra[..., 2]) + third)
        factors = (side * math.sqrt(2 / math.pi) / sd, 1 / sd)
        outcomes = [mean + side * sd * rayleigh, mean + side * sd * maxwell]
        width = next(slope.shape[-1] for slope in slopes if slope is not None)
        empty = xp.zeros((*xp.shape(x), width))
        weights = [
            empty if slope is None else _times(slope, factor, xp)
            for slope, factor in zip(slopes, factors, strict=True)
        ]
        return xp.stack(weights, axis=-2), xp.stack(outcomes, axis=-1)

    def relaxed(
        self,
        x: Any,
        u: Any,
        args: Any,
        slopes: Any,
        relaxation: AbstractRelaxation,
        extra: Any,
        xp: Any = np,
    ) -> FloatArray:
        mean, sd = (xp.asarray(a, float) for a in args)
        factors = xp.ones(xp.shape(x)), (x - mean) / sd
        parts = (_times(s, f, xp) for s, f in zip(slopes, factors, strict=True) if s is not None)
        return xp.asarray(sum(parts))

    @staticmethod
    def _check(mean: Any, sd: Any) -> None:
        if not (np.all(np.isfinite(mean)) and np.all((sd > 0) & (sd < np.inf))):
            raise ValueError(
                f"normal(mean, sd) got sd = {_odd(sd, 0, np.inf)}, expected a finite mean and a "
                "finite sd > 0"
            )


FLIP, CHOOSE, COUNT, WAIT, NORMAL = _Flip(), _Choose(), _Count(), _Wait(), _Normal()


def _poisson_by_sums(u: FloatArray, mean: FloatArray) -> Any:
    """Return the first count up to which probabilities add up to u."""
    share = np.exp(-mean)
    below = share.copy()
    count = np.zeros(np.shape(u), np.int64)
    going, k = u > below, 0
    while np.any(going):
        k += 1
        count += going
        share = share * (mean / k)
        below = below + share
        going = going & (u > below) & (share > 0)
    return count


def _poisson_by_inversion(u: FloatArray, mean: FloatArray) -> Any:
    """Return the same for large means: from the guess of Cornish and Fisher, by steps of one."""
    from scipy.special import ndtri, pdtr

    normal = ndtri(u)
    guess = np.floor(mean + np.sqrt(mean) * normal + (normal**2 - 1) / 6)
    count = np.atleast_1d(np.maximum(guess, 0.0))
    shares, means = np.atleast_1d(u, mean)
    rows = np.nonzero(pdtr(count, means) < shares)
    while len(rows[0]):
        count[rows] += 1
        still = pdtr(count[rows], means[rows]) < shares[rows]
        rows = tuple(index[still] for index in rows)
    rows = np.nonzero(count > 0)
    while len(rows[0]):
        # What is below a count of 0 is NaN, which is not enough.
        still = pdtr(count[rows] - 1, means[rows]) >= shares[rows]
        rows = tuple(index[still] for index in rows)
        count[rows] -= 1
    return count.reshape(np.shape(u)).astype(np.int64)


def _times(slope: FloatArray, factor: Any, xp: Any) -> Any:
    """Return slope [..., Q] times a factor [...], 0 where the slope is 0."""
    return xp.where(slope == 0, 0.0, slope * xp.asarray(factor)[..., None])


def _odd(values: Any, low: float, high: float) -> float:
    """Return the first value outside the range, else the first one."""
    flat = np.ravel(np.asarray(values, float))
    odd = flat[~((flat >= low) & (flat <= high))]
    return float((odd if len(odd) else flat)[0])


def _last_positive(weights: Any) -> Any:
    return weights.shape[-1] - 1 - np.argmax(weights[..., ::-1] > 0, axis=-1)


def _log(p: Any, xp: Any) -> Any:
    """Return log p, −∞ at 0, with a derivative of 0 there."""
    positive = p > 0
    return xp.where(positive, xp.log(xp.where(positive, p, 1.0)), -xp.inf)


def _log_factorial(x: Any, xp: Any) -> Any:
    if xp is np:
        from scipy.special import gammaln
    else:
        from jax.scipy.special import gammaln
    return gammaln(x + 1)
