"""What a run keeps of its last evaluation: rates of neurons and predictions that agree with its scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_run
from local_data import data_folder, make_local_run

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.reporting.evaluation_files import write_detail
from qsnn.training.class_scores import LayerTally, joined
from qsnn.training.run import Detail, Run

BPTT = ["trainer=bptt", "dataset=randman", "kernels=eager", "trainer.batch_size=3", "logging.progress=false"]


def bptt_run(folder: Path, *words: str) -> Run:
    return build_run(to_config(compose_config([*BPTT, *data_folder(folder, "randman"), *words])), folder / "run")


MEMBRANE = ["loss=cross_entropy", "loss.logits=membrane"]


@pytest.mark.parametrize("net", ["local", "feedforward", "membrane readout"])
def test_predictions_and_rates_of_neurons_are_those_of_the_scores(net: str, tmp_path: Path) -> None:
    if net == "local":
        run = make_local_run(tmp_path / "run", tmp_path, "kernels=eager")
    else:
        run = bptt_run(tmp_path, "model.hidden=[9]", *(MEMBRANE if net == "membrane readout" else []))
    task, test = run.task, run.task.split.test  # type: ignore[attr-defined]
    scores = task.evaluate(run, test, keep=True)  # type: ignore[attr-defined]
    number, label, predicted = torch.cat(scores.predicted, 1)
    assert torch.equal(number, torch.from_numpy(test))
    K = task.num_outputs
    assert torch.equal(torch.bincount(label * K + predicted, minlength=K * K).view(K, K), scores.last_confusion())
    rates = scores.rates_by_neuron()
    assert list(rates) == list(scores.rates())
    for name, rate in scores.rates().items():
        assert rates[name].mean().item() == pytest.approx(rate, abs=1e-12)
    assert task.evaluate(run, test).rates_by_neuron() == {}  # type: ignore[attr-defined]


def test_rates_of_neurons_of_a_pattern_are_those_of_its_score(tmp_path: Path) -> None:
    run = make_run(tmp_path, "kernels=eager")
    final, ending = run.task.scores_now(run)
    assert ending is not None
    assert ending.detail is not None
    assert {name: len(rates) for name, rates in ending.detail.rates.items()} == {"hidden": 60, "output": 40}
    for name, rates in ending.detail.rates.items():
        assert rates.mean().item() == pytest.approx(final[f"rate_{name}"], abs=1e-12)


def test_spikes_of_neurons_of_parts_of_a_batch_are_added() -> None:
    parts = [LayerTally(None, by_neuron=torch.tensor([1.0, 2.0])), LayerTally(None, by_neuron=torch.tensor([4.0, 0.0]))]
    assert joined(parts).by_neuron.tolist() == [5.0, 2.0]  # type: ignore[union-attr]
    assert joined([LayerTally(None), LayerTally(None)]).by_neuron is None


def test_kept_evaluation_is_written_as_docs_say(tmp_path: Path) -> None:
    write_detail(
        tmp_path,
        Detail({"hidden": torch.tensor([0.25, 0.5], dtype=torch.float64)}, torch.tensor([[7, 9], [0, 1], [1, 1]])),
    )
    with np.load(tmp_path / "rates.npz") as file:
        assert file["hidden"].dtype == np.float32
        assert file["hidden"].tolist() == [0.25, 0.5]
    with np.load(tmp_path / "test_predictions.npz") as file:
        assert {name: file[name].tolist() for name in file.files} == {
            "index": [7, 9],
            "label": [0, 1],
            "prediction": [1, 1],
        }
