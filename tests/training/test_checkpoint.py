"""Checkpoints survive what happens to files."""

import contextlib
import io
import os
import random
import re
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from qsnn.errors import RunFolderError
from qsnn.training.checkpoint import (
    FORMAT_VERSION,
    go_back_to,
    load_checkpoint,
    remove_leftovers,
    save_checkpoint,
    save_last,
    write_atomically,
)
from qsnn.training.checkpoint_file import seal


def test_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    content = {"weights": torch.randn(3, 4), "epoch": 7, "stream": [2**64 - 1, 5], "name": "x", "none": None}
    save_checkpoint(tmp_path / "last.pt", content)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded.pop("weights"), content.pop("weights"))
    assert loaded == {"format_version": FORMAT_VERSION, **content}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")

    def fail_halfway(file) -> None:  # type: ignore[no-untyped-def]
        file.write(b"new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail_halfway)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_load_checkpoint_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"last\.pt is missing: name a run's folder"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.fixture(scope="module")
def content() -> bytes:
    """The bytes of a checkpoint."""
    return bytes_of({"weights": torch.arange(50.0), "slots": {"w": [torch.ones(3, 2)]}, "epoch": 3, "best": None})


def bytes_of(content: dict[str, object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "x.pt", content)
        return (Path(folder) / "x.pt").read_bytes()


def test_load_checkpoint_refuses_a_change_of_any_byte(content: bytes, tmp_path: Path) -> None:
    path, generator = tmp_path / "last.pt", random.Random(0)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= generator.randrange(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=re.escape(str(path))):
            load_checkpoint(path)


def test_load_checkpoint_refuses_a_file_of_another_length(content: bytes, tmp_path: Path) -> None:
    path, generator = tmp_path / "last.pt", random.Random(0)
    for length in [0, 1, 21, 22, 100, *(generator.randrange(len(content)) for _ in range(200)), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(
            RunFolderError, match=r"last\.pt is damaged or cut short: its checksum is not that of its bytes"
        ):
            load_checkpoint(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(RunFolderError, match=r"last\.pt is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_checkpoint_is_a_file_of_torch_save(mmap: bool, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    loaded = torch.load(tmp_path / "last.pt", weights_only=True, mmap=mmap)
    assert torch.equal(loaded["weights"], torch.arange(50.0))
    assert (loaded["epoch"], loaded["best"], loaded["format_version"]) == (3, None, FORMAT_VERSION)


def test_load_checkpoint_refuses_another_format_version(tmp_path: Path) -> None:
    torch.save({"format_version": 1, "epoch": 3}, tmp_path / "last.pt")
    with pytest.raises(
        RunFolderError, match=r"is of checkpoint format 1, from before version 0\.1\.0 .* start a new run"
    ):
        load_checkpoint(tmp_path / "last.pt")
    save_checkpoint(tmp_path / "last.pt", {"format_version": 99})
    with pytest.raises(RunFolderError, match="has checkpoint format 99; this version of qsnn reads 3"):
        load_checkpoint(tmp_path / "last.pt")


def sealed_torch(path: Path, value: object) -> None:
    """What a sender makes who knows the format: a sealed file of anything."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    path.write_bytes(seal(buffer.getvalue()))


def rezipped(path: Path, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> None:
    """The checkpoint at ``path`` with some entries replaced, sealed again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            key = name.split("/", 1)[1]
            new.writestr(name, entries.get(key, old.read(name)))
    path.write_bytes(seal(buffer.getvalue()))


class Hostile:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.folder}/ran",)


def nested(depth: int) -> list[object]:
    """A list of two equal lists of two equal lists ...: 2^depth values in a few bytes."""
    value: list[object] = [1]
    for _ in range(depth):
        value = [value, value]
    return value


def test_load_checkpoint_runs_nothing_that_a_sealed_file_asks_for(tmp_path: Path) -> None:
    sealed_torch(tmp_path / "last.pt", {"format_version": FORMAT_VERSION, "x": Hostile(tmp_path)})
    with pytest.raises(RunFolderError, match=r"last\.pt is not a checkpoint .*it asks to run (posix|nt)\.system"):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "ran").exists()


SHARED = torch.ones(3)


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("it holds more than tensors and plain values", torch.nn.Linear(2, 2)),
        ("has checkpoint format None", [1, 2]),
        ("it holds a dict", {1: 2}),
        ("it holds a tuple", (1, 2)),
        ("it holds more values than a checkpoint", {"format_version": FORMAT_VERSION, "x": [nested(10)] * 99}),
        ("it holds more values than a checkpoint", {"format_version": FORMAT_VERSION, "x": nested(40)}),
        ("two tensors share their bytes", {"format_version": FORMAT_VERSION, "a": SHARED, "b": SHARED[:]}),
        ("shape is not that of its bytes", {"format_version": FORMAT_VERSION, "a": torch.ones(1).expand(2**40)}),
        ("strides are not those of its bytes", {"format_version": FORMAT_VERSION, "a": torch.ones(3, 2).T}),
        (
            "it asks to run torch.ComplexFloatStorage",
            {"format_version": FORMAT_VERSION, "a": torch.ones(2, dtype=torch.complex64)},
        ),
    ],
)
def test_load_checkpoint_refuses_a_sealed_file_of_something_else(message: str, value: object, tmp_path: Path) -> None:
    sealed_torch(tmp_path / "last.pt", value)
    with pytest.raises(RunFolderError) as caught:
        load_checkpoint(tmp_path / "last.pt")
    assert str(caught.value).startswith(f"{tmp_path}/last.pt ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_checkpoint_knows_every_size_before_it_makes_room(tmp_path: Path) -> None:
    """Tensors packed like a bomb, one that says it has more bytes than it has, pickles that ask for gigabytes."""
    path, content = tmp_path / "last.pt", {"weights": torch.zeros(2**20), "epoch": 3}
    damages = (
        ("unpack to more than the file holds", {"compression": zipfile.ZIP_DEFLATED}),
        ("size is not that of its bytes", {"data/0": bytes(100)}),
        ("pickle opcode LONG_BINPUT", {"data.pkl": b"\x80\x02}r\xff\xff\xff\x7f."}),
        ("not enough data in stream", {"data.pkl": b"\x80\x02\x8b\xff\xff\xff\x7f."}),
    )
    for message, changes in damages:
        save_checkpoint(path, content)
        rezipped(path, **changes)  # type: ignore[arg-type]
        tracemalloc.start()
        with pytest.raises(RunFolderError, match=message):
            load_checkpoint(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**22, (message, peak)


def test_save_last_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_last(tmp_path, {"epoch": epoch})
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 3
    assert load_checkpoint(tmp_path / "previous.pt")["epoch"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_save_last_keeps_the_checkpoint_before_where_files_have_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    test_save_last_keeps_the_checkpoint_before(tmp_path)


@pytest.mark.parametrize("calls", range(6))
def test_save_last_leaves_whole_checkpoints_wherever_it_ends(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended at each call that changes a name; what a killed process could not tidy up is no checkpoint's name."""
    save_last(tmp_path, {"epoch": 1})
    save_last(tmp_path, {"epoch": 2})
    left = [calls]

    def counted(real):  # type: ignore[no-untyped-def]
        def call(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return call

    for name in ("link", "replace", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    with contextlib.suppress(KeyboardInterrupt):
        save_last(tmp_path, {"epoch": 3})
    last, previous = (load_checkpoint(tmp_path / name)["epoch"] for name in ("last.pt", "previous.pt"))
    assert (last, previous) in ((2, 1), (3, 1), (3, 2))
    assert calls > 3 or (last, previous) != (3, 2)


def test_go_back_to_makes_the_previous_checkpoint_the_last(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_last(tmp_path, {"epoch": epoch})
    (tmp_path / "last.pt").write_bytes(b"damaged")
    go_back_to(tmp_path / "previous.pt")
    save_last(tmp_path, {"epoch": 3})
    assert [load_checkpoint(tmp_path / name)["epoch"] for name in ("last.pt", "previous.pt")] == [3, 1]


def test_remove_leftovers_deletes_only_half_written_files(tmp_path: Path) -> None:
    (tmp_path / ".last.pt.123.tmp").write_bytes(b"half")
    (tmp_path / "last.pt").write_bytes(b"whole")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
