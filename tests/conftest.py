"""Fixtures of all tests: golden vectors, the backends, and the command in an empty folder."""

import os

# Before torch is imported: each worker has a core to itself, and threads that wait for one another would spin on the others'.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from helpers import SMALL, in_process
from quick_composing import parse_once
from simulated_cuda import SimulatedCuda

from qsnn.config.command_line import set_up
from qsnn.kernels.backend import Backend
from qsnn.kernels.cuda import set_up_cuda
from qsnn.kernels.dispatch import select_backend

set_up()
parse_once()
CUDA_IS_THERE = torch.cuda.is_available()


def pytest_collection_finish() -> None:
    """What has been loaded by now stays: collections pass over it, half a million objects each."""
    gc.freeze()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden vectors; QSNN_GOLDEN names another of the same shape."""
    return Path(os.environ.get("QSNN_GOLDEN", Path(__file__).parent / "golden"))


@pytest.fixture(autouse=True)
def caches_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared recordings go to a folder of the test, not to the user's."""
    monkeypatch.setenv("QSNN_CACHE", f"{tmp_path}_caches")


@pytest.fixture(params=["eager", "numba"], scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend that runs on this machine."""
    return select_backend(request.param, "cpu")


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """``python -m qsnn.train`` with a small net, in an empty folder, without a process of its own."""
    return lambda *arguments: in_process("train", *SMALL, *arguments, folder=tmp_path)


@pytest.fixture(
    params=["simulated", pytest.param("real", marks=pytest.mark.skipif(not CUDA_IS_THERE, reason="needs a GPU"))]
)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A GPU, simulated (`simulated_cuda`) and, where there is one, real; torch's settings are put back afterwards."""
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with ExitStack() as stack:
        if request.param == "simulated":
            monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
            stack.enter_context(SimulatedCuda())
        set_up_cuda()
        yield torch.device("cuda")
    torch.use_deterministic_algorithms(False)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
