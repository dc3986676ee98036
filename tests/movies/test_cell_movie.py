"""Parameters from movies of cells."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble.models import Adhesion, Cells, CellularPotts, Grid, Perimeter, Volume, VonNeumann
from tumble.movies import CellMovie

TRUTH = {"J_0_1": 0.8, "J_1_1": 0.2, "J_0_2": 0.8, "J_1_2": 0.8, "J_2_2": 0.2,
         "lambda_volume": 0.05, "target_volume": 50.0}  # fmt: skip
MODEL = CellularPotts(Cells.blocks((40, 40), (4, 4), 7, types=[1, 2]))


def movie_of(interval, frames, seed=0):
    times = 20 + interval * np.arange(frames)
    kept = tb.simulate(MODEL, TRUTH, times=times, seed=seed, outputs=tb.outputs.Frames())
    return CellMovie(MODEL, kept.states[0], interval)


def test_pseudo_likelihood_is_that_of_sites_in_the_limit_of_short_times():
    """Within one attempt it is the law of the frame, up to the attempt that hits no site twice."""
    start = Cells(np.array([[0, 1, 1, 0], [0, 2, 2, 1], [0, 0, 2, 1]]), [1, 2])
    model = CellularPotts(
        start, (Adhesion(), Volume(), Perimeter(VonNeumann())), grid=Grid((3, 4), VonNeumann())
    )
    params = {"J_0_1": 0.4, "J_1_1": 0.3, "J_0_2": 0.2, "J_1_2": 0.9, "J_2_2": -0.1,
              "lambda_volume": 0.3, "target_volume": 2.7, "lambda_perimeter": 0.05,
              "target_perimeter": 5.0}  # fmt: skip
    energy = model.total_energy(params)
    ids, sites = start.ids, model.grid.num_sites
    gone = 0.0
    for place in np.ndindex(3, 4):
        rates = {}
        for offset in VonNeumann().offsets(2):
            other = int(ids[tuple(np.add(place, offset) % (3, 4))])
            if other == ids[place]:
                continue
            after = ids.copy()
            after[place] = other
            chance = min(1.0, np.exp(energy - model.total_energy(params, after)))
            rates[other] = rates.get(other, 0.0) + chance / (4 * sites)
        for other, rate in rates.items():
            after = ids.copy()
            after[place] = other
            movie = CellMovie(model, np.array([ids, after]), 1 / sites)
            stay = CellMovie(model, np.array([ids, ids]), 1 / sites).pseudo_likelihood(params)
            total = sum(rates.values())
            exact = np.log(rate / total * (1 - np.exp(-total))) + total + stay
            assert movie.pseudo_likelihood(params) == pytest.approx(exact, rel=1e-12)
        gone += sum(rates.values())
    assert stay == pytest.approx(-gone, rel=1e-12)


def test_derivatives_of_the_pseudo_likelihood():
    movie = movie_of(1.0, 4)
    # Values without simple ratios: where ΔH is exactly 0 there is no derivative.
    row = MODEL.params_vector(TRUTH) * np.random.default_rng(0).uniform(0.8, 1.2, len(TRUTH))
    _, slope, information = movie._looked_at(row)
    for q, name in enumerate(MODEL.parameters):
        step = 1e-5 * max(abs(row[q]), 0.1)
        ends = [movie._looked_at(row + s * step * np.eye(len(row))[q])[0] for s in (1, -1)]
        assert slope[q] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-3), name
    assert np.all(np.linalg.eigvalsh(information) > 0)


def test_fit_of_a_short_movie():
    movie = movie_of(1.0, 26)
    start = {name: 0.5 * value for name, value in TRUTH.items() if name != "target_volume"}
    known = {"target_volume": 50.0}
    fit = movie.fit(start, known, num_replicates=4)
    assert fit.converged and set(fit.standard_errors) == set(start)
    off = [(fit.params[k] - TRUTH[k]) / fit.standard_errors[k] for k in start]
    assert np.max(np.abs(off)) < 4
    # The pilot takes sites that changed and came back for ones that never did.
    assert fit.pilot["J_1_1"] > fit.params["J_1_1"] + fit.standard_errors["J_1_1"]
    low, high = fit.intervals()["J_1_2"]
    assert low < fit.params["J_1_2"] < high and fit.params["target_volume"] == 50.0
    again = movie.fit(start, known, num_replicates=4)
    assert again.params == fit.params


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CellMovie(MODEL, MODEL.start.ids[None]), "fewer than two frames"),
        (lambda: CellMovie(MODEL, np.zeros((3, 4, 4), int)), "whole numbers [frames, 40, 40]"),
        (lambda: CellMovie(MODEL, [MODEL.start.ids[None].repeat(2, 0)], 0), "`interval` is 0"),
        (lambda: movie_of(1.0, 2).fit(TRUTH, {"J_0_1": 1.0}), "'J_0_1' is in both or neither"),
        (lambda: movie_of(1.0, 2).fit({"J_0_1": 1.0}), "'J_1_1' is in both or neither"),
        (lambda: movie_of(1.0, 2).fit({"J_0_3": 1.0}), "Did you mean"),
        (lambda: movie_of(1.0, 2).fit(TRUTH, num_replicates=1), "`num_replicates` is 1, expected"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(make, text):
    with pytest.raises(tb.TumbleError) as error:
        make()
    assert text in str(error.value)
