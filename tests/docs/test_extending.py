"""docs/extending.md does what it says: its very code, in a copy of the tree, is written into conf/, tested and trained with."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from forking import run

from qsnn.kernels.backend import GradientRounding, StoredWeight
from qsnn.kernels.dispatch import select_backend
from qsnn.quantization import random_stream

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text().split("## In a package of your own")[0]
BLOCK = re.compile(r"^`(?P<path>[\w/.]+)`[^\n]*\n\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^    python -m qsnn\.train (.+)$", re.M)
# One process for all runs: most of a short one's seconds are imports.
TRAIN_ALL = """
import json, sys
from qsnn.config.training import train
for number, words in enumerate(json.loads(sys.argv[1])):
    train([*words, f"hydra.run.dir=runs/{number}", "kernels=eager", "logging.progress=false", "logging.to=[]"])
"""


def files_of(language: str) -> dict[str, str]:
    """The files that the page shows, by path."""
    return {found["path"]: found["text"] for found in BLOCK.finditer(PAGE) if found["language"] == language}


def python(tree: Path, *arguments: str) -> str:
    """What ``python ...`` prints in a tree; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = run([sys.executable, *arguments], cwd=tree, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the page's code in it, after the script has written what follows from it."""
    tree = tmp_path_factory.mktemp("extended")
    for folder in ("qsnn", "conf", "scripts"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "config.md", tree / "docs")
    for path, text in files_of("python").items():
        assert not (tree / path).exists(), f"{path} is in the tree, so the page shows nothing new"
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    python(tree, "scripts/write_config.py")
    return tree


def test_extending_shows_a_file_its_yaml_and_its_test_for_each_of_four_groups() -> None:
    options = re.findall(r'^@option\("(\w+)", "(\w+)"\)$', PAGE, re.M)
    assert [group for group, _ in options] == ["neuron", "loss", "dataset", "optimizer"]
    assert list(files_of("yaml")) == [f"conf/{group}/{name}.yaml" for group, name in options]
    assert [Path(path).stem for path in files_of("python")] == [
        f"{prefix}{name}" for _, name in options for prefix in ("", "test_")
    ]
    assert [f"{group}={name}" in words for (group, name), words in zip(options, COMMAND.findall(PAGE), strict=True)]


def test_extending_shows_the_yaml_that_the_script_writes(extended: Path) -> None:
    assert {path: (extended / path).read_text() for path in files_of("yaml")} == files_of("yaml")


def test_extending_options_are_in_help_and_docs_once_the_script_has_run(extended: Path) -> None:
    told = (extended / "conf" / "hydra" / "help" / "qsnn.yaml").read_text()
    documented = (extended / "docs" / "config.md").read_text()
    for path in files_of("yaml"):
        group, name = Path(path).parent.name, Path(path).stem
        assert re.search(rf"^ +{name} +\S", told, re.M)
        assert f"### {group}={name}\n" in documented


def test_extending_tests_pass(extended: Path) -> None:
    tests = [path for path in files_of("python") if path.startswith("tests/")]
    assert f"{PAGE.count('def test_')} passed" in python(extended, "-m", "pytest", "-q", "-p", "no:xdist", *tests)


def test_extending_commands_train(extended: Path) -> None:
    commands = [words.split() for words in COMMAND.findall(PAGE)]
    commands.append([*commands[0], "model=recurrent"])  # the neuron, with feedback
    python(extended, "-c", TRAIN_ALL, str(commands).replace("'", '"'))
    for number in range(len(commands)):
        assert '"status": "finished"' in (extended / "runs" / str(number) / "summary.json").read_text()


def test_extending_rule_without_a_kernel_gives_the_bits_of_its_definition() -> None:
    code: dict[str, object] = {"__name__": "an_own_rule"}
    exec(files_of("python")["qsnn/dynamics/sign_sgd.py"].split("@option")[0], code)
    rule, results = code["SignSGD"](lr=2.0**-7), []  # type: ignore[operator]
    for name in ("eager", "numba"):
        torch.manual_seed(0)
        weight, gradient = torch.rand(20, 30) - 0.5, torch.randn(20, 30)
        rounding = GradientRounding(16.0, 8, 16, "unbiased")
        layer = StoredWeight(weight, gradient, (), random_stream(0, "rounding"), rounding, 2)
        results.append((select_backend(name, "cpu").train_weights(rule, 1, True, [layer])[0], weight))
    (eager, expected), (numba, found) = results
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (numba.stream, numba.largest_code, numba.finite) == (eager.stream, eager.largest_code, True)
