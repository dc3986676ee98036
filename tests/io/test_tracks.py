import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError
from tumble.io import read_tracks, squared_displacements
from tumble.models import PersistentWalk, PlainWalk
from tumble.objectives import TrajectoryMatching

PLANE = "track,time,x,y\na,0,0,0\na,1,1,0\na,2,1,2\nb,1,5,5\nb,2,5,6\nb,3,5,8\n"


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "tracks.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path, **options):
    lines = []
    return read_tracks(path, say=lines.append, **options), lines


def test_positions_in_units(table):
    found, lines = read(table(PLANE), pixel=0.5, interval=10)
    assert found.dims == ("track", "time", "axis") and found.shape == (2, 4, 2)
    np.testing.assert_array_equal(found["time"], [0, 10, 20, 30])
    np.testing.assert_array_equal(found.sel(track="a", axis="x"), [0, 0.5, 0.5, np.nan])
    np.testing.assert_array_equal(found.sel(track="b", axis="y"), [np.nan, 2.5, 3, 4])
    assert lines == [
        "read_tracks tracks.csv: track from column 'track', time from column 'time', x from column "
        "'x', y from column 'y'; 2 tracks, 4 times"
    ]


@pytest.mark.parametrize(
    ("header", "axes"),
    [
        ("TRACK_ID,FRAME,POSITION_X,POSITION_Y,POSITION_Z", "xyz"),
        ("id,t,x,y", "xy"),
        ("particle,frame,x", "x"),
    ],
)
def test_usual_names(table, header, axes):
    cells = ",".join("1" * (2 + len(axes)))
    found, _ = read(table(f"{header}\n{cells}\n"))
    assert "".join(found["axis"].values) == axes and list(found["track"].values) == [1]


def test_columns_by_name(table):
    found, lines = read(
        table("who,when,u,v,x\na,0,1,2,3\n"),
        columns={"track": "who", "time": "when", "x": "u", "y": "v"},
    )
    np.testing.assert_array_equal(found.values, [[[1, 2]]])
    assert lines == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("track,time,y\na,0,0\n", "none of them looks like x; say which it is with columns={'x'"),
        ("time,x,y\n0,0,0\n", "none of them looks like track"),
        ("track,x,y\na,0,0\n", "none of them looks like time"),
        ("track,time,x,z\na,0,0,0\n", "has z but no y"),
        ("track,time,x\na,0,\n", "line 2 has no number in column 'x'; every line needs one"),
        ("track,time,x\na,nan,1\n", "line 2 has no number in column 'time'"),
        ("track,time,x\na,0,here\n", "line 2 holds 'here' in column 'x', expected a finite"),
        ("track,time,x\na,0,0\n,1,0\n", "line 3 names no track."),
        ("track,time,x\na,0,0\na,1,0\na,0,5\n",
         "line 4 gives a second position of track 'a' at time 0; remove one"),
        ("track,time,x\na,0\n", "line 2 has 2 cells, but the header has 3"),
        ("", "is empty"),
    ],
)  # fmt: skip
def test_tables_that_are_no_tracks(table, text, words):
    with pytest.raises(DataError) as caught:
        read(table(text))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_arguments_are_checked(table):
    path = table(PLANE)
    with pytest.raises(DataError, match="`pixel` is -1, expected a number > 0"):
        read(path, pixel=-1)
    with pytest.raises(DataError, match=r"`columns` has 'trak'.*Did you mean 'track'\?"):
        read(path, columns={"trak": "track"})
    with pytest.raises(DataError, match="`columns` names column 'u'"):
        read(path, columns={"x": "u"})


def test_squared_displacements(table):
    tracks, _ = read(table(PLANE), pixel=2.0)
    found = squared_displacements(tracks, lags=[1, 2])
    np.testing.assert_array_equal(found.values[..., 0], [[4, 20], [4, 36]])
    assert found.dims == ("replicate", "time", "observable")
    assert list(found["observable"].values) == ["msd"]
    np.testing.assert_array_equal(squared_displacements(tracks)["time"], [1, 2])


