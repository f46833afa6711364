"""Sweeps as a user types them: where runs go, what is told at the end, the report, the number for a sweeper."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forking import forked
from helpers import SMALL, in_process
from local_data import SMALL_LOCAL, data_folder
from omegaconf import OmegaConf

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.quantization.bit_widths import ALLOWED
from qsnn.training.runs import write_plan

BITS = "quantization.weight_bits"
LISTENING_SWEEPER = """
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
class ListeningSweeper(BasicSweeper):
    def sweep(self, arguments):
        for (job,) in super().sweep(arguments):
            print("heard", job.return_value)
target = "hydra_plugins.listening.ListeningSweeper"
node = {"_target_": target, "max_batch_size": 1, "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="listening", node=node)
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple["subprocess.CompletedProcess[str]", Path]:
    """Six jobs, two of which are impossible."""
    folder = tmp_path_factory.mktemp("sweep")
    words = [
        *SMALL,
        "trainer.epochs=2",
        "logging.to=[]",
        "kernels=eager",
        "-m",
        f"{BITS}=2,33,null",
        "seed=0,1",
    ]
    result = in_process("train", *words, folder=folder)
    (found,) = folder.glob("outputs/multirun/quick/*")
    return result, found


def job(folder: Path, bits: str, seed: int) -> Path:
    (found,) = folder.glob(f"*{BITS}={bits},seed={seed}*")
    return found


def reported(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, Markdown table and errors of `qsnn.report`."""
    result = in_process("report", str(folder), *words, folder=folder.parent)
    table = folder / "report" / "table.md"
    return result.returncode, table.read_text() if table.exists() else "", result.stderr


def test_sweep_finishes_the_other_jobs_and_tells_the_reason_of_every_failed_one(
    sweep: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    result, folder = sweep
    shown = folder.relative_to(folder.parents[3])
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"error: {BITS}=33 is not possible: {ALLOWED} "
        f"[{BITS}=33 seed={seed}, in {shown / job(folder, '33', seed).name}]"
        for seed in (0, 1)
    ]
    table = result.stdout.split("\nsweep of 6 jobs: ")[1].splitlines()
    assert table[0] == f"4 finished, 2 failed; in {shown}"
    rows = [row.split() for row in table[3:9]]
    assert [row[:3] for row in rows] == [
        [f"{BITS}={bits}", f"seed={seed}", "failed" if bits == "33" else "finished"]
        for bits in ("2", "33", "null") for seed in (0, 1)
    ]  # fmt: skip
    assert rows[0][3] == "distance"
    assert rows[0][-1] == job(folder, "2", 0).name


def test_folder_of_a_job_that_was_refused_tells_why(sweep: tuple["subprocess.CompletedProcess[str]", Path]) -> None:
    for seed in (0, 1):
        folder = job(sweep[1], "33", seed)
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["status"] == "failed"
        assert summary["error"] == f"{BITS}=33 is not possible: {ALLOWED}"
        assert (summary["experiment"], summary["seed"]) == ("quick", seed)
        assert f"{BITS}=33" in summary["overrides"]
        assert "error: quantization.weight_bits=33 is not possible" in (folder / "train.log").read_text()


def test_job_whose_values_lead_nowhere_is_told_in_one_line(tmp_path: Path) -> None:
    words = [*SMALL, "trainer.epochs=1", "logging.to=[]", "kernels=eager", "-m", "sweep.name=x", "seed=${nope},1"]
    result = in_process("train", *words, folder=tmp_path)
    assert result.returncode == 1
    assert "1 failed, 1 finished" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: seed: Interpolation key 'nope' not found [seed=")
    (summary,) = (
        json.loads(path.read_text()) for path in tmp_path.glob("outputs/multirun/quick/x/*nope*/summary.json")
    )
    assert (summary["status"], summary["seed"]) == ("failed", "${nope}")


def test_report_of_a_pattern_sweep_names_failed_and_missing_runs(
    sweep: tuple["subprocess.CompletedProcess[str]", Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(sweep[1], tmp_path / "sweep")
    shutil.rmtree(job(folder, "null", 1))
    share = [
        json.loads((job(folder, "2", seed) / "summary.json").read_text())["final"]["relative_distance"]
        for seed in (0, 1)
    ]
    status, table, errors = reported(folder)
    assert status == 1
    lines = table.splitlines()
    assert lines[0].startswith(
        "| weight_bits | final / silent | by seed | best / silent | final distance | best distance |"
    )
    mean, spread = sum(share) / 2, abs(share[0] - share[1]) / 2**0.5
    assert lines[2].startswith(f"| 2 | {mean:.1%} ± {spread:.1%} | {share[0]:.1%}, {share[1]:.1%} |")
    assert "| 0 of 2 (2 failed) |" in lines[3]
    assert lines[4].startswith("| null | ")
    assert "| 1 of 2 (1 missing) |" in lines[4]
    assert f"missing: it never started [{BITS}=null seed=1]\n" in errors
    assert errors.count(f"failed: {BITS}=33 is not possible") == 2
    assert (folder / "report" / "drift.png").exists()


def test_report_that_would_mix_runs_is_refused(sweep: tuple["subprocess.CompletedProcess[str]", Path]) -> None:
    status, table, errors = reported(sweep[1], "by=model.hidden")
    assert (status, table) == (2, "")
    assert (
        "runs are of hidden=[60], seed 0, so that a mean would mix them: they differ in quantization.weight_bits"
        in errors
    )
    assert "error: by=model.chanels is no key of these runs" in reported(sweep[1], "by=model.chanels")[2]


def local_sweep(folder: Path, data: Path) -> None:
    """Two folds at two weight widths, as Hydra leaves them; the last one is not started."""
    fixed = [
        *SMALL_LOCAL,
        *data_folder(data, "nmnist"),
        "trainer.epochs=1",
        "logging.to=[]",
        "dataset.num_folds=3",
    ]
    jobs = [[*fixed, f"{BITS}={bits}", f"dataset.fold={fold}"] for bits in ("8", "null") for fold in (0, 1)]
    write_plan(folder, jobs)
    for number, words in enumerate(jobs[:3]):
        run, cfg = folder / str(number), compose_config(words)
        (run / ".hydra").mkdir(parents=True)
        OmegaConf.save(cfg, run / ".hydra" / "config.yaml")
        start(cfg, run, words)


def test_report_of_local_learning_joins_folds_and_calls_half_precision_by_its_name(tmp_path: Path) -> None:
    local_sweep(tmp_path / "sweep", tmp_path / "data")
    status, table, errors = reported(tmp_path / "sweep", "by=quantization")
    assert status == 1
    runs = [tmp_path / "sweep" / str(number) for number in (0, 1)]
    finals = [json.loads((run / "summary.json").read_text())["best"]["confusion"] for run in runs]
    right, tested = (
        sum(f(m) for m in finals) for f in (lambda m: sum(m[k][k] for k in range(10)), lambda m: sum(map(sum, m)))
    )
    p = right / tested
    lines = table.splitlines()
    assert lines[0].startswith("| quantization | test accuracy | standard error | recordings tested |")
    assert lines[2].startswith(f"| quantized | {p:.1%} | {(p * (1 - p) / tested) ** 0.5:.1%} | {tested} | ")
    assert lines[3].startswith("| quantized, but weight in full precision |  |  |  |"), table
    assert "| 1 of 2 (1 missing) |" in lines[3]
    assert errors == f"missing: it never started [dataset.fold=1 {BITS}=null]\n"
    for run, counts in zip(runs, finals, strict=True):
        kept = np.load(run / "test_predictions.npz")
        assert np.array_equal(
            np.bincount(10 * kept["label"] + kept["prediction"], minlength=100).reshape(10, 10), counts
        )


def test_sweep_over_experiments_and_a_glob_lies_in_one_folder(tmp_path: Path) -> None:
    words = [
        "trainer.epochs=1",
        "logging.progress=false",
        "logging.to=[]",
        "model.hidden=[60]",
        "kernels=eager",
    ]
    result = in_process(
        "train", "-m", "experiment=quick,pattern", "optimizer=glob(ada*, exclude=*_*)", *words, folder=tmp_path
    )
    assert result.returncode == 0, result.stderr
    (folder,) = tmp_path.glob("outputs/multirun/*/*")
    assert folder.parent.name == "quick+pattern"
    assert len(list(folder.glob("*/summary.json"))) == 4
    assert "sweep of 4 jobs: 4 finished" in result.stdout


def test_sweeper_gets_the_error_of_each_run_and_the_failure_of_a_failed_one(tmp_path: Path) -> None:
    plugin = tmp_path / "path" / "hydra_plugins" / "listening"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(LISTENING_SWEEPER)
    path = os.pathsep.join([str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [*SMALL, "trainer.epochs=1", "logging.to=[]", "kernels=eager", "-m", "hydra/sweeper=listening"]
    heard = forked("train", *words, "seed=0", folder=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert heard.returncode == 0, heard.stderr
    (summary,) = tmp_path.glob("outputs/multirun/quick/*/*/summary.json")
    assert f"heard {json.loads(summary.read_text())['final']['distance']}\n" in heard.stdout
    failed = forked("train", *words, f"{BITS}=33,2", folder=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert failed.returncode == 1
    assert "heard" not in failed.stdout
    assert f"error: {BITS}=33 is not possible" in failed.stderr
    assert "Traceback" not in failed.stderr
