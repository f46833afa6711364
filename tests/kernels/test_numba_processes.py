"""Threads, forked children, what is remembered about a tensor, and the cache of compiled code."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from queue import Empty

import numba
import pytest
import torch
from torch import Tensor

from qsnn.dynamics import SGD, Adamax, LIFParameters, LIFState
from qsnn.kernels.backend import GradientRounding, StoredWeight
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.products import products as numba_products
from qsnn.kernels.numba.runtime import compile as numba_compile
from qsnn.kernels.numba.runtime import memory as numba_memory
from qsnn.kernels.numba.runtime import threads as numba_threads
from qsnn.quantization import random_stream

NUMBA = select_backend("numba", "cpu")
PARAMETERS = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)


def results(batch: int = 2) -> list[Tensor]:
    """Every operation once, on numbers that are always the same."""
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(40, batch, 90, generator=generator) < 0.1).float()
    weight = (torch.rand(90, 70, generator=generator) - 0.5, 2, 2.0)
    current, state = NUMBA.input_current(x, *weight), LIFState(*torch.zeros(2, batch, 70))
    activity = NUMBA.lif_sequence(current, state, PARAMETERS)
    distance, difference = NUMBA.van_rossum_distance(activity.spikes, activity.spikes.flip(0), 0.75, 5e-3)
    grad = NUMBA.van_rossum_gradient(difference, distance, 0.75, 5e-3)
    error = NUMBA.quantize_error(NUMBA.lif_sequence_backward(grad, current, activity, state, PARAMETERS), 8)
    gradient = NUMBA.weight_gradient(x, error)
    rounded = NUMBA.round_gradient(gradient, random_stream(0, "w"), GradientRounding(0.9, 8, 16)).gradient
    back = NUMBA.input_error(error, *weight)
    rule, rounding, slots = Adamax(0.05, 0.9, 0.999, 1e-8), GradientRounding(0.9, 8, 16), (torch.zeros(90, 70),) * 2
    layers = [
        StoredWeight(weight[0].clone(), g, tuple(slot.clone() for slot in slots), random_stream(0, "w"), rounding, 2)
        for g in (gradient, gradient.flip(0))
    ]
    update, other = NUMBA.train_weights(rule, 1, True, layers)
    rounded_twice = [tensor for each in (update, other) for tensor in (*each.slots, each.rounded)]
    return [current, *activity, distance, difference, grad, error, back, gradient, rounded, *rounded_twice]


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_results_do_not_depend_on_the_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(numba_threads, "GRAIN", 1)  # split the smallest work too
    try:
        torch.set_num_threads(1)
        alone = results()
        torch.set_num_threads(threads)
        assert all(torch.equal(a, b) for a, b in zip(results(), alone, strict=True))
    finally:
        torch.set_num_threads(before)


def _child(queue: "multiprocessing.Queue[list[float]]") -> None:
    queue.put([tensor.double().sum().item() for tensor in results(batch=64)])


def test_a_forked_child_computes_the_same_and_ends() -> None:
    """After the parent has used both thread pools, ours and torch's."""
    expected = [tensor.double().sum().item() for tensor in results(batch=64)]
    torch.rand(500, 500) @ torch.rand(500, 500)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    except Empty:
        pytest.fail("the child hangs")
    finally:
        child.join(10)
        child.kill()
    assert child.exitcode == 0


def test_in_place_changes_are_noticed() -> None:
    x, stored = torch.eye(6)[:, None], (torch.randint(0, 128, (6, 5)) / 128, 8, 1.0)
    assert torch.equal(NUMBA.input_current(x, *stored)[:, 0], stored[0])
    stored[0].mul_(-0.5)
    x[0] = x[1]
    assert torch.equal(NUMBA.input_current(x, *stored), EAGER.input_current(x, *stored))
    x[2] = 0.5
    assert torch.equal(NUMBA.input_current(x, *stored), EAGER.input_current(x, *stored))
    rule, rounding = SGD(1.0), GradientRounding(1.0, 8, 16)
    layer = StoredWeight(stored[0], torch.ones(6, 5), (), random_stream(0, "w"), rounding, 8)
    NUMBA.train_weights(rule, 1, False, [layer])
    assert torch.equal(NUMBA.input_current(x, *stored), EAGER.input_current(x, *stored))
    stored[0].add_(3.0)
    NUMBA.clamp_weights(stored[0], 8)
    assert stored[0].max() == 127 / 128


