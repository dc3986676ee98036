"""The lattice gas against its mean increments, by enumeration, and movies of it."""

import numpy as np
import pytest

from tumble import outputs, simulate
from tumble._errors import DataError, ModelError, ParameterError
from tumble._random import Stream
from tumble.models import FitzHughNagumoLatticeGas, Grid, LatticeGasMovie
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, OFFSETS
from tumble.models.lattices._lattice_gas_closure import carried
from tumble.models.lattices._lattice_gas_runs import runs_from

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}


class From(FitzHughNagumoLatticeGas):
    """Starts from given counts."""

    def start(self, params, draw):
        rng = np.random.default_rng(0)
        import jax.numpy as jnp

        return {k: jnp.asarray(rng.integers(0, 11, self.grid.shape), float) for k in "AB"}


@pytest.mark.slow
def test_mean_increments_are_those_of_the_definition():
    """One step from random counts on 4 × 4 sites: g → 0 leaves diffusion, D = 0 reactions."""
    model = From(Grid((4, 4)), capacity=10, rate=0.3, stripe=(0, 0))
    still = From(Grid((4, 4)), capacity=10, rate=1e-12, stripe=(0, 0))
    kept = simulate(still, TRUTH, times=[0, 1], num_samples=100_000, outputs=outputs.Frames())
    start = {k: kept.states[k][0, 0] for k in "AB"}
    change = {k: (kept.states[k][:, 1] - start[k]) for k in "AB"}
    moved = {}
    for k, d in (("A", "D_A"), ("B", "D_B")):
        q = start[k] / 10
        arrived = sum(
            (DIAGONAL if i and j else AXIS) * np.roll(q, (i, j), (0, 1)) for i, j in OFFSETS
        )
        moved[k] = TRUTH[d] * (arrived - q)
    frozen = simulate(model, {**TRUTH, "D_A": 0.0, "D_B": 0.0}, times=[1], num_samples=100_000,
                      outputs=outputs.Frames())  # fmt: skip
    assert not frozen.codes.any()
    n, m = start["A"], start["B"]
    p = model.channels(n, m, TRUTH)
    exact = {"A": 0.05 * (p[0] - p[1] + p[2] - p[3]), "B": 0.05 * (p[4] - p[5])}
    for k in "AB":
        reacted = frozen.states[k][:, 0] - start[k]
        error = reacted.std(0) / np.sqrt(len(reacted)) + 1e-9
        assert np.all(np.abs(reacted.mean(0) - exact[k]) < 4.5 * error)
        assert set(np.unique(reacted)) <= {-1, 0, 1}
        error = change[k].std(0) / np.sqrt(len(change[k])) + 1e-9
        assert np.all(np.abs(change[k].mean(0) - moved[k]) < 4.5 * error)


def test_runs_from_frames_have_the_law_of_the_model():
    """Mean and variance of one step at each site, exactly; and that moves are common to all."""
    model = FitzHughNagumoLatticeGas(Grid((4, 4)), capacity=10, rate=0.3, stripe=(0, 0))
    frame = np.random.default_rng(0).integers(0, 11, (2, 4, 4)).astype(float)
    frames = np.repeat(frame[:, None], 12_000, axis=1)
    n, m = frame
    p = model.channels(n, m, TRUTH)
    frozen = runs_from(model, np.array([0.98, 0.1, 0.2, 0.0, 0.0]), frames, 1, Stream(3)) - frames
    for change, up, down in ((frozen[0], p[0] + p[2], p[1] + p[3]), (frozen[1], p[4], p[5])):
        mean, square = 0.05 * (up - down), 0.05 * (up + down)
        error = np.sqrt((square - mean**2) / 12_000) + 1e-12
        assert np.all(np.abs(change.mean(0) - mean) < 4.5 * error)
        error = np.sqrt((square - square**2) / 12_000) + 1e-12
        assert np.all(np.abs((change**2).mean(0) - square) < 4.5 * error)
    moved = runs_from(model, np.array([0.0, 0.0, 0.0, 0.5, 1.0]), frames, 1, Stream(4)) - frames
    for change, q, chance in zip(moved, frame / 10, (0.5, 1.0), strict=True):
        mean, square = np.zeros((4, 4)), np.zeros((4, 4))
        for i, j in OFFSETS:
            share = chance * (DIAGONAL if i and j else AXIS)
            come = np.roll(q, (i, j), (0, 1))
            mean += share * (come - q)
            square += share * (come * (1 - q) + q * (1 - come))
        error = np.sqrt((square - mean**2) / 12_000) + 1e-12
        assert np.all(np.abs(change.mean(0) - mean) < 4.5 * error)
        error = np.sqrt((square - square**2) / 12_000) + 1e-12
        assert np.all(np.abs((change**2).mean(0) - square) < 4.5 * error)
        assert np.all(change.sum((1, 2)) == 0)
    stays = (moved[0] == 0).all((1, 2)).mean()
    assert abs(stays - 0.5) < 4.5 * 0.5 / np.sqrt(12_000)


def test_chances_are_probabilities():
    model = FitzHughNagumoLatticeGas(capacity=10)
    n, m = np.meshgrid(np.arange(11.0), np.arange(11.0))
    for p in model.channels(n, m, TRUTH):
        assert np.all((p >= 0) & (p * model.rate <= 1))
    assert np.isclose(4 * AXIS + 4 * DIAGONAL, 1)


