from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import write

from qsnn.data.sources.arrays import ArraysOption
from qsnn.errors import DataError


@pytest.fixture
def message_of() -> Callable[..., str]:
    """Call a function that must raise DataError, check that the message is one line, and return it."""

    def call(function: Callable, *args: object, **kwargs: object) -> str:
        with pytest.raises(DataError) as caught:
            function(*args, **kwargs)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return call


@pytest.fixture
def raster() -> np.ndarray:
    """A binary array that no transposition or reversal maps to itself, bool [5, 7]."""
    return np.random.default_rng(0).random((5, 7)) < 0.5


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[..., Any]:
    """The source of a file with these arrays."""

    def make(arrays: dict[str, Any], option: type = ArraysOption, **keys: Any) -> Any:
        return option(file=str(write(tmp_path / "own.npz", arrays)), **keys).source()

    return make
