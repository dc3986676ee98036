"""The likelihood of a whole library: against the linear noise of one network, and differences."""

import numpy as np
import pytest

from tumble import Experiment, Observable, Parameter, Problem, ReactionNetwork, noise, simulate
from tumble._errors import CapabilityError, DataError
from tumble.priors import Poisson
from tumble.simulators import LinearNoise
from tumble.structure import NetworkLikelihood, ReactionLibrary, mass_action

NETWORK = ReactionNetwork.from_text(
    "S + I -> 2 I ; beta\nI -> R ; gamma\nR -> S ; w\n2 I -> I ; d\n0 -> S ; b"
)
RATES = {"beta": 0.004, "gamma": 1.0, "w": 0.3, "d": 0.001, "b": 4.0}
INITIAL = {"S": 480, "I": 20, "R": 0}
LIBRARY = ReactionLibrary(NETWORK.reactions, NETWORK.species)


def problem_of(observables=None, data=None, initial=None, kind="series"):
    """Return a problem with all rates unknown."""
    if data is None:
        data = simulate(
            NETWORK, RATES, initial=INITIAL, times=[0.3, 0.7, 1.5, 2.5], num_samples=3, seed=1
        )
    unknown = {k: Parameter(v / 50, v * 50, scale="log") for k, v in RATES.items()}
    experiment = Experiment(data, INITIAL if initial is None else initial, kind=kind)
    return Problem(NETWORK, experiments=[experiment], parameters=unknown, observables=observables)


def noisy():
    """Return observables with noise of three kinds, and their data."""
    rng = np.random.default_rng(3)
    seen = simulate(
        NETWORK, RATES, initial=INITIAL, times=[0.3, 0.7, 1.5, 2.5], num_samples=3, seed=1
    ).data.values
    both = seen[..., 1] + seen[..., 2]
    data = {
        "sick": rng.poisson(seen[..., 1]),
        "ever": rng.normal(both, 6.0),
        "S": seen[..., 0].astype(float),
    }
    data["S"][0, 1] = np.nan
    import xarray as xr

    values = xr.DataArray(
        np.stack(list(data.values()), -1),
        dims=("replicate", "time", "observable"),
        coords={"time": [0.3, 0.7, 1.5, 2.5], "observable": list(data)},
    )
    observables = {
        "sick": Observable("I", noise=noise.Poisson()),
        "ever": Observable("I + R", noise=noise.Normal(6.0)),
        "S": Observable("S"),
    }
    return problem_of(observables, values, {**INITIAL, "I": Poisson(20)})


@pytest.mark.parametrize("make", [problem_of, noisy])
def test_agrees_with_the_linear_noise_of_the_network(make):
    problem = make()
    rates = np.array(list(RATES.values())) * 1.1
    found = NetworkLikelihood(problem, LIBRARY).evaluate(rates, range(5))
    theta = problem.space.pack(dict(zip(RATES, rates, strict=True)))
    value, slope = LinearNoise().likelihood(problem).value_and_gradient(theta)
    order = [problem.space.names.index(name) for name in RATES]
    # Steps of Runge and Kutta here, an error control there.
    assert abs(found.value - value) < 0.02
    np.testing.assert_allclose(found.slope * rates, slope[order] * rates, atol=0.05, rtol=2e-3)


def snapshots():
    """Return snapshots of 40 cells at each time."""
    data = simulate(NETWORK, RATES, initial=INITIAL, times=[0.3, 0.7, 1.5], num_samples=40, seed=2)
    return problem_of(data=data, kind="snapshots")


@pytest.mark.parametrize("make", [problem_of, noisy, snapshots])
def test_slopes_are_derivatives_also_at_rate_zero(make):
    likelihood = NetworkLikelihood(make(), LIBRARY)
    rates = np.array([0.004, 1.0, 0.0, 0.0, 4.0])
    found = likelihood.evaluate(rates, range(5))
    for r in range(5):
        h = 1e-5 * (rates[r] or RATES[list(RATES)[r]])
        ahead = rates.copy()
        ahead[r] += h
        twice = rates.copy()
        twice[r] += 2 * h
        values = [likelihood.evaluate(x, []).value for x in (rates, ahead, twice)]
        one_sided = (-3 * values[0] + 4 * values[1] - values[2]) / (2 * h)
        np.testing.assert_allclose(found.slope[r], one_sided, rtol=1e-3, atol=1e-3 / RATES["w"])


def test_information_is_the_variance_of_the_score():
    """Over data from a Gaussian network, to four standard errors."""
    network = ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; g")
    library = ReactionLibrary(network.reactions, network.species)
    data = simulate(
        network, {"k": 4000.0, "g": 2.0}, initial={"X": 2000}, times=[0.3, 0.6], num_samples=400,
        seed=5,
    )  # fmt: skip
    unknown = {"k": Parameter(1, 1e5, scale="log"), "g": Parameter(0.1, 10, scale="log")}
    rates = np.array([4000.0, 2.0])
    scores, information = [], np.zeros((2, 2))
    for run in data.data.values:
        one = Problem(
            network, data={"time": [0.3, 0.6], "X": run[:, 0]}, initial={"X": 2000},
            parameters=unknown,
        )  # fmt: skip
        found = NetworkLikelihood(one, library).evaluate(rates, [0, 1])
        scores.append(found.slope * rates)
        information += found.information * np.outer(rates, rates)
    scores, information = np.array(scores), information / len(scores)
    products = scores[:, :, None] * scores[:, None, :]
    error = products.std(0, ddof=1) / np.sqrt(len(scores))
    assert np.all(np.abs(products.mean(0) - information) < 4 * error)
    assert np.all(np.abs(scores.mean(0)) < 4 * scores.std(0, ddof=1) / np.sqrt(len(scores)))


def test_what_is_wrong_is_said():
    with pytest.raises(DataError, match=r"the problem has species S, I, R, but the library I, S"):
        NetworkLikelihood(problem_of(), mass_action(["I", "S"]))
    odd = {name: Observable("I * I") for name in ("S", "I", "R")}
    with pytest.raises(CapabilityError, match=r"an observable is not linear in the species"):
        NetworkLikelihood(problem_of(odd), LIBRARY)
