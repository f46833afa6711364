"""Runs of local learning on small files in the N-MNIST format: bits, resume, scores, pictures, TensorBoard."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import QUIET, scores
from local_data import SMALL_LOCAL, data_folder, make_local_run
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.resume import begin_again_from, restore
from qsnn.config.run import start
from qsnn.errors import ConfigError, NonFiniteError, RunFolderError
from qsnn.models.local_net import readout_scale
from qsnn.quantization import quantize, symmetric, to_codes
from qsnn.training.checkpoint import load_checkpoint, save_checkpoint
from qsnn.training.loop import save
from qsnn.training.run import Run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def advance(run: Run, batches: int) -> Run:
    for _ in range(batches):
        run.advance(QUIET)
    return run


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.state.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_gives_the_same_bits_again_and_with_any_number_of_workers(data: Path, tmp_path: Path) -> None:
    runs = [advance(make_local_run(tmp_path, data, f"dataset.num_workers={n}"), 4) for n in (0, 0, 2)]
    assert all(same(weights(runs[0]), weights(run)) for run in runs[1:])
    assert runs[0].state.streams == runs[2].state.streams


def test_training_gives_the_same_bits_with_every_backend(data: Path, tmp_path: Path) -> None:
    eager, numba = (advance(make_local_run(tmp_path, data, f"kernels={name}"), 3) for name in ("eager", "numba"))
    assert same(weights(eager), weights(numba))


@pytest.mark.parametrize("stop_after", [1, 3, 4])
@pytest.mark.parametrize("optimizer", ["local_sgd", "adam"])
def test_run_resumed_in_the_middle_of_an_epoch_gives_the_same_bits(
    stop_after: int, optimizer: str, data: Path, tmp_path: Path
) -> None:
    overrides = [f"optimizer={optimizer}"]
    whole = advance(make_local_run(tmp_path / "whole", data, *overrides), 7)
    first = advance(make_local_run(tmp_path / "half", data, *overrides), stop_after)
    save(first)
    second = make_local_run(tmp_path / "half", data, *overrides)
    restore(second, tmp_path / "half")
    advance(second, 7 - stop_after)
    assert same(weights(whole), weights(second))
    assert whole.state.sums == second.state.sums
    assert whole.state.streams == second.state.streams


def test_run_resumed_from_the_checkpoint_before_the_last_gives_the_same_bits(data: Path, tmp_path: Path) -> None:
    whole = advance(make_local_run(tmp_path / "whole", data), 7)
    first = advance(make_local_run(tmp_path / "half", data), 3)
    save(first)
    save(advance(first, 2))
    last = tmp_path / "half" / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1])
    second = make_local_run(tmp_path / "half", data)
    with pytest.raises(
        RunFolderError, match=r"last.pt is damaged .* previous.pt is whole: resume=.*previous.pt goes on"
    ):
        restore(second, tmp_path / "half")
    save_checkpoint(last, {"epoch": 1, **first.facts})  # whole, but the checkpoint of something else
    with pytest.raises(RunFolderError, match=r"last.pt does not fit .* previous.pt is whole"):
        restore(second, tmp_path / "half")
    restore(second, tmp_path / "half", "previous.pt")
    begin_again_from(tmp_path / "half", "previous.pt")
    begun = load_checkpoint(last)
    assert [begun[name] for name in ("epoch", "batch", "step")] == [1, 1, first.state.step // 5 * 3]
    advance(second, 4)
    assert same(weights(whole), weights(second))
    assert (whole.state.sums, whole.state.streams) == (second.state.sums, second.state.streams)


def test_stored_weights_stay_on_the_gradient_grid(data: Path, tmp_path: Path) -> None:
    run = advance(make_local_run(tmp_path, data), 3)
    for layer in run.state.model.layers.values():
        to_codes(layer.weight, symmetric(10))  # raises if one has left it
        to_codes(layer.bias, symmetric(10))


def test_resuming_on_other_recordings_is_refused(data: Path, tmp_path: Path) -> None:
    save(advance(make_local_run(tmp_path, data), 1))
    other = make_local_run(tmp_path, tmp_path / "other_data")
    changed = next((tmp_path / "other_data" / "nmnist" / "Train" / "0").glob("*.bin"))
    changed.write_bytes(changed.read_bytes()[:-5])
    other = make_local_run(tmp_path, tmp_path / "other_data")
    with pytest.raises(RunFolderError, match="other data"):
        restore(other, tmp_path)


def test_weights_that_are_not_finite_stop_training_with_their_name(data: Path, tmp_path: Path) -> None:
    run = make_local_run(tmp_path, data, "quantization=full_precision", "optimizer.lr_full_precision=1e39")
    with pytest.raises(NonFiniteError, match=r"layer[12]\.(weight|bias) is not finite in epoch 1"):
        advance(run, 3)


def test_eta_halves_and_lr_falls_to_a_fifth_at_the_start_of_every_multiple_of_lr_div(
    data: Path, tmp_path: Path
) -> None:
    settings = make_local_run(tmp_path, data, "trainer.lr_div=2").settings
    rates = [settings.rates_at(epoch, 0, 2) for epoch in (1, 2, 3, 4, 5, 6)]
    for layer in ("layer1", "layer2"):
        assert [each.rounding[layer].eta for each in rates] == [1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert {each.lr_factor for each in rates} == {1}
    floating = make_local_run(tmp_path, data, "trainer.lr_div=2", "quantization=full_precision").settings
    assert [floating.rates_at(epoch, 0, 2).lr_factor for epoch in (1, 2, 3, 4)] == [1, 0.2, 0.2, pytest.approx(0.04)]


@pytest.mark.parametrize("experiment", ["icons_gesture", "icons_poker"])
def test_icons_experiments_learn_at_the_steps_of_the_original_program(experiment: str) -> None:
    """At t > 50: in 449 of the 500 steps of a training window."""
    config = to_config(compose_config([f"experiment={experiment}", "dataset.root=."]))
    num_steps = config.dataset.windows(config.neuron.dt, training=True).num_steps
    assert num_steps - round(config.trainer.burn_in / config.neuron.dt) == 449


def test_readout_scale_is_that_of_the_golden_files() -> None:
    assert [readout_scale(bits, 0.5, 180) for bits in (6, 4, None)] == [32, 16, 1]


def test_fixed_readout_uses_its_whole_range_and_feedback_its_signs(data: Path, tmp_path: Path) -> None:
    layer = make_local_run(tmp_path, data).state.model.layers["layer1"]
    readout, feedback = layer.readout_weight, layer.readout_feedback
    assert {readout.max().item(), -readout.min().item()} == {symmetric(6).largest}
    assert torch.equal(quantize(readout, symmetric(6)), readout)
    assert (readout * feedback >= 0).all()
    assert not torch.equal(readout, feedback)


def test_maps_that_a_kernel_does_not_fit_on_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layer1 gets maps of 9 x 9 and would make 0 x 0 of them"):
        make_local_run(tmp_path, data, "model.kernel_size=[15,3]")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist")]
    start(compose_config(words), folder, words)
    return folder


def test_summary_tells_accuracy_confusion_memory_and_bit_widths(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert (summary["status"], summary["epochs"]) == ("finished", 3)
    assert summary["recordings"] == {"train": 20, "validation": 10, "test": 10}
    best = summary["best"]
    confusion = np.array(best["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.sum() == 10
    assert best["test_accuracy"] == best["test_accuracy_layer2"] == pytest.approx(np.trace(confusion) / 10)
    assert summary["quantization"]["synapse_trace_bits"] == 10
    assert "synapse_bits" not in summary["quantization"]  # of spiking nets
    # 2x4x5x5 and 4x6x3x3 weights and 10 biases of 8 bits; traces of 22 bits, membranes and refractory states of 8
    assert summary["memory_bytes"] == {
        "parameters": 200 + 216 + 10,
        "state": ((2 * 81 + 4 * 16) * 22 + (4 * 81 + 6 * 16) * 8) / 8,
    }


def test_metrics_hold_every_epoch_by_layer(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        for layer in ("layer1", "layer2"):
            assert 0 <= row[f"online_accuracy_{layer}"] <= 1
            assert 0 <= row[f"train_accuracy_{layer}"] <= 1
            assert 0 <= row[f"validation_accuracy_{layer}"] <= 1
            assert row[f"updates_{layer}"] > 0
            assert row[f"loss_{layer}"] > 0


def test_best_checkpoint_is_the_one_that_validation_chose(finished: Path, data: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    accuracies = [row["validation_accuracy_layer2"] for row in rows]
    assert summary["best"]["validation_accuracy"] == max(accuracies)
    assert summary["best"]["epoch"] == 1 + accuracies.index(max(accuracies))
    best = load_checkpoint(finished / "checkpoints" / "best.pt")
    assert best["epoch"] == summary["best"]["epoch"]
    run = make_local_run(finished, data)
    restore(run, finished)
    scored = scores(run, best)
    assert scored["final"] == summary["final"]
    assert scored["best"] == summary["best"]


def test_tensorboard_has_accuracy_rasters_and_confusion(finished: Path) -> None:
    events = EventAccumulator(str(finished), size_guidance={"scalars": 0, "images": 0}).Reload()
    scalars, images = set(events.Tags()["scalars"]), set(events.Tags()["images"])
    expected = {"train_accuracy/layer1", "validation_accuracy/layer2", "updates/layer1", "spikes/layer2", "loss/layer1"}
    assert expected | {"online_accuracy/layer1", "final/test_accuracy", "best/test_accuracy"} <= scalars
    assert {"raster/input", "raster/layer1", "raster/layer2", "confusion/validation", "confusion/test"} <= images
    assert [point.step for point in events.Scalars("validation_accuracy/layer2")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["raster.png", "confusion.png"])
def test_pictures_of_the_end_can_be_opened(name: str, finished: Path) -> None:
    with Image.open(finished / name) as picture:
        picture.verify()


LONGEST = [
    f"neuron.{name}=1048.576"
    for name in ("tau_mem_lower", "tau_mem_upper", "tau_syn_lower", "tau_syn_upper", "tau_ref")
]


@pytest.mark.parametrize("bits", ["icons", "full_precision"])
def test_longest_time_constants_give_finite_gains_and_full_scales(tmp_path: Path, data: Path, bits: str) -> None:
    run = advance(make_local_run(tmp_path, data, f"quantization={bits}", *LONGEST), 3)
    for layer in run.state.model.layers.values():
        traces, refractory = layer.constants().traces, layer.settings.refractory
        scales = traces.membrane_full_scale, traces.synapse_full_scale, refractory.full_scale
        assert all(0 < scale < math.inf for scale in scales)
        assert (torch.stack([traces.membrane_decay, traces.synapse_decay]) < 1).all()
