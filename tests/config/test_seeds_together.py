"""trainer.vectorize=seed: which jobs are trained as one, and that each leaves in its folder what it would alone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL, in_process
from omegaconf import DictConfig, OmegaConf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config, group_options
from qsnn.config.composition import without_hydra
from qsnn.config.paths import quoted
from qsnn.config.sweeps.composing import changed
from qsnn.config.sweeps.planning import Planned
from qsnn.config.sweeps.together.jobs import SweepJob, group_by_seed, sweep_job, units_of
from qsnn.config.sweeps.together.training import train_together
from qsnn.errors import ConfigError
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.loop import Outcome

WORDS = [
    *SMALL,
    "trainer.vectorize=seed",
    "logging.health_every=2",
    "logging.histogram_every=3",
    "logging.raster_every=3",
]


def test_jobs_that_differ_in_the_seed_alone_are_a_group() -> None:
    jobs = [["seed=0", "a=1"], ["seed=0", "a=2"], ["seed=1", "a=1"], ["a=1"], ["a=1"], ["seed=0", "seed=1", "a=1"]]
    assert group_by_seed(jobs) == [[0, 2], [1], [3], [4], [5]]
    assert group_by_seed([["a=1", "seed=5"], ["seed=6", "a=1"]]) == [[0, 1]]


def test_jobs_that_ask_for_it_are_run_as_one_and_others_in_their_order(tmp_path: Path) -> None:
    def planned(*words: str) -> list[Planned]:
        return [
            Planned([*words, f"seed={seed}", f"hydra.sweep.subdir={seed}{bits}", f"quantization.weight_bits={bits}"], tmp_path)
            for seed in (0, 1) for bits in (2, 3)
        ]  # fmt: skip

    composed = []

    def compose(words: list[str]) -> DictConfig:
        composed.append(words)
        return compose_config([text for text in words if not text.startswith("hydra.")])

    jobs = [*planned(*SMALL), *planned(*SMALL, "trainer.vectorize=seed")]
    assert units_of(jobs, compose, list(group_options())) == [[0], [1], [2], [3], [4, 6], [5, 7]]
    assert len(composed) == 2  # whoever asks in the same words is asked once


def words_of(seed: int) -> list[str]:
    return [*SMALL, "dataset.seed=${seed}", f"seed={seed}", "hydra.sweep.dir=sweep", f"hydra.sweep.subdir=s{seed}"]


def test_jobs_of_a_group_have_the_configs_that_hydra_would_compose(tmp_path: Path) -> None:
    first = compose_config(words_of(3), return_hydra_config=True)
    cfg = changed(words_of(3), first, words_of(11))
    assert cfg is not None
    job = sweep_job(cfg)
    assert without_hydra(job.cfg) == compose_config(words_of(11)[:-2])
    assert OmegaConf.select(job.cfg, "dataset.seed") == 11
    assert job.folder == Path.cwd() / "sweep/s11"
    assert job.overrides == words_of(11)[:-2]


def told(folder: Path) -> Iterator[Any]:
    """What a run has in TensorBoard but times."""
    for path in sorted(folder.glob("events*.vm.*") or folder.glob("events*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if not value.tag.startswith("_hparams_"):
                    yield event.step, value.tag, value.SerializeToString(deterministic=True)


def without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: without_times(value) for key, value in content.items() if not key.startswith("seconds")}
    if isinstance(content, list):
        return [without_times(entry) for entry in content]
    return content.tolist() if isinstance(content, torch.Tensor) else content


def assert_same_folders(ours: Path, theirs: Path) -> None:
    for name in ("metrics.jsonl", "raster.png", ".hydra/config.yaml"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    assert list(told(ours)) == list(told(theirs))
    for name in ("last.pt", "previous.pt", "best.pt"):
        contents = [without_times(load_checkpoint(folder / "checkpoints" / name)) for folder in (ours, theirs)]
        assert contents[0] == contents[1]
    summaries = [without_times(json.loads((folder / "summary.json").read_text())) for folder in (ours, theirs)]
    for summary in summaries:
        summary["overrides"] = sorted(text.lower() for text in summary["overrides"])
    assert summaries[0] == summaries[1]


def test_sweep_over_seeds_leaves_what_each_run_leaves_alone(tmp_path: Path) -> None:
    done = in_process("train", "-m", *WORDS, "seed=0,7", "hydra.sweep.dir=sweep", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = {path.parent.name: path.parent for path in (tmp_path / "sweep").glob("*/summary.json")}
    assert len(folders) == 2
    for seed in (0, 7):
        ours = next(folder for name, folder in folders.items() if f"seed={seed}" in name)
        words = [*WORDS, f"seed={seed}", f"hydra.run.dir=alone{seed}"]
        assert in_process("train", *words, folder=tmp_path).returncode == 0
        assert_same_folders(ours, tmp_path / f"alone{seed}")
        lines = (ours / "train.log").read_text()
        assert "2 runs as one batch of nets" in lines
        assert lines.count("status                 finished") == 1


def test_seeds_that_are_not_equally_far_go_on_together(tmp_path: Path) -> None:
    begun = in_process("train", *WORDS, "seed=0", "trainer.epochs=2", "hydra.run.dir=sweep/s0", folder=tmp_path)
    assert begun.returncode == 0
    shutil.rmtree(tmp_path / "sweep/s0/.hydra")  # it is a job of the sweep from now on
    (tmp_path / "sweep/s0/summary.json").unlink()
    words = ["-m", *WORDS, "resume=auto", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=s${seed}", "seed=0,7"]
    done = in_process("train", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming sweep/s0 after epoch 2" in (tmp_path / "sweep/s0/train.log").read_text()
    assert "resume=auto: sweep/s7 holds no checkpoint" in (tmp_path / "sweep/s7/train.log").read_text()
    for name in ("s0", "s7"):
        assert json.loads((tmp_path / "sweep" / name / "summary.json").read_text())["epochs"] == 6
        assert load_checkpoint(tmp_path / "sweep" / name / "checkpoints" / "previous.pt")["epoch"] == 4


def planned_job(folder: Path, seed: int) -> SweepJob:
    own = [f"hydra.sweep.dir={quoted(folder)}", f"hydra.sweep.subdir=s{seed}"]
    return sweep_job(compose_config([*WORDS, f"seed={seed}", *own], return_hydra_config=True))


def test_job_that_cannot_be_run_is_told_and_ends_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [planned_job(tmp_path, seed) for seed in (0, 1)]
    checkpoint = jobs[0].folder / "checkpoints" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    outcomes = train_together(jobs)
    assert isinstance(outcomes[0], str)
    assert "already holds a run" in outcomes[0]
    assert isinstance(outcomes[1], Outcome)
    assert outcomes[1].status == "finished"
    output = capsys.readouterr().out
    assert "[seed 0] error: " in output
    assert "\n1 runs as one batch of nets\n" in output
    assert "[seed 1] \n  status                 finished" in output
    assert not (jobs[0].folder / ".hydra").exists()


def test_what_else_is_to_be_vectorized_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.vectorize=lr is not possible: allowed are null, seed"):
        to_config(compose_config([*SMALL, "trainer.vectorize=lr"]))
