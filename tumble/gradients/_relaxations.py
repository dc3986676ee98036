"""Relaxations: three ways to differentiate a discrete outcome, none of them right for all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, is_number, shown
from tumble._relaxation import AbstractRelaxation
from tumble.gradients._steps import AbstractSchedule, ConstantStep, require_schedule


@dataclass(frozen=True)
class StraightThrough(AbstractRelaxation):
    """The outcome moves as its mean does: a flip by dp, a Poisson number by dλ.

    Definition: dx = dE[x], whatever the outcome. For a value picked from v with probabilities p it
    is Σ v_i dp_i.

    Guarantee: exact where what is expected, given the other draws, is linear in each draw.

    When: sums and averages of draws, one step, a first look. It takes probabilities of 0 and 1.

    Reference: Bengio, Léonard, Courville (2013), arXiv:1308.3432.
    """

    def flip(self, x: Any, p: Any, u: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.flip`."""
        return xp.ones_like(p)

    def count(self, x: Any, rate: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.count`."""
        return xp.ones_like(rate)

    def pick(self, index: Any, p: Any, slopes: Any, extra: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.pick`."""
        return slopes


@dataclass(frozen=True)
class SecondOrder(AbstractRelaxation):
    """Weighs the straight-through derivative by the outcome, so that squares come out right.

    Definition: a difference f(b) − f(a) is taken to be (b − a) (f'(a) + f'(b)) / 2, which it is for
    quadratic f. A flip then moves by dp / (2 p_x), p_x being the probability of the outcome x, a
    Poisson number by dλ (1 + x/λ) / 2, and a value v_x picked from v with probabilities p by
    Σ v_i dp_i / 2 + (v_x − Σ v_i p_i) dp_x / (2 p_x).

    Guarantee: exact where what is expected, given the other draws, is quadratic in each draw. It is
    not defined at probabilities of 0 and 1 and rates of 0 that depend on a parameter.

    When: squares, such as displacements and second moments. Its variance is larger, without bound
    near probability 0 and 1.

    Reference: Liu, Dong, Liu, Yu, Gao, NeurIPS (2023), arXiv:2304.08612 (flips and picks).
    """

    def flip(self, x: Any, p: Any, u: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.flip`."""
        inside = (p > 0) & (p < 1)
        safe = xp.where(inside, p, 0.5)
        return xp.where(inside, 0.5 / xp.where(x, safe, 1 - safe), xp.nan)

    def count(self, x: Any, rate: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.count`."""
        safe = xp.where(rate > 0, rate, 1.0)
        return xp.where(rate > 0, 0.5 * (1 + x / safe), xp.nan)

    def pick(self, index: Any, p: Any, slopes: Any, extra: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.pick`."""
        hot = (xp.arange(p.shape[-1]) == index[..., None])[..., None]
        score = xp.sum(xp.where(hot, _log_slopes(p, slopes, xp), 0.0), axis=-2, keepdims=True)
        return 0.5 * (slopes + score * (hot - p[..., None])) + _undefined(p, slopes, xp)


@dataclass(frozen=True)
class GumbelSoftmax(AbstractRelaxation):
    """The derivative of a soft outcome, at the noise that makes the outcome drawn.

    Definition: index i is drawn where log p_i + g_i is largest, g_i being Gumbel noise; the one-hot
    outcome moves as softmax((log p + g) / τ) does, for a flip as its two-sided form, the logistic
    function. The noise is that of the flip's own uniform, and for picks drawn given the outcome.
    A Poisson number has no such form, and moves by dλ.

    Guarantee: none at a given τ, also for linear functions. As τ → 0 the derivative tends to that
    of `SecondOrder`, exact for quadratic functions, while its variance grows as 1/τ. It is not
    defined at probabilities of 0 and 1 that depend on a parameter.

    Arguments: ``temperature``, τ > 0, default 0.5; ``schedule``, by what τ is multiplied as the
    runs of an estimate grow: `ConstantStep` (default), or `ShrinkingStep`.

    When: to compare with what others have done. `SecondOrder` has the limit without the noise.

    References: Jang, Gu, Poole, ICLR (2017), arXiv:1611.01144; Maddison, Mnih, Teh, ICLR (2017),
    arXiv:1611.00712.
    """

    temperature: float = 0.5
    schedule: AbstractSchedule = field(default_factory=ConstantStep)
    noisy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (is_number(self.temperature) and 0 < self.temperature < np.inf):
            raise ParameterError(
                f"`temperature` is {shown(self.temperature)}, expected a number > 0."
            )
        require_schedule(self.schedule)

    def tuned(self, num_runs: int) -> GumbelSoftmax:
        """See `AbstractRelaxation.tuned`."""
        return replace(self, temperature=self.temperature * self.schedule.factor(num_runs))

    def flip(self, x: Any, p: Any, u: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.flip`."""
        inside = (p > 0) & (p < 1)
        safe = xp.where(inside, p, 0.5)
        side = xp.log(safe) - xp.log1p(-safe) + xp.log1p(-u) - xp.log(u)
        distance = xp.minimum(xp.abs(side) / (2 * self.temperature), 300.0)  # from overflow
        steep = 1 / xp.cosh(distance) ** 2
        return xp.where(inside, steep / (4 * self.temperature * safe * (1 - safe)), xp.nan)

    def count(self, x: Any, rate: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.count`."""
        return xp.ones_like(rate)

    def pick(self, index: Any, p: Any, slopes: Any, extra: Any, xp: Any = np) -> Any:
        """See `AbstractRelaxation.pick`."""
        hot = xp.arange(p.shape[-1]) == index[..., None]
        # The largest of all log p + g is Gumbel whatever its index; the others lie below it.
        waits = -xp.log(extra)
        least = xp.sum(xp.where(hot, waits, 0.0), axis=-1, keepdims=True)
        later = least + waits / xp.where(p > 0, p, 1.0)
        scores = xp.where(p > 0, -xp.log(xp.where(hot, least, later)), -xp.inf) / self.temperature
        soft = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
        soft = (soft / xp.sum(soft, axis=-1, keepdims=True))[..., None]
        relative = _log_slopes(p, slopes, xp)
        mean = xp.sum(soft * relative, axis=-2, keepdims=True)
        return soft * (relative - mean) / self.temperature + _undefined(p, slopes, xp)


def _log_slopes(p: Any, slopes: Any, xp: Any) -> Any:
    """Return ∂ log p [..., n, Q], 0 where p is 0."""
    return xp.where((p > 0)[..., None], slopes / xp.where(p > 0, p, 1.0)[..., None], 0.0)


def _undefined(p: Any, slopes: Any, xp: Any) -> Any:
    """Return NaN [..., 1, Q] for a parameter that a probability of 0 depends on, else 0."""
    lost = ((p <= 0)[..., None] & (slopes != 0)).any(-2)[..., None, :]
    return xp.where(lost, xp.nan, 0.0)
