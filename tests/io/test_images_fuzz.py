"""Damaged pictures: read, or refused with an error of our own."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tumble._errors import DataError
from tumble.io import read_images, read_masks, read_tracks

MOVIE = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def good(kind):
    """Return the bytes of a small movie."""
    out = io.BytesIO()
    if kind == "tif":
        tifffile.imwrite(out, MOVIE, photometric="minisblack", compression="zlib")
    elif kind == "npy":
        np.save(out, MOVIE)
    elif kind == "npz":
        np.savez_compressed(out, movie=MOVIE)
    else:
        Image.fromarray(MOVIE[0]).save(out, "PNG")
    return out.getvalue()


GOOD = {kind: good(kind) for kind in ("tif", "npy", "npz", "png")}
CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4)


def read_or_refused(read, path):
    """Read, or check that the error is one line of ours."""
    try:
        return read(path)
    except DataError as error:
        assert str(error).strip() and "\n" not in str(error)
        return None


@pytest.mark.parametrize("kind", GOOD)
@SETTINGS
@example([(0.3828125, 0)])  # a header that NumPy cannot even take apart
@given(CHANGES)
def test_changed_bytes(tmp_path, kind, changes):
    data = bytearray(GOOD[kind])
    for place, value in changes:
        data[int(place * len(data))] = value
    path = tmp_path / f"movie.{kind}"
    path.write_bytes(bytes(data))
    for read in (read_images, read_masks):
        found = read_or_refused(read, path)
        assert found is None or np.isfinite(found.values).all()


@pytest.mark.parametrize("kind", GOOD)
def test_every_length(tmp_path, kind):
    path = tmp_path / f"movie.{kind}"
    for length in range(0, len(GOOD[kind]), 3):
        path.write_bytes(GOOD[kind][:length])
        read_or_refused(read_images, path)


@pytest.mark.parametrize("kind", GOOD)
@SETTINGS
@given(st.binary(max_size=60))
def test_any_bytes(tmp_path, kind, data):
    path = tmp_path / f"movie.{kind}"
    path.write_bytes(data)
    read_or_refused(read_images, path)


CELLS = st.one_of(
    st.sampled_from(["track", "time", "x", "y", "z", "", "nan", "1e400", "a", "1,2"]),
    st.floats().map(str),
    st.integers(-3, 3).map(str),
)
LINES = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join), max_size=6)


@SETTINGS
@given(LINES, st.booleans())
def test_any_table_of_tracks(tmp_path, lines, header):
    path = tmp_path / "tracks.csv"
    path.write_text("\n".join((["track,time,x,y"] if header else []) + lines), encoding="utf-8")
    found = read_or_refused(lambda p: read_tracks(p, say=lambda line: None), path)
    if found is not None:
        assert np.isfinite(found["time"].values).all() and set(found.dims) == {
            "track", "time", "axis"
        }  # fmt: skip
