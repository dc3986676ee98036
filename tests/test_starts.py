"""Where the fit of a simulated loss starts: it must not depend on luck."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import tumble as tb
from tumble import gradients
from tumble.objectives import DistributionMatching, ExpectedLoss, LossOfExpectations

RATIOS = LossOfExpectations(lambda m, y: jnp.sum(jnp.log((m + 1) / (y + 1)) ** 2))


def snapshots(text, params, initial, species, times, cells, seed):
    """Return other cells at each time."""
    network = tb.ReactionNetwork.from_text(text)
    columns = []
    for i, t in enumerate(times):
        run = tb.simulate(
            network, params, initial=initial, times=[t], num_samples=cells, seed=seed + i,
            progress=False,
        )  # fmt: skip
        columns.append(run.data.sel(species=species).values[:, 0])
    data = xr.DataArray(
        np.stack(columns, axis=1)[..., None].astype(float),
        dims=("replicate", "time", "observable"),
        coords={"time": list(times), "observable": [species]},
    )
    return network, [tb.Experiment(data, initial, kind="snapshots")]


EVENT = "0 -> X ; k\nX -> 0 ; 0.7\nat time >= 1.5: X = 0"
VARIABLE = "V(0) = 1\nV' = -0.3 * V\n0 => X ; k * V\nX -> 0 ; 0.7"


@pytest.mark.parametrize(
    ("text", "objective"),
    [(EVENT, None), (EVENT, DistributionMatching()), (VARIABLE, RATIOS)],
)
def test_networks_without_linear_noise_are_fitted(text, objective):
    network, experiments = snapshots(text, {"k": 8.0}, {"X": 0}, "X", [1.0, 3.0], 100, 3)
    problem = tb.Problem(network, experiments, {"k": tb.Parameter(0.1, 100, start=50)})
    fit = tb.fit(
        problem, objective=objective, tolerance=0.05, num_starts=4, seed=1,
        budget=tb.Budget(simulations=12_000),
    )  # fmt: skip
    (estimate,) = fit.estimates
    assert len(fit.starts) == 4 and np.all(np.isfinite(fit.starts))
    assert abs(np.log(estimate.value / 8)) < 4 * estimate.standard_error < 0.5


def test_few_series_of_a_network_with_events_are_matched_by_moments_with_a_warning():
    problem = tb.Problem(
        tb.ReactionNetwork.from_text(EVENT), data={"time": [1.0, 3.0], "X": [5.0, 7.0]},
        initial={"X": 0}, parameters={"k": tb.Parameter(0.1, 100)},
    )  # fmt: skip
    fit = tb.fit(problem, tolerance=0.2, max_steps=5, num_starts=2)
    assert fit.warnings[0].startswith(
        "a network with variables or events has no likelihood, so the mean over many of its runs"
    )
    with pytest.raises(tb.TumbleError, match=r"has event .*objectives\.MomentMatching\(\)"):
        tb.fit(problem, objective=tb.objectives.PathLikelihood())


@pytest.mark.parametrize("gradient", [gradients.ScoreFunction(), gradients.CoupledDifference()])
def test_gradients_that_networks_with_events_do_not_have(gradient):
    network, experiments = snapshots(EVENT, {"k": 8.0}, {"X": 0}, "X", [1.0], 20, 3)
    problem = tb.Problem(network, experiments, {"k": tb.Parameter(0.1, 100)})
    with pytest.raises(
        tb.TumbleError, match=r"with variables, events or rates .*gradients\.SPSA\(\)"
    ):
        tb.fit(problem, gradient=gradient)


def test_an_expected_loss_without_linear_noise_starts_at_the_best_of_the_starts():
    network, experiments = snapshots(EVENT, {"k": 8.0}, {"X": 0}, "X", [1.0, 3.0], 100, 3)
    problem = tb.Problem(network, experiments, {"k": tb.Parameter(0.1, 100, start=100)})
    fit = tb.fit(problem, objective=ExpectedLoss(), max_steps=1, num_starts=4, seed=1)
    assert fit.history[0].params[0] < 50
    assert fit.starts.min() < fit.starts[0] / 4


SWITCH = "0 => P ; b + V * P^4 / (K^4 + P^4)\nP -> 0 ; 1"
SWITCH_PARAMS = {"b": 3.0, "V": 25.0, "K": 12.0}


@pytest.mark.parametrize("seed", [9, pytest.param(5, marks=pytest.mark.slow)])
def test_two_modes_are_found_where_linear_noise_leads_astray(seed):
    """Started at the linear-noise minimum, these fits end at V ten times too large."""
    network, experiments = snapshots(
        SWITCH, SWITCH_PARAMS, {"P": 8}, "P", [1.0, 3.0], 500, 1000 * seed
    )
    parameters = {k: tb.Parameter(v / 10, v * 10) for k, v in SWITCH_PARAMS.items()}
    problem = tb.Problem(network, experiments, parameters)
    fit = tb.fit(
        problem, objective=DistributionMatching(), tolerance=0.05, seed=seed,
        budget=tb.Budget(simulations=40_000),
    )  # fmt: skip
    assert fit.loss < 0.02
    np.testing.assert_allclose(np.log(fit.theta / [3.0, 25.0, 12.0]), 0.0, atol=0.25)
