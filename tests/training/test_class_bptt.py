"""Runs of trainer=bptt on small files in the N-MNIST format: bits of a resumed run, schedules, widths, scores."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from event_builders import write_nmnist
from torch import Tensor

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.config.resume import restore
from qsnn.config.run import start
from qsnn.data.recording import Events
from qsnn.models import SpikingNet
from qsnn.training.bptt import BPTTLearner
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.loop import save
from qsnn.training.run import Run

SMALL = [
    "trainer=bptt", "model=feedforward", "model.hidden=[12]", "quantization=bits", "quantization.weight_bits=4",
    "neuron=cuba_lif", "neuron.dt=0.01", "neuron.tau_mem=0.1", "neuron.tau_syn=0.05", "neuron.threshold=0.4",
    "dataset=nmnist", "dataset.downsample=4", "dataset.window_train=0.2", "dataset.window_test=0.3", "loss=auto",
    "logging=recordings", "logging.progress=false", "logging.to=[]", "trainer.epochs=3",
    "trainer.batch_size=8",
]  # fmt: skip
CONV = [
    "model=conv", "model.channels=[3,4]", "model.kernel_size=[3]", "model.padding=[1]", "model.pooling=[2,1]",
    "model.stride=[1,2]",
]  # fmt: skip
RECURRENT = ["model=recurrent", "model.hidden=[8,7]"]
NETS: dict[str, list[str]] = {
    "feedforward": [],
    "sgd": ["optimizer=sgd", "optimizer.momentum=0.5"],
    "recurrent": [*RECURRENT, "neuron=lif", "neuron.dt=0.01", "neuron.threshold=0.4"],
    "conv": [*CONV, "dataset.num_workers=2"],
    "readout": ["loss=cross_entropy", "loss.logits=membrane", "quantization.integrator_bits=12", "optimizer=adamax"],
    "full precision": ["quantization=full_precision", "model.hidden=[]"],
}
BATCHES = 3  # 20 training recordings, 8 a batch


class Quiet:
    """A reporter that says nothing."""

    def after_batch(self, headline: str) -> None:
        pass

    def after_epoch(self, *arguments: object) -> None:
        pass

    def wants_health(self, epoch: int) -> bool:
        return True

    def wants_figures(self, epoch: int) -> bool:
        return True


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_nmnist(folder / "nmnist")
    return folder


def words(data: Path, *overrides: str) -> list[str]:
    bare = {text.split("=")[0] for text in overrides}
    kept = [text for text in SMALL if text.split("=")[0] not in bare]
    for group in ("neuron", "model"):  # another option has other keys
        if group in bare:
            kept = [text for text in kept if not text.startswith(f"{group}.")]
    return [*kept, f"dataset.root={data / 'nmnist'}", f"dataset.cache={data / 'cache'}", *overrides]


def made(folder: Path, data: Path, *overrides: str) -> Run:
    folder.mkdir(parents=True, exist_ok=True)  # as a start does
    return build_run(to_config(compose_config(words(data, *overrides))), folder)


def advance(run: Run, batches: int) -> Run:
    for _ in range(batches):
        run.advance(Quiet())  # type: ignore[arg-type]
    return run


def assert_same(one: Any, other: Any, place: str = "") -> None:
    if isinstance(one, dict):
        assert list(one) == list(other), place
        for key in one:
            assert_same(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{place}/{number}")
    else:
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other, place


def remembered(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not key.startswith("seconds")}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_run_resumed_in_the_middle_of_an_epoch_gives_the_same_bits(
    net: str, stop_after: int, data: Path, tmp_path: Path
) -> None:
    whole = advance(made(tmp_path / "whole", data, *NETS[net]), 7)
    save(advance(made(tmp_path / "half", data, *NETS[net]), stop_after))
    second = made(tmp_path / "half", data, *NETS[net])
    restore(second, tmp_path / "half")
    assert (second.state.epoch, second.state.batch) == divmod(stop_after, BATCHES)
    advance(second, 7 - stop_after)
    assert_same(remembered(whole.state.state_dict()), remembered(second.state.state_dict()))
    assert (whole.state.epoch, whole.state.batch, whole.state.step) == (2, 1, 7)
    start_of_it = made(tmp_path / "start", data, *NETS[net])
    for name, tensor in whole.state.model.trained_tensors().items():
        assert (tensor != start_of_it.state.model.trained_tensors()[name]).any(), name


def stopped_and_resumed(folder: Path, data: Path, at: int, patch: pytest.MonkeyPatch, *overrides: str) -> None:
    """A run that gets SIGTERM while it learns its batch number ``at``, and goes on afterwards."""
    learn, seen = BPTTLearner.learn, []

    def interrupted(self: BPTTLearner, *arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == at:
            signal.raise_signal(signal.SIGTERM)
        return learn(self, *arguments)

    patch.setattr(BPTTLearner, "learn", interrupted)
    text = words(data, *overrides)
    assert start(compose_config(text), folder, text).status == "stopped"
    assert len(seen) == at
    saved = load_checkpoint(folder / "checkpoints" / "last.pt")
    assert (saved["epoch"], saved["batch"]) == divmod(at, BATCHES)
    patch.setattr(BPTTLearner, "learn", learn)
    text.append(f"resume={folder}")
    assert start(compose_config(text), folder, text).status == "finished"


@pytest.mark.parametrize("net", ["feedforward", "recurrent", "conv", "readout"])
def test_run_that_a_signal_stops_in_an_epoch_ends_as_if_it_had_not(
    net: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    text = words(data, *NETS[net])
    start(compose_config(text), whole, text)
    stopped_and_resumed(half, data, 5, monkeypatch, *NETS[net])
    assert (whole / "metrics.jsonl").read_bytes() == (half / "metrics.jsonl").read_bytes()
    for name in ("last.pt", "best.pt"):
        contents = [load_checkpoint(folder / "checkpoints" / name) for folder in (whole, half)]
        for content in contents:
            content.pop("config")  # says resume
        assert_same(remembered(contents[0]), remembered(contents[1]))
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (whole, half))
    assert_same({k: one[k] for k in ("final", "best")}, {k: other[k] for k in ("final", "best")})


@pytest.mark.parametrize("schedule", ["cosine", "linear", "halving", "constant"])
def test_schedules_go_over_the_updates(
    schedule: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["optimizer=sgd", f"optimizer.lr_schedule={schedule}", f"optimizer.eta_schedule={schedule}"]
    run, total, seen = made(tmp_path, data, *overrides, "optimizer.num_halvings=2", "optimizer.eta=8"), 3 * BATCHES, []
    learn = BPTTLearner.learn

    def watched(self: BPTTLearner, state: Any, batch: Any, rates: Any, *others: Any) -> Any:
        seen.append((rates.lr_factor, *(layer.eta for layer in rates.rounding.values())))
        return learn(self, state, batch, rates, *others)

    monkeypatch.setattr(BPTTLearner, "learn", watched)
    advance(run, total)
    for k, (factor, *etas) in enumerate(seen):
        expected = {
            "cosine": (1 + math.cos(math.pi * k / total)) / 2, "linear": 1 - k / total, "constant": 1.0,
            "halving": 2.0 ** -(k // 3),
        }[schedule]  # fmt: skip
        assert factor == pytest.approx(expected)
        assert etas == [pytest.approx(8 * expected)] * 2


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    text = words(data, "trainer.epochs=5", "trainer.train_sample=null")
    start(compose_config(text), folder, text)
    return folder


def with_best_weights(folder: Path, data: Path) -> Run:
    run = made(folder, data)
    run.state.model.load_state_dict(load_checkpoint(folder / "checkpoints" / "best.pt")["model"])
    return run


def raster(events: Events, steps: int) -> Tensor:
    """(T, 1, 2, 9, 9): ON in channel 0; four pixels of 34 are one, the last of them two."""
    maps = torch.zeros(steps, 1, 2, 9, 9)
    for t, x, y, on in zip(*events, strict=True):
        if t // 10_000 < steps:
            maps[int(t) // 10_000, 0, 0 if on else 1, int(y) // 4, int(x) // 4] = 1
    return maps


def predicted(net: SpikingNet, events: Events) -> int:
    """The class of the most output spikes, of equals the lowest."""
    counts = net(raster(events, 30))[0]["output"].spikes.sum((0, 1)).tolist()
    return counts.index(max(counts))


def test_accuracies_in_the_summary_are_those_counted_by_hand(finished: Path, data: Path, tmp_path: Path) -> None:
    net = with_best_weights(finished, data).state.model
    written = write_nmnist(tmp_path / "again")  # the same recordings
    confusion = np.zeros((10, 10), int)
    for name, events in written.items():
        if name.startswith("Test/"):
            confusion[int(name.split("/")[1]), predicted(net, events)] += 1
    best = json.loads((finished / "summary.json").read_text())["best"]
    assert best["confusion"] == confusion.tolist()
    assert best["test_accuracy"] == pytest.approx(np.trace(confusion) / 10)


def test_best_weights_are_those_of_the_first_highest_validation_accuracy(finished: Path, data: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    accuracies = [row["validation_accuracy_output"] for row in rows]
    best = load_checkpoint(finished / "checkpoints" / "best.pt")
    assert len(accuracies) == 5
    assert best["epoch"] == 1 + accuracies.index(max(accuracies))
    run = with_best_weights(finished, data)
    scores = run.task.evaluate(run, run.task.split.validation)  # type: ignore[attr-defined]
    summary = json.loads((finished / "summary.json").read_text())
    assert scores.accuracy() == summary["best"]["validation_accuracy"] == max(accuracies)
    assert summary["final"]["validation_accuracy"] == accuracies[-1]


WIDTHS = {
    "weight_bits": [2, 3, 4], "membrane_bits": [8, 7, 6], "synapse_bits": [6, 7, 8], "error_bits": [8, 5, 6],
    "gradient_bits": [6, 9, 4],
}  # fmt: skip


@pytest.mark.parametrize("net", [["model.hidden=[6,5]"], RECURRENT, CONV])
def test_lists_of_widths_reach_every_layer(net: list[str], data: Path, tmp_path: Path) -> None:
    lists = [f"quantization.{name}={value}".replace(" ", "") for name, value in WIDTHS.items()]
    run = made(
        tmp_path,
        data,
        *net,
        *lists,
        "quantization.rng_bits=12",
        "optimizer=sgd",
        "optimizer.eta_schedule=constant",
        "optimizer.eta=3",
    )
    before = {name: tensor.detach().clone() for name, tensor in run.state.model.trained_tensors().items()}
    advance(run, 1)
    for number, (name, layer) in enumerate(run.state.model.layers.items()):
        own = {key: value[number] for key, value in WIDTHS.items()}
        neuron = layer.dynamics if net is RECURRENT and number < 2 else layer.lif.dynamics
        assert layer.state_widths() == (own["synapse_bits"], own["membrane_bits"])
        assert neuron.error_bits == own["error_bits"]
        rounding = run.settings.rounding[name]
        assert (rounding.gradient_bits, rounding.rng_bits) == (own["gradient_bits"], 12)
        for part, weights in layer.weights().items():
            assert (weights.weight_bits, weights.error_bits) == (own["weight_bits"], own["error_bits"])
            moved = (weights.weight.detach() - before[f"{name}.{part}"]) * 2 ** (own["gradient_bits"] - 1)
            high = 1 - 2.0 ** (1 - own["weight_bits"])
            free = (weights.weight.detach().abs() < high) & (before[f"{name}.{part}"].abs() <= high)
            assert torch.equal(moved[free], moved[free].round()), (name, part)
            assert moved.any()


def test_lists_of_integrator_bits_reach_the_readout(data: Path, tmp_path: Path) -> None:
    readout = ["loss=cross_entropy", "loss.logits=membrane", "quantization.integrator_bits=[null,11]"]
    layer = made(tmp_path, data, *readout, "quantization.error_bits=[8,6]").state.model.layers["output"]
    assert layer.state_widths() == (11, 11)
    assert layer.parameters_of_neurons.error_bits == 6


def test_backends_train_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    for net in ([], RECURRENT, CONV):
        eager, numba = (advance(made(tmp_path, data, *net, f"kernels={name}"), 4) for name in ("eager", "numba"))
        assert_same(remembered(eager.state.state_dict()), remembered(numba.state.state_dict()))
