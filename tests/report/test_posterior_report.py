"""Pages of posteriors."""

import re
from dataclasses import replace

import numpy as np
import pytest

import tumble as tb
from tests.helpers import arrival
from tests.io.hand_made import make_audit, make_posterior, make_predictive, make_problem
from tests.report.test_report import Page
from tumble._errors import RunFolderError
from tumble.io import posterior_tree, save_posterior
from tumble.report import write_report

SAID = {
    "near": (
        "SMCABC(num_particles=1000", "Toni et al.", "data sets 53 000", "simulations 53 200",
        "7 data sets failed and count as far", "tolerance How far from the data",
        "round tolerance data sets accepted effective draws", "3 earlier rounds",
        "15 0.0872 7 000 5.5 % 321",
    ),
    "chains": (
        "AdaptiveMetropolis(", "likelihoods 4 321", "4 chains, largest R-hat", "warm-up",
        "round steps accepted R-hat", "2 50 27 % 1.04", "R-hat Near 1 where chains agree",
    ),
    "loss": (
        "LossPosterior(", "Ribatet", "slopes of the loss 4 800", "simulations 25 900",
        "4 chains, largest R-hat", "around a fit of 10,880 runs that ended as 'out of steps', a "
        "surface of degree 2 over 16 places, off by 0.03, 1.2 % of steps too noisy", "warm-up",
        "round steps R-hat", "3 50 1.02", "R-hat Near 1 where chains agree",
    ),
    "learnt": (
        "TSNPE(num_data_sets=10000", "Deistler", "a density learnt given AllData()",
        "round data sets learnt from loss steps share of the prior", "2 500 800 1.25 700 12 %",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SAID)
def page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    posterior = make_posterior(request.param, warnings=["a <warning> & more"])
    write_report(posterior, path, predictive=make_predictive(), title="Flu <1978>")
    return request.param, posterior, path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_says_it_all(page):
    kind, posterior, text = page
    words = Page(text).text
    low, high = posterior.intervals()["gamma"]
    for expected in (
        *SAID[kind],
        "Flu <1978>",
        "success The reason why it ended.",
        "a <warning> & more",
        "draws 400",
        "time 65.0 s",
        f"gamma {posterior.quantile(0.5)['gamma']:.4g} {low:.3g} – {high:.3g}",
        f"{posterior.mean()['I0']:.4g} {posterior.sd()['I0']:.2g}",
        "beta * 763 / gamma",
        "27 % of the runs die out early",
        "runs of the simulator at parameters drawn from the posterior",
        "S + I → 2 I",
        "seed 9223372036854775809",
        "tumble.sample_posterior(problem, method=",
        "effective draws How many independent draws",
    ):
        assert expected in words, (expected, words)


def test_the_page_needs_nothing_else(page):
    text = page[2]
    parsed = Page(text)
    assert all(link.startswith(("#", "data:")) for link in parsed.links)
    assert not re.search(r"url\((?!#)|@import|<script src|fetch\(|XMLHttpRequest", text)
    assert len(parsed.ids) == len(set(parsed.ids)) and len(text) < 1.5e6
    charts = [f for f in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if "aria-label" in f]
    assert len(charts) == 3
    for chart in charts:
        assert set(re.findall(r"(?:fill|stroke): (#\w+)", chart)) == set()


def test_the_page_can_be_made_from_the_file_alone(page, tmp_path):
    _, posterior, text = page
    tree = posterior_tree(posterior, predictive=make_predictive(), title="Flu <1978>")
    stored = save_posterior(tree, tmp_path / "r.nc")
    again = write_report(stored, tmp_path / "r.html").read_text(encoding="utf-8")

    def without_date(text):
        return re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d UTC", "", text)

    assert without_date(again) == without_date(text)


def test_a_bad_end_is_shown_with_advice(tmp_path):
    posterior = make_posterior("chains", result=tb.ResultCode.NOT_MIXED)
    text = Page(
        posterior.report(tmp_path / "r.html", predictive=make_predictive()).read_text()
    ).text
    assert "not mixed" in text and "What to do: The chains disagree" in text


def test_data_are_simulated_where_none_are_given(tmp_path):
    text = Page(make_posterior("near").report(tmp_path / "r.html").read_text()).text
    assert "Bands: 1 000 runs of the simulator" in text
    explosive = tb.Problem(
        tb.ReactionNetwork.from_text("X -> 2 X ; b"), data={"time": [1.0], "X": [27]},
        initial={"X": 10}, parameters={"b": tb.Parameter(10, 50)},
        simulator=tb.simulators.DirectMethod(max_events=2000),
    )  # fmt: skip
    text = Page(make_posterior("near", explosive).report(tmp_path / "r.html").read_text()).text
    assert "no predictive check: the posterior predictive check failed" in text
    assert "Bands:" not in text


def test_of_many_parameters_the_first_are_drawn(tmp_path):
    rates = [f"k{i}" for i in range(10)]
    problem = tb.Problem(
        tb.ReactionNetwork.from_text("\n".join(f"0 -> X ; {k}" for k in rates)),
        [tb.Experiment({"time": [1.0], "X": [9]}, {"X": 0},
                       conditions={k: tb.Ref("k", i) for i, k in enumerate(rates)})],
        {"k": tb.Parameter(0.5, 50, shape=(10,))},
    )  # fmt: skip
    posterior = make_posterior("chains", problem)
    text = Page(posterior.report(tmp_path / "r.html").read_text()).text
    assert "2 further parameters are in the result file" in text
    for name, value in posterior.quantile(0.5).items():
        assert f"{name} {value:.4g}" in text


def test_marks_on_the_axes_are_natural_values(tmp_path):
    """The corner is drawn of the file, on the scale of the parameter: here logarithms of k."""
    problem = tb.Problem(
        arrival(), data={"time": [2.0], "X": [12]}, initial={"X": 0},
        parameters={"k": tb.Parameter(1e3, 1e5)},
    )  # fmt: skip
    html = make_posterior("near", problem).report(tmp_path / "r.html").read_text()
    svg = next(f for f in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "Densities of k" in f)
    marks = [float(t) for t in re.findall(r"<text[^>]*>([\d.e+]+)</text>", svg)]
    assert marks and all(6e3 < mark < 1.7e4 for mark in marks)  # draws are about 10⁴, ± 10 %


def test_rounds_that_are_one_are_not_drawn(tmp_path):
    posterior = make_posterior("near")
    one = replace(posterior, rounds=posterior.rounds[-1:])
    html = one.report(tmp_path / "r.html", predictive=make_predictive()).read_text()
    assert "over the rounds" not in html and "How the sampling went" in html


def test_what_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="`audit` is of the gradient of a fit"):
        write_report(make_posterior("near"), tmp_path / "r.html", audit=make_audit())
    with pytest.raises(RunFolderError, match="cannot write"):
        make_posterior("near").report(tmp_path / "nowhere" / "r.html", predictive=make_predictive())


def test_large_data_keep_the_page_small(tmp_path):
    problem = make_problem(num_replicates=2000, num_experiments=12)
    posterior = make_posterior("chains", problem, num_draws=40_000)
    path = write_report(posterior, tmp_path / "r.html", predictive=make_predictive(problem))
    assert path.stat().st_size < 1.5e6


def test_effective_draws_are_told_of_each_parameter(tmp_path):
    posterior = make_posterior("chains")
    estimates = posterior_tree(posterior)["estimates"]
    np.testing.assert_array_equal(
        estimates["effective_sample_size"].values, posterior.basis.effective_sample_sizes
    )
    assert posterior.effective_sample_size == posterior.basis.effective_sample_sizes.min()
    space = posterior.problem.space
    middle = np.array(list(posterior.quantile(0.5).values()))
    share = (space.to_fit(middle) - space.lower) / (space.upper - space.lower)
    np.testing.assert_allclose(estimates["position"].values, share)
