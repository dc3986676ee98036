"""Gates: what opens at which price, and what the networks on the path weigh."""

from dataclasses import replace

import numpy as np
import pytest

from tests.structure.epidemics import TRUTH, epidemic
from tumble import learn_structure
from tumble._errors import ParameterError
from tumble.structure import (
    GatePath,
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    mass_action,
)

CONSERVED = mass_action(["S", "I", "R"], conserve=["S + I + R"])


def posterior_of(problem, library):
    return NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())


@pytest.fixture(scope="module")
def path():
    posterior = posterior_of(epidemic(CONSERVED, 51), CONSERVED)
    return posterior, GatePath().trace(posterior)


def test_gates_open_as_the_price_falls(path):
    _, trace = path
    assert np.all(np.diff(trace.strengths) < 0)
    assert trace.strengths[-1] >= 1
    assert trace.rates.shape == trace.gates.shape == (len(trace.strengths), 36)
    assert np.array_equal(trace.gates == 0, trace.rates == 0)
    # Less price, no less likelihood, where maxima are global ones; and here they are.
    assert np.all(np.diff(trace.log_likelihoods) > -1e-2)
    assert TRUTH in [set(network) for network in trace.networks]


def test_each_point_of_the_path_is_a_stationary_one(path):
    """Slopes by open gates vanish, those by closed ones do not pay; by another way than its own."""
    posterior, trace = path
    likelihood, library = posterior.likelihood, posterior.library
    mean = library.combinations(likelihood.typical_states).mean(0)
    firings = np.maximum(mean, mean[mean > 0].min() * 1e-3)
    firings *= likelihood.duration / likelihood.scale
    for strength, rates in list(zip(trace.strengths, trace.rates, strict=True))[::6]:
        found = likelihood.evaluate(rates, range(36))
        pull = strength * firings / (1e-3 + rates * firings) / np.log1p(1e3)
        left = (found.slope - pull) / np.sqrt(np.diag(found.information))
        assert np.all(np.abs(left[rates > 0]) < 0.5)
        assert np.all(found.slope[rates == 0] <= pull[rates == 0] * (1 + 1e-6))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_epidemic_is_found(seed):
    library = mass_action(["S", "I", "R"])
    problem = epidemic(library, seed=seed)
    found = learn_structure(problem, library=library, method=GatePath())
    assert set(found.networks[0].equations) == TRUTH
    rough = posterior_of(problem, found.library)
    tried = rough.weigh(frozenset(found.library.positions(TRUTH)), {})
    weighed = replace(rough, closely=True).weigh(tried.network, rough.start_with(tried))
    assert found.networks[0].log_evidence == pytest.approx(weighed.log_evidence, abs=0.05)


def test_is_found_where_states_are_not_seen():
    """Up to what R tells, which is not seen: all kept alike, `I -> R` is all that is left."""
    problem = epidemic(CONSERVED, 21, 3, seen="SI")
    found = learn_structure(problem, library=CONSERVED, method=GatePath())
    assert set(found.networks[0].equations) == TRUTH


def test_required_reactions_are_open_and_free():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"], require=["I -> R"])
    problem = epidemic(library, 21)
    trace = GatePath(num_strengths=4).trace(posterior_of(problem, library))
    (place,) = library.positions(["I -> R"])
    assert np.all(trace.rates[:, place] > 0)
    found = learn_structure(problem, library=library, method=GatePath(num_strengths=4))
    assert all("I -> R" in n.equations for n in found.networks)


def test_the_path_is_readable_and_drawn(path):
    from matplotlib.figure import Figure

    _, trace = path
    assert "strength   log likelihood   what is open" in repr(trace)
    kept = trace.to_dict()
    assert kept["gates"].keys() == kept["rates"].keys() >= TRUTH
    assert len(kept["gates"]["I -> R"]) == len(kept["strengths"])
    ax = trace.plot(ax=Figure().subplots())
    assert ax.get_xlim()[0] > ax.get_xlim()[1]
    assert {"I -> R", "I + S -> 2 I"} <= {t.get_text() for t in ax.get_legend().get_texts()}


def test_what_is_wrong_is_said():
    with pytest.raises(ParameterError, match=r"`num_strengths` is 1, expected a whole number"):
        GatePath(num_strengths=1)
    with pytest.raises(ParameterError, match=r"`weakest` is 0, expected a number > 0"):
        GatePath(weakest=0)
    with pytest.raises(ParameterError, match=r"`softness` is 1, expected a number between 0 and 1"):
        GatePath(softness=1)
