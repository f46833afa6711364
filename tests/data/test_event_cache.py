"""The cache: what goes in comes out, when it is made again, and what a stop, a full disk or damage leave."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_builders import ListSource, prepared, random_events, same_events, write_gestures, write_nmnist, write_poker
from event_caches import Message, caches, entries

from qsnn.data.events.dataset import ADDRESS, HEADER, RECORDINGS, TIME, open_dataset
from qsnn.data.events.prepare import prepare_dataset, user_cache
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.dvs_gesture import DVSGesture
from qsnn.data.sources.nmnist import NMNIST
from qsnn.data.sources.slow_poker import AEDAT2Options, Cutting, SlowPoker
from qsnn.errors import DataError

FILES = [HEADER, TIME, ADDRESS, RECORDINGS]


@pytest.mark.parametrize(
    ("write", "make"),
    [
        (write_gestures, DVSGesture),
        (write_nmnist, NMNIST),
        (write_poker, lambda root: SlowPoker(root, Cutting(), AEDAT2Options())),
    ],
)
def test_dataset_holds_what_the_source_yields(tmp_path: Path, write: Callable, make: Callable) -> None:
    write(tmp_path)
    source = make(tmp_path)
    dataset = prepare_dataset(source, progress=False)
    recordings = list(source.recordings())
    assert dataset.num_recordings == len(recordings) == len(source)
    assert (dataset.name, dataset.classes) == (source.name, source.classes)
    assert (dataset.sensor, dataset.in_time) == (source.sensor, source.in_time)
    assert dataset.labels.dtype == np.int64
    for index, recording in enumerate(recordings):
        assert same_events(dataset.events(index), recording.events)
        assert dataset.durations[index] == recording.events.t[-1] + 1
        facts = (dataset.names[index], dataset.labels[index], dataset.groups[index], dataset.is_test[index])
        assert facts == (recording.name, recording.label, recording.group, recording.is_test)


def test_dataset_reads_its_events_from_the_disk_when_they_are_asked_for(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, entries())
    assert isinstance(dataset.time, np.memmap)
    assert isinstance(dataset.address, np.memmap)
    assert dataset.address.dtype == np.uint16
    assert np.shares_memory(dataset.raw(2)[0], dataset.time)


def test_dataset_of_a_large_sensor_and_of_recordings_without_events(tmp_path: Path) -> None:
    corner = Events(
        np.array([0, 2**32 - 1]), np.array([639, 0], np.int16), np.array([479, 0], np.int16), np.ones(2, bool)
    )
    nothing = random_events(0, 0)
    recordings = [Recording("a", 0, "g", False, nothing), Recording("b", 1, "g", True, corner)]
    dataset = prepared(tmp_path, recordings, sensor=(480, 640))
    assert same_events(dataset.events(1), corner)
    assert same_events(dataset.events(0), nothing)
    assert dataset.durations.tolist() == [0, 2**32]


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 10**6), (250_000, 500_000), (-5, 1), (999_999, 2**40), (7, 7)]
)
def test_raw_gives_the_events_of_a_time_window(tmp_path: Path, start: int, end: int | None) -> None:
    dataset = prepared(tmp_path, entries())
    t = dataset.events(3).t
    time_in_window = dataset.raw(3, start, end)[0]
    assert np.array_equal(time_in_window, t[(t >= start) & (t < (2**40 if end is None else end))])


def test_prepare_opens_the_cache_that_is_there(tmp_path: Path) -> None:
    write_nmnist(tmp_path)
    first = prepare_dataset(NMNIST(tmp_path), progress=False)
    stamp = (first.folder / HEADER).stat().st_mtime_ns
    second = prepare_dataset(NMNIST(tmp_path), progress=False)
    assert second.folder == first.folder
    assert (second.folder / HEADER).stat().st_mtime_ns == stamp


def test_prepare_makes_another_cache_when_a_file_or_an_option_changes(tmp_path: Path) -> None:
    write_poker(tmp_path)
    first = prepare_dataset(SlowPoker(tmp_path, Cutting(), AEDAT2Options()), progress=False)
    other = prepare_dataset(SlowPoker(tmp_path, Cutting(), AEDAT2Options(mirror_x=True)), progress=False)
    assert np.array_equal(other.events(0).x, 127 - first.events(0).x)
    (tmp_path / "slow_clubs_1.aedat").write_bytes((tmp_path / "slow_hearts_1.aedat").read_bytes())
    changed = prepare_dataset(SlowPoker(tmp_path, Cutting(), AEDAT2Options()), progress=False)
    assert same_events(changed.events(0), first.events(int(np.argmax(first.labels == 2))))
    assert first.folder.parent == changed.folder.parent
    assert len({first.folder, other.folder, changed.folder}) == 3


def test_fingerprint_of_a_dataset_tells_its_content_not_its_place(tmp_path: Path) -> None:
    one, other = prepared(tmp_path / "a", entries()), prepared(tmp_path / "b", entries())
    assert one.fingerprint == other.fingerprint
    changed = [entry._replace(label=0) for entry in entries()]
    assert prepared(tmp_path / "c", changed).fingerprint != one.fingerprint


def test_cache_lies_where_it_is_told_or_with_the_user_and_never_in_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = NMNIST(tmp_path / "data")
    write_nmnist(source.root, 1, 1)
    before = sorted(source.root.rglob("*"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("QSNN_CACHE", str(tmp_path / "own"))
    assert prepare_dataset(source, tmp_path / "told", progress=False).folder.parent == tmp_path / "told"
    assert prepare_dataset(source, progress=False).folder.parent == tmp_path / "own"
    monkeypatch.delenv("QSNN_CACHE")
    assert prepare_dataset(source, progress=False).folder.parent == tmp_path / "xdg" / "qsnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification tells to ignore
    assert prepare_dataset(source, progress=False).folder.parent == tmp_path / "home" / ".cache" / "qsnn"
    assert sorted(source.root.rglob("*")) == before


def test_cache_of_older_versions_beside_the_data_is_neither_read_nor_written(tmp_path: Path) -> None:
    write_nmnist(tmp_path, 1, 1)
    source = NMNIST(tmp_path)
    old = prepare_dataset(source, tmp_path / ".qsnn_cache", progress=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert prepare_dataset(source, progress=False).folder.parent != old.folder.parent
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_log_says_where_the_prepared_recordings_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_nmnist(tmp_path / "data", 1, 1)
    with caplog.at_level("INFO", "qsnn"):
        folders = [prepare_dataset(NMNIST(tmp_path / "data"), tmp_path / "there", progress=False).folder for _ in "ab"]
    assert caplog.messages == [
        f"nmnist: preparing the recordings, once, in {folders[0]}", f"nmnist: prepared recordings are in {folders[0]}"
    ]  # fmt: skip


def test_missing_home_folder_is_told_with_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message_of: Message
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("QSNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    message = message_of(prepare_dataset, ListSource(entries()), progress=False)
    assert message.startswith("no folder for prepared recordings (Could not determine home directory.)")
    assert "dataset.cache=..., or in QSNN_CACHE" in message


def test_prepare_says_where_it_cannot_write(tmp_path: Path, message_of: Message) -> None:
    (tmp_path / "file").write_text("")
    message = message_of(prepare_dataset, ListSource(entries()), tmp_path / "file", progress=False)
    assert f"the cache {tmp_path}/file/listed-" in message
    assert "dataset.cache=..." in message


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "empty", "zeros"])
def test_prepare_makes_a_damaged_cache_again(tmp_path: Path, name: str, damage: str) -> None:
    dataset = prepared(tmp_path, entries())
    path = dataset.folder / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 8
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": content[:-3], "empty": b"", "flip": content, "zeros": bytes(len(content))}[damage])
    with pytest.raises(DataError, match=str(dataset.folder)):
        open_dataset(dataset.folder)
    again = prepare_dataset(ListSource(entries()), tmp_path, progress=False)
    assert again.folder == dataset.folder
    assert same_events(again.events(1), entries()[1].events)
    assert caches(tmp_path) == [dataset.folder]


def test_open_refuses_a_header_of_another_version_or_kind(tmp_path: Path, message_of: Message) -> None:
    header = prepared(tmp_path, entries()).folder / HEADER
    content = json.loads(header.read_text())
    for text, message in {
        json.dumps({**content, "version": 0}): "it has version 0, expected 1",
        json.dumps({**content, "name": "other"}): "its checksum is another",
        "[1, 2]": "it is no header of a cache (AttributeError)",
        "{}": "it is no header of a cache (KeyError)",
        "[" * 100_000: "it is no header of a cache (RecursionError)",
        "\x00": "it is no header of a cache (JSONDecodeError)",
    }.items():
        header.write_text(text)
        assert message in message_of(open_dataset, header.parent)
    assert "is not a prepared data set" in message_of(open_dataset, tmp_path / "none")


WRONG = {
    "outside of the sensor": lambda e: e._replace(x=e.x + np.int16(100)),
    "times start below 0 or go backward": lambda e: e._replace(t=e.t[::-1].copy()),
    "times start below 0": lambda e: e._replace(t=e.t - 10**7),
    "expected at most 4294.97 s": lambda e: e._replace(t=e.t + 2**32),
    "expected one length": lambda e: e._replace(x=e.x[1:]),
}


@pytest.mark.parametrize("message", WRONG)
def test_prepare_refuses_recordings_that_break_the_promise(tmp_path: Path, message: str, message_of: Message) -> None:
    recordings = entries()
    recordings[2] = recordings[2]._replace(events=WRONG[message](recordings[2].events))
    found = message_of(prepare_dataset, ListSource(recordings), tmp_path, progress=False)
    assert "data set listed, recording r2" in found
    assert message in found
    assert caches(tmp_path) == []


def test_prepare_refuses_a_source_without_events(tmp_path: Path, message_of: Message) -> None:
    recordings = [Recording("a", 0, "a", False, random_events(0, 0))]
    assert "has no events" in message_of(prepare_dataset, ListSource(recordings), tmp_path, progress=False)


def test_prepare_leaves_nothing_when_a_source_file_is_broken(tmp_path: Path, message_of: Message) -> None:
    write_nmnist(tmp_path)
    broken = tmp_path / "Test" / "9" / "00009.bin"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert str(broken) in message_of(prepare_dataset, NMNIST(tmp_path), progress=False)
    assert caches(user_cache()) == []


def test_prepare_shows_progress_only_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_dataset(ListSource(entries()), tmp_path / "a", progress=True)
    assert "preparing listed: 100%" in capsys.readouterr().err
    prepare_dataset(ListSource(entries()), tmp_path / "b", progress=False)
    assert capsys.readouterr().err == ""
