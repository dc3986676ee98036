"""Posteriors in files."""

import numpy as np
import pytest

import tumble as tb
from tests.helpers import immigration_death
from tumble.io import load_posterior
from tumble.posteriors import SMCABC


@pytest.fixture(scope="module")
def posterior():
    problem = tb.Problem(
        immigration_death(), data={"time": [1.0, 2.0], "X": [7, 9]}, initial={"X": 0},
        parameters={"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)},
    )  # fmt: skip
    return tb.sample_posterior(problem, method=SMCABC(num_particles=150, max_generations=2), seed=1)


def test_a_file_holds_the_posterior(posterior, tmp_path):
    path = posterior.save(tmp_path / "posterior.nc")
    tree = load_posterior(path)
    assert set(tree.children) == {
        "posterior", "observed_data", "constant_data", "weighted_posterior",
        "unadjusted_posterior", "estimates", "rounds",
    }  # fmt: skip
    weighted = tree["weighted_posterior"]
    np.testing.assert_array_equal(weighted["gamma"].values, posterior.theta[:, 1])
    np.testing.assert_array_equal(weighted["weight"].values, posterior.weights)
    np.testing.assert_array_equal(
        tree["unadjusted_posterior"]["k"].values, posterior.basis.unadjusted[:, 0]
    )
    assert weighted.attrs["result"] == posterior.result.value
    assert tree["rounds"]["tolerance"].values[0] == np.inf
    assert tree["observed_data"]["X"].values.tolist() == [[7.0, 9.0]]


def test_the_group_that_arviz_reads_holds_even_draws(posterior, tmp_path):
    tree = load_posterior(posterior.save(tmp_path / "posterior.nc"))
    group = tree["posterior"]
    assert group["k"].dims == ("chain", "draw") and group["k"].shape == (1, 150)
    assert set(group["k"].values[0]) <= set(posterior.theta[:, 0])
    again = load_posterior(posterior.save(tmp_path / "again.nc"))
    np.testing.assert_array_equal(again["posterior"]["k"].values, group["k"].values)
    mean = posterior.mean()["k"]
    error = posterior.sd()["k"] * np.sqrt(1 / 150 + 1 / posterior.effective_sample_size)
    assert abs(float(group["k"].mean()) - mean) < 4 * error


def test_what_is_no_posterior_is_refused(tmp_path):
    with pytest.raises(tb.TumbleError, match="there is no file"):
        load_posterior(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(tb.TumbleError, match="is not a netCDF file"):
        load_posterior(tmp_path / "text.nc")


def test_arrays_of_parameters_keep_their_shape(tmp_path):
    from tumble.io import posterior_tree

    conditions = {"k": tb.Ref("rates", 0), "gamma": tb.Ref("rates", 1)}
    problem = tb.Problem(
        immigration_death(),
        [tb.Experiment({"time": [1.0], "X": [9]}, {"X": 0}, conditions=conditions)],
        {"rates": tb.Parameter(0.5, 50, shape=(2,))},
    )
    found = tb.sample_posterior(problem, method=SMCABC(num_particles=60, max_generations=1))
    tree = posterior_tree(found)
    assert tree["posterior"]["rates"].dims == ("chain", "draw", "rates_dim_0")
    np.testing.assert_array_equal(tree["weighted_posterior"]["rates"].values, found.theta)
