import numpy as np
import pytest
import tifffile
from PIL import Image

from tumble._errors import DataError
from tumble.io import read_images, read_masks
from tumble.models import Grid, SusceptibleInfected, Transitions


@pytest.fixture
def movie():
    return np.random.default_rng(0).integers(0, 200, (4, 6, 5)).astype(np.uint8)


def folder_of(path, frames):
    path.mkdir(exist_ok=True)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"frame_{k + 8}.png")  # 8, 9, 10, 11
    return path


def written(path, movie, kind):
    """Return the path of the movie as a file, or folder, of a kind."""
    if kind == "folder":
        return folder_of(path / "movie", movie)
    if kind == "tiff folder":
        (path / "movie").mkdir()
        for k, frame in enumerate(movie):
            tifffile.imwrite(path / "movie" / f"t{k}.tif", frame)
        return path / "movie"
    file = path / {"npy": "m.npy", "npz": "m.npz"}.get(kind, "m.tif")
    if kind == "npy":
        np.save(file, movie)
    elif kind == "npz":
        np.savez(file, movie=movie)
    elif kind == "imagej":
        tifffile.imwrite(file, movie, imagej=True, metadata={"axes": "TYX"})
    elif kind == "imagej planes":
        tifffile.imwrite(file, movie, imagej=True, metadata={"axes": "ZYX"})
    elif kind == "pages":
        with tifffile.TiffWriter(file) as out:
            for frame in movie:
                out.write(frame, contiguous=False, metadata=None)
    elif kind == "ome":
        file = path / "m.ome.tif"
        tifffile.imwrite(file, movie[:, None, None], ome=True, metadata={"axes": "TCZYX"})
    else:
        tifffile.imwrite(file, movie, photometric="minisblack")
    return file


KINDS = ["folder", "tiff folder", "npy", "npz", "tiff", "imagej", "imagej planes", "pages", "ome"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_same_movie_whatever_the_file(tmp_path, movie, kind, dtype):
    found = read_images(written(tmp_path, movie.astype(dtype), kind), interval=0.5, pixel=2)
    assert found.dims == ("time", "y", "x") and found.dtype == dtype
    np.testing.assert_array_equal(found.values, movie)
    np.testing.assert_array_equal(found["time"], [0, 0.5, 1, 1.5])
    np.testing.assert_array_equal(found["x"], [0, 2, 4, 6, 8])
    assert found.attrs["interval"] == 0.5 and found.attrs["pixel"] == 2


def test_one_picture_is_one_frame(tmp_path, movie):
    Image.fromarray(movie[0]).save(tmp_path / "one.png")
    Image.fromarray(np.dstack([movie[0]] * 3)).save(tmp_path / "gray_as_color.png")
    tifffile.imwrite(tmp_path / "one.tif", movie[0])
    np.save(tmp_path / "one.npy", movie[0])
    for name in ("one.png", "gray_as_color.png", "one.tif", "one.npy"):
        np.testing.assert_array_equal(read_images(tmp_path / name).values, movie[:1])


def test_real_numbers_and_flags(tmp_path, movie):
    tifffile.imwrite(tmp_path / "f.tif", movie / np.float32(7), photometric="minisblack")
    np.testing.assert_array_equal(read_images(tmp_path / "f.tif"), movie / np.float32(7))
    Image.fromarray(movie[0] > 99).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_images(tmp_path / "b.png").values[0], movie[0] > 99)


def test_channels_and_planes(tmp_path):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    np.save(tmp_path / "a.npy", array)
    assert read_images(tmp_path / "a.npy").dims == ("time", "channel", "y", "x")
    planes = read_images(tmp_path / "a.npy", axes="tzyx")
    assert planes.dims == ("time", "z", "y", "x")
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TZYX"})
    found = read_images(tmp_path / "a.tif")
    assert found.dims == ("time", "z", "y", "x")
    np.testing.assert_array_equal(found, array)


def test_frames_go_into_transitions(tmp_path):
    frames = np.zeros((3, 8, 8), np.uint8)
    frames[0, 4, 4] = frames[1:, 3:6, 4] = 1
    np.save(tmp_path / "si.npy", frames)
    model = Transitions(SusceptibleInfected(Grid((8, 8))), read_images(tmp_path / "si.npy").values)
    np.testing.assert_array_equal(model.data["infected"], [3, 3])


def test_masks(tmp_path):
    labels = np.zeros((2, 5, 6), np.uint16)
    labels[:, 1:3, 1:3], labels[0, 4, 4] = 7, 300
    tifffile.imwrite(tmp_path / "m.tif", labels, photometric="minisblack")
    found = read_masks(tmp_path / "m.tif", interval=2)
    np.testing.assert_array_equal(found, labels)
    assert found.attrs["labels"] == [7, 300] and found.dtype == np.int32
    np.save(tmp_path / "m.npy", labels.astype(float))
    np.testing.assert_array_equal(read_masks(tmp_path / "m.npy"), labels)


def test_the_numbers_of_a_palette_are_labels(tmp_path):
    labels = np.array([[0, 1, 1], [0, 2, 2]], np.uint8)
    picture = Image.fromarray(labels)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_masks(tmp_path / "p.png").values[0], labels)
    with pytest.raises(DataError, match=r"'p\.png' is a color picture, expected gray"):
        read_images(tmp_path / "p.png")


