"""Files with random damage: each gives a raster or a DataError of one line, and never anything else."""

import io
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from qsnn.data.formats.arrays import PICTURE_SUFFIXES, read_array, read_picture
from qsnn.errors import DataError

NUM_MUTATIONS = 300


def saved(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def whole_files(array: np.ndarray) -> dict[str, bytes]:
    tensor, picture = torch.from_numpy(array), Image.fromarray(array.astype(np.uint8) * 255)
    files = {
        "a.npy": saved(lambda file: np.save(file, array)),
        "a.npz": saved(lambda file: np.savez(file, array)),
        "packed.npz": saved(lambda file: np.savez_compressed(file, array)),
        "zip.pt": saved(lambda file: torch.save(tensor, file)),
        "legacy.pt": saved(lambda file: torch.save(tensor, file, _use_new_zipfile_serialization=False)),
    }
    for protocol in range(6):
        files[f"array_{protocol}.pkl"] = pickle.dumps(array, protocol)
        files[f"tensor_{protocol}.pkl"] = pickle.dumps(tensor, protocol)
    for ending in ("png", "jpeg", "bmp", "gif"):
        files[f"a.{ending}"] = saved(lambda file, ending=ending: picture.save(file, ending))
    return files


FILES = whole_files(np.random.default_rng(0).random((5, 7)) < 0.5)


def damaged(data: bytes, rng: random.Random) -> bytes:
    mutable = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        place, length = rng.randrange(len(mutable)), rng.randrange(1, 9)
        kind = rng.choice(["any", "any", "any", "edge", "cut", "repeat", "move", "end"])
        if kind == "any":
            mutable[place] = rng.randrange(256)
        elif kind == "edge":
            mutable[place : place + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"])
        elif kind == "cut":
            del mutable[place + 1 : place + length]
        elif kind == "repeat":
            mutable[place:place] = mutable[place : place + length]
        elif kind == "move":
            mutable[place] = rng.choice(mutable)
        else:
            del mutable[place + 1 :]
    return bytes(mutable)


def outcome(path: Path, data: bytes) -> np.ndarray | str:
    """What a reader makes of `data`: a raster, or its message."""
    path.write_bytes(data)
    try:
        if path.suffix in PICTURE_SUFFIXES:
            return read_picture(path, height=5, width=7, threshold=0.5)
        return read_array(path)
    except DataError as error:
        return str(error)


def assert_fair(result: np.ndarray | str, path: Path) -> None:
    if isinstance(result, str):
        assert str(path) in result
        assert "\n" not in result
    else:
        assert result.dtype == bool
        assert result.ndim == 2


@pytest.mark.parametrize("name", FILES)
def test_readers_turn_any_damage_into_a_data_error(tmp_path, name):
    rng = random.Random(name)
    path = tmp_path / name
    assert not isinstance(outcome(path, FILES[name]), str)
    for _ in range(NUM_MUTATIONS):
        assert_fair(outcome(path, damaged(FILES[name], rng)), path)


@pytest.mark.parametrize("name", FILES)
def test_readers_name_a_file_that_ends_early_at_any_length(tmp_path, name):
    for length in range(0, len(FILES[name]), 7):
        assert_fair(outcome(tmp_path / name, FILES[name][:length]), tmp_path / name)