def test_what_is_remembered_goes_with_its_tensor() -> None:
    x = torch.eye(6)[:, None]
    numba_memory.remember(x, "test", 7)
    assert numba_memory.recall(x, "test") == 7
    assert numba_memory.recall(x.detach(), "test") == 7
    assert numba_memory.recall(x[:3], "test") is None
    address = x.data_ptr()
    del x
    assert (address, "test") not in numba_memory._entries
    with torch.inference_mode():
        y = torch.ones(3)
        numba_memory.remember(y, "test", 7)
        assert numba_memory.recall(y, "test") is None


def test_the_dense_product_serves_cpus_without_integer_products(monkeypatch: pytest.MonkeyPatch) -> None:
    error, weight = torch.randint(-127, 128, (9, 2, 30)) / 128, torch.randint(-127, 128, (20, 30)) / 128
    monkeypatch.setattr(numba_products, "has_integer_product", lambda: False)
    assert torch.equal(NUMBA.input_error(error, weight, None, 1.0), EAGER.input_error(error, weight, None, 1.0))


KERNEL = """
from qsnn.kernels.numba.runtime.compile import compiled

@compiled("int64(int64)")
def double(x):
    return 2 * x

print(double(4), double.stats.cache_path, sum(double.stats.cache_hits.values()))
"""


def test_the_cache_of_a_read_only_install_is_in_the_users_folder(tmp_path: Path) -> None:
    """Where __pycache__ beside the code is a file, not even root can write into it."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "__pycache__").write_text("")
    (tmp_path / "installed" / "kernel.py").write_text(KERNEL)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path / "home")}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    for hits in "01":
        words = [sys.executable, str(tmp_path / "installed" / "kernel.py")]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        result, folder, cached = done.stdout.split()
        assert result == "8"
        assert folder.startswith(str(tmp_path / "home"))
        assert cached == hits


def test_without_any_folder_for_the_cache_kernels_are_compiled_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", lambda dispatcher: _cannot_cache())

    @numba_compile.compiled("int64(int64)")
    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    assert double(4) == 8
    assert "NUMBA_CACHE_DIR" in caplog.text


def _cannot_cache() -> None:
    raise RuntimeError("cannot cache function 'double': no locator available for file '/x.py'")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of compiled code, and in it that of `fresh_kernel`."""
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    assert cache_hits() == 0
    assert cache_hits() == 1
    return tmp_path


def cache_hits() -> int:
    """Compile a kernel as a new process does, or load it; how often it was loaded."""

    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    kernel = numba_compile.compiled("int64(int64)")(double)
    assert kernel(4) == 8
    return sum(kernel.stats.cache_hits.values())


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "one byte"])
def test_damaged_compiled_code_is_compiled_again_and_said(
    ending: str, damage: str, cached: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = cached.rglob(f"*.{ending}")
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    path.write_bytes({"cut": content[:-7], "flip": flipped, "empty": b"", "one byte": b"x"}[damage])
    assert cache_hits() == 0
    assert caplog.messages == [f"{path} is damaged or cut short: this kernel is compiled again"]
    assert cache_hits() == 1


def test_compiled_code_that_cannot_be_kept_is_used(
    cached: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (code,) = cached.rglob("*.nbc")
    code.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert cache_hits() == 0
    assert f"cannot keep compiled code in {code.parent} (No space left on device)" in caplog.text
