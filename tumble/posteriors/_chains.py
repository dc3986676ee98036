"""Draws of Markov chains, and how far they have mixed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy import stats

from tumble._typing import FloatArray
from tumble.posteriors._base import AbstractBasis

_GROUPS = 4  # of chains, as which many are judged
_STILL = 1e-12  # of the variance between chains, that within them: they do not move


@dataclass(frozen=True)
class ChainRound:
    """What one round of all chains did.

    ``num_steps`` of each chain; ``acceptance``, the share of proposals that was accepted, or where
    nothing is proposed, of steps that could be made; ``warming``, whether it was warm-up, which is
    not kept; ``r_hat``, the largest of any parameter so far (NaN in the warm-up).
    """

    num_steps: int
    acceptance: float
    warming: bool
    r_hat: float = np.nan


@dataclass(frozen=True)
class Chains(AbstractBasis):
    """Draws ``z`` [C, n, P] of C Markov chains on the fit scale, after the warm-up. Final."""

    cost: ClassVar[str] = "evaluations"
    z: FloatArray

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        return f"{len(self.z)} chains, largest R-hat {self.r_hats.max():.3f}"

    def effective_each(self, weights: FloatArray, size: int) -> FloatArray:
        """See `AbstractBasis.effective_each`: of chains, whose draws depend on each other."""
        return self.effective_sample_sizes

    @cached_property
    def r_hats(self) -> FloatArray:
        """Split R̂ of normalized ranks, and of distances from the median; the larger one, [P].

        Near 1 where chains agree with each other and with their own other half; above 1.01 they
        have not mixed. Many chains are put together to four, so that many short ones are judged as
        few long ones are; a single one that stands apart shows in the effective sample size.

        References: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16 (2021),
        doi:10.1214/20-BA1221; Margossian et al., Bayesian Analysis 20 (2025), doi:10.1214/24-BA1453
        (many short chains).
        """
        found = []
        for column in np.moveaxis(self.z, 2, 0):
            folded = np.abs(column - np.median(column))
            found.append(max(_r_hat(_grouped(_normal(_split(c)))) for c in (column, folded)))
        return np.array(found)

    @cached_property
    def effective_sample_sizes(self) -> FloatArray:
        """How many independent draws they are worth, for each parameter: of normalized ranks, [P].

        By autocorrelations over all chains, summed as long as pairs of them are positive and
        falling. Reference: as `r_hats`; Geyer, Statistical Science 7 (1992),
        doi:10.1214/ss/1177011137.
        """
        return np.array([_effective(_normal(_split(c))) for c in np.moveaxis(self.z, 2, 0)])


def _split(chains: FloatArray) -> FloatArray:
    """Return halves of chains, [2C, n // 2]."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, chains.shape[1] - half :]])


def _grouped(halves: FloatArray) -> FloatArray:
    """Return halves of chains [2C, n] put together to at most 2 × 4, the first ones apart."""
    count = len(halves) // 2
    if count <= _GROUPS:
        return halves
    each = count // _GROUPS
    used = [part[: each * _GROUPS] for part in (halves[:count], halves[count:])]
    return np.concatenate([part.reshape(_GROUPS, -1) for part in used])


def _normal(chains: FloatArray) -> FloatArray:
    """Return normal scores of the ranks of all draws."""
    ranks = stats.rankdata(chains, method="average").reshape(chains.shape)
    return np.asarray(stats.norm.ppf((ranks - 0.375) / (chains.size + 0.25)))


def _r_hat(chains: FloatArray) -> float:
    """Return R̂ of chains [C, n]; infinite where each stands still at a place of its own."""
    length = chains.shape[1]
    if length < 2:
        return np.inf
    between = length * chains.mean(1).var(ddof=1)
    within = chains.var(axis=1, ddof=1).mean()
    if not within > _STILL * between:
        return 1.0 if between == 0 else np.inf
    return float(np.sqrt((length - 1) / length + between / within / length))


def _effective(chains: FloatArray) -> float:
    """Return the effective number of draws of chains [C, n]."""
    count, length = chains.shape
    if length < 4:
        return float(count)
    covariances = _autocovariances(chains)
    within = covariances[:, 0].mean() * length / (length - 1)
    total = within * (length - 1) / length + chains.mean(1).var(ddof=1)
    if not total > 0:
        return float(count * length)
    correlations = 1 - (within - covariances.mean(0) * length / (length - 1)) / total
    correlations[0] = 1.0
    pairs = correlations[: length // 2 * 2].reshape(-1, 2).sum(1)
    bad = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: bad[0] if len(bad) else len(pairs)])
    time = max(2 * pairs.sum() - 1, 1 / np.log10(count * length))
    return float(count * length / time)


def _autocovariances(chains: FloatArray) -> FloatArray:
    """Return autocovariances [C, n] of chains [C, n], by the Fourier transform."""
    length = chains.shape[1]
    away = chains - chains.mean(1, keepdims=True)
    spectrum = np.fft.rfft(away, 2 * length, axis=1)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, 2 * length, axis=1)[:, :length] / length)
