"""Tables that nobody would write: read, or refused with an error of our own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tumble._errors import TumbleError
from tumble.io import read_data

CELLS = st.one_of(
    st.sampled_from(
        ["time", "X", "replicate", "", "nan", "-1", "1e400", "0x1", "1_0", "1,5", '"', "¼"]
    ),
    st.floats().map(str),
    st.integers().map(str),
    st.text(max_size=6),
)
TABLES = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=8).map("\n".join)
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_or_refused(path):
    """Return what was read, or None where a `TumbleError` of one line says why not."""
    try:
        return read_data(path)
    except TumbleError as error:
        assert str(error).strip()
        return None


@SETTINGS
@example("time,X\n0,1\n1,2\n")
@example("time,X\n0,1\n0,2\n")
@example("time,time\n0,1\n")
@example("time,X\n1e999,1\n")
@given(TABLES)
def test_any_text_is_read_or_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    found = read_or_refused(path)
    if found is not None:
        assert np.all(np.isfinite(found.coords["time"].values))


@SETTINGS
@example(b"\xff\xfetime,X\n0,1\n")
@example(b"time,X\n0,\x00\n")
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    read_or_refused(path)


def test_a_plain_table_is_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("time,X\n0,1\n1,2\n")
    assert read_or_refused(path) is not None


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    assert read_or_refused(tmp_path / name) is None
