"""Problems whose answer is known, to try inference on."""

from tumble.problems._base import AbstractReferenceProblem
from tumble.problems._line import NoisyLine
from tumble.problems._mixed import MixedSources
from tumble.problems._muons import MuonAngles
from tumble.problems._poisson import PoissonCounts

__all__ = [
    "AbstractReferenceProblem",
    "MixedSources",
    "MuonAngles",
    "NoisyLine",
    "PoissonCounts",
]
