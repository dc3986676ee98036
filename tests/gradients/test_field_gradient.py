"""Gradients by fields: what the pathwise derivatives say, from the end of a run to its start."""

from dataclasses import dataclass

import numpy as np
import pytest

from tumble._errors import DataError, DerivativeError, ParameterError
from tumble._random import Stream, run_ids
from tumble.gradients import GumbelSoftmax, SecondOrder, StraightThrough, field_gradient
from tumble.models import AbstractLattice, Grid, SusceptibleInfected
from tumble.simulators import Batch, LatticeSteps


@dataclass(frozen=True)
class _Mixed(AbstractLattice):
    """Every kind of draw that has a pathwise derivative, at each of six sites."""

    parameters = ("p", "rate", "mean")
    outputs = ("total", "square")

    def start(self, params, draw):
        return draw.normal(params["mean"], 1.0, size=(2, 3))

    def step(self, state, params, draw):
        p = params["p"]
        moved = draw.pick(np.array([-1.0, 0.0, 2.0]), [p, 1 - p, 0.5], size=(2, 3))
        arrived = draw.count(params["rate"], size=(2, 3)) * draw.flip(p, size=(2, 3))
        even = draw.pick(np.array([0.0, 1.0]), 2, size=(2, 3))
        return 0.5 * state + moved + arrived + even

    def observe(self, state):
        return {"total": state.sum(), "square": (state**2).sum()}


def _loss(outputs):
    return (outputs**2).sum() + outputs[0, 0] * outputs[-1, 1]


def _forward(model, params, times, runs, seed, relaxation):
    """Return ∂ loss of each run by the slopes that go forward with it [runs, P]."""
    import jax

    batch = Batch(
        np.tile(params, (runs, 1)), np.zeros((runs, 0)), np.array(times),
        Stream.from_seed(seed).child("field"), run_ids(runs),
    )  # fmt: skip
    found = LatticeSteps().sample_relaxed(model, batch, relaxation)
    with jax.enable_x64(True):
        weights = np.asarray(jax.vmap(jax.grad(_loss))(found.states))
    return np.einsum("nto,ntop->np", weights, found.slopes)


@pytest.mark.parametrize("relaxation", [StraightThrough(), SecondOrder(), GumbelSoftmax(0.7)])
@pytest.mark.parametrize(
    "times",
    [
        pytest.param([1.0], marks=pytest.mark.slow),
        pytest.param([2.0, 7.0], marks=pytest.mark.slow),
        [0.0, 3.0, 3.0, 9.0],
    ],
)
def test_agrees_with_slopes_that_go_forward(relaxation, times):
    params = {"p": 0.3, "rate": 1.4, "mean": 0.6}
    found = field_gradient(
        _Mixed(), params, times, _loss, num_samples=3, seed=5, relaxation=relaxation
    )
    expected = _forward(_Mixed(), list(params.values()), times, 3, 5, relaxation)
    got = [found.gradient[name] for name in params]
    np.testing.assert_allclose(got, expected.mean(0), rtol=1e-9)
    errors = [found.standard_errors[name] for name in params]
    np.testing.assert_allclose(errors, expected.std(0, ddof=1) / np.sqrt(3), rtol=1e-6)


def test_a_field_sums_to_the_derivative_of_its_number():
    model = SusceptibleInfected(Grid((7, 7)))
    one = field_gradient(model, {"beta": 0.3}, [2, 5], _loss_of_infected, seed=2)
    field = field_gradient(model, {"beta": np.full((7, 7), 0.3)}, [2, 5], _loss_of_infected, seed=2)
    assert field.loss == one.loss
    assert field.gradient["beta"].shape == (7, 7)
    np.testing.assert_allclose(field.gradient["beta"].sum(), one.gradient["beta"], rtol=1e-12)
    assert np.isnan(one.standard_errors["beta"])


def test_after_one_step_the_field_is_exact():
    """Each of the eight neighbors of the center adds 1 to the derivative, in every run."""
    model = SusceptibleInfected(Grid((5, 5)))
    found = field_gradient(
        model, {"beta": np.full((5, 5), 0.4)}, [1], lambda y: y[0, 0], num_samples=4, seed=1
    )
    exact = np.zeros((5, 5))
    exact[1:4, 1:4] = 1
    exact[2, 2] = 0
    np.testing.assert_allclose(found.gradient["beta"], exact, atol=1e-12)
    np.testing.assert_allclose(found.standard_errors["beta"], 0, atol=1e-12)


def _loss_of_infected(outputs):
    return (outputs[:, 0] - 10) @ (outputs[:, 0] - 10)


def test_what_is_wrong_is_said():
    model = SusceptibleInfected(Grid((5, 5)))
    with pytest.raises(ParameterError, match=r"values are given for gamma, expected beta\."):
        field_gradient(model, {"gamma": 1.0}, [1], _loss_of_infected)
    with pytest.raises(ParameterError, match=r"probability outside 0 to 1"):
        params = {"p": 1.5, "rate": 1.0, "mean": 0.0}
        field_gradient(_Mixed(), params, [1], lambda y: y.sum())
    with pytest.raises(ParameterError, match=r"'beta' has values that are not finite"):
        field_gradient(model, {"beta": np.array([np.nan])}, [1], _loss_of_infected)
    with pytest.raises(DataError, match=r"the time 1.5 is not a whole number of steps"):
        field_gradient(model, {"beta": 0.3}, [1.5], _loss_of_infected)
    with pytest.raises(ParameterError, match=r"`times` must be finite and ascending"):
        field_gradient(model, {"beta": 0.3}, [2, 1], _loss_of_infected)
    with pytest.raises(ParameterError, match=r"`num_samples` is 0"):
        field_gradient(model, {"beta": 0.3}, [1], _loss_of_infected, num_samples=0)
    with pytest.raises(DerivativeError, match=r"derivative by 'beta' is not finite"):
        field_gradient(model, {"beta": 0.3}, [2], lambda y: y[0, 0], relaxation=SecondOrder())
