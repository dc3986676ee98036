import numpy as np
import pytest

from tumble._errors import DataError
from tumble.io import read_data


@pytest.fixture
def table(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path, **options):
    lines = []
    return read_data(path, say=lines.append, **options), lines


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("named", "day,in_bed\n1,3\n2,8\n3,\n"),
        ("first ascending", "index_of,in_bed\n1,3\n2,8\n3,NA\n"),
        ("comments", "# a source\n\nday,in_bed\n1,3\n# in between\n2,8\n3,NaN\n"),
        ("semicolons", "day;in_bed\n1;3\n2;8\n3;\n"),
        ("tabs", "day\tin_bed\n1\t3\n2\t8\n3\tnull\n"),
        ("byte order mark", "\ufeffday,in_bed\r\n1,3\r\n2,8\r\n3,\r\n"),
        ("unsorted", "day,in_bed\n3,\n1,3\n2,8\n"),
        ("words beside", "day,note,in_bed\n1,first,3\n2,,8\n3,late,\n"),
        ("tidy", "time,observable,value\n1,in_bed,3\n2,in_bed,8\n3,in_bed,\n"),
    ],
)
def test_layouts_give_the_same_array(table, name, text):
    array, lines = read(table(text))
    assert array.dims == ("replicate", "time", "observable")
    assert list(array["time"].values) == [1, 2, 3]
    np.testing.assert_array_equal(array.values[0, :, 0], [3, 8, np.nan])
    assert len(lines) == 1 and "data.csv" in lines[0]


def test_says_what_it_guessed_in_one_line(table):
    _, lines = read(table("day,in_bed\n1,3\n2,8\n"))
    assert lines == [
        "read_data data.csv: time from column 'day'; observables: in_bed; 2 times, 1 replicate"
    ]


def test_says_nothing_when_nothing_is_guessed(table):
    _, lines = read(table("day,a,b\n1,3,5\n2,8,6\n"), time="day", columns=["a", "b"])
    assert lines == []


def test_columns_choose_and_rename(table):
    array, _ = read(table("day,a,b\n1,3,5\n2,8,6\n"), columns={"b": "I"})
    assert list(array["observable"].values) == ["I"]
    np.testing.assert_array_equal(array.values[0, :, 0], [5, 6])


def test_replicates_by_column(table):
    array, _ = read(table("t,rep,x\n1,a,3\n2,a,4\n1,b,5\n3,b,6\n"))
    assert list(array["replicate"].values) == ["a", "b"]
    np.testing.assert_array_equal(array.values[..., 0], [[3, 4, np.nan], [5, np.nan, 6]])


def test_repeated_times_are_replicates(table):
    array, _ = read(table("t,x\n1,3\n1,5\n2,4\n2,6\n"))
    np.testing.assert_array_equal(array.values[..., 0], [[3, 4], [5, 6]])


def test_tidy_with_replicates_and_several_observables(table):
    text = "replicate,time,observable,value\n"
    text += "".join(f"{r},{t},{o},{10 * r + t}\n" for r in (0, 1) for t in (1, 2) for o in "ab")
    array, _ = read(table(text))
    assert array.shape == (2, 2, 2)
    assert array.sel(replicate=1, time=2, observable="b") == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("day,in_bed\n", "no line of numbers"),
        ("1,3\n2,8\n", "has no header"),
        ("day,\n1,3\n", "column 2 of 'data.csv' has no name"),
        ("day,day\n1,3\n", "two columns named 'day'"),
        ("day,in_bed\n1,3\n2,many\n", "line 3 holds 'many' in column 'in_bed', expected a finite"),
        ("day,in_bed\n1,3\n,8\n", "line 3 has no number in column 'day'"),
        ("day,in_bed\n1,3\n2\n", "line 3 has 1 cells, but the header has 2"),
        ("name,color\nx,red\n", "no column of numbers"),
        ("day,color\n1,red\n", "no column of numbers beside the times"),
        ("a,b\n3,1\n2,5\n1,2\n", "none of them looks like time"),
        ("t,x\n1,3\n1,5\n2,4\n", "gives some times 2 times but time 2 1 times"),
        ("t,rep,x\n1,a,3\n1,a,4\n", "line 3 gives time 1 of replicate 'a' a second time"),
        (b"\x89HDF\r\n\x1a\n\x00\x00\x01", "is not text"),
        (b"day,x\n1,\xff\xfe\n", "line 2 is not UTF-8"),
        ('day,x\n1,"2\n3"\n', "runs over several lines"),
        ('day,x\n1,"2"3\n', "is not a table"),
    ],
)
def test_errors_say_where(table, text, message):
    with pytest.raises(DataError) as caught:
        read(table(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"there is no file '.*nothing\.csv'"):
        read_data(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_data(tmp_path)


def test_wrong_names_are_corrected(table):
    path = table("day,in_bed\n1,3\n2,8\n")
    with pytest.raises(DataError, match=r"`time` names column 'dya'.*Did you mean 'day'\?"):
        read(path, time="dya")
    with pytest.raises(DataError, match=r"`columns` names column 'inbed'.*Did you mean 'in_bed'\?"):
        read(path, columns=["inbed"])


def test_a_billion_cells_are_refused(table):
    rows = "".join(f"{i},{i}.5,{i}\n" for i in range(40_000))
    with pytest.raises(DataError, match="too many to hold"):
        read(table("rep,t,x\n" + rows))
