"""Every way in which the .npz of dataset=arrays and dataset=array_maps can be wrong, and what is said of it."""

import io
import math
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import lists, pixels, rasters, write

from qsnn.data.formats import npz
from qsnn.data.sources.arrays import ArrayMapsOption, ArraysOption
from qsnn.errors import ConfigError, DataError

MessageOf = Callable[..., str]


@pytest.fixture
def refusal(source_of: Callable[..., Any], message_of: MessageOf) -> Callable[..., str]:
    """The message by which a file with these arrays is refused, which must name the file."""

    def refuse(arrays: dict[str, Any], option: type = ArraysOption, **keys: Any) -> str:
        message = message_of(lambda: list(source_of(arrays, option, **keys).recordings()))
        assert "own.npz" in message
        return message

    return refuse


def test_missing_file_is_told(tmp_path: Path, message_of: MessageOf) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.file=null is not possible: give a \.npz"):
        ArraysOption().source()
    assert "none.npz is not a file" in message_of(ArraysOption(file=str(tmp_path / "none.npz")).source)
    assert "is not a file" in message_of(ArraysOption(file=str(tmp_path)).source)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lables": np.zeros(3)}, "it holds 'lables.npy', which means nothing here; known are labels, classes"),
        ({"times": None, "offsets": None}, "it has neither spikes nor times"),
        ({"num_units": None}, "a file of labels, times, units, num_units lacks num_units"),
        ({"labels": None}, "lacks labels"),
        ({"step": 0.001}, "has step too, which does not go with them"),
        ({"offsets": None}, "it needs offsets or index, one of them"),
        ({"index": np.zeros(4, int)}, "it needs offsets or index, one of them"),
        ({"x": np.zeros(4, int)}, "x belongs to dataset=array_maps, chosen is dataset=arrays"),
        ({"labels": np.zeros((3, 1), int)}, "labels has shape [3, 1], expected (N,)"),
        ({"labels": np.zeros(0, int)}, "labels has shape [0], expected (N,)"),
        ({"labels": np.zeros(3)}, "labels has values of type float64, allowed are integers"),
        ({"labels": np.array([0, -1, 0])}, "labels[1] is -1; allowed are 0..3999"),
        ({"labels": np.array([0, 10**9, 0])}, "labels[1] is 1000000000; allowed are 0..3999"),
        ({"classes": np.array(["a"])}, "labels[1] is 1; allowed are 0..0, a place in classes"),
        ({"classes": np.array(["a", "a"])}, "classes has 2 names, 1 different ones; allowed are 1 to 4000 different"),
        ({"classes": np.array(["a", "b\n"])}, r"classes has 'b\n'; allowed are"),
        ({"classes": np.array(["a", "b" * 41])}, "printable names of 1 to 40 characters"),
        ({"classes": np.array(["a", ""])}, "classes has ''"),
        ({"classes": np.array([[1, 2]])}, "classes has values of type int64, allowed are text"),
        ({"classes": np.array([["a", "b"]])}, "classes has shape [1, 2], expected (K,)"),
        ({"groups": np.array(["a", "b"])}, "groups has shape [2], expected [3]: labels has 3 samples"),
        ({"is_test": np.array([0, 2, 1])}, "is_test[1] is 2; allowed are 0 and 1"),
        ({"is_test": np.zeros(3, bool)}, "is_test marks no sample; mark some, or leave it out"),
        ({"is_test": np.ones(3, bool)}, "is_test marks every sample"),
        (
            {"is_test": np.array([0, 1, 1]), "groups": np.array(["ann", "bob", "ann"])},
            "is_test parts group 'ann'; samples of a group, such as a person, must be all for testing or all not",
        ),
        ({"times": np.array([0, -0.1, 0, 0])}, "times[1] is -0.1; allowed are 0 to 4294.97 s, which dataset.time_unit"),
        ({"times": np.array([0, math.nan, 0, 0])}, "times[1] is nan"),
        ({"times": np.array([0, math.inf, 0, 0])}, "times[1] is inf"),
        ({"times": np.array([0, 2000, 10_000, 0])}, "times[2] is 10000; allowed are 0 to 4294.97 s"),
        ({"times": np.zeros((4, 1))}, "times has shape [4, 1], expected (E,)"),
        ({"times": np.zeros(3)}, "units has shape [4], expected [3]"),
        ({"units": np.array([0, 5, 0, 0])}, "units[1] is 5; allowed are 0..4, as num_units says"),
        ({"units": np.array([0, -1, 0, 0])}, "units[1] is -1"),
        ({"units": np.zeros(4)}, "units has values of type float64, allowed are integers"),
        ({"num_units": np.array([5])}, "num_units has shape [1], expected []"),
        ({"num_units": 0}, "its spikes lie on 1 x 0 places"),
        ({"num_units": 40_000}, "its spikes lie on 1 x 40000 places; each side is 1 to 32767"),
        ({"offsets": np.array([0, 2, 4])}, "offsets has shape [3], expected [4]"),
        ({"offsets": np.array([0, 3, 2, 4])}, "offsets do not go from 0 up to 4, the number of events"),
        ({"offsets": np.array([1, 2, 2, 4])}, "offsets do not go from 0 up to 4"),
        ({"offsets": np.array([0, 2, 9, 4])}, "offsets[2] is 9; allowed are 0..4"),
        ({"offsets": np.array([0, 2, 2**64 - 1, 4], np.uint64)}, "offsets[2] is 18446744073709551615"),
        ({"offsets": None, "index": np.array([0, 0, 3, 2])}, "index[2] is 3; allowed are 0..2, a sample"),
        ({"times": np.zeros(0), "units": np.zeros(0, int), "offsets": np.zeros(4, int)}, "there is not one spike"),
        ({"units": np.array([{}, 1, 2, 3], dtype=object)}, "units: an array of shape (4,) and type object"),
        ({"times": np.zeros(4, complex)}, "times has values of type complex128, allowed are"),
    ],
)
def test_list_of_events_is_refused_with_its_reason(changes: dict, message: str, refusal: Callable[..., str]) -> None:
    assert message in refusal(lists(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.array([0, 4, 0, 0])}, "x[1] is 4; allowed are 0..3, as sensor says"),
        ({"y": np.array([0, 0, 3, 0])}, "y[2] is 3; allowed are 0..2"),
        ({"polarity": np.array([1, -1, 1, 1])}, "polarity[1] is -1; allowed are 0 and 1"),
        ({"sensor": np.array([3, 4, 1])}, "sensor has shape [3], expected [2]"),
        ({"sensor": np.array([30_000, 30_000])}, "both together make at most 4194304"),
        ({"units": np.zeros(4, int)}, "units belongs to dataset=arrays, chosen is dataset=array_maps"),
        ({"y": None}, "a file of labels, times, x, y, sensor lacks y"),
    ],
)
def test_list_of_pixels_is_refused_with_its_reason(changes: dict, message: str, refusal: Callable[..., str]) -> None:
    assert message in refusal(pixels(**changes), ArrayMapsOption)


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [
        (ArraysOption, {"spikes": np.ones((10, 6))}, "spikes has shape [10, 6], expected (N, T, C) with N = 10"),
        (ArraysOption, {"spikes": np.ones((9, 6, 4))}, "expected (N, T, C) with N = 10"),
        (ArraysOption, {"spikes": np.ones((10, 0, 4))}, "expected (N, T, C) with N = 10"),
        (ArraysOption, {"spikes": np.ones((10, 6, 2, 3, 3))}, "(N, T, C, H, W) is dataset=array_maps"),
        (ArrayMapsOption, {"spikes": np.ones((10, 6, 4))}, "(N, T, C) is dataset=arrays"),
        (ArrayMapsOption, {"spikes": np.ones((10, 6, 3, 2, 2))}, "expected (N, T, C, H, W) with C of 1, or of 2, ON"),
        (ArraysOption, {"spikes": np.full((10, 6, 4), 2)}, "spikes[0][0, 0] is 2; allowed are 0 and 1"),
        (ArraysOption, {"spikes": np.full((10, 6, 4), 0.5)}, "spikes[0][0, 0] is 0.5; allowed are 0 and 1"),
        (ArraysOption, {"spikes": np.full((10, 6, 4), math.nan)}, "spikes[0][0, 0] is nan"),
        (ArraysOption, {"spikes": np.zeros((10, 6, 4))}, "there is not one spike in it"),
        (ArraysOption, {"step": 0.0}, "step is 0 s; allowed are a whole number of microseconds"),
        (ArraysOption, {"step": 1.5e-6}, "step is 1.5e-06 s; allowed are a whole number of microseconds"),
        (ArraysOption, {"step": math.nan}, "step is nan s"),
        (ArraysOption, {"step": 1000.0}, "and 6 of them at most 4294.97 s"),
        (ArraysOption, {"times": np.zeros(4)}, "a file of labels, spikes and step has times too"),
    ],
)
def test_raster_is_refused_with_its_reason(
    option: type, changes: dict, message: str, refusal: Callable[..., str]
) -> None:
    assert message in refusal({**rasters(), **changes}, option)


