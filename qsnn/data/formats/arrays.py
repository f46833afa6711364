"""Binary rasters out of files that users bring: arrays, tensors and pictures."""

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from qsnn.data.formats.guard import MAX_ELEMENTS, data_error_if_broken, declared_array, read_bytes
from qsnn.data.formats.safe_pickle import load_pickle
from qsnn.errors import DataError

_NUMPY_SUFFIXES = (".npy", ".npz")
_PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle")
ARRAY_SUFFIXES = (*_NUMPY_SUFFIXES, *_PICKLE_SUFFIXES)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "GIF")  # PIL knows many more, some of which start other programs


CheckShape = Callable[[tuple[int, ...]], None]
"""Raises DataError for a shape that is not wanted; it is asked before an array is unpacked."""


def any_shape(shape: tuple[int, ...]) -> None:
    """Every shape is wanted."""


def read_array(path: Path, member: str | None = None, check_shape: CheckShape = any_shape) -> np.ndarray:
    """Read a 2-D array of 0/1 as bool, in the shape that the file has.

    By the ending of the file's name: .npy; .npz with one array of any name, or several of which one is called `member`;
    .pt .pth .pkl .pickle with one tensor or array, from torch.save or pickle. Nothing in the file is ever run.
    What a .npy or .npz says of its array is checked before there is room made for it.

    Raises:
        DataError: wrong ending, missing, broken or too large file; not 2-D; a value other than 0 and 1; from `check_shape`.
    """
    suffix = path.suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        raise DataError(f"{path} ends in {suffix!r}; an array is read from a file ending in {' '.join(ARRAY_SUFFIXES)}")
    data = read_bytes(path)
    if suffix in _PICKLE_SUFFIXES:
        array = load_pickle(data, path)
        _check_declared(array.shape, array.dtype, path, check_shape)
    else:
        array = _load_numpy(data, path, member, check_shape)
    return _as_binary(array, path)


def read_picture(path: Path, height: int, width: int, threshold: float) -> np.ndarray:
    """Read a picture as bool [height, width], top row first: set where its gray value / 255 is above `threshold`.

    Bright pixels are set, so draw white on black (or invert a dark drawing first). Transparent parts count as black.
    The picture is stretched to the size asked for, by area average. Of an animation the first frame is taken.

    Raises:
        DataError: wrong ending, missing, broken or too large file, or no PNG, JPEG, BMP or GIF.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise DataError(
            f"{path} ends in {suffix!r}; a picture is read from a file ending in {' '.join(PICTURE_SUFFIXES)}"
        )
    data = read_bytes(path)
    with data_error_if_broken(path, "a picture", "save it again as a smaller .png"):
        image = Image.open(io.BytesIO(data), formats=_PICTURE_FORMATS)
        gray = _to_gray(ImageOps.exif_transpose(image))
        return np.asarray(gray.resize((width, height), Image.Resampling.BOX)) / 255 > threshold


def _to_gray(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which PIL would clip to 255 instead of scaling
        return Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
    black = Image.new("RGBA", image.size, "black")
    return Image.alpha_composite(black, image.convert("RGBA")).convert("L")


def _load_numpy(data: bytes, path: Path, member: str | None, check_shape: CheckShape) -> np.ndarray:
    with data_error_if_broken(path, "a numpy file", "save the array again with numpy.save"):
        if not data.startswith(b"PK"):
            _check_declared(*declared_array(io.BytesIO(data), len(data)), path, check_shape)
            return np.load(io.BytesIO(data), allow_pickle=False)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [entry.filename for entry in archive.infolist()]
            name = _member_name(names, path, f"{member}.npy" if member else None)
            with archive.open(name) as file:
                _check_declared(*declared_array(file, archive.getinfo(name).file_size), path, check_shape)
        with np.load(io.BytesIO(data), allow_pickle=False) as content:
            return content[name.removesuffix(".npy")]


def _member_name(names: list[str], path: Path, member: str | None) -> str:
    if len(names) == 1:
        return names[0]
    if member in names:
        return str(member)
    found = ascii([name.removesuffix(".npy") for name in names[:8]])[:200]
    wanted = f", or call one of them {member.removesuffix('.npy')!r}" if member else ""
    raise DataError(f"{path} holds {len(names)} arrays, {found}; keep only one in it{wanted}")


def _check_declared(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path, check_shape: CheckShape) -> None:
    """Raise DataError for an array that cannot be a raster, or not the one that is wanted."""
    if dtype.kind not in "biuf":
        raise DataError(
            f"{path} holds values of type {dtype}; allowed are bool, integers and floats, all of them 0 or 1"
        )
    size = math.prod(shape)
    if len(shape) != 2 or not 0 < size <= MAX_ELEMENTS:
        raise DataError(
            f"{path} holds an array of shape {list(shape)}; allowed are two axes and 1 to {MAX_ELEMENTS} elements"
        )
    check_shape(shape)


def _as_binary(array: np.ndarray, path: Path) -> np.ndarray:
    ones = array == 1
    strange = ~ones & (array != 0)  # NaN too
    if strange.any():
        row, column = np.unravel_index(strange.argmax(), strange.shape)
        raise DataError(
            f"{path} holds {array[row, column]} at [{row}, {column}]; allowed are 0 and 1 alone: threshold it first"
        )
    return ones