def test_tracks_with_gaps_are_left_out(table):
    tracks, _ = read(table("track,time,x\na,0,0\na,1,1\na,2,2\nb,0,0\nb,2,4\n"))
    said = []
    found = squared_displacements(tracks, lags=[1, 2], say=said.append)
    np.testing.assert_array_equal(found.values[..., 0], [[1, 4]])
    assert said == ["squared_displacements: 1 of 2 tracks were left out, not seen at every lag"]
    both = squared_displacements(tracks, lags=[2])
    np.testing.assert_array_equal(both.values[..., 0], [[4], [16]])
    with pytest.raises(DataError, match=r"no track was seen at all of the lags 0\.5, 1"):
        squared_displacements(tracks, lags=[0.5, 1])


def test_windows_do_not_overlap(table):
    text = "track,time,x\n" + "".join(f"a,{t},{t * t}\n" for t in range(8))
    tracks, _ = read(table(text))
    found = squared_displacements(tracks, lags=[1, 3], windows=True)
    np.testing.assert_array_equal(found.values[..., 0], [[1, 81], [49, 27**2]])


def test_lags_are_checked(table):
    tracks, _ = read(table(PLANE))
    for lags in ([], [1, 1], [0, 1], ["a"], 3, [1, np.nan]):
        with pytest.raises(DataError, match="expected ascending numbers > 0"):
            squared_displacements(tracks, lags=lags)
    with pytest.raises(DataError, match="expected an array with dimensions track, time and axis"):
        squared_displacements(np.zeros((2, 3)))
    lonely, _ = read(table("track,time,x\na,0,1\nb,1,1\n"))
    with pytest.raises(DataError, match="no lag is common to half of the tracks"):
        squared_displacements(lonely)


def walks(p_turn, p_switch, count, steps, seed):
    """Return positions [count, steps + 1, 2] of walks, drawn without tumble's simulator."""
    rng = np.random.default_rng(seed)
    moves, side = np.ones((count, 2), bool), rng.choice([-1, 1], (count, 2))
    at = np.zeros((count, steps + 1, 2))
    for t in range(1, steps + 1):
        switch = rng.random((count, 2)) < p_switch
        moves ^= switch
        side = np.where(rng.random((count, 2)) < p_turn, -side, side)
        at[:, t] = at[:, t - 1] + side * moves
    return at


@pytest.mark.slow
def test_a_walk_is_fitted_from_a_file_in_real_units(table):
    """Pixels of 0.4 µm, frames of 15 s: rates within three of their errors."""
    places = walks(0.1, 0.3, 300, 12, seed=1)
    lines = [
        f"{k},{t},{x:g},{y:g}" for k, track in enumerate(places) for t, (x, y) in enumerate(track)
    ]
    tracks = read_tracks(table("track,frame,x,y\n" + "\n".join(lines)), pixel=0.4, interval=15,
                         say=lambda line: None)  # fmt: skip
    data = squared_displacements(tracks, lags=[15 * k for k in (1, 2, 4, 8, 12)])
    switch = tb.Ref("p_switch")
    problem = tb.Problem(
        PersistentWalk(pixel=0.4, step_time=15),
        [tb.Experiment(data, conditions={"p_start": switch, "p_stop": switch})],
        parameters={n: tb.Parameter(0.01, 0.6, scale="logit") for n in ("p_turn", "p_switch")},
    )
    fit = tb.fit(problem, objective=TrajectoryMatching(), seed=0, num_starts=1, tolerance=0.05)
    for estimate, truth in zip(fit.estimates, (0.1, 0.3), strict=True):
        logit = np.log([estimate.value / (1 - estimate.value), truth / (1 - truth)])
        assert abs(logit[0] - logit[1]) < 3 * estimate.standard_error, estimate
        assert estimate.standard_error < 0.5


def test_units_of_walks():
    run = tb.simulate(PlainWalk(pixel=0.5, step_time=2.0), {"p_stay": 0.5}, times=[2, 20],
                      num_samples=4000, seed=0)  # fmt: skip
    seen = run.data.values[..., 0]
    spread = seen.std(0) / np.sqrt(len(seen))
    np.testing.assert_array_less(np.abs(seen.mean(0) - 0.25 * np.array([1, 10])), 4 * spread)
    with pytest.raises(tb.TumbleError, match="not a whole number of steps of 2"):
        tb.simulate(PlainWalk(step_time=2.0), {"p_stay": 0.5}, times=[3])
    with pytest.raises(tb.TumbleError, match="`step_time` is 0, expected a time > 0"):
        PersistentWalk(step_time=0)
    with pytest.raises(tb.TumbleError, match="`pixel` is -1, expected a width > 0"):
        PlainWalk(pixel=-1)
