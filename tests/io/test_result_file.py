import json

import numpy as np
import pytest

from tests.io.hand_made import IN_BED, make_audit, make_fit, make_predictive, make_problem
from tumble._errors import RunFolderError
from tumble._results import ResultCode
from tumble.io import fit_tree, load_fit, restore_fit, save_fit


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("result") / "result.nc"
    return save_fit(
        make_fit(warnings=["a warning"]),
        path,
        audit=make_audit(),
        predictive=make_predictive(),
        title="Influenza",
        settings={"seed": 3},
    )


def test_groups_are_named_as_arviz_names_them(stored):
    tree = load_fit(stored)
    assert set(tree.children) == {
        "observed_data", "posterior_predictive", "constant_data", "fit", "history", "audit",
    }  # fmt: skip
    np.testing.assert_array_equal(tree["observed_data"]["in_bed"].values, [IN_BED])
    assert tree["posterior_predictive"]["in_bed"].dims == ("quantile", "time")
    assert tree.attrs["title"] == "Influenza"
    assert json.loads(tree.attrs["settings"]) == {"seed": 3}


def test_the_file_holds_the_fit(stored):
    fit, tree = make_fit(), load_fit(stored)
    for i, estimate in enumerate(fit.estimates):
        assert tree["fit"]["parameter"].values[i] == estimate.name
        assert tree["fit"]["estimate"].values[i] == estimate.value
        assert tree["fit"]["interval_low"].values[i] == estimate.interval[0]
    assert tree["fit"]["derived"].values.tolist() == ["R0"]
    np.testing.assert_array_equal(tree["fit"]["covariance"].values, fit.covariance)
    assert tree["fit"].attrs["result"] == ResultCode.CONVERGED.value
    assert json.loads(tree["fit"].attrs["warnings"]) == ["a warning"]
    assert tree["history"]["loss"].values.tolist() == [s.loss for s in fit.history]


def test_a_stored_fit_can_be_taken_up_again(stored):
    fit = make_fit()
    again = restore_fit(load_fit(stored), fit.problem, fit.objective)
    np.testing.assert_array_equal(again.theta, fit.theta)
    np.testing.assert_array_equal(again.covariance, fit.covariance)
    assert again.history == fit.history
    assert again.result is fit.result
    assert again.summary().splitlines()[:4] == fit.summary().splitlines()[:4]


def test_a_fit_of_another_problem_is_refused(stored):
    from dataclasses import replace

    problem = make_problem()
    known = {k: v for k, v in problem.parameters.items() if k != "gamma"} | {"gamma": 0.5}
    with pytest.raises(RunFolderError, match="has parameters beta, gamma, I0, but the problem"):
        restore_fit(load_fit(stored), replace(problem, parameters=known), None)


def test_an_audit_can_be_added_later(tmp_path):
    path = save_fit(make_fit(), tmp_path / "r.nc")
    assert "audit" not in load_fit(path).children
    save_fit(load_fit(path), path, audit=make_audit())
    tree = load_fit(path)
    assert tree["audit"].sizes["row"] == 9
    assert "wrong" in tree["audit"].attrs["words"]


def test_several_experiments_have_names_of_their_own():
    problem = make_problem(num_experiments=2, num_replicates=3)
    tree = fit_tree(make_fit(problem), predictive=make_predictive(problem))
    assert set(tree["observed_data"].data_vars) == {"in_bed_0", "in_bed_1"}
    assert tree["observed_data"]["in_bed_1"].attrs["experiment"] == 1
    assert tree["posterior_predictive"]["in_bed_1"].attrs["observable"] == "in_bed"


def test_a_fit_that_found_nothing_can_be_stored(tmp_path):
    from dataclasses import replace

    fit = replace(make_fit(result=ResultCode.DIVERGED), covariance=np.full((3, 3), np.nan),
                  loss=float("inf"), history=(), starts=np.full(8, np.inf))  # fmt: skip
    tree = load_fit(save_fit(fit, tmp_path / "r.nc"))
    assert tree["history"].sizes["step"] == 0
    assert np.isnan(tree["fit"]["interval_low"].values).all()


def test_fit_result_has_save(tmp_path):
    path = make_fit().save(tmp_path / "r.nc")
    assert load_fit(path)["fit"].attrs["objective"] == "PathLikelihood()"


def test_what_is_no_fit(tmp_path):
    with pytest.raises(RunFolderError, match="there is no file"):
        load_fit(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("not netCDF")
    with pytest.raises(RunFolderError, match="is not a netCDF file of a fit"):
        load_fit(tmp_path / "text.nc")
    tree = fit_tree(make_fit())
    tree["constant_data"].to_dataset().to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(RunFolderError, match="holds no fit of tumble"):
        load_fit(tmp_path / "other.nc")
    tree.attrs["format"] = 99
    tree.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    with pytest.raises(RunFolderError, match="newer layout; update tumble"):
        load_fit(tmp_path / "new.nc")


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(RunFolderError, match="cannot write"):
        save_fit(make_fit(), tmp_path / "nowhere" / "r.nc")
