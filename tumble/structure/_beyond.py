"""How probable the networks are, together, that a search has not come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.structure._newton import solved
from tumble.structure._posterior import Gains, Network, NetworkPosterior, Weighed

_BASES = 20  # networks that others are thought to extend, at most
_SWEEPS, _LEAST_SWEEPS = 1500, 300
_WORK = 60_000  # candidates times sweeps, beyond which there are fewer of these
_CANDIDATES = 100  # that may be added, those that promise most
_GRID = np.linspace(-5.0, 5.0, 81)  # in standard deviations of the prior


class Beyond(NamedTuple):
    """What is beyond the networks that are known.

    ``weight``, how probable it is, relative to the best network; ``inclusion`` [R], how much of
    that each candidate is part of.
    """

    weight: float
    inclusion: FloatArray


def look_beyond(
    posterior: NetworkPosterior, weighed: list[Weighed], known: Mapping[Network, float],
    gains: Callable[[Weighed], Gains],
) -> Beyond:  # fmt: skip
    """Return how probable networks are that are not ``known``, and what they have.

    Definition: about each of the best networks ``weighed`` the log likelihood is taken to be
    quadratic in the rates of further candidates, the members' rates adapting. A Gibbs sampler then
    adds and drops candidates, with the prior on networks and rates. Of the networks that it comes
    to, those that are known say what a visit is worth; the others are counted, each at the best
    network that it extends. So many candidates of which none matters by itself are not forgotten
    together.

    ``weighed``, best first; ``known``, log posteriors of all networks that count already;
    ``gains``, `NetworkPosterior.gains` of a network. Where candidates come in pairs, as of
    reversible reactions, it looks for nothing.

    Reference: George, McCulloch, J. Am. Stat. Assoc. 88 (1993), doi:10.1080/01621459.1993.10476353
    (sampling which coefficients are not 0).
    """
    size = len(posterior.library)
    inclusion, weight = np.zeros(size), 0.0
    if any(len(unit) > 1 for unit in posterior.library.units):
        return Beyond(0.0, inclusion)
    best = weighed[0].log_posterior
    bases = weighed[:_BASES]
    for b, base in enumerate(bases):
        others = _promising(gains(base).gain)
        visits = _visited(posterior, base, others, b)
        rows, counts = np.unique(visits, axis=0, return_counts=True)
        networks = [base.network | {int(r) for r in others[row]} for row in rows]
        logs = np.array([known.get(network, -np.inf) for network in networks])
        told = np.isfinite(logs)
        if not told.any():
            continue
        worth = np.exp(logs - best).sum() / counts[told].sum()
        for network, is_known, count in zip(networks, told, counts, strict=True):
            better = any(other.network < network for other in bases[:b])
            if not is_known and not better:
                weight += count * worth
                inclusion[sorted(network)] += count * worth
    return Beyond(weight, inclusion)


def _promising(gain: FloatArray) -> IntArray:
    """Return the candidates that promise most, in ascending order."""
    order = np.argsort(-gain, kind="stable")[:_CANDIDATES]
    return np.sort(order[np.isfinite(gain[order])])


def _visited(posterior: NetworkPosterior, base: Weighed, others: IntArray, seed: int) -> BoolArray:
    """Return which of the others [Q] a network has, besides its own, in each sweep [sweeps, Q]."""
    from tumble.kernels._spike_and_slab import sample_members

    sweeps = int(np.clip(_WORK // max(len(others), 1), _LEAST_SWEEPS, _SWEEPS))
    chosen = np.zeros((sweeps, len(others)), np.bool_)
    if not len(others):
        return chosen
    slope, bend = _quadratic(posterior, base, others)
    steps = _steps(posterior, base, len(others))
    rates = np.exp(posterior.centers[others][:, None] + posterior.prior.spread * _GRID)
    log_prior = -0.5 * _GRID**2
    log_prior -= np.log(np.exp(log_prior).sum())
    uniforms = Stream.from_seed(seed).child("beyond").numpy().random((*chosen.shape, 2))
    sample_members(slope, bend, rates, log_prior, steps, uniforms, chosen)
    return chosen


def _quadratic(
    posterior: NetworkPosterior, base: Weighed, others: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return slope [Q] and curvature [Q, Q] of the log likelihood by others, members adapting."""
    members, k = base.members, len(base.members)
    rates = np.zeros(len(posterior.library))
    rates[members] = np.exp(base.log_rates)
    found = posterior.likelihood.evaluate(rates, [*members, *others.tolist()])
    steep = np.concatenate([rates[members], np.ones(len(others))])
    information, slope = found.information * np.outer(steep, steep), found.slope * steep
    variance = posterior.prior.spread**2
    inner = information[:k, :k] + np.eye(k) / variance
    across = information[:k, k:]
    uphill = slope[:k] - (base.log_rates - posterior.centers[members]) / variance
    bend = information[k:, k:] - across.T @ solved(inner, across)
    return slope[k:] - solved(inner, uphill) @ across, (bend + bend.T) / 2


def _steps(posterior: NetworkPosterior, base: Weighed, count: int) -> FloatArray:
    """Return what the k-th further candidate adds to the log prior of a network, [count]."""
    library = posterior.library
    among = library.size(range(len(library))) if posterior.among is None else posterior.among
    own = library.size(base.network)
    logs = np.array([posterior.prior.log_probability(own + k, among) for k in range(count + 1)])
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(logs[1:]), np.diff(logs), -np.inf)
