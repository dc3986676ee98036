from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tumble import priors
from tumble._errors import ParameterError
from tumble._parameters import Parameter, ParameterSpace, Ref
from tumble._random import Stream

SPACE = ParameterSpace(
    {
        "beta": Parameter(1e-4, 1.0),
        "shift": Parameter(-5.0, 5.0, scale="linear"),
        "k": Parameter(0.1, 10.0, shape=(2, 3)),
        "share": Parameter(0.01, 0.99, scale="logit"),
    }
)
THETA = np.array([0.01, -2.0, 0.2, 0.3, 0.5, 1.0, 2.0, 9.0, 0.3])


def test_names_sizes_and_scales():
    names = ["beta", "shift", *(f"k[{i},{j}]" for i in range(2) for j in range(3)), "share"]
    assert SPACE.names == tuple(names)
    assert SPACE.size == 9
    assert SPACE.scales == ("log", "linear", *["log"] * 6, "logit")
    vector = ParameterSpace({"k": Parameter(1, 2, shape=(3,))})
    assert vector.names == ("k[0]", "k[1]", "k[2]")


def test_fit_scales():
    z = SPACE.to_fit(THETA)
    exact = np.log(np.abs(THETA))
    exact[1] = THETA[1]
    exact[-1] = np.log(0.3 / 0.7)
    np.testing.assert_allclose(z, exact, rtol=1e-14)
    np.testing.assert_allclose(SPACE.from_fit(z), THETA, rtol=1e-13)
    np.testing.assert_allclose(
        SPACE.lower[[0, 1, 2, -1]], [np.log(1e-4), -5, np.log(0.1), -np.log(99)]
    )
    np.testing.assert_allclose(SPACE.upper[[0, 1, 2, -1]], [0, 5, np.log(10), np.log(99)])


def test_scales_in_jax_have_the_slopes_of_their_formulas():
    with jax.enable_x64(True):
        z = SPACE.to_fit(jnp.asarray(THETA), jnp)
        np.testing.assert_allclose(z, SPACE.to_fit(THETA), rtol=1e-14)
        to_fit = np.diag(jax.jacobian(lambda t: SPACE.to_fit(t, jnp))(jnp.asarray(THETA)))
        from_fit = np.diag(jax.jacobian(lambda z: SPACE.from_fit(z, jnp))(z))
    exact = THETA.copy()  # dθ/dz = θ on a log scale, 1 on a linear one, θ (1 − θ) on a logit
    exact[1], exact[-1] = 1.0, 0.3 * 0.7
    np.testing.assert_allclose(from_fit, exact, rtol=1e-13)
    np.testing.assert_allclose(to_fit, 1 / exact, rtol=1e-13)
    np.testing.assert_allclose(SPACE.slope(SPACE.to_fit(THETA)), exact, rtol=1e-13)


def test_clip_moves_to_the_nearest_point_within_the_bounds():
    z = SPACE.to_fit(THETA)
    np.testing.assert_array_equal(SPACE.clip(z), z)
    np.testing.assert_array_equal(SPACE.clip(z + 100), SPACE.upper)
    np.testing.assert_array_equal(SPACE.clip(z - 100), SPACE.lower)


def test_pack_and_unpack():
    params = SPACE.unpack(THETA)
    assert list(params) == ["beta", "shift", "k", "share"]
    np.testing.assert_array_equal(params["k"], [[0.2, 0.3, 0.5], [1.0, 2.0, 9.0]])
    assert params["shift"] == -2.0
    np.testing.assert_array_equal(SPACE.pack(params), THETA)
    shuffled = dict(reversed(params.items()))
    np.testing.assert_array_equal(SPACE.pack(shuffled), THETA)


def test_a_space_without_unknowns():
    empty = ParameterSpace({})
    assert empty.size == 0
    assert empty.pack({}).shape == (0,)
    assert empty.unpack(np.empty(0)) == {}
    assert empty.starts(2, Stream.from_seed(0)).shape == (2, 0)


@pytest.mark.parametrize(
    ("ref", "position"),
    [
        (Ref("beta"), 0),
        (Ref("k", (0, 0)), 2),
        (Ref("k", (1, 2)), 7),
        (Ref("share"), 8),
    ],
)
def test_position(ref, position):
    assert SPACE.position(ref) == position


def test_position_of_an_entry_of_a_vector():
    vector = ParameterSpace({"a": Parameter(1, 2), "k": Parameter(1, 2, shape=(3,))})
    assert [vector.position(Ref("k", i)) for i in range(3)] == [1, 2, 3]
    assert vector.position(Ref("k", (2,))) == 3


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (Ref("betta"), r"`Ref` names parameter 'betta', but the problem has beta, shift, k, "
         r"share\. Did you mean 'beta'\?"),
        (Ref("k"), r"`Ref\('k', None\)` does not point to one number: 'k' has shape \(2, 3\)\."),
        (Ref("k", 1), r"`Ref\('k', 1\)` does not point to one number"),
        (Ref("k", (2, 0)), r"`Ref\('k', \(2, 0\)\)` does not point to one number"),
        (Ref("k", (0, -1)), r"does not point to one number"),
        (Ref("beta", 0), r"`Ref\('beta', 0\)` does not point to one number: 'beta' has shape \(\)"),
    ],
)  # fmt: skip
def test_a_ref_that_points_nowhere(ref, message):
    with pytest.raises(ParameterError, match=message):
        SPACE.position(ref)


# -- starts ---------------------------------------------------------------------------------------


