"""An installed package that is not qsnn's adds a data set and a neuron, its folder an experiment: see docs/extending.md."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
from helpers import in_process

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text().split("## In a package of your own")[1]
BLOCK = re.compile(r"^`(?P<path>[\w/.]+)`\n\n```\w+\n(?P<text>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^    python -m (qsnn\.\w+) (.+)$", re.M)
QUICK = ["kernels=eager", "logging.progress=false"]
LOAD = """
import qsnn
loaded = qsnn.load("runs/mine", ["--config-dir", "conf"])
again = qsnn.run(["dataset=flashes", "neuron=slow_lif", "trainer.epochs=1", "kernels=eager", "logging.progress=false"])
print(loaded.epoch, loaded.classes, again.summary["status"], qsnn.load(again.folder).config["neuron"]["tau_mem"])
"""
# One process for several commands: most of a short one's seconds are imports.
SEVERAL = """
import json, sys
from pathlib import Path
from helpers import in_process
for module, *words in json.loads(sys.argv[1]):
    done = in_process(module, *words, folder=Path.cwd())
    print(json.dumps([done.returncode, done.stdout, done.stderr]))
"""
Python = Callable[..., "subprocess.CompletedProcess[str]"]
Several = Callable[..., list["subprocess.CompletedProcess[str]"]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, installed into its folder site."""
    folder = tmp_path_factory.mktemp("project")
    for found in BLOCK.finditer(PAGE):
        (folder / found["path"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / found["path"]).write_text(found["text"])
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    words = [sys.executable, "-m", "pip", "install", *offline, "--target", "site", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def python(project: Path) -> Python:
    """``python ...`` in that folder; what is installed there counts, the files beside do not."""
    search_path = os.pathsep.join([str(ROOT), str(project / "site"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": search_path, "PYTHONSAFEPATH": "1", "QSNN_CACHE": str(project / "cache")}

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return forking.run([sys.executable, *words], cwd=project, env=environment, timeout=120)

    return run


@pytest.fixture(scope="module")
def several(python: Python) -> Several:
    """Commands of qsnn, each a module and its words, in that folder, one after the other."""

    def run(*commands: list[str]) -> list["subprocess.CompletedProcess[str]"]:
        result = python("-c", SEVERAL, json.dumps(commands))
        assert result.returncode == 0, result.stderr
        told = [json.loads(line) for line in result.stdout.splitlines()]
        return [subprocess.CompletedProcess(words, *each) for words, each in zip(commands, told, strict=True)]

    return run


@pytest.fixture(scope="module")
def done(several: Several) -> list[str]:
    """What the page's commands print, one after the other; each must succeed."""
    shown = [[module.removeprefix("qsnn."), *words.split(), *QUICK] for module, words in COMMAND.findall(PAGE)]
    results = several(*shown)
    for result in results:
        assert result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}"
    return [result.stdout for result in results]


def test_outside_package_is_a_python_file_a_yaml_file_and_an_entry_point(project: Path) -> None:
    assert [found["path"] for found in BLOCK.finditer(PAGE)] == [
        "pyproject.toml", "flashes.py", "conf/experiment/flashes.yaml",
    ]  # fmt: skip
    (entry_points,) = project.glob("site/flashes-0.1.dist-info/entry_points.txt")
    assert entry_points.read_text().split() == ["[qsnn.options]", "flashes", "=", "flashes"]


def test_outside_options_train_and_are_evaluated_and_resumed(done: list[str], project: Path) -> None:
    assert ["neuron=slow_lif" in words for _, words in COMMAND.findall(PAGE)].count(True) == 1
    summary = json.loads((project / "runs" / "mine" / "summary.json").read_text())
    assert (summary["status"], summary["epochs"], summary["experiment"]) == ("finished", 4, "flashes")
    assert json.loads(done[-1])["epochs"] == 4
    composed = [path.read_text() for path in (project / "outputs" / "flashes").glob("*/.hydra/config.yaml")]
    assert sorted(re.findall("tau_mem: (.*)", text)[0] for text in composed) == ["0.05", "0.1"]


def test_outside_options_are_run_and_loaded_from_python(done: list[str], python: Python) -> None:
    result = python("-c", LOAD)
    assert result.returncode == 0, result.stderr
    classes = tuple(f"channel {number}" for number in range(4))
    assert re.fullmatch(rf"[1-4] {re.escape(str(classes))} finished 0.05", result.stdout.splitlines()[-1])


def test_outside_options_have_nearest_names_bounds_and_misfits(several: Several) -> None:
    typo, wrong = several(
        ["train", "dataset=flahes"], ["train", "dataset=flashes", "dataset.per_class=1", "model=conv"]
    )
    assert typo.stderr.startswith("error: dataset=flahes does not exist: did you mean dataset=flashes?")
    assert "dataset.per_class=1 is not possible: it must be at least 5" in wrong.stderr
    assert "model=conv needs maps of pixels, which dataset=flashes does not give; " in wrong.stderr
    assert (typo.returncode, wrong.returncode) == (2, 2)


def test_config_files_of_an_installed_package_are_found_by_its_name(several: Several, project: Path) -> None:
    inside = project / "site" / "flashes_conf"
    (inside / "experiment").mkdir(parents=True)
    (inside / "__init__.py").touch()
    (inside / "experiment" / "inside.yaml").write_text((project / "conf" / "experiment" / "flashes.yaml").read_text())
    words = ["experiment=inside", "trainer.epochs=1", "hydra.run.dir=runs/inside", *QUICK]
    found, missing = several(
        ["train", "hydra.searchpath=[pkg://flashes_conf]", *words],
        ["train", "hydra.searchpath=[pkg://flashes_other.conf]", *words],
    )
    assert found.returncode == 0, found.stderr
    assert missing.stderr == "error: pkg://flashes_other.conf names no package that is installed\n"


def test_run_of_an_outside_experiment_says_what_is_missing_without_its_folder(done: list[str], python: Python) -> None:
    result = python("-m", "qsnn.evaluate", "run=runs/mine")
    assert result.returncode == 2
    assert "overrides.yaml: experiment=flashes does not exist: options are " in result.stderr


def test_run_of_a_package_that_is_not_installed_names_it(done: list[str], project: Path) -> None:
    result = in_process("evaluate", "run=runs/mine", "--config-dir", "conf", folder=project)
    wanted = "its neuron=slow_lif and dataset=flashes came from the package flashes 0.1, which is not installed here"
    assert result.stderr.startswith(f"error: runs/mine: {wanted}: pip install it")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
