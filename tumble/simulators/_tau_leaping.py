"""Tau-leaping: many reactions in one step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._base import AbstractSimulator, Batch, Sample
from tumble.simulators._jump_runs import in_pieces


@dataclass(frozen=True)
class TauLeaping(AbstractSimulator):
    """Approximate simulation of a `ReactionNetwork` by explicit tau-leaping, step chosen by ε.

    Definition: in a step τ reaction r fires Poisson(a_r τ) times, a_r taken at its beginning.
    A reaction that could exhaust a reactant by firing ``num_critical`` times is critical: at most
    one of these fires in a step, and ends it. τ is such that for every reactant i, whose reactions
    have orders up to g_i, mean and standard deviation of its change by the others are at most
    max(ε x_i / g_i, 1); it is at most ``max_step`` and ends at output times. A step that would
    leave a count below zero is drawn again with half of τ. Where τ is below ten mean waiting times,
    a hundred events are simulated exactly, one by one, before the next attempt.

    g_i is the largest (n / m) Σ_{k<m} x_i / (x_i − k) among the reactions of n molecules that take
    m of i. For a rate law it is the sum of x_j |a(x + e_j) − a(x)| / a(x) over the species j that
    it reads, at least 1.

    Guarantee: none of exactness. ε bounds by how much of itself a propensity is expected to change
    in a step, drift and standard deviation each; the error of means is of the order of ε (weak
    order one). It does not bound the error of fluctuations: near an equilibrium of x copies these
    are of the order √x, and where x > 1/ε² steps may be longer than the time in which they relax.
    Variances are then too large, by half in one benchmark at the default ε, unless ``max_step``
    keeps steps short. Drawing again after a negative count adds a bias that critical reactions keep
    rare. Counts are never negative, conservation laws hold in every run, and where no leap is worth
    it (small populations) runs are exact. Steps end at output times, so unlike that of an exact
    simulator a path depends on them.

    Arguments:

    - ``epsilon``: see above, between 0 and 1. Default 0.03.
    - ``num_critical``: see above. Default 10.
    - ``max_step``: longest step, in the model's unit of time; where variances matter, a twentieth
      of the shortest relaxation time. Default infinite.
    - ``max_steps``: leaps and single events a run may take; a run that needs more ends with
      `SampleCode.MAX_STEPS` and its outputs are -1. Default 10⁷.

    When: populations of a hundred thousand and more, in which propensities change little while many
    reactions fire. Not below ten thousand, where `DirectMethod` is about as fast and exact; nor for
    stiff networks, in which a fast reversible reaction holds the steps down; nor for gradients.

    References: Cao, Gillespie, Petzold, J. Chem. Phys. 124 (2006), doi:10.1063/1.2159468 (step);
    J. Chem. Phys. 123 (2005), doi:10.1063/1.1992473 (critical reactions); Gillespie, J. Chem. Phys.
    115 (2001), doi:10.1063/1.1378322 (tau-leaping).
    """

    epsilon: float = 0.03
    num_critical: int = 10
    max_step: float = math.inf
    max_steps: int = 10_000_000
    exact: ClassVar[bool] = False
    citations: ClassVar[tuple[str, ...]] = (
        "Gillespie, J. Chem. Phys. 115 (2001), doi:10.1063/1.1378322 (tau-leaping)",
        "Cao, Gillespie, Petzold, J. Chem. Phys. 124 (2006), doi:10.1063/1.2159468 (choice of the "
        "step)",
    )

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ParameterError(f"`epsilon` is {self.epsilon}, expected between 0 and 1.")
        if not self.num_critical >= 1:
            raise ParameterError(f"`num_critical` is {self.num_critical}, expected at least 1.")
        if not self.max_step > 0:
            raise ParameterError(f"`max_step` is {self.max_step}, expected a time above 0.")
        if not self.max_steps >= 1:
            raise ParameterError(f"`max_steps` is {self.max_steps}, expected at least 1.")

    def sample(self, model: ReactionNetwork, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        require_autonomous(model, "TauLeaping")
        states, codes, culprits, events = in_pieces(_simulate, model, batch, executor, self)
        return Sample(states, codes, events, culprits=culprits)


def _simulate(
    model: ReactionNetwork, batch: Batch, method: TauLeaping
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._leaping import tau_leaping
    from tumble.kernels._tables import law_tables, network_tables

    num_runs = len(batch.runs)
    states = np.empty((num_runs, len(batch.times), batch.initial.shape[1]), np.int64)
    codes, culprits, events = (np.empty(num_runs, np.int64) for _ in range(3))
    tau_leaping(
        network_tables(model), law_tables(model), np.ascontiguousarray(model.reads),
        model.rates(batch.params), batch.params, batch.initial, float(batch.start), batch.times,
        np.uint64(batch.stream.child("tau-leaping").key), batch.runs, float(method.epsilon),
        int(method.num_critical), float(method.max_step), int(method.max_steps), states, codes,
        culprits, events,
    )  # fmt: skip
    return states, codes, culprits, events