def test_starts_lie_inside_the_bounds_and_fill_them():
    starts = SPACE.starts(2001, Stream.from_seed(3))
    assert starts.shape == (2001, 9)
    assert np.all((starts >= SPACE.lower) & (starts <= SPACE.upper))
    np.testing.assert_allclose(starts[0], (SPACE.lower + SPACE.upper) / 2)
    share = (starts[1:] - SPACE.lower) / (SPACE.upper - SPACE.lower)
    for column in share.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    assert stats.kstest(share.ravel(), "uniform").pvalue > 1e-4
    np.testing.assert_array_equal(starts, SPACE.starts(2001, Stream.from_seed(3)))
    assert not np.any(starts[1:] == SPACE.starts(2001, Stream.from_seed(4))[1:])


def test_the_first_starts_do_not_depend_on_how_many_are_asked_for():
    few, many = (SPACE.starts(n, Stream.from_seed(3)) for n in (4, 40))
    np.testing.assert_array_equal(few, many[:4])
    assert SPACE.starts(1, Stream.from_seed(3)).shape == (1, 9)


def test_given_starts_come_first():
    space = ParameterSpace(
        {
            "a": Parameter(0.1, 10, start=2.0),
            "b": Parameter(0.1, 10),
            "k": Parameter(-1, 1, scale="linear", shape=(2,), start=[0.25, -0.5]),
        }
    )
    first = space.from_fit(space.starts(3, Stream.from_seed(0))[0])
    np.testing.assert_allclose(first, [2.0, 1.0, 0.25, -0.5], rtol=1e-12)


# -- priors ---------------------------------------------------------------------------------------


def test_log_prior_is_the_sum_over_all_entries():
    space = ParameterSpace(
        {
            "a": Parameter(0.1, 10),
            "k": Parameter(0.1, 10, shape=(2,), prior=priors.Gamma(2.0, 3.0)),
            "b": Parameter(0.1, 10, prior=priors.LogNormal(0.5, 0.3)),
        }
    )
    theta = np.array([5.0, 0.4, 0.9, 1.7])
    exact = stats.gamma(2, scale=1 / 3).logpdf([0.4, 0.9]).sum()
    exact += stats.lognorm(0.3, scale=np.exp(0.5)).logpdf(1.7)
    with jax.enable_x64(True):
        assert float(space.log_prior(jnp.asarray(theta))) == pytest.approx(exact, rel=1e-12)
    assert space.has_priors
    assert not SPACE.has_priors
    assert SPACE.log_prior(THETA) == 0


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": "ln"}, r"`scale` is 'ln', expected one of log, linear, logit\."),
        ({"lower": 3.0}, r"`Parameter\(lower, upper\)` is \(3\.0, 2\.0\), expected finite lower < "
         "upper"),
        ({"lower": 2.0}, r"is \(2\.0, 2\.0\), expected finite lower < upper"),
        ({"upper": np.inf}, r"is \(1\.0, inf\), expected finite lower < upper"),
        ({"lower": np.nan}, r"is \(nan, 2\.0\), expected finite lower < upper"),
        ({"lower": 0.0}, r"`lower` is 0\.0, but scale='log' needs lower > 0; use a small positive "
         r"bound, or scale='linear'\."),
        ({"lower": 0.0, "upper": 0.5, "scale": "logit"}, r"but scale='logit' needs lower > 0"),
        ({"scale": "logit"}, r"`upper` is 2\.0, but scale='logit' needs upper < 1\."),
        ({"start": 2.5}, r"`start` is 2\.5, outside the bounds \[1, 2\]; move it inside or widen"),
        ({"start": np.nan}, r"`start` is nan, outside the bounds"),
        ({"start": [1.5, 1.5]}, r"`start` has shape \(2,\), expected \(\)\."),
        ({"start": 1.5, "shape": (2,)}, r"`start` has shape \(\), expected \(2,\)\."),
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Parameter(**{"lower": 1.0, "upper": 2.0, **arguments})


def test_zero_and_negative_bounds_are_fine_on_a_linear_scale():
    assert Parameter(-1.0, 0.0, scale="linear", start=-1.0).lower == -1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 1.0}, r"`params` has 'gamma', but the problem has beta, shift, k, share\."),
        ({"bet": 1.0}, r"`params` has 'bet', .* Did you mean 'beta'\?"),
        ({"shift": None}, r"`params` has no value for 'shift'\."),
        ({"beta": 2.0}, r"`params\['beta'\]` is 2\.0, outside the bounds \[0\.0001, 1\]; move it"),
        ({"beta": np.nan}, r"`params\['beta'\]` is nan, outside the bounds"),
        ({"k": [1.0, 2.0]}, r"`params\['k'\]` has shape \(2,\), expected \(2, 3\)\."),
        ({"k": np.full((2, 3), 11.0)}, r"`params\['k'\]` is (.|\n)*, outside the bounds"),
    ],
)
def test_values_that_do_not_fit(change, message):
    params = {**SPACE.unpack(THETA), **change}
    params = {name: value for name, value in params.items() if value is not None}
    with pytest.raises(ParameterError, match=message):
        SPACE.pack(params)


def test_a_value_on_a_bound_is_inside_whatever_the_rounding():
    corner = SPACE.from_fit(SPACE.upper)
    assert np.all(np.isfinite(SPACE.pack(SPACE.unpack(corner))))


def test_a_shape_may_be_a_number():
    try:
        parameter = Parameter(1.0, 2.0, shape=3)
    except ParameterError:
        return
    assert ParameterSpace({"k": parameter}).pack({"k": [1.5] * 3}).shape == (3,)


def test_a_prior_is_a_member():
    with pytest.raises(ParameterError, match="`prior` is 'normal', expected a member of"):
        Parameter(1.0, 2.0, prior="normal")
