"""python -m qsnn.predict: classes of loose recordings, in every form, from a run's folder alone."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from event_builders import write_nmnist
from helpers import command, in_process
from PIL import Image

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.training.bptt import BPTTLearner
from qsnn.training.class_scores import LayerTally

WORDS = [
    "dataset=nmnist", "model=feedforward", "model.hidden=[12]", "neuron.dt=0.01", "dataset.downsample=4",
    "trainer.epochs=2", "logging.progress=false", "logging.to=[]",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, whose data are gone; some of its recordings lie in ``more`` beside it."""
    folder = tmp_path_factory.mktemp("predict")
    write_nmnist(folder / "data")
    words = [*WORDS, f"dataset.root={folder}/data", f"dataset.cache={folder}/cache"]
    (folder / "run").mkdir()
    start(compose_config(words), folder / "run", [])
    (folder / "run" / ".hydra").mkdir()
    (folder / "run" / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    shutil.copytree(folder / "data" / "Test", folder / "more")
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / "cache")
    return folder / "run"


def test_predict_gives_the_classes_that_the_runs_test_counted(run: Path) -> None:
    done = command("predict", f"run={run}", str(run.parent / "more"), "format=json", folder=run.parent)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    summary = json.loads((run / "summary.json").read_text())
    right = [answer["class"] == Path(answer["file"]).parent.name for answer in answers]
    assert len(right) == sum(map(sum, summary["best"]["confusion"]))
    assert np.mean(right) == pytest.approx(summary["best"]["test_accuracy"])
    for answer in answers:
        votes, course = answer["votes"], answer["votes_over_time"]
        assert len(course["0"]) == 30
        assert {name: steps[-1] for name, steps in course.items()} == votes
        assert votes[answer["class"]] == max(votes.values())


def test_predict_writes_csv_and_pictures_and_never_over_a_file(run: Path, tmp_path: Path) -> None:
    file = next((run.parent / "more").rglob("*.bin"))
    words = [f"run={run}", str(file), "format=csv", "out=answer.csv", "pictures=seen"]
    done = in_process("predict", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader((tmp_path / "answer.csv").open())
    assert row["file"] == str(file)
    (picture,) = (tmp_path / "seen").glob("*.png")
    assert Image.open(picture).width > 300
    again = in_process("predict", *words, folder=tmp_path)
    assert again.returncode == 2
    assert "out=answer.csv is there already: choose another file" in again.stderr


def test_predict_takes_a_raster_of_the_nets_inputs(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "spikes.npy", np.zeros((20, 2 * 9 * 9), dtype=np.uint8))
    done = in_process("predict", f"run={run}", "spikes.npy", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(tie)  spikes.npy\n")
    assert "(no events in the window)" in done.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere.bin"], "nowhere.bin is not there"),
        (["nowhere.npy"], "nowhere.npy is not there; relative paths start at"),
        (["wrong.npy"], "the net takes [steps, 162]"),
        (["notes.txt"], "notes.txt is no recording that can be read"),
        (["empty"], "empty holds no recording that can be read"),
        (["format=xml", "notes.txt"], "format=xml is not possible: allowed are table, csv, json"),
        (["speed=3"], "speed=3 is no file and no key of predict"),
        ([], "no recording is named"),
    ],
)
def test_predict_mistake_is_one_line(words: list[str], reason: str, run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((20, 5), dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no events")
    (tmp_path / "empty").mkdir()
    done = in_process("predict", f"run={run}", *words, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_evaluation_in_parts_gives_what_the_whole_batch_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from local_data import data_folder

    from qsnn.config.building.run import build_run, to_config

    words = [*WORDS, *data_folder(tmp_path, "nmnist")]
    run = build_run(to_config(compose_config(words)), tmp_path)
    assert isinstance(run.learner, BPTTLearner)
    batch = run.task.example_batch()

    def tallies() -> dict[str, LayerTally]:
        found: dict[str, LayerTally] = run.learner.evaluate(run.state.model, batch, keep_raster=True)  # type: ignore[attr-defined]
        return found

    whole = tallies()
    monkeypatch.setattr("qsnn.training.bptt.MOST_VALUES", 1)  # a sample at a time
    for name, tally in tallies().items():
        for key in ("spikes", "neuron_steps", "steps"):
            assert getattr(tally, key) == getattr(whole[name], key), key
        assert all(map(torch.equal, tally.raster or [], whole[name].raster or []))
        if tally.votes is not None:
            assert torch.equal(tally.votes, whole[name].votes)
