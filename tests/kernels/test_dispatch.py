"""Which backend is chosen, what is logged, and what an impossible choice says."""

import builtins
import importlib.util
import logging
import subprocess
import sys
from typing import Any

import pytest

from qsnn.errors import ConfigError
from qsnn.kernels.dispatch import select_backend


@pytest.mark.parametrize(
    ("name", "device", "chosen"),
    [("auto", "cpu", "numba"), ("eager", "cpu", "eager"), ("numba", "cpu", "numba"), ("auto", "cuda", "eager")],
)
def test_the_choice_and_its_log(name: str, device: str, chosen: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert select_backend(name, device).name == chosen
    assert f"kernels={name}" in caplog.text
    assert chosen in caplog.text


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("triton", "cuda", ["GPU", "kernels=auto"]),
        ("numba", "cuda", ["CPU", "device=cuda", "device=cpu"]),
        ("fast", "cpu", ["auto, eager, numba, triton"]),
    ],
)
def test_an_impossible_choice_is_explained_in_one_line(name: str, device: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        select_backend(name, device)
    message = str(error.value)
    assert f"kernels={name}" in message
    assert "\n" not in message
    assert all(word in message for word in words)


def test_without_numba_the_explicit_choice_fails_and_auto_falls_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find_spec, import_module = importlib.util.find_spec, builtins.__import__

    def no_numba(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("qsnn.kernels.numba"):
            raise ImportError("No module named 'numba'")
        return import_module(name, *arguments, **options)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find_spec(name))
    monkeypatch.setattr(builtins, "__import__", no_numba)
    with pytest.raises(ConfigError, match=r"kernels=numba.*pip install numba"):
        select_backend("numba", "cpu")
    assert select_backend("auto", "cpu").name == "eager"
    assert "numba cannot be imported" in caplog.text


def test_numba_is_imported_only_when_it_is_chosen() -> None:
    code = "import sys; from qsnn.kernels.dispatch import select_backend as s; s('eager', 'cpu'); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
