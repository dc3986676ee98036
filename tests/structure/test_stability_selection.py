"""Frequencies over halves of the data."""

import numpy as np
import pytest

from tests.structure.epidemics import TRUTH, epidemic
from tumble import Problem, simulate
from tumble._errors import CapabilityError, DataError, ParameterError
from tumble.structure import (
    AbstractSearch,
    Found,
    NetworkLikelihood,
    SelectionFrequencies,
    WindowSearch,
    mass_action,
    stability_selection,
)
from tumble.structure._stability import _halves, _units

LIBRARY = mass_action(["S", "I", "R"])


class Lots(AbstractSearch):
    """Draws lots among the candidates, whatever the data: the worst that selection may be."""

    def __init__(self, size):
        self.rng, self.size, self.seen = np.random.default_rng(0), size, []

    def run(self, posterior):
        found = Found(posterior, 12.0)
        self.seen.append(posterior.likelihood.problem)
        drawn = self.rng.choice(len(posterior.library), self.size, replace=False)
        found.weighed[frozenset(drawn.tolist())] = posterior.weigh(frozenset(), {})._replace(
            network=frozenset(drawn.tolist())
        )
        return found


def test_one_series_in_blocks():
    found = stability_selection(epidemic(LIBRARY), library=LIBRARY, num_subsets=10)
    assert {name for name, _ in found.ranked[:2]} == TRUTH
    assert found.units == "20 blocks of intervals"
    assert found.num_candidates == 36
    assert len(found.frequencies) == 90
    assert found.frequencies["I -> 0"] == 0


def test_replicates():
    found = stability_selection(
        epidemic(LIBRARY, 51, 10), library=LIBRARY, num_subsets=4, threshold=0.7
    )
    assert found.units == "10 replicates"
    assert {name for name, _ in found.ranked[:2]} == TRUTH
    assert found.mean_size >= 2


def test_halves_share_nothing_and_come_in_pairs():
    halves = _halves(7, 10, 0)
    assert len(halves) == 10
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert len(first) == len(second) == 3
        assert not set(first) & set(second)
    assert halves == _halves(7, 10, 0) != _halves(7, 10, 1)


def test_each_half_holds_its_replicates():
    problem, lots = epidemic(LIBRARY, 11, 10), Lots(2)
    stability_selection(problem, library=LIBRARY, method=lots, num_subsets=2)
    rows = [part.experiments[0].data.values for part in lots.seen]
    given = problem.experiments[0].data.values
    both = np.concatenate(rows)
    assert [len(r) for r in rows] == [5, 5]
    assert np.array_equal(np.sort(both, axis=0), np.sort(given, axis=0))


def test_blocks_say_together_what_the_series_said():
    """The state is known at each cut, so that the likelihood is a product over the blocks.

    A block begins at the observed state exactly, and the series with an error of rounding, of
    variance 1/12. Where every species is changed by hundreds of events in every interval, and none
    of their sums is conserved, that is worth next to nothing.
    """
    library = mass_action(["A", "B"], order=1)
    rates = {"0 -> A": 1000.0, "A -> B": 1.0, "B -> 0": 1.0}
    network = library.network_of(library.positions(rates), list(rates.values()))
    seen = simulate(network, {}, initial={"A": 800, "B": 600}, times=np.arange(1, 41) / 2, seed=0)
    data = seen.data.rename(sample="replicate", species="observable").astype(float)
    problem = Problem(
        library.network, data=data, initial={"A": 800, "B": 600},
        parameters=library.parameters(1e-6, 1e6),
    )  # fmt: skip
    likelihood = NetworkLikelihood(problem, library)
    units, _ = _units(problem, likelihood)
    row = np.zeros(len(library))
    row[list(library.positions(rates))] = list(rates.values())
    parts = Problem(problem.model, [e for e, _ in units], problem.parameters)
    whole = likelihood.evaluate(row, []).value
    assert len(units) == 20
    assert NetworkLikelihood(parts, library).evaluate(row, []).value == pytest.approx(
        whole, abs=1e-3 * len(units)
    )


def test_the_bound_holds_for_lots():
    """Its assumptions hold for lots: how many reach the threshold, against q² / ((2π − 1) p)."""
    problem = epidemic(LIBRARY, 11, 8)
    counts = [
        len(stability_selection(problem, library=LIBRARY, method=lots, num_subsets=4,
                                threshold=0.7).stable)
        for lots in [Lots(12)] for _ in range(20)
    ]  # fmt: skip
    bound = 12**2 / (0.4 * 36)
    error = np.std(counts, ddof=1) / np.sqrt(len(counts))
    assert 0 < np.mean(counts) < bound + 4 * error


@pytest.mark.slow
def test_other_searches_serve():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"],
                          forbid=["S -> R", "2 I -> 2 R", "2 S -> 2 R"])  # fmt: skip
    found = stability_selection(
        epidemic(library, 6, 8, seen="SI"), library=library, num_subsets=2,
        method=WindowSearch(most=5),
    )  # fmt: skip
    assert found.units == "8 replicates"
    assert found.mean_size > 0


def test_is_readable_and_drawn():
    from matplotlib.figure import Figure

    found = SelectionFrequencies(
        {"A -> 0": 0.4, "0 -> A": 1.0, "2 A -> 0": 0.0}, 50, "10 replicates", 3, 1.4, 0.9
    )
    assert found.bound == pytest.approx(1.4**2 / 0.8 / 3)
    assert found.stable == ("0 -> A",)
    assert "These are not probabilities of reactions" in repr(found)
    assert found.to_dict()["frequencies"]["A -> 0"] == 0.4
    ax = found.plot(ax=Figure().subplots())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0 -> A", "A -> 0"]


def test_what_is_wrong_is_said():
    problem = epidemic(LIBRARY, 11)
    with pytest.raises(ParameterError, match=r"`num_subsets` is 7, expected an even number"):
        stability_selection(problem, library=LIBRARY, num_subsets=7)
    with pytest.raises(ParameterError, match=r"`threshold` is 0.5, expected more than 0.5"):
        stability_selection(problem, library=LIBRARY, threshold=0.5)
    with pytest.raises(ParameterError, match=r"`method` is 3, expected such as"):
        stability_selection(problem, library=LIBRARY, method=3)
    with pytest.raises(CapabilityError, match=r"1 replicates are too few to be divided in halves"):
        stability_selection(epidemic(LIBRARY, 11, seen="I"), library=LIBRARY)
    with pytest.raises(DataError, match=r"the data make 2 blocks of 2 intervals, expected 4"):
        stability_selection(epidemic(LIBRARY, 5), library=LIBRARY)
