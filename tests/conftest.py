"""Fixtures of all tests: golden vectors, the backends, and the command in an empty folder."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import SMALL, command

from qsnn.config.command_line import set_up
from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_backend

set_up()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden vectors; QSNN_GOLDEN names another of the same shape."""
    return Path(os.environ.get("QSNN_GOLDEN", Path(__file__).parent / "golden"))


@pytest.fixture(params=["eager", "numba"], scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend that runs on this machine."""
    return select_backend(request.param, "cpu")


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """``python -m qsnn.train`` with a small net, in an empty folder."""
    return lambda *arguments: command("train", *SMALL, *arguments, folder=tmp_path)
