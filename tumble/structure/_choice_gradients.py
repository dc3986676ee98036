"""Gradients by the probabilities with which slots choose their reactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from tumble._errors import ParameterError, is_number, shown
from tumble._typing import FloatArray, IntArray


class Chosen(NamedTuple):
    """Networks drawn: the candidate ``picks`` [N, K] of each slot, and the ``noise`` [N, K, R]."""

    picks: IntArray
    noise: FloatArray


class AbstractChoiceGradient(ABC):
    """Estimates ∂E[f(network)] by the logarithms of what candidates weigh in each slot."""

    needs_slopes: ClassVar[bool]
    """Whether it asks for the slopes of f by the rates of all candidates."""

    def draw(self, log_p: FloatArray, num_samples: int, rng: np.random.Generator) -> Chosen:
        """Draw networks from log probabilities [K, R]: where log p plus Gumbel noise is largest."""
        noise = rng.gumbel(size=(num_samples, *log_p.shape))
        return Chosen(np.argmax(log_p + noise, axis=2), noise)

    @abstractmethod
    def estimate(
        self, log_p: FloatArray, chosen: Chosen, values: FloatArray, slopes: FloatArray
    ) -> FloatArray:
        """Return the gradient [K, R].

        Arguments: ``log_p`` [K, R]; ``chosen`` [N]; ``values`` f [N]; ``slopes`` [N, R], of f by
        how often a candidate is there, 0 or 1, at its rate (of no length where not needed).
        """


@dataclass(frozen=True)
class ScoredChoice(AbstractChoiceGradient):
    """∂E[f] = E[(f − b) ∂ log p(choices)], b the mean of f over the other networks drawn.

    Guarantee: unbiased, for two networks or more (leave-one-out baseline).

    When: by default. It asks for nothing but values, one network each.

    References: Williams, Mach. Learn. 8 (1992), doi:10.1007/BF00992696; Kool, van Hoof, Welling,
    ICLR Workshop (2019) (leave-one-out baseline).
    """

    needs_slopes: ClassVar[bool] = False

    def estimate(
        self, log_p: FloatArray, chosen: Chosen, values: FloatArray, slopes: FloatArray
    ) -> FloatArray:
        """See `AbstractChoiceGradient.estimate`."""
        size = len(values)
        above = (values - values.mean()) * size / (size - 1)
        found = np.zeros_like(log_p)  # above adds up to 0, and so do its products with p
        slots = np.broadcast_to(np.arange(log_p.shape[0]), chosen.picks.shape)
        np.add.at(found, (slots, chosen.picks), above[:, None] / size)
        return found


@dataclass(frozen=True)
class StraightThroughChoice(AbstractChoiceGradient):
    """The network drawn moves as softmax((log p + g) / τ) does, g being the noise that drew it.

    Definition: E[Σ_r (∂f / ∂z_r) (∂ softmax_r)], with ∂f / ∂z_r the slope of f, at the network that
    was drawn, by how much of a candidate there is.

    Guarantee: none. f is taken to be as steep all the way to a reaction as it is at its rate 0, and
    all the way from one that is given up as it is here. The likelihood of counts is far from that,
    and the bias remains whatever the number of networks (see the results).

    Arguments: ``temperature``, τ > 0, default 0.5.

    When: to compare with what others have done.

    References: Jang, Gu, Poole, ICLR (2017), arXiv:1611.01144; Bengio, Léonard, Courville (2013),
    arXiv:1308.3432.
    """

    temperature: float = 0.5
    needs_slopes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (is_number(self.temperature) and 0 < self.temperature < np.inf):
            raise ParameterError(
                f"`temperature` is {shown(self.temperature)}, expected a number > 0."
            )

    def estimate(
        self, log_p: FloatArray, chosen: Chosen, values: FloatArray, slopes: FloatArray
    ) -> FloatArray:
        """See `AbstractChoiceGradient.estimate`."""
        heat = (log_p + chosen.noise) / self.temperature
        soft = np.exp(heat - heat.max(2, keepdims=True))
        soft /= soft.sum(2, keepdims=True)
        along = slopes[:, None, :]
        turned = soft * (along - (soft * along).sum(2, keepdims=True))
        # Weights are not normalized: log p moves by their change less its mean under p.
        by_log_p = turned.mean(0) / self.temperature
        return np.asarray(by_log_p - np.exp(log_p) * by_log_p.sum(1, keepdims=True))
