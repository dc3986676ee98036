import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.io.hand_made import make_audit, make_fit, make_predictive, make_problem
from tumble._errors import RunFolderError
from tumble._results import ResultCode
from tumble.io import save_fit
from tumble.models import ReactionNetwork
from tumble.report import write_report
from tumble.report._numbers import show, show_count, show_seconds, to_digits

VOID = {"meta", "link", "br", "img", "input", "hr", "path", "circle", "use"}


class Page(HTMLParser):
    """Collects text and attributes, and checks that tags are closed in order."""

    def __init__(self, text):
        HTMLParser.__init__(self)
        self.open, self.words, self.ids, self.links = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.handle_starttag(tag, attrs) if tag in VOID else self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(
        make_fit(noise=0.5, warnings=["a <warning> & more"]),
        path,
        audit=make_audit(),
        predictive=make_predictive(),
        title="Flu <1978>",
    )
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_says_it_all(full):
    text = Page(full).text
    for words in (
        "Flu <1978>",
        "converged",
        "No step lowers the loss any further.",
        "a <warning> & more",
        "0.00221 – 0.00248",
        "beta * 763 / gamma",
        "27 % of the runs die out early",
        "its fit is not to be trusted",
        "needs ≈ 40 000 runs",
        "S + I + R = constant",
        "S = 762, I = I0, R = 0 at time 0",
        "NegativeBinomial(phi)",
        "phi = 100",
        "Somebody, Journal of Things 1 (2000), doi:10.1000/1",
        "observed information",
        "numpy",
        "95 % interval",
    ):
        assert words in text, words


WITH_EVERYTHING = """N = S + I + R
V(0) = 1
V' = -decay * V
S + I => 2 I ; beta * S * I * V / N
I -> R ; gamma
0 -> S ; 0.5
at V < 0.5 [delay = 2]: S = 0"""


def test_rate_laws_definitions_and_events_are_shown_as_they_are(tmp_path):
    simple = make_problem()
    model = ReactionNetwork.from_text(WITH_EVERYTHING)
    problem = replace(simple, model=model, parameters={**simple.parameters, "decay": 0.1})
    page = Page(write_report(make_fit(problem), tmp_path / "r.html").read_text(encoding="utf-8"))
    for words in (
        "rate constant (→) or rate (⇒)",
        "S + I ⇒ 2 I beta * S * I * V / N",
        "I → R gamma",
        "∅ → S 0.5",
        "where N = S + I + R where V(0) = 1 where V' = -decay * V",
        "event at V < 0.5 [delay = 2]: S = 0",
    ):
        assert words in page.text, words


def test_without_rate_laws_rates_are_constants(full):
    assert "reaction rate constant S + I → 2 I beta I → R gamma" in Page(full).text


def test_the_page_needs_nothing_else(full):
    page = Page(full)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"url\((?!#)|@import|<script src|fetch\(|XMLHttpRequest", full)
    outside = set(re.findall(r"https?://[^\s\"'<)]+", full))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert len(full) < 1.5e6


def test_figures_follow_the_page(full):
    figures = re.findall(r"<svg.*?</svg>", full, flags=re.DOTALL)
    charts = [f for f in figures if "aria-label" in f]
    assert len(charts) == 4
    for chart in charts:
        colors = set(re.findall(r"(?:fill|stroke): (#\w+)", chart))
        assert colors == set(), f"{colors} would not change with the page"
        assert "font-family" not in chart and "font:" not in chart
    assert "var(--blue)" in full and "currentColor" in full


def test_no_id_occurs_twice_and_none_is_missing(full):
    page = Page(full)
    assert len(page.ids) == len(set(page.ids))
    used = {link[1:] for link in page.links if link.startswith("#") and len(link) > 1}
    used |= set(re.findall(r"url\(#([^)]+)\)", full))
    assert used <= set(page.ids)


def test_the_page_can_be_made_from_the_file_alone(full, tmp_path):
    fit = make_fit(noise=0.5, warnings=["a <warning> & more"])
    stored = save_fit(fit, tmp_path / "r.nc", audit=make_audit(), predictive=make_predictive(),
                      title="Flu <1978>")  # fmt: skip
    again = write_report(stored, tmp_path / "r.html").read_text(encoding="utf-8")

    def without_date(text):
        return re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d UTC", "", text)

    assert without_date(again) == without_date(full)


