import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from qsnn.data.formats import arrays as files
from qsnn.data.formats import guard
from qsnn.data.formats.arrays import read_array, read_picture
from qsnn.data.sources.pattern import load_pattern

ENDINGS = [".npy", ".npz", ".pt", ".pth", ".pkl", ".pickle"]


def save(path, array):
    """Write an array or tensor in the way that the ending of the file's name asks for."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, raster=array)
    else:
        torch.save(torch.from_numpy(np.asarray(array)), path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float64"])
def test_read_array_reads_every_kind_of_file_as_bool(tmp_path, raster, ending, dtype):
    path = tmp_path / f"raster{ending}"
    save(path, raster.astype(dtype))
    array = read_array(path)
    assert array.dtype == bool
    assert np.array_equal(array, raster)


def test_read_array_does_not_mind_capitals_in_the_ending(tmp_path, raster):
    np.save(tmp_path / "raster.npy", raster)
    (tmp_path / "raster.npy").rename(tmp_path / "RASTER.NPY")
    assert np.array_equal(read_array(tmp_path / "RASTER.NPY"), raster)


def test_read_array_takes_the_named_one_of_several_in_an_npz(tmp_path, raster):
    np.savez(tmp_path / "both.npz", input=raster, target=~raster)
    assert np.array_equal(read_array(tmp_path / "both.npz", member="input"), raster)
    assert np.array_equal(read_array(tmp_path / "both.npz", member="target"), ~raster)


def test_read_array_lists_the_arrays_of_an_npz_without_the_named_one(tmp_path, raster, message_of):
    np.savez(tmp_path / "both.npz", one=raster, two=raster)
    message = message_of(read_array, tmp_path / "both.npz", member="input")
    assert "both.npz holds 2 arrays, ['one', 'two']; keep only one in it, or call one of them 'input'" in message
    assert message_of(read_array, tmp_path / "both.npz").endswith("keep only one in it")


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros(4), "shape [4]; allowed are two axes"),
        (np.zeros((2, 2, 2)), "shape [2, 2, 2]; allowed are two axes"),
        (np.zeros((0, 5)), "shape [0, 5]"),
        (np.array([[0, 1], [2, 0]]), "holds 2 at [1, 0]; allowed are 0 and 1 alone"),
        (np.array([[0, 0.5]]), "holds 0.5 at [0, 1]"),
        (np.array([[1, np.nan]]), "holds nan at [0, 1]"),
        (np.array([[1, -np.inf]]), "holds -inf at [0, 1]"),
        (np.array([[1, -1]]), "holds -1 at [0, 1]"),
        (np.array([[1 + 1e-12, 0]]), "holds 1.000000000001 at [0, 0]"),
        (np.array([["a", "b"]]), "type <U1; allowed are bool, integers and floats"),
        (np.array([[1j, 0]]), "type complex128"),
        (np.zeros((2, 2), dtype=[("x", "f4")]), "allowed are bool, integers and floats"),
        (np.zeros((2, 2), dtype="datetime64[s]"), "type datetime64[s]"),
    ],
)
def test_read_array_names_what_is_not_a_binary_raster(tmp_path, array, found, message_of):
    np.save(tmp_path / "raster.npy", array)
    message = message_of(read_array, tmp_path / "raster.npy")
    assert message.startswith(f"{tmp_path}/raster.npy holds ")
    assert found in message


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_read_array_never_unpickles_inside_numpy_files(tmp_path, ending, message_of):
    array = np.array([[{}]], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", array)
    assert "cannot be read as a numpy file (ValueError)" in message_of(read_array, tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [b"", b"\x00", b"hello, this is not an array", b"PK\x03\x04 no zip", b"\x80\x04."])
def test_read_array_names_a_file_that_is_empty_or_something_else(tmp_path, ending, content, message_of):
    path = tmp_path / f"raster{ending}"
    path.write_bytes(content)
    message = message_of(read_array, path)
    assert str(path) in message
    assert ("has 0 bytes" if not content else "save" if ending in (".npy", ".npz") else "Save it as .npy") in message


@pytest.mark.parametrize("ending", ENDINGS)
def test_read_array_names_a_truncated_file(tmp_path, raster, ending, message_of):
    path = tmp_path / f"raster{ending}"
    save(path, raster)
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in message_of(read_array, path)


def test_read_array_takes_no_other_endings(tmp_path, message_of):
    (tmp_path / "raster.csv").write_text("0,1")
    message = message_of(read_array, tmp_path / "raster.csv")
    assert "raster.csv ends in '.csv'; an array is read from a file ending in .npy .npz .pt" in message


@pytest.mark.parametrize("read", [read_array, lambda path: read_picture(path.with_suffix(".png"), 5, 7, 0.5)])
def test_readers_name_a_missing_file_and_where_they_looked(tmp_path, monkeypatch, read, message_of):
    monkeypatch.chdir(tmp_path)
    message = message_of(read, Path("missing.npy"))
    assert "does not exist" in message
    assert f"relative paths start at {tmp_path}" in message


def test_read_array_refuses_folders_and_pipes(tmp_path, message_of):
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("folder.npy", "pipe.npy"):
        assert f"{name} is a folder or a device, not a file" in message_of(read_array, tmp_path / name)


def test_read_array_names_a_path_that_no_file_can_have(tmp_path, message_of):
    assert "cannot be opened" in message_of(read_array, tmp_path / "a\0b.npy")
    assert "cannot be opened" in message_of(read_array, tmp_path / f"{'a' * 300}.npy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_read_array_names_a_file_without_permission(tmp_path, raster, message_of):
    np.save(tmp_path / "a.npy", raster)
    (tmp_path / "a.npy").chmod(0)
    assert "cannot be opened" in message_of(read_array, tmp_path / "a.npy")


def test_read_array_refuses_a_file_that_is_too_large_before_reading_it(tmp_path, message_of):
    with (tmp_path / "large.npy").open("wb") as file:
        file.truncate(guard.MAX_BYTES + 1)  # a hole: takes no room on the disk
    assert f"between 1 and {guard.MAX_BYTES} are read" in message_of(read_array, tmp_path / "large.npy")


@pytest.mark.parametrize("shape", ["(1099511627776, 1099511627776)", "(2147483648, 8)", "(-1, 5)", "(5, 1e3)"])
def test_read_array_refuses_a_header_that_promises_more_than_the_file_holds(tmp_path, shape, message_of):
    header = f"{{'descr': '|b1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    assert "cannot be read as a numpy file" in message_of(read_array, tmp_path / "a.npy")


@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_read_array_refuses_a_zip_bomb(tmp_path, monkeypatch, ending, message_of):
    monkeypatch.setattr(guard, "MAX_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / f"bomb{ending}", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(200_000))
    assert (tmp_path / f"bomb{ending}").stat().st_size < 1000
    assert "too large" in message_of(read_array, tmp_path / f"bomb{ending}")


def test_read_array_refuses_more_elements_than_the_limit(tmp_path, raster, monkeypatch, message_of):
    monkeypatch.setattr(files, "MAX_ELEMENTS", 34)
    np.save(tmp_path / "a.npy", raster)
    assert "1 to 34 elements" in message_of(read_array, tmp_path / "a.npy")


@pytest.mark.parametrize("ending", [".png", ".bmp", ".gif"])
def test_read_picture_sets_the_bright_pixels(tmp_path, raster, ending):
    Image.fromarray(raster.astype(np.uint8) * 255).save(tmp_path / f"a{ending}")
    assert np.array_equal(read_picture(tmp_path / f"a{ending}", height=5, width=7, threshold=0.5), raster)


@pytest.mark.parametrize("ending", [".jpg", ".jpeg"])
def test_read_picture_reads_jpeg_and_stretches_to_the_size(tmp_path, raster, ending):
    large = np.kron(raster, np.ones((16, 8))).astype(np.uint8) * 255
    Image.fromarray(large).save(tmp_path / f"a{ending}")
    assert np.array_equal(read_picture(tmp_path / f"a{ending}", height=5, width=7, threshold=0.5), raster)


def test_read_picture_is_strict_at_the_threshold(tmp_path):
    Image.fromarray(np.array([[0, 50, 51, 52, 255]], dtype=np.uint8)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", height=1, width=5, threshold=51 / 255)
    assert picture.tolist() == [[False, False, False, True, True]]


def test_read_picture_scales_sixteen_bits_a_pixel(tmp_path):
    Image.fromarray(np.array([[0, 256, 30000, 36000, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", 1, 5, threshold=0.5).tolist() == [[False, False, False, True, True]]


def test_read_picture_takes_transparent_parts_as_black(tmp_path):
    pixels = np.array([[[255, 255, 255, 0], [255, 255, 255, 255], [255, 255, 255, 100]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", 1, 3, threshold=0.5).tolist() == [[False, True, False]]


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA"])
def test_read_picture_reads_every_colour_mode(tmp_path, raster, mode):
    Image.fromarray(raster.astype(np.uint8) * 255).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png", 5, 7, threshold=0.5), raster)


def test_read_picture_turns_a_photograph_upright(tmp_path, raster):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn clockwise to view
    Image.fromarray(np.rot90(raster).astype(np.uint8) * 255).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png", 5, 7, threshold=0.5), raster)


def test_read_picture_refuses_a_decompression_bomb(tmp_path, monkeypatch, message_of):
    Image.new("1", (300, 300)).save(tmp_path / "a.png")
    for limit in (60_000, 40_000):  # PIL warns above its limit and raises above twice of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert "a.png cannot be read as a picture (DecompressionBomb" in message_of(
            read_picture, tmp_path / "a.png", 5, 5, 0.5
        )


@pytest.mark.parametrize("content", [b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_read_picture_names_a_file_that_is_no_picture(tmp_path, content, message_of):
    (tmp_path / "a.png").write_bytes(content)
    message = message_of(read_picture, tmp_path / "a.png", 5, 7, 0.5)
    assert f"{tmp_path}/a.png cannot be read as a picture" in message
    assert "save it again as a smaller .png" in message


def test_read_picture_takes_no_other_endings(tmp_path, message_of):
    assert "ends in '.svg'; a picture is read from a file ending in .png .jpg" in message_of(
        read_picture, tmp_path / "a.svg", 5, 7, 0.5
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((16, 1024, 1024), np.uint8), "shape [16, 1024, 1024]; allowed are two axes"),
        (np.zeros((4096, 4096), np.uint8), "shape [4096, 4096]; a target has"),
        (np.zeros(2**22, "U1"), "type <U1"),
    ],
)
def test_array_that_is_not_wanted_is_refused_before_it_is_unpacked(tmp_path, array, message, message_of):
    np.savez_compressed(tmp_path / "a.npz", array)
    sizes = {"num_steps": 60, "num_inputs": 50, "num_outputs": 40}
    options = {"density": 1.0, "threshold": 0.5, "seed": 0}
    del array
    tracemalloc.start()
    found = message_of(load_pattern, input=None, target=str(tmp_path / "a.npz"), **sizes, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in found
    assert peak < 5e6


def test_array_whose_header_is_not_that_of_its_bytes_is_refused(tmp_path, raster, message_of):
    buffer = io.BytesIO()
    np.save(buffer, raster)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue() + b"more")
    assert "cannot be read as a numpy file (ValueError)" in message_of(read_array, tmp_path / "a.npz")
