"""Sweeps as a user types them: where runs go, what is told at the end, the tables, the number for a sweeper."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers import SMALL, command, in_process
from local_data import SMALL_LOCAL, data_folder
from omegaconf import OmegaConf
from PIL import Image
from scripts_module import load_script

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.quantization.bit_widths import ALLOWED
from qsnn.training.runs import write_plan

accuracy_table, results_table = load_script("accuracy_table"), load_script("results_table")
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
        "logging.tensorboard=false",
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


def output(
    script: ModuleType, words: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str], str]:
    """Exit status, lines and errors of a script."""
    monkeypatch.setattr(sys, "argv", ["script", *map(str, words)])
    status = script.main()
    written = capsys.readouterr()
    return status, written.out.splitlines(), written.err


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


def test_tables_of_a_pattern_sweep_name_failed_and_missing_runs_and_give_no_mean_without_them(
    sweep: tuple["subprocess.CompletedProcess[str]", Path],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = shutil.copytree(sweep[1], tmp_path / "sweep")
    shutil.rmtree(job(folder, "null", 1))
    share = [
        json.loads((job(folder, "2", seed) / "summary.json").read_text())["final"]["relative_distance"]
        for seed in (0, 1)
    ]
    drawn = tmp_path / "drawn.png"
    status, lines, errors = output(accuracy_table, [folder, "--by", BITS, "--picture", drawn], monkeypatch, capsys)
    assert status == 1
    assert lines[0] == f"| {BITS} | final distance / silent | by seed | seconds a run |"
    mean, spread = sum(share) / 2, abs(share[0] - share[1]) / 2**0.5
    assert lines[2].startswith(f"| 2 | {mean:.1%} ± {spread:.1%} | {share[0]:.1%}, {share[1]:.1%} |")
    assert lines[3] == "| 33 | 0 of 2 runs | -, - |  |"
    assert lines[4].startswith("| null | 1 of 2 runs | ")
    assert f"error: missing: it never started [{BITS}=null seed=1]\n" in errors
    assert errors.count(f"error: {BITS}=33 is not possible") == 2
    with Image.open(drawn) as image:
        assert image.size == (640, 400)
    status, lines, errors = output(results_table, [folder], monkeypatch, capsys)
    assert status == 1
    assert [line.split(" | ")[:5] for line in lines[2:5]] == [["| 2", "8", "8", "8", "2"]] * 2 + [
        ["| float", "8", "8", "8", "2"]
    ]
    assert "it never started" in errors


def test_table_that_would_mix_runs_is_refused(
    sweep: tuple["subprocess.CompletedProcess[str]", Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["accuracy_table", str(sweep[1]), "--by", "model.hidden"])
    with pytest.raises(SystemExit, match=r"several runs are of \[60\], seed 0 and the same fold"):
        accuracy_table.main()
    monkeypatch.setattr(sys, "argv", ["accuracy_table", str(sweep[1]), "--by", "model.chanels"])
    with pytest.raises(SystemExit, match=r"error: --by model\.chanels is no key of these runs"):
        accuracy_table.main()


def local_sweep(folder: Path, data: Path) -> None:
    """Two folds at two weight widths, as Hydra leaves them; the last one is not started."""
    fixed = [
        *SMALL_LOCAL,
        *data_folder(data, "nmnist"),
        "trainer.epochs=1",
        "logging.tensorboard=false",
        "dataset.num_folds=3",
    ]
    jobs = [[*fixed, f"{BITS}={bits}", f"dataset.fold={fold}"] for bits in ("8", "null") for fold in (0, 1)]
    write_plan(folder, jobs)
    for number, words in enumerate(jobs[:3]):
        run, cfg = folder / str(number), compose_config(words)
        (run / ".hydra").mkdir(parents=True)
        OmegaConf.save(cfg, run / ".hydra" / "config.yaml")
        start(cfg, run, words)


def test_table_of_local_learning_joins_folds_and_calls_half_precision_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local_sweep(tmp_path / "sweep", tmp_path / "data")
    status, lines, errors = output(accuracy_table, [tmp_path / "sweep"], monkeypatch, capsys)
    assert status == 1
    assert lines[0] == "| quantization | test accuracy | standard error | by seed | recordings tested | seconds a run |"
    finals = [
        json.loads((tmp_path / "sweep" / str(n) / "summary.json").read_text())["best"]["confusion"] for n in (0, 1)
    ]
    right, tested = (
        sum(f(m) for m in finals) for f in (lambda m: sum(m[k][k] for k in range(10)), lambda m: sum(map(sum, m)))
    )
    p = right / tested
    assert lines[2].startswith(f"| quantized | {p:.1%} | {(p * (1 - p) / tested) ** 0.5:.1%} | {p:.1%} | {tested} | ")
    assert lines[3].startswith("| quantized, but weight in full precision | 1 of 2 runs |  | - | ")
    assert errors == f"error: missing: it never started [dataset.fold=1 {BITS}=null]\n"
    monkeypatch.setattr(sys, "argv", ["results_table", str(tmp_path / "sweep")])
    with pytest.raises(SystemExit, match=r"is no run of the pattern experiment: take scripts/accuracy_table\.py"):
        results_table.main()


def test_table_of_no_runs_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for script in (accuracy_table, results_table):
        assert output(script, [tmp_path], monkeypatch, capsys) == (1, [], f"error: no runs below {tmp_path}\n")


def test_sweep_over_experiments_and_a_glob_lies_in_one_folder(tmp_path: Path) -> None:
    words = [
        "trainer.epochs=1",
        "logging.progress=false",
        "logging.tensorboard=false",
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
    words = [*SMALL, "trainer.epochs=1", "logging.tensorboard=false", "kernels=eager", "-m", "hydra/sweeper=listening"]
    heard = command("train", *words, "seed=0", folder=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert heard.returncode == 0, heard.stderr
    (summary,) = tmp_path.glob("outputs/multirun/quick/*/*/summary.json")
    assert f"heard {json.loads(summary.read_text())['final']['distance']}\n" in heard.stdout
    failed = command("train", *words, f"{BITS}=33,2", folder=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert failed.returncode == 1
    assert "heard" not in failed.stdout
    assert f"error: {BITS}=33 is not possible" in failed.stderr
    assert "Traceback" not in failed.stderr