def refusal(read, path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_there(tmp_path):
    assert "there is no file or folder" in refusal(read_images, tmp_path / "no.tif")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    assert "holds no pictures; expected one file a frame" in refusal(
        read_images, tmp_path / "empty"
    )
    (tmp_path / "movie.avi").write_bytes(b"RIFF")
    assert "is of no kind that is read; expected .tif" in refusal(
        read_images, tmp_path / "movie.avi"
    )


def test_without_tifffile(tmp_path, movie, monkeypatch):
    file = written(tmp_path, movie, "tiff")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    assert refusal(read_images, file) == (
        "reading 'm.tif' needs the package tifffile; install it with pip install 'tumble[images]'."
    )


@pytest.mark.parametrize("kind", ["tiff", "imagej", "npy", "npz", "folder"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_what_is_cut_off(tmp_path, kind, share):
    movie = np.random.default_rng(0).integers(0, 200, (4, 60, 50)).astype(np.uint8)
    path = written(tmp_path, movie, kind)
    file = path / "frame_9.png" if kind == "folder" else path
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    assert "cannot be read, it may be damaged or cut off" in refusal(read_images, path)


def test_frames_of_different_sizes(tmp_path, movie):
    folder = folder_of(tmp_path / "a", movie)
    Image.fromarray(movie[0, :4]).save(folder / "frame_10.png")
    assert refusal(read_images, folder) == (
        "'frame_10.png' has 4 x 5 pixels of type uint8, but the frames before it have 6 x 5 pixels "
        "of type uint8; all frames need the same size and type."
    )
    Image.fromarray(movie[0].astype(np.uint16)).save(folder / "frame_10.png")
    assert "has 6 x 5 pixels of type uint16" in refusal(read_images, folder)
    with tifffile.TiffWriter(tmp_path / "b.tif") as out:
        out.write(movie[0], metadata=None)
        out.write(movie[0, :4], metadata=None)
    assert "'b.tif' holds pictures of different sizes: (4, 5), (6, 5)" in refusal(
        read_images, tmp_path / "b.tif"
    )


def test_color(tmp_path, movie):
    color = np.stack([movie[0], movie[1], movie[2]], -1)
    Image.fromarray(color).save(tmp_path / "c.png")
    tifffile.imwrite(tmp_path / "c.tif", color, photometric="rgb")
    for name in ("c.png", "c.tif"):
        assert f"'{name}' is a color picture, expected gray" in refusal(
            read_images, tmp_path / name
        )


def save(path, array, **more):
    (np.savez if path.suffix == ".npz" else np.save)(path, array, **more)
    return path


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1.0, np.nan]]), "holds NaN or infinity, first at frame 0, (0, 1); fill gaps"),
        (np.zeros((2, 3), complex), "holds values of type complex128, expected numbers."),
        (np.array([["a"]]), "holds values of type <U1, expected numbers."),
        (np.array([[{}]]), "holds Python objects, not numbers; save an array of numbers."),
        (np.zeros(4), "holds an array of shape (4,), expected [rows, columns]"),
        (np.zeros((0, 3, 3)), "holds an array of shape (0, 3, 3): there is no pixel."),
        (np.zeros((1,) * 5), "holds an array of shape (1, 1, 1, 1, 1), expected"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, array, words):
    assert words in refusal(read_images, save(tmp_path / "a.npy", array))


def test_names_and_axes(tmp_path):
    file = tmp_path / "two.npz"
    np.savez(file, first=np.zeros((2, 3, 3)), second=np.ones((2, 3, 3)))
    assert read_images(file, name="second").values.all()
    assert refusal(read_images, file) == "'two.npz' holds first, second; say which with name=."
    assert "there is no 'secnd'. Did you mean 'second'?" in refusal(read_images, file, name="secnd")
    assert "only .npz files have arrays with names" in refusal(
        read_images, save(tmp_path / "a.npy", np.zeros((3, 3))), name="a"
    )
    assert "expected t, then c or z if there are any, then yx" in refusal(
        read_images, tmp_path / "a.npy", axes="xyt"
    )
    assert "`axes` is 'tzyx', but 'a.npy' has 3 axes, (1, 3, 3)" in refusal(
        read_images, tmp_path / "a.npy", axes="tzyx"
    )
    assert "`interval` is 0, expected a number > 0." in refusal(
        read_images, tmp_path / "a.npy", interval=0
    )


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[0, -1]]), "holds -1 at frame 0, (0, 1), expected a whole number from 0"),
        (np.array([[0, 1.5]]), "holds 1.5 at frame 0, (0, 1)"),
        (np.array([[0, np.nan]]), "holds nan at frame 0, (0, 1)"),
        (np.array([[0, 2**40]]), f"holds {2**40} at frame 0"),
        (np.zeros((3, 3), int), "holds no cell: every label is 0."),
        (np.ones((2, 2, 3, 3), int), "has channels, expected one label for each pixel"),
        (
            np.array([[[1, 2]], [[0, 2]], [[1, 2]]]),
            "cell 1 of 'a.npy' is in frame 0, not in frame 1, and in frame 2 again",
        ),
    ],
)
def test_arrays_that_are_no_masks(tmp_path, array, words):
    assert words in refusal(read_masks, save(tmp_path / "a.npy", array))


def test_cells_in_pieces(tmp_path):
    labels = np.array([[[1, 0, 2, 0], [0, 1, 0, 2]], [[1, 0, 2, 0], [1, 0, 0, 0]]])
    assert read_masks(save(tmp_path / "a.npy", labels), connected=True).sizes["time"] == 2
    labels[1, 0, 3], labels[1, 0, 2], labels[1, 1, 1] = 2, 0, 2
    assert read_masks(save(tmp_path / "a.npy", labels)).sizes["time"] == 2
    assert "cell 2 of 'a.npy' is in 2 pieces in frame 1" in refusal(
        read_masks, tmp_path / "a.npy", connected=True
    )


def test_too_large_to_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("tumble.io._pictures._LARGEST", 100)
    file = save(tmp_path / "a.npy", np.zeros((10, 10)))
    assert "GiB of pictures, expected at most" in refusal(read_images, file)
