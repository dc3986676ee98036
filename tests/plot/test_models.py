"""Figures of models that were compared."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError, ParameterError
from tumble._results import ResultCode
from tumble.plot import model_fits, model_probabilities
from tumble.structure import Evidence, Score
from tumble.structure._model_comparison import ModelComparison, ranked


@pytest.fixture(scope="module")
def comparison():
    problem = tb.Problem(
        tb.ReactionNetwork.from_text("X -> 0 ; gamma"),
        data={"time": [1.0, 2.0, 3.0], "X": [61, 38, 20]}, initial={"X": 100},
        parameters={"gamma": tb.Parameter(0.01, 10)},
    )  # fmt: skip
    fit = tb.fit(problem, num_starts=1)
    scores = {
        "death": Score(-10.0, 0.1, fit, (), np.nan, ResultCode.SUCCESS, ""),
        "other": Score(-12.0, 0.1, None, (), np.nan, ResultCode.SUCCESS, ""),
        "broken": Score.failed(ResultCode.FAILED, "too large"),
    }
    words = dict.fromkeys(scores, ("linear noise (approximate)", ()))
    models = ranked(scores, dict.fromkeys(scores, 1 / 3), words)
    return ModelComparison(models, Evidence(), 1.0)


@pytest.fixture
def ax():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt.figure().subplots()
    plt.close("all")


def test_bars_are_probabilities(comparison, ax):
    assert model_probabilities(comparison, ax=ax) is ax
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == [comparison.probabilities[n] for n in ("death", "other", "broken")]
    texts = [t.get_text() for t in ax.texts]
    assert "(-2.0)" in texts[1] and texts[2] == "not weighed"


def test_fits_are_drawn_over_the_data(comparison, ax):
    assert model_fits(comparison, num_samples=50, ax=ax) is ax
    _, labels = ax.get_legend_handles_labels()
    assert labels == [f"death ({comparison.probabilities['death']:.2g})", "data"]
    data = ax.lines[-1]
    assert list(data.get_ydata()) == [61, 38, 20]
    assert list(data.get_xdata()) == [1, 2, 3]


def test_what_is_wrong_is_said(comparison, ax):
    with pytest.raises(ParameterError, match="expected what compare_models returns"):
        model_fits(3)
    with pytest.raises(DataError, match="`experiment` is 4, but the data have 1"):
        model_fits(comparison, experiment=4, ax=ax)
    with pytest.raises(DataError, match="`observable` is 'Y'"):
        model_fits(comparison, observable="Y", ax=ax)
