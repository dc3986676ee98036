"""Models with events and variables in SBML, simulated, against exact answers."""

import numpy as np
import pytest

pytest.importorskip("libsbml")

import tumble as tb
from tests.formats.sbml_text import compartment, event, model, parameter, reaction, rule, species


def runs(read, times, num_samples, seed=0):
    return tb.simulate(
        read.network, read.params, initial=read.initial, times=times, num_samples=num_samples,
        seed=seed,
    )  # fmt: skip


def test_an_event_at_a_time_resets_the_count():
    read = tb.read_sbml(
        model(
            species("X", 0), parameter("a", 1), parameter("m", 0.1),
            reaction("In", {}, {"X": 1}, "a"), reaction("Out", {"X": 1}, {}, "m * X"),
            event("reset", "time >= 2", {"X": "50"}, initial=False),
        )
    )  # fmt: skip
    done = runs(read, [1.0, 2.0, 3.0], 4000)
    counts = done.data.sel(species="X").values
    assert np.all(counts[:, 1] == 50)
    # After the reset: 50 that live on with probability e^-0.1, and Poisson arrivals.
    p, arrivals = np.exp(-0.1), 10 * (1 - np.exp(-0.1))
    mean, variance = 50 * p + arrivals, 50 * p * (1 - p) + arrivals
    assert abs(counts[:, 2].mean() - mean) < 4 * np.sqrt(variance / 4000)
    early = 10 * (1 - np.exp(-0.1))
    assert abs(counts[:, 0].mean() - early) < 4 * np.sqrt(early / 4000)


def test_a_volume_that_grows_dilutes():
    # Pairs A + B meet at k / V with V = e^t: one pair is left with exp(-k (1 - e^-t)).
    read = tb.read_sbml(
        model(
            compartment("cell", 1, constant=False),
            species("A", 1, hasOnlySubstanceUnits="false"),
            species("B", 1, hasOnlySubstanceUnits="false"),
            parameter("k", 2),
            rule("rate", "cell", "cell"),
            reaction("Meet", {"A": 1, "B": 1}, {}, "k * A * B * cell"),
        )
    )
    done = runs(read, [0.5, 1.5], 4000)
    left = done.data.sel(species="A").values.mean(axis=0)
    exact = np.exp(-2 * (1 - np.exp(-np.array([0.5, 1.5]))))
    assert np.all(np.abs(left - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000))


def test_a_delay_and_priorities():
    read = tb.read_sbml(
        model(
            species("X", 0), species("Y", 5), parameter("m", 1),
            reaction("Out", {"Y": 1}, {}, "0 * Y"),
            event("late", "time >= 1", {"X": "X + 1"}, delay="0.5", initial=False),
            event("low", "time >= 3", {"X": "10"}, priority="1", initial=False),
            event("high", "time >= 3", {"X": "20"}, priority="2", initial=False),
        )
    )  # fmt: skip
    counts = runs(read, [1.25, 1.75, 3.5], 3).data.sel(species="X").values
    assert counts.tolist() == [[0, 1, 10]] * 3


def test_initial_value_decides_about_the_start():
    def final(initial):
        read = tb.read_sbml(
            model(species("X", 4), species("Y", 1), reaction("R", {"Y": 1}, {}, "0 * Y"),
                  event("e", "X > 3", {"X": "2"}, initial=initial))
        )  # fmt: skip
        return int(runs(read, [1.0], 1).data.sel(species="X").values[0, 0])

    assert (final(False), final(True)) == (2, 4)
