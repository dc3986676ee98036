"""Markov chains through a likelihood that a particle filter estimates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tumble._errors import require_member, require_whole
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._log_likelihoods import ComputedLikelihood, FilteredLikelihood
from tumble.posteriors._random_walk import RandomWalk
from tumble.posteriors._walk import AbstractChains
from tumble.simulators import LinearNoise, SupportsLikelihood


@dataclass(frozen=True)
class ParticleMCMC(AbstractChains):
    """Particle marginal Metropolis–Hastings: exact draws for networks that are seen in part.

    Definition: random-walk Metropolis chains (see `AdaptiveMetropolis`) whose likelihood is
    estimated by a particle filter; the estimate of where a chain stands is kept until it moves. A
    proposal has first to pass a ``screen``, a cheap likelihood (delayed acceptance), which also
    leads the chains to where they start.

    Guarantee: draws from the exact posterior in the limit of long chains, however noisy the
    estimates and however poor the screen; both cost acceptance.

    Arguments: ``num_particles`` of the filter, default None: more and more from 200 on, until the
    log likelihood near the posterior has a standard deviation of at most 1.2; ``screen``, default
    `LinearNoise()`, or None; ``num_draws``, effective draws of every parameter at which it stops,
    if R̂ is below 1.01, default 1,000; ``num_chains``, default 8; ``max_steps`` of each chain,
    default 20,000.

    When: time series with measurement noise, or without it of small counts, and more states than
    `FiniteStateProjection` can hold.

    References: Andrieu, Doucet, Holenstein, J. R. Stat. Soc. B 72 (2010),
    doi:10.1111/j.1467-9868.2009.00736.x; Golightly, Henderson, Sherlock, Stat. Comput. 25 (2015),
    doi:10.1007/s11222-014-9469-x (delayed acceptance by linear noise); Doucet, Pitt, Deligiannidis,
    Kohn, Biometrika 102 (2015), doi:10.1093/biomet/asu075 (how many particles).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Andrieu, Doucet, Holenstein, J. R. Stat. Soc. B 72 (2010), "
        "doi:10.1111/j.1467-9868.2009.00736.x",
    )
    num_particles: int | None = None
    screen: SupportsLikelihood | None = field(default_factory=LinearNoise)
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_particles is not None:
            require_whole("num_particles", self.num_particles)
        if self.screen is not None:
            require_member("screen", self.screen, SupportsLikelihood, "LinearNoise() or None")

    def bind(self, task: PosteriorTask) -> RandomWalk:
        """See `AbstractPosteriorMethod.bind`."""
        screen = None if self.screen is None else ComputedLikelihood(task, self.screen)
        target = FilteredLikelihood(task, self.num_particles)
        return RandomWalk(self, task, target, screen)
