"""Sweeps in processes of our own: what a job, a worker or the parent that dies leaves behind, and two sweeps at once."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forking import Forked
from helpers import SMALL, in_process

from qsnn.config.paths import quoted
from qsnn.training.folders.lock import is_held, locked
from qsnn.training.runs import find_jobs, read_job

ENDLESS = [
    "experiment=quick", "trainer.epochs=10000000", "trainer.checkpoint_every=10", "logging.progress=false",
    "logging.to=[]", "kernels=eager",
]  # fmt: skip
QUICK = [*SMALL, "trainer.epochs=1", "logging.to=[]", "kernels=eager"]
AS_ONE = ["sweep.name=x", "trainer.vectorize=seed", "hydra.sweep.subdir=${quantization.weight_bits}_${seed}"]
PLACE = Path("outputs/multirun/quick/x")


def wait_for(met: Callable[[], object]) -> None:
    """Until the condition is met, if it is in time."""
    end = time.monotonic() + 120
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def sweep(folder: Path, *words: str) -> Iterator[Forked]:
    """``python -m qsnn.train -m`` in the background, which does not outlive the test."""
    command = [sys.executable, "-m", "qsnn.train", "-m", *words]
    with (folder / "out").open("w") as out:
        process = Forked(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def training(folder: Path) -> list[tuple[Path, int]]:
    """The jobs that have a checkpoint to go on from, and the processes that train them."""
    found = []
    for job in find_jobs(folder):
        if job.status == "running" and job.folder and (job.folder / "checkpoints" / "previous.pt").exists():
            found.append((job.folder, int(job.summary["pid"])))
    return found


def is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_killed_worker_costs_its_job_and_the_end_of_the_parent_ends_its_workers(tmp_path: Path) -> None:
    """One after the other, as starting a sweep takes seconds: a worker is killed; then, in the job that takes its place, the
    parent is."""
    place = tmp_path / "outputs" / "multirun" / "quick" / "x"
    words = [*ENDLESS, "sweep.name=x", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    with sweep(tmp_path, *words) as parent:
        wait_for(lambda: len(training(place)) == 2)
        assert sorted(job.status for job in find_jobs(place)) == ["queued", "running", "running"]
        (killed, first), (sibling, other) = training(place)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(training(place)) == 2 and first not in [pid for _, pid in training(place)])
        job = read_job(killed)
        assert job.status == "failed"
        assert re.match(r"killed by SIGKILL \((not for want of memory|out of memory\?)", job.reason())
        assert is_held(sibling)
        workers = [pid for _, pid in training(place)]
        assert other in workers
        parent.kill()
        parent.wait()
        wait_for(lambda: not any(map(is_there, workers)))
    assert sorted(job.status for job in find_jobs(place)) == [
        "failed",
        "stopped",
        "stopped",
    ]  # by SIGTERM, each with a checkpoint
    assert not any(is_held(job.folder) for job in find_jobs(place) if job.folder)


def test_interrupted_sweep_stops_its_workers_tells_how_far_each_job_is_and_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "outputs" / "multirun" / "quick" / "x"
    with sweep(tmp_path, *ENDLESS, "sweep.name=x", "seed=0,1") as parent:
        wait_for(lambda: training(place))
        ((folder, worker),) = training(place)
        parent.terminate()
        assert parent.wait(120) == 128 + signal.SIGTERM
    assert not is_there(worker)
    output = (tmp_path / "out").read_text()
    assert "sweep of 2 jobs: 1 stopped, 1 queued; in outputs/multirun/quick/x" in output
    assert "error: queued: it has not been started yet [seed=1, in " in output
    epochs = json.loads((folder / "summary.json").read_text())["epochs"]
    words = [word for word in ENDLESS if not word.startswith("trainer.epochs")]
    for job in find_jobs(place):  # what goes on is the same run, to a nearer end
        assert job.folder is not None
        summary = job.folder / "summary.json"
        summary.write_text(summary.read_text().replace("trainer.epochs=10000000", f"trainer.epochs={epochs + 1}"))
    result = in_process(
        "train", "-m", *words, f"trainer.epochs={epochs + 1}", "seed=0", "resume=auto", f"hydra.sweep.dir={place}",
        f"hydra.sweep.subdir={quoted(Path(folder.name))}", folder=tmp_path,
    )  # fmt: skip
    assert read_job(folder).status == "finished", result.stderr
    assert f"after epoch {epochs}\n" in (folder / "train.log").read_text()


def test_second_sweep_of_the_name_does_what_is_free_and_tells_who_does_the_rest(tmp_path: Path) -> None:
    place = tmp_path / "outputs" / "multirun" / "quick" / "x"
    words = ["-m", *QUICK, "sweep.name=x", "seed=0,1"]
    assert in_process("train", *words, folder=tmp_path).returncode == 0
    folders = {job.summary["seed"]: job.folder for job in find_jobs(place)}
    assert folders[0]
    assert folders[1]
    began = {seed: (folder / "train.log").read_bytes() for seed, folder in folders.items() if folder}
    summary = json.loads((folders[0] / "summary.json").read_text())
    for path in (folders[0] / "checkpoints").iterdir():
        path.unlink()
    with locked(folders[0]):
        state = {**summary, "status": "running", "pid": os.getpid(), "host": "here", "since": "noon"}
        (folders[0] / "summary.json").write_text(json.dumps(state))
        result = in_process("train", *words, folder=tmp_path)
    assert result.returncode == 1
    assert f"error: running: process {os.getpid()} on here has been at it since noon [seed=0, in " in result.stderr
    assert {seed: (folder / "train.log").read_bytes() for seed, folder in folders.items() if folder} == began
    again = in_process("train", *words, folder=tmp_path)  # that process has been killed
    assert again.returncode == 0, again.stderr
    assert "sweep of 2 jobs: 2 finished" in again.stdout


def test_error_that_nobody_foresaw_costs_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("qsnn.config.run.build_run", broken)  # workers are forks of this process
    result = in_process("train", "-m", *QUICK, "sweep.name=x", "seed=0,1", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("error: ZeroDivisionError: a mistake of ours [seed=") == 2


def test_folder_that_hydra_cannot_write_costs_its_job_and_is_named_once(tmp_path: Path) -> None:
    taken = tmp_path / PLACE / "2_0" / ".hydra"
    taken.parent.mkdir(parents=True)
    taken.write_text("a file")
    words = [*QUICK, "sweep.name=x", AS_ONE[-1], "seed=0,1", "hydra/launcher=processes", "hydra.launcher.n_jobs=1"]
    result = in_process("train", "-m", *words, folder=tmp_path)
    assert result.returncode == 1
    assert "1 failed, 1 finished" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: cannot use ")
    assert line.count("2_0/.hydra") == 1


def test_killed_worker_costs_its_seeds_a_signal_stops_all_and_the_same_command_goes_on(tmp_path: Path) -> None:
    place = tmp_path / PLACE
    words = [
        *AS_ONE,
        "trainer.checkpoint_every=2",
        "seed=0,1",
        "quantization.weight_bits=2,4",
        "hydra/launcher=processes",
        "hydra.launcher.n_jobs=2",
    ]
    with sweep(tmp_path, *ENDLESS, *words) as parent:
        wait_for(lambda: len(training(place)) == 4)
        workers = {folder.name: process for folder, process in training(place)}
        assert workers["2_0"] == workers["2_1"] != workers["4_0"] == workers["4_1"]
        os.kill(workers["2_0"], signal.SIGKILL)
        wait_for(lambda: read_job(place / "2_0").status == read_job(place / "2_1").status == "failed")
        assert [read_job(place / f"4_{seed}").status for seed in (0, 1)] == ["running"] * 2
        parent.terminate()
        assert parent.wait(120) == 128 + signal.SIGTERM
    assert not is_there(workers["4_0"])
    for seed in (0, 1):
        assert read_job(place / f"2_{seed}").reason().startswith("killed by SIGKILL (")
        assert read_job(place / f"4_{seed}").status == "stopped"
    epochs = read_job(place / "4_0").summary["epochs"]
    near = f"trainer.epochs={epochs + 2}"
    for path in place.glob("*/summary.json"):  # what goes on is the same run, to a nearer end
        path.write_text(path.read_text().replace("trainer.epochs=10000000", near))
    result = in_process("train", "-m", *ENDLESS[:1], near, *ENDLESS[2:], *words, folder=tmp_path)
    jobs = [read_job(folder) for folder in place.glob("*_*")]
    assert [job.status for job in jobs] == ["finished"] * 4, result.stderr
    assert f"after epoch {epochs}\n" in (place / "4_0" / "train.log").read_text()


def test_seed_that_fails_or_is_another_process_is_left_out_of_its_group(tmp_path: Path) -> None:
    damaged, held = (tmp_path / PLACE / f"2_{seed}" for seed in (0, 2))
    (damaged / "checkpoints").mkdir(parents=True)
    (damaged / "checkpoints" / "last.pt").write_bytes(b"no checkpoint")
    words = ["-m", *QUICK, *AS_ONE, "seed=0,1,2,3", "quantization.weight_bits=2"]
    with locked(held):
        (held / "summary.json").write_text(json.dumps({"status": "running", "pid": 1, "host": "here", "since": "noon"}))
        result = in_process("train", *words, folder=tmp_path)
        states = [read_job(tmp_path / PLACE / f"2_{seed}").status for seed in range(4)]
    assert states == ["failed", "finished", "running", "finished"], result.stderr
    assert result.returncode == 1
    assert "error: " in (damaged / "train.log").read_text()
    assert "2_0/checkpoints/last.pt" in read_job(damaged).reason()
    assert "2 runs in one process" in (tmp_path / PLACE / "2_1" / "train.log").read_text()
    assert not (held / "train.log").exists()


def test_error_that_nobody_foresaw_costs_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("qsnn.config.run.build_run", broken)  # workers are forks of this process
    words = ["-m", *QUICK, *AS_ONE, "seed=0,1", "quantization.weight_bits=2"]
    result = in_process("train", *words, folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("error: ZeroDivisionError: a mistake of ours [seed=") == 2
    assert [job.status for job in find_jobs(tmp_path / PLACE)] == ["failed"] * 2


def test_sweeper_of_hydras_plugin_interface_can_have_our_processes(tmp_path: Path) -> None:
    words = ["-m", *QUICK, "hydra/sweeper=basic", "hydra/launcher=processes", "hydra.launcher.n_jobs=2", "seed=0,1"]
    result = in_process("train", *words, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "sweep of 2 jobs: 2 finished" in result.stdout
