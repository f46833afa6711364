"""Ctrl-C and SIGTERM outside of training: one line and 128 + signal, whatever the command is doing."""

import contextlib
import ctypes
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from event_builders import write_nmnist
from helpers import SMALL

from qsnn.command import run_command
from qsnn.config.command_line import compose_config
from qsnn.config.preparing import prepare
from qsnn.config.run import start
from qsnn.config.scoring import score_run
from qsnn.config.training import train
from qsnn.errors import ConfigError
from qsnn.training.interrupt import REPEAT, Interruptible, Stopped, StopRequest, raise_if_stopped

# Runs a command that gets a signal at the moment when it imports a module.
AT_IMPORT = """
import os, runpy, signal, sys
number, module, command = int(sys.argv[1]), sys.argv[2], sys.argv[3]
class Finder:
    def find_spec(name, *rest):
        if name == module:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder)
sys.argv = [command, *sys.argv[4:]]
runpy.run_module(f"qsnn.{command}", run_name="__main__")
"""
IMPORTS = [
    ("hydra", "train", signal.SIGTERM, SMALL),
    ("torch._C", "train", signal.SIGINT, SMALL),
    ("numba", "train", signal.SIGTERM, SMALL),
    ("omegaconf", "evaluate", signal.SIGINT, ["run=nowhere"]),
    ("numpy", "prepare", signal.SIGTERM, ["dataset=nmnist"]),
]


@pytest.mark.parametrize(("module", "name", "number", "words"), IMPORTS, ids=[f"{c[1]}-{c[0]}" for c in IMPORTS])
def test_signal_while_a_command_imports_is_one_line(
    module: str, name: str, number: signal.Signals, words: list[str], tmp_path: Path
) -> None:
    program = [sys.executable, "-c", AT_IMPORT, str(int(number)), module, name, *words]
    result = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.stderr.splitlines()[0].startswith(f"stopped by {number.name}: ")
    assert (result.returncode, result.stderr.count("\n")) == (128 + number, 1)
    assert list(tmp_path.rglob("*.tmp")) == []


def send_at(place: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the signal to this process whenever ``module:function`` is called."""
    module, name = place.split(":")
    owner: Any = importlib.import_module(module)
    kept = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return kept(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


def exit_of(work: Any) -> int:
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        run_command(lambda words: work())
    assert isinstance(end.value.code, int)
    return end.value.code


BEFORE = ["qsnn.config.run:build_run", "qsnn.training.loop:save_last", "qsnn.training.bptt:train_step"]
AFTER = ["qsnn.reporting.reporter:write_raster", "qsnn.config.run:write_json", "qsnn.config.run:report"]


@pytest.mark.parametrize("place", [*BEFORE, *AFTER])
def test_signal_before_the_first_epoch_and_after_the_last_is_one_line(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    send_at(place, signal.SIGTERM, monkeypatch)
    assert exit_of(lambda: start(compose_config([*SMALL, "trainer.epochs=2"]), tmp_path, [])) == 128 + signal.SIGTERM
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith("stopped by SIGTERM: ")
    saved = (tmp_path / "checkpoints" / "last.pt").exists()
    assert saved == (place not in BEFORE[:2])
    assert ("its last checkpoint is kept; go on: python -m qsnn.train resume=" in errors) == saved
    assert list(tmp_path.rglob("*.tmp")) == []
    monkeypatch.undo()
    if saved:
        told = json.loads((tmp_path / "summary.json").read_text())
        ended = "finished" if place == AFTER[-1] else "stopped"
        assert (told["status"], told["epochs"]) == (ended, 0 if place in BEFORE else 2)
        words = [*SMALL, "trainer.epochs=2", f"resume='{tmp_path}'"]
        assert start(compose_config(words), tmp_path, []).status == "finished"
        assert json.loads((tmp_path / "summary.json").read_text())["epochs"] == 2


def test_signal_while_a_data_set_is_prepared_leaves_no_half_written_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_nmnist(tmp_path / "data")
    send_at("qsnn.data.events.cache:check_recording", signal.SIGINT, monkeypatch)
    words = ["dataset=nmnist", f"dataset.root={tmp_path}/data", "dataset.cache=there", "logging.progress=false"]
    monkeypatch.chdir(tmp_path)
    assert exit_of(lambda: prepare(words)) == 128 + signal.SIGINT
    assert capfd.readouterr().err == "stopped by SIGINT: nothing was left half-written\n"
    assert [path for path in (tmp_path / "there").iterdir() if path.is_dir()] == []


def test_signal_while_a_run_is_evaluated_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    start(compose_config([*SMALL, "trainer.epochs=1"]), tmp_path / "run", [])
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text(json.dumps([*SMALL, "trainer.epochs=1"]))
    send_at("qsnn.reporting.reporter:write_raster", signal.SIGINT, monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert exit_of(lambda: score_run(["run=run"])) == 128 + signal.SIGINT
    assert capfd.readouterr().err == "stopped by SIGINT: nothing was left half-written\n"


def test_signal_that_was_swallowed_is_raised_when_training_begins(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with contextlib.suppress(Stopped):  # as ctypes does in a callback
            signal.raise_signal(signal.SIGINT)
        with StopRequest():
            pytest.fail("training has begun")

    assert exit_of(work) == 128 + signal.SIGINT
    assert capsys.readouterr().err.startswith("stopped by SIGINT")


def test_second_signal_of_a_pair_is_passed_over_and_a_later_one_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 2 * REPEAT

    def work() -> None:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert stop.signal_number == signal.SIGTERM
            monkeypatch.setattr(time, "monotonic", lambda: later)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the later signal did nothing")

    assert exit_of(work) == 128 + signal.SIGINT


def test_signal_that_a_callback_from_c_swallows_is_told_later_and_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    callback = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGTERM))

    def work() -> None:
        with Interruptible():
            callback()
            raise_if_stopped()

    with pytest.raises(SystemExit) as caught:
        work()
    assert (caught.value.code, unraisable) == (128 + signal.SIGTERM, [])
    assert capsys.readouterr().err == "stopped by SIGTERM: nothing was left half-written\n"


WITH_PARENT = """
import signal, sys, time
from qsnn.training.interrupt import end_with_parent
def stop(number, frame):
    print("told", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_process_is_told_to_stop_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, WITH_PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        assert parent.stdout.read() == "told\n"  # until the child, which has the other end too, has gone


def _death_signal(launched: bool) -> None:
    """By a process with torchrun's environment: which signal it gets when its parent ends, as its exit code."""
    given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    os.environ.update(given | ({"TORCHELASTIC_RUN_ID": "none"} if launched else {}))
    with pytest.raises(ConfigError):
        train(["-m", "seed=0,1"])
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)  # PR_GET_PDEATHSIG
    os._exit(number.value)


@pytest.mark.parametrize(("launched", "number"), [(True, signal.SIGTERM), (False, 0)])
def test_processes_of_torchrun_end_with_it_and_those_of_a_shell_do_not(launched: bool, number: int) -> None:
    child = multiprocessing.get_context("fork").Process(target=_death_signal, args=(launched,))
    child.start()
    child.join()
    assert child.exitcode == number
