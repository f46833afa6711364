from collections.abc import Callable

import numpy as np
import pytest

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
