import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import tumble as tb
from tests.report.test_report import Page
from tumble._errors import DataError
from tumble.models import Grid, Ising, PersistentWalk, PredatorPrey
from tumble.outputs import Frames
from tumble.plot import Player, play


def content(player):
    """Return the data that the script is given."""
    found = re.search(r'<script type="application/json">(.*?)</script>', player.fragment, re.S)
    return json.loads(found.group(1))


def decoded(panel, rows):
    """Return the frames of a panel as colors [frames, rows, columns, 3]."""
    sheets = []
    for uri in panel["sheets"]:
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        sheets.append(np.array(picture.convert("RGB")))
    whole = np.concatenate(sheets)
    return whole.reshape(-1, rows, *whole.shape[1:])


def rgb(color):
    return [int(color[k : k + 2], 16) for k in (1, 3, 5)]


def test_categories_are_shown_exactly():
    frames = np.random.default_rng(0).integers(0, 4, (7, 5, 9))
    player = play(frames)
    colors = re.findall(r'<i style="background:(#\w{6})"></i>(\d+)</span>', player.fragment)
    assert [number for _, number in colors] == list("0123")
    table = np.array([rgb(color) for color, _ in colors])
    np.testing.assert_array_equal(decoded(content(player)["panels"][0], 5), table[frames])
    assert player.num_frames == 7 and player.message == ""


def test_a_number_has_one_color_in_all_panels():
    one, other = np.zeros((2, 4, 4), int), np.full((2, 4, 4), 2)
    one[:, 0, 0] = 2
    panels = content(play({"a": one, "b": other}))["panels"]
    np.testing.assert_array_equal(decoded(panels[0], 4)[0, 0, 0], decoded(panels[1], 4)[0, 1, 1])


def test_real_numbers_are_on_a_scale():
    frames = np.linspace(-2, 6, 3 * 4 * 5).reshape(3, 4, 5)
    player = play(frames)
    seen = decoded(content(player)["panels"][0], 4).reshape(-1, 3).astype(int)
    assert len(np.unique(seen, axis=0)) == 60 and ">6<" in player.fragment.replace("</span>6", ">6")
    green = seen[:, 1]
    assert np.all(np.diff(green) >= 0)  # viridis gets brighter


def test_sheets_are_no_taller_than_browsers_draw():
    frames = np.random.default_rng(0).integers(0, 2, (100, 200, 3)).astype(bool)
    panel = content(play(frames))["panels"][0]
    assert panel["perSheet"] == 40 and len(panel["sheets"]) == 3
    assert len(decoded(panel, 200)) == 100


def test_too_much_is_thinned_out_and_says_so():
    frames = np.random.default_rng(0).random((40, 30, 30))
    player = play(frames, max_bytes=12_000)
    stride = int(re.search(r"One of (\d+) frames is shown", player.message).group(1))
    assert player.num_frames == -(-40 // stride) and player.message in player.fragment
    assert len(player.fragment) < 12_000 + 12_000
    times = content(player)["times"]
    assert times[:2] == ["t = 0", f"t = {stride}"]
    thin, whole = (decoded(content(p)["panels"][0], 30) for p in (player, play(frames)))
    np.testing.assert_array_equal(thin, whole[::stride])
    with pytest.raises(DataError, match="a single frame of 30 x 30 takes"):
        play(frames, max_bytes=500)


def test_labelled_arrays_bring_times_channels_and_labels(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 9, (3, 2, 4, 4)))
    image = tb.read_images(tmp_path / "a.npy", interval=0.5)
    player = play(image)
    assert content(player)["times"] == ["t = 0", "t = 0.5", "t = 1"]
    assert "channel 0" in player.fragment and len(content(player)["panels"]) == 2
    planes = play(tb.read_images(tmp_path / "a.npy", axes="tzyx"))
    assert planes.message == "Plane 1 of 2 is shown."
    labels = np.arange(400).reshape(1, 20, 20)
    np.save(tmp_path / "m.npy", labels)
    cells = decoded(content(play(tb.read_masks(tmp_path / "m.npy")))["panels"][0], 20)
    assert len(np.unique(cells.reshape(-1, 3), axis=0)) == 12
    np.testing.assert_array_equal(cells[0, 0, 1], cells[0, 0, 12])  # in turn


