"""Markov chains through a likelihood that is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tumble._errors import require_member
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._log_likelihoods import ComputedLikelihood
from tumble.posteriors._random_walk import RandomWalk
from tumble.posteriors._walk import AbstractChains
from tumble.simulators import LinearNoise, SupportsLikelihood


@dataclass(frozen=True)
class AdaptiveMetropolis(AbstractChains):
    """Random-walk Metropolis chains through a likelihood that is computed.

    Definition: several chains start from a population that was led from the prior to the posterior
    by powers of the likelihood, so that modes far apart are found; they propose normal steps, all
    with one covariance, which adapts in the warm-up and stays as it is afterwards.

    Guarantee: draws from the posterior of the likelihood ``through``, in the limit of long chains;
    exact for `FiniteStateProjection` and `TransitionLikelihood`, approximate for `LinearNoise`.

    Arguments: ``through``, what computes the likelihood, default `LinearNoise()`; ``screen``, a
    cheaper likelihood that a proposal has to pass first (delayed acceptance), which also leads the
    chains to where they start, default None; ``num_draws``, effective draws of every parameter at
    which it stops, if R̂ is below 1.01, default 1,000; ``num_chains``, default 16 for `LinearNoise`,
    which takes as many at once, and 4 for others; ``max_steps`` of each chain, default 20,000.

    When: the likelihood is at hand, which beats every comparison of data sets. `NUTS` takes fewer
    steps where there are more than about five parameters.

    References: Haario, Saksman, Tamminen, Bernoulli 7 (2001), doi:10.2307/3318737; Christen, Fox,
    J. Comput. Graph. Stat. 14 (2005), doi:10.1198/106186005X76983 (delayed acceptance).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Haario, Saksman, Tamminen, Bernoulli 7 (2001), doi:10.2307/3318737",
    )
    through: SupportsLikelihood = field(default_factory=LinearNoise)
    screen: SupportsLikelihood | None = None
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_member("through", self.through, SupportsLikelihood, "such as LinearNoise()")
        if self.screen is not None:
            require_member("screen", self.screen, SupportsLikelihood, "LinearNoise() or None")

    def bind(self, task: PosteriorTask) -> RandomWalk:
        """See `AbstractPosteriorMethod.bind`."""
        screen = None if self.screen is None else ComputedLikelihood(task, self.screen)
        return RandomWalk(self, task, ComputedLikelihood(task, self.through), screen)
