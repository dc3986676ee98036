"""What `simulate` keeps of its runs."""

from tumble.outputs._base import AbstractOutput, AbstractSummary
from tumble.outputs._counts import Counts
from tumble.outputs._frames import Frames, Movies
from tumble.outputs._histogram import Histogram, SampleHistogram
from tumble.outputs._moments import Moments, SampleMoments
from tumble.outputs._paths import Paths, SamplePaths

__all__ = [
    "AbstractOutput",
    "AbstractSummary",
    "Counts",
    "Frames",
    "Histogram",
    "Moments",
    "Movies",
    "Paths",
    "SampleHistogram",
    "SampleMoments",
    "SamplePaths",
]
