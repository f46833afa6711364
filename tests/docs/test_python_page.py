"""docs/python.md does what it says: its code runs from top to bottom in one session, and learns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from forking import run

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "python.md").read_text(), re.M | re.S)
CHECKS = """
assert done.summary["status"] == "finished" and done.summary["epochs"] == 50
assert all(torch.equal(ours, theirs) for ours, theirs in
           zip(done.model.state_dict().values(), loaded.model.state_dict().values(), strict=True))
assert loaded.inputs == (100,) and activity.spikes.shape[-1] == 32
assert accuracy > 0.8, accuracy
assert hidden.linear.weight.grad.abs().sum() > 0
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """What the page's code prints, with checks behind it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("python")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder)}
    environment.pop("QSNN_CACHE", None)
    program = "\n".join([*BLOCKS, CHECKS])
    words = [sys.executable, "-c", program]
    return run(words, cwd=folder, env=environment, timeout=300)


def test_python_page_runs_from_top_to_bottom_and_learns(session: "subprocess.CompletedProcess[str]") -> None:
    assert len(BLOCKS) == 7
    assert session.returncode == 0, session.stderr


def test_python_page_shows_a_mistake_in_one_line(session: "subprocess.CompletedProcess[str]") -> None:
    mistakes = [line for line in session.stdout.splitlines() if "is not possible" in line]
    assert [line.split(": allowed")[0] for line in mistakes] == ["quantization.weight_bits=99 is not possible"]


@pytest.mark.parametrize("name", ["run", "load"])
def test_python_page_has_the_functions_of_the_package(name: str) -> None:
    assert any(f"qsnn.{name}(" in block for block in BLOCKS)
