"""The cache: what goes in comes out, when it is made again, and what a stop, a full disk or damage leave."""

import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from event_builders import ListSource, prepared, random_events, same_events, write_gestures, write_nmnist, write_poker

from qsnn.data.events import batches as event_batches
from qsnn.data.events import dataset as event_dataset
from qsnn.data.events.dataset import ADDRESS, HEADER, RECORDINGS, TIME, file_checksum, open_dataset
from qsnn.data.events.prepare import prepare_dataset, user_cache
from qsnn.data.events.windows import WindowSettings
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.dvs_gesture import DVSGesture
from qsnn.data.sources.nmnist import NMNIST
from qsnn.data.sources.slow_poker import AEDAT2Options, Cutting, SlowPoker
from qsnn.errors import DataError

Message = Callable[..., str]
FILES = [HEADER, TIME, ADDRESS, RECORDINGS]


def caches(folder: Path) -> list[Path]:
    """What a folder of caches holds, but for locks."""
    return sorted(path for path in folder.iterdir() if path.suffix != ".lock")


def entries(number: int = 6) -> list[Recording]:
    return [Recording(f"r{i}", i % 3, f"g{i % 2}", i > 3, random_events(i, 40 + i)) for i in range(number)]


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


class Slow(ListSource):
    """A source that tells when it begins and, if it shall hold, when it is half through, where it waits for good."""

    def __init__(self, hold: bool, channel: Connection) -> None:
        super().__init__([Recording(f"r{i}", i % 3, "g", False, random_events(i, 1000)) for i in range(10)])
        self._hold, self._channel = hold, channel

    def recordings(self) -> Iterator[Recording]:
        self._channel.send("begins")
        for number, recording in enumerate(super().recordings()):
            if self._hold and number == 5:
                self._channel.send("half")
                self._channel.recv()
            time.sleep(0.02)
            yield recording


