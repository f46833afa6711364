"""Damaged and hostile HDF5 files in the place of the Heidelberg data sets: each named in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heidelberg_files import STORAGES, Message, arrays, h5py, trains, write, write_shd

from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.formats.spikes_hdf5 import read_spikes
from qsnn.data.sources.shd import SHD, HeidelbergSpikes


def all_missing(file: Any) -> None:
    del file["spikes"]


def not_a_group(file: Any) -> None:
    del file["spikes"]
    file["spikes"] = np.zeros(3)


def replaced(name: str, values: Any, **how: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, data=values, **how)

    return change


def vlen(name: str, kind: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        arrays(file, name, [np.arange(3).astype(kind)] * 5)

    return change


def entry(name: str, index: int, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[name][index] = value

    return change


def link(name: str, target: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file[name] = target

    return change


def virtual(file: Any) -> None:
    del file["labels"]
    layout = h5py.VirtualLayout((5,), "i4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "labels", (5,))
    file.create_virtual_dataset("labels", layout)


def declared(name: str, shape: tuple[int, ...], kind: Any, **how: Any) -> Callable[[Any], None]:
    """An array that is declared, but never written."""

    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, shape, kind, **how)

    return change


TIMES = h5py.vlen_dtype(np.dtype("f4"))


DAMAGE: list[tuple[Callable[[Any], None], str]] = [
    (all_missing, "has no spikes/times, expected one; at its top it has extra, labels; download it again"),
    (not_a_group, "has no spikes/times, expected one; at its top it has extra, labels, spikes"),
    (lambda file: file["spikes"].pop("units"), "has no spikes/units, expected one"),
    (lambda file: file.pop("labels"), "has no labels, expected one"),
    (lambda file: file.pop("extra"), "has no extra/speaker, expected one"),
    (replaced("spikes/times", np.zeros((5, 3))), "spikes/times is an array of shape (5, 3), expected one of one axis"),
    (replaced("spikes/times", np.zeros(5)), "spikes/times is of type float64, expected variable-length arrays of floats"),
    (replaced("spikes/units", ["a"] * 5), "spikes/units is of type object, expected variable-length arrays of integers"),
    (vlen("spikes/times", "i4"), "spikes/times is variable-length arrays of int32, expected variable-length arrays of floats"),
    (vlen("spikes/units", "f4"), "spikes/units is variable-length arrays of float32, expected variable-length arrays of int"),
    (replaced("labels", np.zeros(5)), "labels is of type float64, expected integers"),
    (replaced("labels", np.zeros((), "i4")), "labels is an array of shape (), expected one of one axis"),
    (replaced("extra/speaker", [b"ann"] * 5), "extra/speaker is of type object, expected integers"),
    (replaced("labels", np.zeros(4, "i4")), "has 5 spikes/times, 5 spikes/units, 4 labels, 5 extra/speaker, expected as many"),
    (entry("labels", 3, 20), "recording 3: its label is 20, expected 0..19"),
    (replaced("labels", np.array([0, -1, 0, 0, 0])), "recording 1: its label is -1, expected 0..19"),
    (entry("spikes/units", 2, np.array([700], "u2")), " units, expected as many"),
    (vlen("spikes/units", "u1"), "recording 0: 0 times and 3 units, expected as many"),
    (link("labels", h5py.ExternalLink("/etc/passwd", "labels")), "labels is a link to somewhere else, expected the array"),
    (link("spikes", h5py.SoftLink("/extra")), "spikes/times is a link to somewhere else"),
    (virtual, "labels is kept in another file, expected the array itself"),
    (replaced("labels", np.zeros(5, "i4"), external=[("no.bin", 0, 20)]), "labels is kept in another file"),
    (declared("spikes/times", (2**40,), TIMES, chunks=(8,)), "spikes/times declares 1099511627776 recordings, at most 1048576"),
    (declared("labels", (2**50,), "i4", chunks=(8,)), "labels declares 1125899906842624 recordings, at most 1048576 are read"),
    (declared("labels", (5,), "S1000000000"), "labels has entries of |S1000000000 in chunks of None: too large"),
    (declared("labels", (5,), "i4", chunks=(2**28,), maxshape=(None,)), "int32 in chunks of (268435456,): too"),
    (declared("spikes/times", (5,), TIMES), "recording 1: 0 times and "),
    (declared("spikes/times", (0,), TIMES), "has 0 spikes/times, 5 spikes/units"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "message"), DAMAGE)
def test_read_spikes_names_what_is_wrong_in_a_file(
    tmp_path: Path, change: Callable[[Any], None], message: str, message_of: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.h5", trains(0, 5), [0, 1, 2, 3, 4], [1] * 5)
    with h5py.File(path, "r+") as file:
        change(file)
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=True)))
    assert message in said
    assert str(path) in said


VALUES = [
    ([0.5, np.nan], [1, 2], "recording 1: a spike at nan s, expected 0..1000 s"),
    ([-0.001, 0.5], [1, 2], "a spike at -0.001"),
    ([0.5, np.inf], [1, 2], "a spike at inf s"),
    ([0.5, 1001.0], [1, 2], "a spike at 1001.0 s"),
    ([0.5, 0.6], [1, 700], "recording 1: a spike of unit 700, expected 0..699"),
    ([0.5, 0.6], [-1, 2], "recording 1: a spike of unit -1, expected 0..699"),
]  # fmt: skip


@pytest.mark.parametrize(("times", "units", "message"), VALUES)
def test_read_spikes_refuses_times_and_units_that_cannot_be(
    tmp_path: Path, times: list[float], units: list[int], message: str, message_of: Message
) -> None:
    good = (np.array([0.1], "f4"), np.array([3], "i4"))
    path = write(tmp_path / "x.h5", [good, (np.array(times, "f4"), np.array(units, "i4"))], [0, 1], None)
    assert message in message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))


@pytest.mark.parametrize("storage", STORAGES[:2])
@pytest.mark.parametrize("length", [2**32 - 1, 10**6, 7])
def test_read_spikes_refuses_lengths_that_the_file_cannot_hold(
    tmp_path: Path, storage: dict[str, Any], length: int, message_of: Message
) -> None:
    """The library would allocate 4 times 2^32 bytes for the first of these, and fill them, before it finds out."""
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None, **storage)
    data = bytearray(path.read_bytes())
    for name in ("spikes/times", "spikes/units"):
        with h5py.File(path) as file:
            entry = file[name]
            where = entry.id.get_offset() if not storage else entry.id.get_chunk_info(0).byte_offset
        data[where + 16 : where + 20] = length.to_bytes(4, "little")
    path.write_bytes(data)
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert (
        "spikes, which do not fit into its " if length > 7 else "an array of 7 times 2 bytes is said to be object"
    ) in said


def test_read_spikes_refuses_filters_that_it_cannot_look_through(tmp_path: Path, message_of: Message) -> None:
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None, chunks=(5,), compression="lzf")
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert "/spikes/times is packed by filters [32000] of HDF5; only gzip is read: write it without them" in said


def test_read_spikes_refuses_what_is_no_hdf5_or_cut_short(tmp_path: Path, message_of: Message) -> None:
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None)
    data = path.read_bytes()
    for content, message in (
        (b"", "x.h5 has 0 bytes"),
        (b"\x1f\x8b gzip", "x.h5 cannot be read as HDF5 (OSError)"),
        (data[: len(data) // 2], "x.h5 cannot be read as HDF5 (OSError)"),
        (bytes(512) + data, "x.h5 begins with 512 bytes that are not HDF5"),
    ):
        path.write_bytes(content)
        assert message in message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert "is no file" in message_of(lambda: list(read_spikes(tmp_path, 700, 20, speakers=False)))


def test_shd_leaves_no_cache_of_a_broken_file_and_another_of_a_changed_one(tmp_path: Path, message_of: Message) -> None:
    write_shd(tmp_path)
    first = HeidelbergSpikes(tmp_path, SHD).fingerprint()
    shutil.copy(tmp_path / "shd_train.h5", tmp_path / "whole.h5")
    (tmp_path / "shd_train.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:3000])
    assert HeidelbergSpikes(tmp_path, SHD).fingerprint() != first
    message_of(prepare_dataset, HeidelbergSpikes(tmp_path, SHD), tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").glob("shd*"))
