"""What machines are given of a data set."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError
from tumble._random import Stream
from tumble.densities import Squeeze
from tumble.machines import Encoding, Sources, pooled_moments
from tumble.posteriors import DataSets, JointPrior
from tumble.problems._mixed import _UNMIXING


def test_moments_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 50, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]]) + 3
    found = pooled_moments(x)[1]
    own = x[1]
    correlation = np.corrcoef(own.T)[0, 1]
    lines = [np.polyfit(own[:, i], own[:, j], 1) for i, j in ((0, 1), (1, 0))]
    expected = [
        *own.mean(0), *np.log(own.std(0, ddof=1)), *own.min(0), *own.max(0),
        np.arctanh(correlation), *[line[0] for line in lines], *[line[1] for line in lines],
    ]  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-9)


def test_moments_do_not_see_an_order() -> None:
    x = np.random.default_rng(0).poisson(5, (2, 20, 3)).astype(float)
    assert pooled_moments(x) == pytest.approx(pooled_moments(x[:, ::-1]))


def test_missing_numbers_are_left_out() -> None:
    x = np.random.default_rng(0).poisson(5, (1, 20, 2)).astype(float)
    holes = x.copy()
    holes[0, 4:, 1] = np.nan
    found = pooled_moments(holes)[0]
    few = x[0, :4, 1]
    assert found[[1, 3, 5, 7]] == pytest.approx(
        [few.mean(), np.log(few.std(ddof=1)), few.min(), few.max()]
    )


def test_one_replicate_is_what_it_is() -> None:
    x = np.arange(6.0).reshape(2, 1, 3)
    assert np.array_equal(pooled_moments(x), x[:, 0])


def test_sources_are_found() -> None:
    reference = tb.problems.MixedSources(200)
    z = JointPrior(reference.problem.space).sample(300, np.random.default_rng(0))
    (data,), _ = DataSets(reference.problem, Stream.from_seed(0)).simulate(z, 0)
    rows = data[:, :, 0]
    found = Sources.of(rows, np.random.default_rng(0))
    true = rows.reshape(-1, 5) @ _UNMIXING.T
    like = np.abs(np.corrcoef(found(rows).reshape(-1, 5).T, true.T)[:5, 5:])
    assert like.max(0).min() > 0.98
    assert sorted(like.argmax(0)) == [0, 1, 2, 3, 4]


def test_components_follow_moments() -> None:
    problem = tb.problems.MixedSources(30).problem
    z = JointPrior(problem.space).sample(40, np.random.default_rng(0))
    data, _ = DataSets(problem, Stream.from_seed(0)).simulate(z, 0)
    encoding = Encoding.of(problem, data, Stream.from_seed(1))
    given = encoding.given(data)
    assert encoding.sets == ((30, 5),)
    assert given.shape == (40, encoding.num_moments + 150)
    assert np.array_equal(given[:, : encoding.num_moments], encoding.moments(data))
    with pytest.raises(DataError, match="trained for 30"):
        encoding.given([data[0][:, :20]])


def test_wide_and_positive_numbers_are_logged() -> None:
    values = np.stack([np.exp(np.linspace(-7, 7, 1001)), np.linspace(1, 2, 1001)], axis=1)
    squeeze = Squeeze.of(values, logs=True)
    assert squeeze.logged.tolist() == [True, False]
    assert not Squeeze.of(values).logged.any()
    found = squeeze(values)
    assert found.mean(0) == pytest.approx([0, 0], abs=1e-9)
    assert found.std(0) == pytest.approx([1, 1])
    assert np.isfinite(squeeze(np.zeros((1, 2)))).all()
