"""Caches of recordings while processes race, are killed or run out of disk; and sealed ones with wrong content."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from event_builders import ListSource, prepared, same_events
from event_caches import Message, caches, entries, start

from qsnn.data.events import batches as event_batches
from qsnn.data.events import dataset as event_dataset
from qsnn.data.events.dataset import ADDRESS, HEADER, RECORDINGS, TIME, file_checksum, open_dataset
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.windows import WindowSettings
from qsnn.data.recording import Recording
from qsnn.errors import DataError


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
