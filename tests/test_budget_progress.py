from __future__ import annotations

import sys
import time

import pytest

from tumble._budget import Budget, Spending
from tumble._errors import ParameterError
from tumble._progress import AbstractProgress, NoProgress, TerminalProgress, showing

# -- budget ---------------------------------------------------------------------------------------


def test_without_a_budget_nothing_is_ever_exhausted():
    spending = Spending(None)
    spending.simulations = 10**12
    assert not spending.exhausted
    assert spending.simulations_left == float("inf")
    assert spending.budget == Budget()


def test_simulations_run_out():
    spending = Spending(Budget(simulations=100))
    spending.simulations += 99
    assert not spending.exhausted
    assert spending.simulations_left == 1
    spending.simulations += 5
    assert spending.exhausted
    assert spending.simulations_left == 0


def test_seconds_run_out():
    spending = Spending(Budget(seconds=0.03))
    assert not spending.exhausted
    time.sleep(0.04)
    assert spending.seconds >= 0.04
    assert spending.exhausted
    assert spending.simulations_left == float("inf")


def test_the_first_limit_counts():
    spending = Spending(Budget(simulations=10, seconds=1e6))
    spending.simulations = 10
    assert spending.exhausted


@pytest.mark.parametrize("name", ["simulations", "seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_budget_is_positive(name, value):
    with pytest.raises(
        ParameterError, match=rf"`Budget\({name}=\.\.\.\)` is {value}, expected a positive number\."
    ):
        Budget(**{name: value})


# -- progress -------------------------------------------------------------------------------------


class Tally(AbstractProgress):
    def __init__(self):
        self.seen = []

    def update(self, fraction, message):
        self.seen.append((fraction, message))

    def close(self):
        self.seen.append("closed")


class Terminal:
    """Standard error of a given kind."""

    def __init__(self, wrapped, is_terminal):
        self.wrapped, self.is_terminal = wrapped, is_terminal

    def isatty(self):
        return self.is_terminal

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


@pytest.mark.parametrize(
    ("progress", "terminal", "kind"),
    [
        (True, False, TerminalProgress),
        (False, True, NoProgress),
        (None, False, NoProgress),
        (None, True, TerminalProgress),
    ],
)
def test_a_bar_is_shown_when_asked_for_or_on_a_terminal(progress, terminal, kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr, terminal))
    with showing(progress, "work") as bar:
        assert type(bar) is kind
        bar.update(0.5, "half")


def test_nothing_is_written_to_standard_output(capsys):
    with showing(True, "work") as bar:
        bar.update(0.3, "a third")
    assert capsys.readouterr().out == ""


def test_a_bar_of_ones_own_is_used_as_it_is():
    tally = Tally()
    with showing(tally, "work") as bar:
        bar.update(0.25, "a quarter")
    assert tally.seen[0] == (0.25, "a quarter")


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 1.0, 7.0, float("nan"), float("inf")])
def test_odd_fractions_do_no_harm(fraction):
    with showing(True, "work") as bar:
        bar.update(fraction, "[bold]odd[/nothing] \x00")


def test_a_bar_that_breaks_never_stops_the_work(monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("no terminal")

    bar = TerminalProgress("work")
    for name in ("update", "stop"):
        monkeypatch.setattr(bar._bar, name, broken)
    bar.update(0.5, "half")
    bar.close()
    monkeypatch.undo()
    bar.close()


def test_a_bar_that_cannot_be_made_is_done_without(monkeypatch):
    def broken(self, title):
        raise OSError("no terminal")

    monkeypatch.setattr(TerminalProgress, "__init__", broken)
    with showing(True, "work") as bar:
        assert type(bar) is NoProgress
        bar.update(0.5, "half")


@pytest.mark.parametrize("progress", [True, False])
def test_errors_of_the_work_pass_through(progress):
    with pytest.raises(KeyError, match="the work"), showing(progress, "work"):
        raise KeyError("the work")


def test_standard_error_may_be_absent(monkeypatch):
    """As under pythonw: asking whether it is a terminal must not raise."""
    monkeypatch.setattr(sys, "stderr", None)
    with showing(None, "work") as bar:
        bar.update(0.5, "half")


def test_a_bar_of_ones_own_that_breaks_never_stops_the_work():
    class Broken(AbstractProgress):
        def update(self, fraction, message):
            raise OSError("no terminal")

        def close(self):
            raise OSError("no terminal")

    with showing(Broken(), "work") as bar:
        bar.update(0.5, "half")
