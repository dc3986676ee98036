"""The evidence of a network, against integration over its rates by brute force."""

import numpy as np
import pytest

import tumble as tb
from tumble.structure import NetworkLikelihood, NetworkPosterior, NetworkPrior
from tumble.structure._newton import relative_move

SPREAD = 2.5


def posterior_of(equations):
    """Return the posterior given deaths of 300 alone, and the network of these equations."""
    true = tb.ReactionNetwork.from_text("B -> 0 ; k")
    seen = tb.simulate(
        true, {"k": 0.6}, initial={"B": 300}, times=np.linspace(0, 1, 41)[1:], seed=5
    )
    library = tb.structure.mass_action(["B"])
    problem = tb.Problem(
        library.network, experiments=[tb.Experiment(seen, {"B": 300})],
        parameters=library.parameters(1e-12, 1e9),
    )  # fmt: skip
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior(spread=SPREAD))
    return posterior, frozenset(list(library.equations).index(e) for e in equations)


def by_brute_force(posterior, network, weighed):
    """Return log ∫∫ p(data, rates) over two logarithms, one well known, one hardly."""
    axes = []
    sds = np.sqrt(np.diag(np.linalg.inv(weighed.precision)))
    for r, u, sd in zip(weighed.members, weighed.log_rates, sds, strict=True):
        below, above = posterior.centers[r] - 4.5 * SPREAD, u + 2.5
        axes.append(
            np.linspace(below, above, 121) if sd > 0.3 else np.linspace(u - 6 * sd, u + 6 * sd, 61)
        )
    values = np.array([
        [posterior.density(sorted(network), np.array([x, y]))[0] for y in axes[1]] for x in axes[0]
    ])  # fmt: skip
    top = values.max()
    cell = np.prod([a[1] - a[0] for a in axes])
    return top + np.log(np.exp(values - top).sum() * cell)


@pytest.mark.parametrize("extra", ["B -> 2 B", "0 -> B", "2 B -> B"])
def test_rates_that_data_only_bound_are_integrated_over(extra):
    posterior, network = posterior_of(["B -> 0", extra])
    weighed = posterior.weigh(network, {})
    exact = by_brute_force(posterior, network, weighed)
    assert abs(weighed.log_evidence - exact) < 0.2


def test_steps_are_newtons_where_they_are_short():
    precision, slope = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([0.5, -0.3])
    np.testing.assert_allclose(
        relative_move(precision, slope), np.linalg.solve(precision, slope), rtol=1e-8
    )


def test_a_rate_that_vanishes_does_not_hold_up_the_others():
    precision = np.array([[0.16, 0.1, 0.0], [0.1, 9.0, 2.0], [0.0, 2.0, 5.0]])
    slope = np.array([-8.0, 3.0, 1.0])  # 50 standard steps down for the first
    move = relative_move(precision, slope)
    assert move[0] == pytest.approx(np.expm1(-2))
    # What is best for the others, given where the first goes.
    left = slope[1:] - precision[1:, :1] @ move[:1]
    np.testing.assert_allclose(move[1:], np.linalg.solve(precision[1:, 1:], left), rtol=1e-8)


FAST = {"0 -> A + B": 6e4, "0 -> 2 B": 4e4, "2 A -> A": 6e-4, "2 B -> 0": 1.3}


def test_rates_that_the_data_tie_together_are_found_from_afar():
    """Births and deaths so fast that data tell little of them but that they balance."""
    library = tb.structure.mass_action(["A", "B"])
    places = [list(library.equations).index(e) for e in FAST]
    initial = {"A": 400, "B": 150}
    true = library.network_of(places, list(FAST.values()))
    seen = tb.simulate(true, {}, initial=initial, times=np.linspace(0, 1, 41)[1:], seed=2)
    problem = tb.Problem(
        library.network, experiments=[tb.Experiment(seen, initial)],
        parameters=library.parameters(1e-12, 1e9),
    )  # fmt: skip
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior(spread=SPREAD))
    logs = dict(zip(places, np.log(list(FAST.values())), strict=True))
    near = posterior.weigh(frozenset(places), logs, iterations=25)
    assert near.settled
    for away in (1.5, -1.5):
        moved = {**logs, places[1]: logs[places[1]] + away, places[3]: logs[places[3]] - away}
        far = posterior.weigh(frozenset(places), moved, iterations=25)
        assert far.settled
        assert abs(far.log_posterior - near.log_posterior) < 0.02
