"""Files and packages of somebody else that are broken: one line that names them, whatever was chosen."""

from pathlib import Path

import pytest
from helpers import SMALL, in_process

QUIET = [*SMALL, "logging.to=[]"]


def announce(folder: Path, source: str) -> None:
    """A package that announces options in a module with this source."""
    (folder / "broken_options.py").write_text(source)
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qsnn.options]\nbroken = broken_options\n")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def (", "SyntaxError"),
        ("from qsnn.options import option\n@option('neuron', 'a/b')\nclass X: ...", "'a/b' is no name of an option"),
        ("from qsnn.options import option\n@option('neuron', 'mine')\nclass X: ...", "neuron=mine must be a dataclass"),
    ],
)
def test_package_with_broken_options_is_named_in_one_line(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, source)
    monkeypatch.syspath_prepend(tmp_path)
    done = in_process("train", *QUIET, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: broken announces options in broken_options")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("experiment/mine.yaml", b"# @package _global_\na: [1\n", "a config file cannot be read: "),
        ("experiment/mine.yaml", b"\xff\xfe", "a config file cannot be read: "),
        (
            "experiment/mine.yaml",
            b"# @package _global_\nseed: !!python/object/apply:os.system [true]\n",
            "cannot be read",
        ),
        ("experiment/mine.yaml", b"# @package _global_\nfoo: 1\n", "foo in experiment/mine.yaml is no key"),
        ("experiment/mine.yaml", b"# @package _global_\ndefaults: [mine]\n", "names itself in its defaults"),
        ("neuron/mine.yaml", b"tau_mem: 0.1\n", "the file that was chosen in group neuron names no option"),
    ],
    ids=["yaml", "bytes", "tag", "key", "itself", "plain"],
)
def test_config_file_of_ones_own_that_is_broken_is_told_in_one_line(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "conf" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    group = path.parent.name
    words = [f"{group}=mine"] if group == "experiment" else ["experiment=quick", f"{group}=mine"]
    done = in_process("train", "--config-dir", "conf", *words, "logging.progress=false", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("model.hidden=[[5]]", "model.hidden[0]=[5] is not possible: it must be a number"),
        ("trainer.epochs=${foo}", "Interpolation key 'foo' not found"),
        ("model.hidden=[???]", "issing"),
        ("device=cpu:3", "device=cpu:3 is not supported"),
    ],
)
def test_value_that_is_none_of_its_type_is_told_in_one_line(word: str, reason: str, tmp_path: Path) -> None:
    done = in_process("train", *QUIET, word, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