def test_counts_stay_within_the_capacity_and_diffusion_conserves_them():
    model = From(Grid((6, 6)), capacity=10, rate=1e-12, stripe=(0, 0))
    kept = simulate(model, {**TRUTH, "D_A": 1.0, "D_B": 0.5}, times=[0, 50, 300], num_samples=20,
                    outputs=outputs.Frames())  # fmt: skip
    for k in "AB":
        assert kept.states[k].min() >= 0
        assert kept.states[k].max() <= 10
        assert np.all(kept.states[k].sum((2, 3)) == kept.states[k][0, 0].sum())


def test_all_particles_of_a_kind_move_alike():
    model = From(Grid((5, 5)), capacity=10, rate=1e-12, stripe=(0, 0))
    full = {**TRUTH, "D_A": 1.0, "D_B": 0.0}
    kept = simulate(model, full, times=[0, 1], num_samples=50, outputs=outputs.Frames())
    assert np.array_equal(kept.states["B"][:, 1], kept.states["B"][:, 0])
    a = kept.states["A"]
    stuck = a[0, 0] == 0
    for run in a:
        change = run[1] - run[0]
        assert np.all(np.abs(change) <= 1)
        assert np.all(change[stuck] >= 0)


def movie(seed, interval=250, frames=8, params=TRUTH):
    model = FitzHughNagumoLatticeGas(Grid((48, 48)), stripe=(20, 25))
    kept = simulate(model, params, times=[float(interval * k) for k in range(frames)], seed=seed,
                    outputs=outputs.Frames())  # fmt: skip
    return model, np.stack([kept.states["A"][0], kept.states["B"][0]], axis=1)


@pytest.mark.slow
def test_a_movie_tells_the_parameters():
    model, frames = movie(1)
    found = LatticeGasMovie(model, frames, 250).fit(repeats=12)
    assert found.converged
    assert (found.num_starts, found.num_agreeing) == (4, 4)
    for name, truth in TRUTH.items():
        off = np.log(found.params[name] / truth)
        assert abs(off) < 3.5 * found.standard_errors[name]
        assert found.standard_errors[name] < 0.5
    # All particles of a kind move at once: no estimate knows D better than the number of moves.
    for name in ("D_A", "D_B"):
        steps = 7 * 250 * TRUTH[name]
        least = np.sqrt((1 - TRUTH[name]) / steps)
        # 7 × 11 degrees of freedom: 8 % is the error of a standard error.
        assert 0.7 * least < found.standard_errors[name] < 2.5 * least


@pytest.mark.slow
def test_fits_end_at_the_same_point_from_other_starts():
    model, frames = movie(1)
    problem = LatticeGasMovie(model, frames, 250)
    ends = [
        problem.fit(start, repeats=0)
        for start in (None, {"k1": 0.5, "k2": 0.2, "k3": 0.1, "D_A": 0.3, "D_B": 0.7},
                      {"k1": 0.355, "k2": 0.91, "k3": 0.059, "D_A": 0.35, "D_B": 0.73})
    ]  # fmt: skip
    assert [end.num_starts for end in ends] == [4, 1, 1]
    for end in ends[1:]:
        assert end.converged
        for name, value in ends[0].params.items():
            # A search ends where it would gain 1e-4 of −log p: √2e-4 of a standard error.
            assert abs(end.params[name] / value - 1) < 0.05 * ends[0].standard_errors[name]


def test_steps_of_the_equations_are_short_enough():
    """Other capacities have other fastest waves: nothing may grow that decays."""
    model = FitzHughNagumoLatticeGas(Grid((12, 12)), capacity=8, stripe=(4, 6))
    frame = np.random.default_rng(0).integers(0, 9, (2, 1, 12, 12)).astype(float)
    means, _ = carried(model, 200, np.log([0.9, 0.1, 0.2, 1.0, 1.0]), frame)
    assert means.min() > 0
    assert means.max() < 8
    assert means.std() < frame.std()


@pytest.mark.slow
def test_the_closure_carries_means():
    """The mean of many runs from one frame, against the equations: the variance is needed."""
    model = FitzHughNagumoLatticeGas(Grid((16, 16)), stripe=(5, 9))
    times = [0.0, 200.0]
    kept = simulate(model, TRUTH, times=times, num_samples=600, seed=2, outputs=outputs.Frames())
    runs = np.stack([kept.states["A"][:, 1], kept.states["B"][:, 1]], axis=1)
    first = np.stack([kept.states["A"][0, 0], kept.states["B"][0, 0]])
    problem = LatticeGasMovie(model, np.stack([first, first]), 200)
    residual, _ = problem.carried(np.log(list(TRUTH.values())))
    mean = residual[:, 0] + first
    rows = runs.mean(0).mean(-1) - mean.mean(-1)  # along the stripe all sites are alike
    error = runs.mean(-1).std(0) / np.sqrt(len(runs))
    assert np.all(np.abs(rows) < 4.5 * error + 0.05)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: FitzHughNagumoLatticeGas(capacity=2), ParameterError, "capacity"),
        (lambda: FitzHughNagumoLatticeGas(rate=0), ModelError, "rate"),
        (lambda: FitzHughNagumoLatticeGas(Grid((9,))), ModelError, "2"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((3, 64, 64)), 5), DataError,
         "expected"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((1, 2, 64, 64)), 5),
         DataError, "two"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.full((2, 2, 64, 64), 51), 5),
         DataError, "0 to 50"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((2, 2, 64, 64)), 0),
         ParameterError, "interval"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((2, 2, 64, 64)), 5).fit(
            num_starts=0), ParameterError, "num_starts"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((2, 2, 64, 64)), 5).fit(
            repeats=1), ParameterError, "repeats"),
        (lambda: LatticeGasMovie(FitzHughNagumoLatticeGas(), np.zeros((2, 2, 64, 64)), 5).fit(
            {"k1": 1.0}), ParameterError, "start"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