def prepare_slowly(folder: Path, hold: bool, most_bytes: int | None, channel: Connection) -> None:
    """What each process of the tests below does: tell when it begins, and the fingerprint or the error at the end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs with SIGINT ignored
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        channel.send(prepare_dataset(Slow(hold, channel), folder, progress=False).fingerprint)
    except DataError as error:
        channel.send(str(error))


def start(folder: Path, hold: bool = False, most_bytes: int | None = None) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")  # quick: what is imported stays imported
    ours, theirs = context.Pipe()
    process = context.Process(target=prepare_slowly, args=(folder, hold, most_bytes, theirs))
    process.start()
    theirs.close()
    return process, ours


def everything(process: BaseProcess, channel: Connection) -> list[str]:
    """What a process tells until it ends."""
    told = []
    try:
        while channel.poll(60):
            told.append(channel.recv())
    except EOFError:
        process.join(60)
    return told


def test_processes_at_once_make_one_cache(tmp_path: Path) -> None:
    told = [everything(*running) for running in [start(tmp_path) for _ in range(3)]]
    assert sum("begins" in words for words in told) == 1
    assert len({words[-1] for words in told}) == 1
    assert len(caches(tmp_path)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_preparation_leaves_nothing_that_counts_as_a_cache(tmp_path: Path, number: int) -> None:
    process, channel = start(tmp_path, hold=True)
    assert (channel.recv(), channel.recv()) == ("begins", "half")
    assert process.pid is not None
    os.kill(process.pid, number)
    assert everything(process, channel) == []
    assert process.exitcode != 0
    assert list(tmp_path.glob("listed-*")) == []
    assert len(caches(tmp_path)) == (1 if number == signal.SIGKILL else 0)  # half a cache, under another name
    assert everything(*start(tmp_path))[0] == "begins"
    assert [path.name.startswith("listed-") for path in caches(tmp_path)] == [True]


def test_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    _, message = everything(*start(tmp_path, most_bytes=15_000))
    assert f"the cache {tmp_path}/listed-" in message
    assert "cannot be written (File too large): free some space there" in message
    assert caches(tmp_path) == []


class Counting(ListSource):
    """Tells how far it was read."""

    def recordings(self) -> Iterator[Recording]:
        for recording in super().recordings():
            self.last = recording.name
            yield recording


def test_prepare_reads_recordings_one_by_one_as_it_writes_them(tmp_path: Path) -> None:
    recordings = entries()
    recordings[1] = recordings[1]._replace(label=99)
    source = Counting(entries())
    source._recordings = recordings
    with pytest.raises(DataError, match="label 99"):
        prepare_dataset(source, tmp_path, progress=False)
    assert source.last == "r1"


def test_dataset_stays_usable_when_its_cache_is_deleted(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, entries())
    shutil.rmtree(dataset.folder)
    assert same_events(dataset.events(5), entries()[5].events)


def test_cache_is_read_in_full_once_in_a_process_as_long_as_its_files_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = prepared(tmp_path, entries()).folder, []
    monkeypatch.setattr(event_dataset, "file_checksum", lambda path: read.append(path.name) or file_checksum(path))
    open_dataset(folder)
    assert read == []  # they were when it was made
    status = (folder / TIME).stat()
    (folder / TIME).write_bytes(bytes(status.st_size))
    os.utime(folder / TIME, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match="its checksum is another"):
        open_dataset(folder)
    assert read == [TIME]


def sealed_again(folder: Path, **changes: object) -> None:
    """Bring the header to what the files hold now, as a sender who knows the format could, with some entries changed."""
    header = {name: value for name, value in json.loads((folder / HEADER).read_text()).items() if name != "checksum"}
    for name in (TIME, ADDRESS, RECORDINGS):
        content = (folder / name).read_bytes()
        header["files"][name] = {"bytes": len(content), "checksum": file_checksum(folder / name)}
    header |= changes
    (folder / HEADER).write_text(json.dumps({**header, "checksum": event_dataset.checksum(header)}))


def test_dataset_never_hands_out_an_address_outside_of_its_sensor(tmp_path: Path, message_of: Message) -> None:
    folder = prepared(tmp_path, entries()).folder
    addresses = np.fromfile(folder / ADDRESS, np.uint16)
    sealed_again(folder, sensor=[100, 100])
    dataset = open_dataset(folder)
    assert addresses.max() >= 2 * 100 * 100
    assert "address.bin is not usable: an address is outside of the sensor (100, 100)" in message_of(dataset.raw, 1)
    settings = WindowSettings(0.001, 300, 0, 4, 0.0)
    assert "outside of the sensor" in message_of(
        lambda: next(event_batches.test_batches(dataset, np.arange(6), settings, 6))
    )


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_dataset_never_hands_out_a_time_outside_of_its_window(
    jitter: float, tmp_path: Path, message_of: Message
) -> None:
    folder = prepared(tmp_path, entries()).folder
    for seed in range(20):
        times = np.random.default_rng(seed).integers(0, 2**32, len(np.fromfile(folder / TIME, np.uint32)))
        times.astype(np.uint32).tofile(folder / TIME)
        sealed_again(folder)
        dataset = open_dataset(folder)
        assert "times go backward or beyond their recording's end" in message_of(dataset.raw, 1)
        settings = WindowSettings(0.001, 300, 0, 4, jitter)
        with contextlib.suppress(DataError):
            for batch in event_batches.train_batches(dataset, np.arange(6), settings, 2, seed, 1):
                assert batch.input.shape[0] == 300


@pytest.mark.parametrize(
    "changes",
    [
        {"sensor": [2**15, 10]}, {"sensor": [10**6, 10**6]}, {"sensor": [128]}, {"sensor": [128, "x"]}, {"sensor": [0, 9]},
        {"sensor": None}, {"classes": []}, {"classes": [1]}, {"classes": None}, {"in_time": 3}, {"files": {}}, {"files": 5},
        {"remarks": 5}, {"remarks": {"a": "1"}}, {"remarks": {"a\nb": 1}},
        {"files": {"../../secret": {"bytes": 1, "checksum": ""}}}, {"name": None},
    ],
)  # fmt: skip
def test_open_refuses_a_sealed_header_that_is_none_of_a_cache(
    changes: dict[str, object], tmp_path: Path, message_of: Message
) -> None:
    folder = prepared(tmp_path, entries()).folder
    sealed_again(folder, **changes)
    assert "header.json is not usable" in message_of(open_dataset, folder)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("labels", lambda a: a + 5), ("labels", lambda a: a - 1), ("labels", lambda a: a[:-1]), ("labels", lambda a: a * 1.5),
        ("offsets", lambda a: a + 1), ("offsets", lambda a: a[::-1]), ("offsets", lambda a: a[1:]), ("durations", lambda a: -a),
        ("is_test", lambda a: a.astype(int)), ("groups", lambda a: np.arange(len(a))), ("names", lambda a: a[:, None]),
    ],
)  # fmt: skip
def test_open_refuses_a_sealed_table_that_is_none_of_its_events(
    column: str, change: Callable, tmp_path: Path, message_of: Message
) -> None:
    folder = prepared(tmp_path, entries()).folder
    with np.load(folder / RECORDINGS) as file:
        table = dict(file)
    np.savez(folder / RECORDINGS, **{**table, column: change(table[column])})
    sealed_again(folder)
    assert "recordings.npz is not usable: a column is not what" in message_of(open_dataset, folder)


def test_open_refuses_a_table_that_is_packed(tmp_path: Path, message_of: Message) -> None:
    folder = prepared(tmp_path, entries()).folder
    np.savez_compressed(folder / RECORDINGS, labels=np.zeros(10**7, np.int64))
    sealed_again(folder)
    assert "recordings.npz is not usable: it is no table of recordings (ValueError)" in message_of(open_dataset, folder)


def test_prepare_makes_a_cache_of_another_data_set_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = prepared(tmp_path, entries()).folder
    sealed_again(folder, classes=["a", "b", "c", "d"])
    assert prepared(tmp_path, entries()).classes == ("class 0", "class 1", "class 2")
    assert "is of another data set than it is named after; it is made again" in caplog.text
