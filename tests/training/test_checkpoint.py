"""Checkpoints survive what happens to files."""

import os
import pickle
import random
from pathlib import Path

import pytest
import torch

from qsnn.errors import RunFolderError
from qsnn.training.checkpoint import load_checkpoint, remove_leftovers, save_checkpoint, write_atomically


def test_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    content = {"weights": torch.randn(3, 4), "epoch": 7, "stream": [2**64 - 1, 5], "name": "x", "none": None}
    save_checkpoint(tmp_path / "last.pt", content)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded.pop("weights"), content.pop("weights"))
    assert loaded == {"format_version": 1, **content}
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


def test_load_checkpoint_runs_nothing_that_a_hostile_file_asks_for(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/ran",)

    for name, write in (
        ("zip", lambda f: torch.save({"x": Hostile()}, f)),
        ("raw", lambda f: pickle.dump(Hostile(), f)),
    ):
        with open(tmp_path / name, "wb") as file:
            write(file)
        with pytest.raises(RunFolderError, match="not a readable checkpoint"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_load_checkpoint_of_a_damaged_file_is_either_an_error_or_readable(tmp_path: Path) -> None:
    good, path = tmp_path / "good.pt", tmp_path / "bad.pt"
    save_checkpoint(good, {"weights": torch.arange(50.0), "epoch": 3})
    content, generator = good.read_bytes(), random.Random(0)
    refused = 0
    for trial in range(200):
        damaged = bytearray(content)
        if trial % 2:
            damaged = damaged[: generator.randrange(len(damaged))]
        else:
            for _ in range(5):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            load_checkpoint(path)
        except RunFolderError as error:
            refused += str(path) in str(error)
    assert refused >= 100


def test_load_checkpoint_refuses_another_format_version(tmp_path: Path) -> None:
    torch.save({"format_version": 99}, tmp_path / "last.pt")
    with pytest.raises(RunFolderError, match="has checkpoint format 99; this version of qsnn reads 1"):
        load_checkpoint(tmp_path / "last.pt")


def test_remove_leftovers_deletes_only_half_written_files(tmp_path: Path) -> None:
    (tmp_path / ".last.pt.123.tmp").write_bytes(b"half")
    (tmp_path / "last.pt").write_bytes(b"whole")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
