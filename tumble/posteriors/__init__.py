"""Ways to sample a posterior (``method=`` of `sample_posterior`), and what they are made of."""

from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import (
    AbstractPosteriorMethod,
    Generation,
    Particles,
    PosteriorTask,
    State,
)
from tumble.posteriors._comparison import Comparison
from tumble.posteriors._data_sets import DataSets
from tumble.posteriors._joint_prior import JointPrior
from tumble.posteriors._kernels import AbstractKernel, GlobalNormal, LocalNormal
from tumble.posteriors._posterior import Posterior
from tumble.posteriors._rejection import RejectionABC
from tumble.posteriors._smc import SMCABC
from tumble.posteriors._summaries import (
    AbstractSummary,
    AllData,
    Quantiles,
    ReplicateMoments,
    Summary,
    default_summary,
)

__all__ = [
    "SMCABC",
    "AbstractKernel",
    "AbstractPosteriorMethod",
    "AbstractSummary",
    "AllData",
    "Comparison",
    "DataSets",
    "Generation",
    "GlobalNormal",
    "JointPrior",
    "LocalLinear",
    "LocalNormal",
    "Particles",
    "Posterior",
    "PosteriorTask",
    "Quantiles",
    "RejectionABC",
    "ReplicateMoments",
    "State",
    "Summary",
    "default_summary",
]
