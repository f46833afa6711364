"""What the system refuses is told in one line that names the file or the key, never by a traceback."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from forking import forked, run
from helpers import SMALL, command

from qsnn.command import describe, run_command
from qsnn.config.command_line import compose_config, quoted, read_command_line
from qsnn.config.run import start
from qsnn.config.training import train
from qsnn.errors import ConfigError
from qsnn.training import loop

FOLDERS = {
    "afile": "cannot use afile: File exists; a file is where a folder should be",
    "afile/run": "cannot use afile/run: Not a directory; a file is where a folder should be",
    "/sys/run": "cannot use /sys/run: ",
    "a" * 300: "File name too long; choose a shorter name",
}


@pytest.mark.parametrize("folder", FOLDERS, ids=["file", "below-a-file", "read-only", "long"])
def test_folder_that_cannot_be_made_is_named(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("afile").touch()
    with pytest.raises(SystemExit) as end:
        run_command(lambda words: train([*SMALL, f"hydra.run.dir={folder}"]))
    errors = capsys.readouterr().err
    assert (end.value.code, errors.count("\n")) == (2, 1)
    assert FOLDERS[folder] in errors
    assert [path.name for path in tmp_path.iterdir()] == ["afile"]


def test_file_that_hydra_cannot_write_is_named(train: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".hydra").touch()
    result = train("hydra.run.dir=run")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "run/.hydra: File exists" in result.stderr


# A limit on the size of files fails writes like a full disk, without one.
WRITERS = """
import logging, os, resource, sys
from pathlib import Path
import numpy as np
from PIL import Image
from qsnn.config.log_file import LogFile
from qsnn.files import write_atomically
from qsnn.reporting.metrics_file import append_metrics, open_metrics
from qsnn.reporting.tensorboard_log import TensorBoardLog
folder = Path(sys.argv[1])
board, metrics = TensorBoardLog(folder, 0, "config", {}), open_metrics(folder / "metrics.jsonl", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), dtype=np.uint8))
def write_board():
    board.picture("noise", noise, 1)
    board.flush()
def write_log():
    LogFile(str(folder / "train.log")).handle(logging.makeLogRecord({"msg": "x" * 9000}))
writers = [
    write_board, board.close, write_log,
    lambda: append_metrics(metrics, {"epoch": 1, "text": "x" * 9000}),
    lambda: write_atomically(folder / "last.pt", lambda file: file.write(bytes(9000))),
]
for write in writers:
    try:
        write()
    except OSError as error:
        print(error.filename, flush=True)
os._exit(0)
"""


def test_full_disk_is_told_with_the_file_by_everything_that_writes(tmp_path: Path) -> None:
    result = run([sys.executable, "-c", WRITERS, str(tmp_path)], timeout=120)
    assert result.returncode == 0, result.stderr
    names = ["events.out.tfevents.*", "events.out.tfevents.*", "train.log", "metrics.jsonl", "last.pt"]
    assert result.stdout.split() == [str(tmp_path / name) for name in names]
    assert result.stderr == ""
    assert list(tmp_path.glob(".*")) == []


def test_folder_that_is_deleted_while_its_run_trains_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def delete_first(run: Any) -> None:
        shutil.rmtree(run.folder)
        save(run)

    save = loop.save
    config = compose_config([*SMALL, "logging.to=[]"])
    monkeypatch.setattr(loop, "save", lambda run: delete_first(run) if run.started() else save(run))
    with pytest.raises(OSError, match="No such file") as caught:
        start(config, tmp_path / "run", [])
    assert describe(caught.value).startswith(
        f"cannot use {tmp_path}/run/checkpoints: No such file or directory; it is not"
    )
    assert not (tmp_path / "run").exists()


def test_net_that_does_not_fit_into_memory_names_the_keys(tmp_path: Path) -> None:
    words = ["dataset.num_inputs=100000", "model.hidden=[100000]", "kernels=eager"]
    result = forked("train", *SMALL, *words, folder=tmp_path, limits={resource.RLIMIT_AS: 2**33})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "does not fit into memory (" in result.stderr
    assert (
        "make one of these smaller: dataset.num_inputs=100000, model.hidden=[100000], dataset.num_outputs=40"
        in result.stderr
    )


def test_terminal_that_knows_ascii_only_shows_other_letters_escaped(train: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}
    words = [*SMALL, "logging.progress=true", "hydra.run.dir='läuft'"]
    result = command("train", *words, folder=tmp_path, env=environment)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "Logging error" not in result.stderr
    assert r"wrote l\xe4uft/" in result.stdout
    assert "wrote läuft/" in (tmp_path / "läuft" / "train.log").read_text(encoding="utf-8")


def test_tensorboard_that_is_not_installed_is_needed_only_for_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tensorboard'] = None\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    result = command("train", *SMALL, "logging.to=[]", "hydra.run.dir=run", folder=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "run").glob("events*")) == []
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        ConfigError, match=r"logging.to=\['tensorboard'\] is not possible: tensorboard is not installed"
    ):
        start(compose_config(SMALL), tmp_path / "other", [])


def test_reader_of_the_output_that_has_gone_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "qsnn.evaluate", "--help"]
    result = subprocess.run(words, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")


FLAGS = {
    "--weight_bits 4": "--weight_bits is not a flag: write quantization.weight_bits=4",
    "seed=1 --weight-bits=4": "--weight-bits=4 is not a flag: write quantization.weight_bits=4",
    "--experiment quick": "--experiment is not a flag: write experiment=quick",
    "--epochs -m": "--epochs is not a flag: write trainer.epochs=<value>",
    "--zzz": "--zzz is not a flag: write key=value, such as quantization.weight_bits=4",
    "--experimental-rerun job.pickle": "--experimental-rerun reads a pickle",
    "-m seed=0,1 --cfg job": "--cfg and --info tell of one run: leave out -m and sweep.name=",
    "-m seed=0,1 --info config": "--cfg and --info tell of one run: leave out -m and sweep.name=",
}


@pytest.mark.parametrize("words", FLAGS)
def test_setting_that_is_written_as_a_flag_is_shown_as_it_must_be(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_command_line(words.split())
    assert FLAGS[words] in str(caught.value)


@pytest.mark.parametrize("folder", ["q${a}", r"q\${a}", "it's, odd=${now:}", r"back\slash\'", "$", "${"])
def test_folder_of_odd_characters_reaches_the_config_as_it_is(folder: str) -> None:
    assert compose_config([f"resume={quoted(Path(folder))}"]).resume == folder
