"""What predict makes of a .npz of many samples, in the layouts of dataset=arrays and dataset=array_maps."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import pixels, rasters, write

from qsnn.config.command_line import compose_config
from qsnn.config.predicting.predict import predict
from qsnn.config.run import start
from qsnn.errors import QsnnError

WORDS = [
    "dataset=arrays", "model.hidden=[6]", "neuron.dt=0.001", "dataset.window_train=0.006", "dataset.window_test=0.006",
    "trainer.epochs=1", "logging.progress=false", "logging.to=[]", "kernels=eager",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned from ``own.npz`` beside it, whose last four samples it was tested on."""
    folder = tmp_path_factory.mktemp("arrays")
    file = write(folder / "own.npz", {**rasters(12), "is_test": np.arange(12) >= 8})
    words = [*WORDS, f"dataset.file={file}", f"dataset.cache={folder}/cache"]
    (folder / "run" / ".hydra").mkdir(parents=True)
    start(compose_config(words), folder / "run", [])
    (folder / "run" / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    return folder / "run"


def answers(run: Path, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(predict([f"run={run}", "format=json", *map(str, words)]))
    return found


def listed(spikes: np.ndarray) -> dict[str, Any]:
    """Rasters (N, T, C) of steps of 1 ms as lists of events."""
    sample, step, unit = np.nonzero(spikes)
    return {"times": step * 1000, "index": sample, "units": unit, "num_units": spikes.shape[2]}


def test_predict_gives_a_row_for_each_sample_as_the_runs_test_counted(run: Path) -> None:
    file = run.parent / "own.npz"
    found = answers(run, file)
    assert [answer["file"] for answer in found] == [f"{file}/{number}" for number in range(12)]
    right = [answer["class"] == str(number % 2) for number, answer in enumerate(found)][8:]
    summary = json.loads((run / "summary.json").read_text())
    assert np.mean(right) == pytest.approx(summary["best"]["test_accuracy"])
    for answer in found:
        assert {name: steps[-1] for name, steps in answer["votes_over_time"].items()} == answer["votes"]
        assert len(answer["votes_over_time"]["0"]) == 6


def test_predict_takes_lists_of_events_without_labels_and_single_rasters_alike(run: Path, tmp_path: Path) -> None:
    spikes = rasters(12)["spikes"]
    whole = answers(run, run.parent / "own.npz")
    lists = answers(run, write(tmp_path / "lists.npz", listed(spikes)), "time_unit=us")
    np.save(tmp_path / "one.npy", spikes[3])
    one = answers(run, tmp_path / "one.npy")
    assert [{**answer, "file": ""} for answer in lists] == [{**answer, "file": ""} for answer in whole]
    assert one[0]["votes_over_time"] == whole[3]["votes_over_time"]


def test_predict_writes_votes_over_time_as_a_table_of_their_own(run: Path, tmp_path: Path) -> None:
    file = run.parent / "own.npz"
    wanted = answers(run, file)
    said = predict([f"run={run}", str(file), "format=csv", f"out={tmp_path}/answer.csv"])
    assert said == f"12 recordings; wrote {tmp_path}/answer.csv and {tmp_path}/answer_votes.csv"
    rows = list(csv.DictReader((tmp_path / "answer_votes.csv").open()))
    expected = [
        (answer["file"], step + 1, (step + 1) / 1000, answer["votes_over_time"]["1"][step])
        for answer in wanted
        for step in range(6)
    ]
    assert [(r["file"], int(r["step"]), float(r["seconds"]), float(r["1"])) for r in rows] == expected
    text = predict([f"run={run}", str(file), "format=csv", f"votes={tmp_path}/named.csv"])
    assert (tmp_path / "named.csv").read_text() == (tmp_path / "answer_votes.csv").read_text()
    assert [row["class"] for row in csv.DictReader(io.StringIO(text))] == [answer["class"] for answer in wanted]


WRONG: list[tuple[dict[str, Any], list[str], str]] = [
    (listed(rasters(3, (6, 5))["spikes"]), ["time_unit=us"], "its spikes lie on 5 channels, the net learned from 4 channels"),
    ({"spikes": np.ones((3, 6, 4))}, [], "a file of spikes and step lacks step; docs/data/arrays.md"),
    ({"any": np.ones((3, 6, 4))}, [], "it holds 'any.npy', which means nothing here; known are labels,"),
    (pixels(labels=None, offsets=None, index=np.array([0, -1, 0, 0])), [], "polarity belongs to dataset=array_maps"),
    ({**listed(rasters(3)["spikes"]), "index": -1 - rasters(3)["spikes"].nonzero()[0]}, [], "index[0] is -1; allowed are 0.."),
    ({**rasters(3), "spikes": np.zeros((3, 6, 4))}, [], "there is not one spike in it"),
    ({**rasters(3), "spikes": np.full((3, 6, 4), 2)}, [], "spikes[0][0, 0] is 2; allowed are 0 and 1"),
    (listed(rasters(3)["spikes"]), ["time_unit=ms"], "time_unit=ms is not possible: allowed are s, us"),
    (rasters(3), ["votes=nowhere/votes.csv"], "votes=nowhere/votes.csv lies in no folder that is there"),
    (rasters(3), ["votes=same.csv", "out=same.csv"], "votes=same.csv is out= too: two tables, two files"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "words", "message"), WRONG)
def test_predict_refuses_a_file_in_one_line(
    arrays: dict[str, Any], words: list[str], message: str, run: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "own.npz", arrays)
    with pytest.raises(QsnnError) as caught:
        predict([f"run={run}", str(file), f"pictures={tmp_path}/seen", *words])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [file]