def test_nothing_is_left_of_a_refused_file(tmp_path: Path) -> None:
    arrays = rasters()
    arrays["spikes"] = arrays["spikes"].astype(int)
    arrays["spikes"][9, 5, 3] = 7
    option = ArraysOption(cache=str(tmp_path / "cache"), file=str(write(tmp_path / "own.npz", arrays)))
    with pytest.raises(DataError, match=r"spikes\[9\]\[5, 3\] is 7"):
        option.prepare(progress=False)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_sizes_are_known_before_anything_is_unpacked(
    tmp_path: Path, message_of: MessageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb: a kilobyte that unpacks to a million zeros, with the limit brought down to a tenth of that."""
    np.savez_compressed(tmp_path / "own.npz", **{**rasters(), "spikes": np.zeros((10, 1000, 100), np.uint8)})
    monkeypatch.setattr(npz, "MAX_BYTES", 100_000)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("an array was read"))
    message = message_of(ArraysOption(file=str(tmp_path / "own.npz")).source)
    assert "spikes has shape [10, 1000, 100] and type uint8; at most 100000 bytes are read" in message


def test_header_that_promises_more_than_the_file_has_is_refused(tmp_path: Path, message_of: MessageOf) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 9)})
    np.savez(tmp_path / "own.npz", labels=np.zeros(3, int), step=0.001)
    with zipfile.ZipFile(tmp_path / "own.npz", "a") as archive:
        archive.writestr("spikes.npy", content.getvalue())
    message = message_of(ArraysOption(file=str(tmp_path / "own.npz")).source)
    assert "spikes: an array of shape (1000000, 1000000, 9) and type uint8 is not what the file holds" in message


def test_array_that_is_there_twice_is_refused(tmp_path: Path, message_of: MessageOf) -> None:
    write(tmp_path / "own.npz", rasters())
    with zipfile.ZipFile(tmp_path / "own.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("labels.npy", b"")
    assert "it holds labels twice" in message_of(ArraysOption(file=str(tmp_path / "own.npz")).source)


def test_other_kind_of_file_is_refused(tmp_path: Path, message_of: MessageOf) -> None:
    np.save(tmp_path / "own.npy", np.zeros(3))
    assert "cannot be read as a .npz of arrays" in message_of(ArraysOption(file=str(tmp_path / "own.npy")).source)


def test_file_cut_short_is_refused_wherever_it_ends(tmp_path: Path, message_of: MessageOf) -> None:
    data = write(tmp_path / "own.npz", lists()).read_bytes()
    option = ArraysOption(file=str(tmp_path / "own.npz"))
    for end in range(0, len(data), 37):
        (tmp_path / "own.npz").write_bytes(data[:end])
        assert "own.npz" in message_of(option.source)


def outcome(path: Path) -> str:
    """The message by which a file is refused, or "" for one whose events are in time."""
    try:
        recordings = list(ArraysOption(file=str(path)).source().recordings())
    except DataError as error:
        return str(error)
    assert all((recording.events.t >= 0).all() for recording in recordings)
    return ""


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_files_give_events_or_one_line(save: Callable, tmp_path: Path) -> None:
    path, rng = tmp_path / "own.npz", random.Random(0)
    save(path, **lists(classes=np.array(["a", "b"]), groups=np.array(["x", "y", "z"])))
    data = path.read_bytes()
    messages = []
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 4])):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        messages.append(outcome(path))
    assert not any("\n" in message for message in messages)
    assert sum(message != "" for message in messages) > 250