def test_a_bad_end_is_shown_with_advice(tmp_path):
    fit = make_fit(result=ResultCode.AT_BOUND)
    page = Page(write_report(fit, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "at a bound" in page.text
    assert "What to do: The data want a parameter beyond its bounds" in page.text
    assert "It has not been audited for this fit" in page.text


@pytest.mark.parametrize("result", [ResultCode.DIVERGED, ResultCode.INTERRUPTED])
def test_a_fit_without_numbers_still_has_a_page(tmp_path, result):
    fit = replace(make_fit(result=result), covariance=np.full((3, 3), np.nan), loss=float("inf"),
                  history=(), starts=np.full(8, np.inf), stats={})  # fmt: skip
    page = Page(write_report(fit, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "unknown" in page.text and "∞" in page.text


def test_large_data_keep_the_page_small(tmp_path):
    problem = make_problem(num_replicates=2000, num_experiments=12)
    path = write_report(make_fit(problem), tmp_path / "r.html", predictive=make_predictive(problem))
    assert path.stat().st_size < 1.5e6
    assert "4 further panels are in the result file" in Page(path.read_text("utf-8")).text


def test_fit_result_has_report(tmp_path):
    path = make_fit().report(tmp_path / "r.html", audit=make_audit())
    assert "ScoreFunction" in path.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(RunFolderError, match="cannot write"):
        write_report(make_fit(), tmp_path / "nowhere" / "r.html")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0023390, 4, "0.002339"),
        (999.99999, 3, "1000"),
        (123456, 3, "123000"),
        (-0.5, 2, "-0.5"),
        (1.5e-7, 3, "1.5e-07"),
        (0.0, 4, "0"),
    ],
)
def test_digits(value, digits, text):
    assert to_digits(value, digits) == text


def test_numbers_in_words():
    assert show(1.5e-7, 3) == "1.5&#8239;×&#8239;10<sup>−7</sup>"
    assert show(float("nan")) == "–" and show(float("-inf")) == "−∞" and show(-2) == "−2"
    assert [show_seconds(s) for s in (0.0123, 5, 200, 8000)] == [
        "12 ms",
        "5.0 s",
        "3.3 min",
        "2.2 h",
    ]
    assert show_count(1234567) == "1\u202f234\u202f567"


def test_a_lattice_plays_in_its_report(tmp_path):
    import tumble as tb
    from tumble.models import Grid, PlainWalk, SusceptibleInfected, Transitions
    from tumble.outputs import Frames

    model = SusceptibleInfected(Grid((8, 8)))
    kept = tb.simulate(model, {"beta": 0.3}, times=range(6), seed=1, outputs=Frames())
    steps = Transitions(model, list(kept.states))
    unknown = {"beta": tb.Parameter(0.01, 0.9, scale="logit")}
    fit = tb.fit(tb.Problem(steps, data=steps.data, parameters=unknown), num_starts=1)
    page = fit.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "5 transitions: the frame that was seen, and one step simulated" in Page(page).text
    assert "5 transitions of SusceptibleInfected(8 x 8 sites, Moore, Periodic)" in Page(page).text
    assert page.count('<div class="tumble-player"') == 1
    assert all(link.startswith(("#", "data:")) for link in Page(page).links)
    from tumble.io import fit_tree, lattice_movie

    movie = lattice_movie(fit)
    assert list(movie.data_vars) == ["seen", "simulated"] and movie["seen"].dtype == np.uint8
    np.testing.assert_array_equal(movie["seen"], kept.states[0, 1:])
    assert (movie["simulated"] >= kept.states[0, :-1]).all()  # from the frames before
    save_fit(fit_tree(fit, movie=movie), tmp_path / "fit.nc")
    again = write_report(tmp_path / "fit.nc", tmp_path / "again.html").read_text(encoding="utf-8")
    assert again.count('<div class="tumble-player"') == 1
    # A run of the lattice itself, and a walk, of which there is nothing to see.
    whole = replace(fit, problem=tb.Problem(model, data={"time": [2.0, 5.0], "infected": [5, 9]},
                                            parameters=unknown))  # fmt: skip
    run = lattice_movie(whole)
    np.testing.assert_array_equal(run["time"], np.arange(6))
    assert run["state"].shape == (6, 8, 8) and run["state"][0].sum() == 1
    walk = tb.Problem(PlainWalk(), data={"time": [2.0], "msd": [3.0]},
                      parameters={"p_stay": unknown["beta"]})  # fmt: skip
    assert lattice_movie(replace(fit, problem=walk)) is None
    assert lattice_movie(make_fit(noise=0.5)) is None
