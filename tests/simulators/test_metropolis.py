"""Copy attempts as a simulator among others."""

from __future__ import annotations

import pytest

import tumble as tb
from tests.helpers import sir
from tumble.models import Cells, CellularPotts

TRUTH = {"J_0_1": 0.63, "J_1_1": 0.31, "lambda_volume": 0.11, "target_volume": 25.0}
MODEL = CellularPotts(Cells.blocks((16, 16), (2, 2), 5))


def test_it_runs_cells_by_default_and_nothing_else():
    assert isinstance(tb.simulators.default_simulator(MODEL), tb.simulators.Metropolis)
    with pytest.raises(tb.TumbleError, match="Metropolis runs a CellularPotts"):
        tb.simulate(
            sir(), {"beta": 1.0, "gamma": 1.0}, initial={"S": 9, "I": 1, "R": 0}, times=[1],
            simulator=tb.simulators.Metropolis(),
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [tb.gradients.CoupledDifference()])
def test_fit_of_outputs(gradient):
    seen = tb.simulate(MODEL, TRUTH, times=[2, 6], num_samples=100, seed=1)
    unknown = {"J_0_1": tb.Parameter(0.1, 2), "J_1_1": tb.Parameter(0.05, 2)}
    problem = tb.Problem(MODEL, data=seen, parameters={**TRUTH, **unknown})
    fit = tb.fit(problem, seed=0, gradient=gradient, max_steps=12, num_starts=1)
    assert abs(fit.params["J_0_1"] - 0.63) < 0.08 and abs(fit.params["J_1_1"] - 0.31) < 0.08
