"""A learnt structure as text, model, fit, file, figure and page."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tumble import (
    Problem,
    ReactionNetwork,
    fit,
    learn_structure,
    plot,
    read_antimony,
    read_sbml,
    simulate,
    write_antimony,
    write_sbml,
)
from tumble._errors import DataError, ModelError, ParameterError
from tumble._results import ResultCode
from tumble.diagnostics import posterior_predictive
from tumble.io import load_fit, save_fit, structure_tree
from tumble.objectives import PathLikelihood
from tumble.structure import NetworkChoice, NetworkPosterior, mass_action

START = {"S": 480, "I": 20, "R": 0}
SEVEN = ("I + S -> 2 I", "I -> R", "R -> S", "S -> I", "S -> R", "R -> I", "2 I -> I + R")


@pytest.fixture(scope="module")
def found():
    every = mass_action(["S", "I", "R"])
    library = every.only([r for r, e in enumerate(every.equations) if e in SEVEN])
    data = simulate(
        ReactionNetwork.from_text("S + I -> 2 I ; 0.008\nI -> R ; 1"), {}, initial=START,
        times=np.linspace(0, 4, 9)[1:], num_samples=3, seed=1,
    )  # fmt: skip
    problem = Problem(
        library.network, data=data, initial=START, parameters=library.parameters(1e-6, 1e3)
    )
    return learn_structure(problem, library=library)


@pytest.fixture(scope="module")
def tree(found):
    predictive = posterior_predictive(found.as_fit(), num_samples=100, seed=1)
    return structure_tree(
        found, advice=found.next_observation(num_draws=1), predictive=predictive, title="Learnt"
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_networks_go_out_and_come_back_with_their_rates(found, rank):
    network = found.network_at(rank)
    choice = found.networks[rank]
    states = np.array([[300.0, 150.0, 50.0], [2.0, 1.0, 0.0]])
    expected = found.library.combinations(states)[
        :, list(found.library.positions(choice.equations))
    ] * np.array(choice.rates)  # fmt: skip
    texts = (
        read_sbml(write_sbml(network, initial=START)),
        read_antimony(write_antimony(network, initial=START)),
    )
    for model in texts:
        assert model.initial == START and model.network.species == network.species
        values = [
            model.network.propensities(state, model.network.params_vector(model.params))
            for state in states
        ]
        np.testing.assert_allclose(values, expected, rtol=1e-14)
    again = ReactionNetwork.from_text(network.to_text(), species=network.species)
    assert again == network


@pytest.mark.slow
def test_as_fit_agrees_with_a_fit_of_that_network(found):
    """By the linear noise of the network alone, which integrates by other means."""
    own = found.as_fit()
    other = fit(own.problem, objective=PathLikelihood(), num_starts=1, start=own.params)
    errors = np.sqrt(np.diag(other.covariance))
    assert np.all(np.abs(np.log(own.theta / other.theta)) < 0.2 * errors)
    np.testing.assert_allclose(np.sqrt(np.diag(own.covariance)), errors, rtol=0.1)
    assert own.loss == pytest.approx(other.loss, abs=0.1)
    assert own.problem.space.names == tuple(
        str(found.library.reactions[r].rate)
        for r in found.library.positions(found.networks[0].equations)
    )
    with pytest.raises(ParameterError, match=r"`rank` is 99, expected a whole number from 0 to"):
        found.as_fit(99)


def test_a_network_without_reactions_is_no_fit(found):
    without = replace(found, networks=(*found.networks, NetworkChoice((), (), 0.0, -np.inf)))
    with pytest.raises(ModelError, match=r"this network has no reactions"):
        without.as_fit(len(found.networks))


def test_a_file_holds_everything(tree, tmp_path):
    read = load_fit(save_fit(tree, tmp_path / "structure.nc"))
    group = read["structure"]
    assert set(str(group["equations"].values[0]).split("; ")) == {"I + S -> 2 I", "I -> R"}
    assert group["inclusion"].values[:2] == pytest.approx([1, 1], abs=0.05)
    assert group.sizes["candidate"] == len(SEVEN)
    assert json.loads(group.attrs["laws"])[0].startswith("S + I + R stayed the same")
    relations = json.loads(group.attrs["relations"])
    assert json.loads(group.attrs["advice"])["designs"] or relations == []
    assert read["fit"].attrs["result"] == "success"


@pytest.mark.parametrize("draw", [plot.inclusion, plot.runners_up, plot.network_picture])
def test_figures_draw_on_the_axes_they_are_given(found, tree, draw):
    from matplotlib.figure import Figure

    for source in (found, tree):
        ax = Figure().subplots()
        assert draw(source, ax=ax) is ax
        words = [t.get_text() for t in (*ax.texts, *ax.get_yticklabels())]
        assert {"S", "I", "R"} <= set(words) or any("I -> R" in w or "most" in w for w in words)


def test_figures_of_a_fit_say_what_is_missing():
    from tests.io.hand_made import make_fit
    from tumble.io import fit_tree

    with pytest.raises(DataError, match=r"the file holds no learnt structure"):
        plot.inclusion(fit_tree(make_fit()))


def test_boxes_of_reactions_keep_apart():
    from tumble.plot._network_layout import arrows_of, layout

    equations = mass_action(["A", "B", "C"], 1).equations
    points, boxes = layout(["A", "B", "C"], [arrows_of(e) for e in equations])
    places = np.array([*points.values(), *boxes])
    gaps = np.linalg.norm(places[:, None] - places, axis=2) + np.eye(len(places))
    assert len(boxes) == 12 and gaps.min() > 0.15
    copies = {(a.species, a.taken): a.copies for a in arrows_of("I + S -> 2 I")}
    assert copies == {("I", True): 1, ("S", True): 1, ("I", False): 2}


def test_the_page_says_it_all(tree, tmp_path):
    from tests.report.test_report import Page
    from tumble.report import write_report

    text = write_report(tree, tmp_path / "page.html").read_text(encoding="utf-8")
    words = Page(text).text
    for part in ("Learnt", "Which reactions", "I + S → 2 I", "networks weighed",
                 "S + I + R stayed the same", "What the data cannot tell apart",
                 "What to measure next", "Data and prediction", "log Bayes factor"):  # fmt: skip
        assert part in words, part
    assert "Can the gradient be trusted" not in words and "Estimates" not in words


def test_a_page_says_what_the_simulator_found(found, tmp_path):
    from tests.report.test_report import Page
    from tumble.structure import LeftOut, Refinement

    left = (LeftOut("R -> S", 0.2, -0.9, 0.1), LeftOut("S -> R", 0.2, 0.1, 0.1))
    refinement = Refinement(found.as_fit(), 0.9, (0.5, 1.0, 2.0), 2.1, left, 1.96)
    path = found.report(tmp_path / "page.html", refinement=refinement, title="Refined")
    words = Page(path.read_text(encoding="utf-8")).text
    assert "Left-out candidates that would improve the simulated fit: R → S (z = 9.0)." in words
    assert "at the noise floor" in words and "S → R −1" in words
    assert "What to measure next" not in words
    assert [c.equation for c in refinement.improving] == ["R -> S"]


def test_ctrl_c_leaves_a_result(found, monkeypatch):
    weigh, count = NetworkPosterior.weigh, []

    def stopping(self, *arguments, **options):
        count.append(1)
        if len(count) == 5:
            raise KeyboardInterrupt
        return weigh(self, *arguments, **options)

    monkeypatch.setattr(NetworkPosterior, "weigh", stopping)
    partial = learn_structure(found.problem, library=found.library)
    assert partial.result is ResultCode.INTERRUPTED and not partial.result.ok
    assert 1 <= partial.num_weighed <= 4
    assert sum(n.probability for n in partial.networks) == pytest.approx(1)
