"""The chemical Langevin equation: diffusion in place of jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._base import AbstractSimulator, Batch, Sample
from tumble.simulators._jump_runs import in_pieces

# About a minute of one run, which cannot be interrupted.
_MOST_STEPS = 10**9


@dataclass(frozen=True)
class Langevin(AbstractSimulator):
    """The chemical Langevin equation of a `ReactionNetwork`, by Euler–Maruyama.

    Definition: dX = Σ_r ν_r (a_r(X) dt + √a_r(X) dW_r), with one Wiener process W_r a reaction. In
    steps h: X ← X + Σ_r ν_r (a_r h + √(a_r h) Z_r), Z_r standard normal. Steps from one output time
    to the next are equal, and none is longer than ``step``.

    At zero, propensities are clipped, not states: a_r is taken at max(X, 0), with combinations
    continued by max(0, X (X − 1) … / m!). A count may end a step slightly below zero, then makes
    no reaction fire that needs it, and conservation laws hold to rounding.

    Guarantee: two approximations. That of jumps by a diffusion is good for populations of hundreds
    and more; where reactions are of first order, means and covariances are exact, but for what
    clipping does near zero. That of the diffusion by steps has weak order one: errors of means and
    variances are proportional to ``step``.

    States are **real**: they are returned as float64 with NaN in failed runs, not rounded, and may
    be slightly negative near zero.

    Arguments: ``step``, the longest step, in the model's unit of time. Take it so small that no
    propensity changes by more than a few percent in it; halve it to see the error.

    When: large populations of which one wants fluctuations quickly and smoothly. Not near
    extinction, for few copies, or for anything that has to be a whole number: `TauLeaping` then.

    References: Gillespie, J. Chem. Phys. 113 (2000), doi:10.1063/1.481811; Higham, SIAM Rev. 43
    (2001), doi:10.1137/S0036144500378302 (Euler–Maruyama).
    """

    step: float
    exact: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    citations: ClassVar[tuple[str, ...]] = (
        "Gillespie, J. Chem. Phys. 113 (2000), doi:10.1063/1.481811 (chemical Langevin equation)",
    )

    def __post_init__(self) -> None:
        if not 0 < self.step < np.inf:
            raise ParameterError(f"`step` is {self.step}, expected a time above 0.")

    def sample(self, model: ReactionNetwork, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`. Raises `ParameterError` for more than 10⁹ steps a run."""
        require_autonomous(model, "Langevin")
        num_steps = (batch.times[-1] - batch.start) / self.step
        if num_steps > _MOST_STEPS:
            raise ParameterError(
                f"`step` is {self.step:g}, which makes {num_steps:.2g} steps until the last time, "
                f"{batch.times[-1]:g}; expected at most {_MOST_STEPS:.0e}. Take longer steps."
            )
        pieces = in_pieces(_simulate, model, batch, executor, float(self.step))
        states, codes, culprits = pieces
        return Sample(states, codes, np.zeros_like(codes), culprits=culprits)


def _simulate(
    model: ReactionNetwork, batch: Batch, step: float
) -> tuple[FloatArray, IntArray, IntArray]:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._langevin import langevin
    from tumble.kernels._tables import law_tables, network_tables

    num_runs = len(batch.runs)
    states = np.empty((num_runs, len(batch.times), batch.initial.shape[1]))
    codes, culprits = np.empty(num_runs, np.int64), np.empty(num_runs, np.int64)
    langevin(
        network_tables(model), law_tables(model), model.rates(batch.params), batch.params,
        batch.initial, float(batch.start), batch.times,
        np.uint64(batch.stream.child("langevin").key), batch.runs, step, states, codes, culprits,
    )  # fmt: skip
    return states, codes, culprits