def test_runs_of_lattices():
    grid = Grid((8, 8))
    kept = tb.simulate(PredatorPrey(grid), {"p_birth": 0.2, "p_meal": 0.3, "p_death": 0.1},
                       times=[0, 2, 4], num_samples=2, outputs=Frames())  # fmt: skip
    player = play(kept, sample=1, title="<predators>")
    assert content(player)["times"] == ["t = 0", "t = 2", "t = 4"]
    assert len(content(player)["panels"]) == len(kept.states)
    assert "&lt;predators&gt;" in player.fragment and "<predators>" not in player.fragment
    assert kept._repr_html_().startswith("<iframe srcdoc=")
    with pytest.raises(DataError, match="`sample` is 2, but there are 2 runs"):
        play(kept, sample=2)


def test_walks_have_nothing_to_be_seen():
    rates = {"p_start": 0.1, "p_stop": 0.1, "p_turn": 0.1}
    kept = tb.simulate(PersistentWalk(), rates, times=[0, 1, 2], outputs=Frames())
    with pytest.raises(DataError, match="holds no lattice: its states are numbers or positions"):
        play(kept)
    assert kept._repr_html_().startswith("<pre>Movies: arrays of shape")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((2, 3, 3), complex), "`frames` is (2, 3, 3) of type complex128, expected"),
        (np.zeros(3), "is (3,) of type float64, expected numbers [frames, rows, columns]"),
        (np.zeros((0, 3, 3)), "is (0, 3, 3) of type float64"),
        (np.full((1, 3, 3), np.nan), "`frames` holds NaN or infinity"),
        (5.0, "expected numbers [frames, rows, columns]"),
        ({}, "`frames` has 0 panels, expected one to 6"),
        (
            {"a": np.zeros((2, 3, 3)), "b": np.zeros((3, 3, 3))},
            "`frames` has 2, 3 frames in different panels",
        ),
    ],
)
def test_what_is_no_movie(frames, words):
    with pytest.raises(DataError) as error:
        play(frames)
    assert words in str(error.value)


def test_the_page_is_well_formed_and_asks_for_nothing(tmp_path):
    player = play({"a<b": np.eye(4, dtype=int)[None].repeat(3, 0), "c": np.ones((3, 2, 2))})
    path = player.save(tmp_path / "movie.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.links == [] and page.ids == []
    assert not re.search(r"https?:|url\(|@import|//cdn", text)
    assert "a<b" in page.text and "3 frames" in repr(player)
    assert isinstance(player, Player) and 'srcdoc="&lt;!doctype' in player._repr_html_()
    line = play(np.eye(5, dtype=int))  # sites on a line, over time
    assert line.num_frames == 5 and decoded(content(line)["panels"][0], 1).shape == (5, 1, 5, 3)


def test_ising_by_name():
    kept = tb.simulate(Ising(Grid((6, 6), Ising().grid.neighborhood)), {"T": 2.0, "field": 0.0},
                       times=[0, 1], outputs=Frames())  # fmt: skip
    both = {
        "here": xr.DataArray(kept.lattices(0)[""], dims=("time", "y", "x")),
        "there": kept.states[0],
    }
    assert len(content(play(both))["panels"]) == 2


@pytest.mark.external
def test_it_plays_in_a_browser(tmp_path):
    """In Chromium: a click on play moves on, a click on step back stops and goes back one."""
    frames = np.arange(30)[:, None, None] * np.ones((30, 4, 4), int) % 7
    script = """<script>setTimeout(function () {
      document.querySelector(".play").click();
      setTimeout(function () {
        document.querySelector(".back").click();
        var canvas = document.querySelector("canvas");
        document.title = document.querySelector("output").textContent + " " +
          canvas.getContext("2d").getImageData(1, 1, 1, 1).data.slice(0, 3).join(",");
      }, 1050);
    }, 100);</script></body>"""
    page = tmp_path / "movie.html"
    page.write_text(play(frames).page.replace("</body>", script), encoding="utf-8")
    dumped = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000",
         "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>t = (\d+) .*? (\d+),(\d+),(\d+)</title>", dumped)
    shown, *color = (int(part) for part in title.groups())
    assert shown == 9
    assert color == decoded(content(play(frames))["panels"][0], 4)[shown, 1, 1].tolist()


def test_plot_loads_no_jax():
    code = "import sys, tumble.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
