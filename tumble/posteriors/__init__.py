"""Ways to sample a posterior (``method=`` of `sample_posterior`), and what they are made of."""

from tumble.posteriors._abc import AbstractABC, Generation, NearDataSets
from tumble.posteriors._abc_mcmc import ABCMCMC
from tumble.posteriors._adjusted_loss import Adjustment, Optimum
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
    PosteriorTask,
)
from tumble.posteriors._chains import ChainRound, Chains
from tumble.posteriors._comparison import Comparison
from tumble.posteriors._data_sets import DataSets
from tumble.posteriors._given import Elsewhere, GivenDraws
from tumble.posteriors._joint_prior import JointPrior
from tumble.posteriors._kernels import AbstractKernel, GlobalNormal, LocalNormal
from tumble.posteriors._loss_posterior import AdjustedChains, LossPosterior
from tumble.posteriors._loss_slopes import AbstractSlopes, FreshRuns
from tumble.posteriors._metropolis import AdaptiveMetropolis
from tumble.posteriors._nuts import NUTS
from tumble.posteriors._particle_mcmc import ParticleMCMC
from tumble.posteriors._posterior import Posterior
from tumble.posteriors._rejection import RejectionABC
from tumble.posteriors._response_surface import ResponseSurface
from tumble.posteriors._smc import SMCABC
from tumble.posteriors._summaries import (
    AbstractSummary,
    AllData,
    Quantiles,
    ReplicateMoments,
    Summary,
    default_summary,
)
from tumble.posteriors._synthetic import SyntheticLikelihood
from tumble.posteriors._tsnpe import TSNPE, LearningRound, LearntDensity
from tumble.posteriors._walk import AbstractChains

__all__ = [
    "ABCMCMC",
    "NUTS",
    "SMCABC",
    "TSNPE",
    "AbstractABC",
    "AbstractBasis",
    "AbstractChains",
    "AbstractKernel",
    "AbstractPosteriorMethod",
    "AbstractSampler",
    "AbstractSlopes",
    "AbstractState",
    "AbstractSummary",
    "AdaptiveMetropolis",
    "AdjustedChains",
    "Adjustment",
    "AllData",
    "ChainRound",
    "Chains",
    "Comparison",
    "DataSets",
    "Draws",
    "Elsewhere",
    "FreshRuns",
    "Generation",
    "GivenDraws",
    "GlobalNormal",
    "JointPrior",
    "LearningRound",
    "LearntDensity",
    "LocalLinear",
    "LocalNormal",
    "LossPosterior",
    "NearDataSets",
    "Optimum",
    "ParticleMCMC",
    "Posterior",
    "PosteriorTask",
    "Quantiles",
    "RejectionABC",
    "ReplicateMoments",
    "ResponseSurface",
    "Summary",
    "SyntheticLikelihood",
    "default_summary",
]
