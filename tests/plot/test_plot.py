import subprocess
import sys

import numpy as np
import pytest

from tests.io.hand_made import IN_BED, make_audit, make_fit, make_predictive, make_problem
from tumble import plot
from tumble._errors import DataError
from tumble.io import fit_tree, save_fit

ALL = (plot.audit_plot, plot.convergence, plot.fit_band, plot.parameters, plot.waterfall)


@pytest.fixture(scope="module")
def tree():
    return fit_tree(make_fit(noise=0.5), audit=make_audit(), predictive=make_predictive())


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    def make(rows=1):
        grid = Figure().subplots(rows, 1, squeeze=False).ravel()
        return grid if rows > 1 else grid[0]

    return make


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_draws_on_the_axes_it_is_given_and_returns_them(tree, axes, function):
    given = axes(2 if function is plot.convergence else 1)
    returned = function(tree, ax=given)
    assert np.all(np.ravel(returned) == np.ravel(given))
    for ax in np.ravel(given):
        assert ax.has_data()
    assert np.ravel(given)[-1].get_xlabel()


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_makes_axes_where_none_are_given(tree, function, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    assert np.ravel(function(tree))[0].figure is not None
    plt.close("all")


def test_takes_a_fit_a_file_and_a_tree(tree, axes, tmp_path):
    path = save_fit(tree, tmp_path / "r.nc")
    for source in (make_fit(), path, str(path), tree):
        assert plot.waterfall(source, ax=axes()).has_data()


def test_the_data_are_where_they_belong(tree, axes):
    ax = plot.fit_band(tree, ax=axes())
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(points.get_ydata(), IN_BED)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["data", "median of the runs", "50 % of the runs", "95 % of the runs"]


def test_many_replicates_are_thinned_and_that_is_said(axes):
    tree = fit_tree(make_fit(make_problem(num_replicates=1000)))
    ax = plot.fit_band(tree, ax=axes())
    assert sum(len(line.get_xdata()) for line in ax.lines) <= 800
    assert ax.get_legend().get_texts()[0].get_text() == "data, 57 of 1000 replicates"


def test_marks_beyond_the_axis_carry_their_number(tree, axes):
    ax = plot.audit_plot(tree, ax=axes())
    assert sorted(t.get_text().strip() for t in ax.texts) == ["+7", "+7", "+7"]
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    assert words == ["RIGHT", "WRONG", "UNDECIDED"]


def test_a_missing_reference_is_said(axes):
    from types import SimpleNamespace

    audit = make_audit()
    rows = [SimpleNamespace(**{**vars(r), "reference_error": float("inf")}) for r in audit.rows]
    tree = fit_tree(make_fit(), audit=SimpleNamespace(**{**vars(audit), "rows": rows}))
    ax = plot.audit_plot(tree, ax=axes())
    assert [t.get_text() for t in ax.texts] == ["no reference"] * 9


def test_an_unknown_interval_is_a_point(axes):
    from dataclasses import replace

    fit = replace(make_fit(), covariance=np.full((3, 3), np.nan))
    ax = plot.parameters(fit, ax=axes())
    assert [t.get_text() for t in ax.texts] == ["0.00234", "0.482", "1.1", "3.704"]


def test_errors(axes):
    tree = fit_tree(make_fit())
    with pytest.raises(DataError, match="has no audit"):
        plot.audit_plot(tree, ax=axes())
    with pytest.raises(DataError, match="`experiment` is 3"):
        plot.fit_band(tree, experiment=3, ax=axes())
    with pytest.raises(DataError, match=r"`observable` is 'bed'.*Did you mean 'in_bed'\?"):
        plot.fit_band(tree, observable="bed", ax=axes())


def test_importing_does_not_load_matplotlib():
    code = "import sys, tumble.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
