"""What every problem with a known answer shares."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tumble._errors import require_whole
from tumble._experiment import Experiment
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._typing import FloatArray
from tumble.models import BlackBox
from tumble.priors import Uniform


@dataclass(frozen=True)
class AbstractReferenceProblem(abc.ABC):
    """Independent draws of a law with unknown parameters, of which the posterior is known.

    Arguments: ``num_observations`` in a data set, default 500.

    The parameters are uniform on ``bounds``. Data sets are snapshots of as many cells as there are
    observations, all at time 1.

    Reference: Pesah, Wehenkel, Louppe (2018), arXiv:1811.12932, for the four of this family.
    """

    bounds: ClassVar[Mapping[str, tuple[float, float]]]
    """Name → bounds of each parameter."""

    outputs: ClassVar[Sequence[str]]
    """Names of the numbers of an observation."""

    num_observations: int = 500

    def __post_init__(self) -> None:
        require_whole("num_observations", self.num_observations)

    @cached_property
    def problem(self) -> Problem:
        """The `Problem`, with data that are 0; see `Problem.with_data`."""
        zeros = dict.fromkeys(self.outputs, np.zeros(self.num_observations))
        data = {"time": np.ones(self.num_observations), **zeros}
        return Problem(
            BlackBox(
                self.draw, parameters=[*self.bounds], outputs=self.outputs, choices=True,
                batched=True,
            ),
            experiments=[Experiment(data, kind="snapshots")],
            parameters={
                name: Parameter(low, high, scale="linear", prior=Uniform(low, high))
                for name, (low, high) in self.bounds.items()
            },
        )  # fmt: skip

    @abc.abstractmethod
    def draw(self, params: Mapping[str, Any], times: FloatArray, choices: Any) -> FloatArray:
        """Return one observation [B, 1, O] of each of B runs; see `BlackBox`."""

    @abc.abstractmethod
    def log_posterior(self, theta: FloatArray, data: FloatArray) -> FloatArray:
        """Return log densities [...] of the posterior, normalized, at θ [..., P], given [N, O]."""

    @abc.abstractmethod
    def estimate(self, data: FloatArray) -> FloatArray:
        """Return the estimate [P] that others are measured by, given data [N, O]."""


def log_integral(logs: FloatArray, points: FloatArray) -> float:
    """Return log ∫ exp(f) of f at points [n], by the trapezoidal rule."""
    top = float(logs.max())
    return top + float(np.log(np.trapezoid(np.exp(logs - top), points)))


def fine_grid(low: float, high: float, middle: float, width: float) -> FloatArray:
    """Return points within bounds, dense within many widths of the middle."""
    near = middle + width * np.linspace(-12, 12, 4001)
    points = np.concatenate([np.linspace(low, high, 4001), near])
    return np.unique(np.clip(points, low, high))
