"""Health of the quantization in local learning: a look at the net that teaches it nothing."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET
from local_data import SMALL_LOCAL, data_folder, make_local_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.layers.local_layer import LayerState
from qsnn.quantization import quantize, quantize_error, unsigned
from qsnn.reporting.health.code_tally import CodeTally
from qsnn.reporting.health.figures import Observation
from qsnn.reporting.health.local import error_values, forward_values, look_at
from qsnn.reporting.health.observe import observe
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.run import Run

TENSORS = (
    "weight", "membrane_trace", "synapse_trace", "refractory", "membrane", "readout", "readout_error", "error", "gradient",
)  # fmt: skip
FIGURES = ("saturation", "underflow", "codes_in_use")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def advanced(run: Run, batches: int) -> Run:
    for _ in range(batches):
        run.advance(QUIET)
    return run


def looked_at(run: Run) -> Observation:
    return observe(run.learner, run, None, True)


def test_code_tally_adds_up_looks_and_takes_the_zero_of_unsigned_codes_for_no_end() -> None:
    tally, fmt = CodeTally(), unsigned(2)  # codes 0 .. 3, step 0.25
    assert fmt is not None
    tally.add_quantized(torch.tensor([0.0, 0.05, 0.3]), fmt)
    tally.add_quantized(torch.tensor([0.0, 0.5, 0.9]), fmt)
    assert tally.figures() == {
        "saturation": pytest.approx(1 / 6),  # 0.9
        "underflow": pytest.approx(1 / 4),  # 0.05
        "codes_in_use": 4,
    }


def test_look_at_spreads_over_the_steps_that_teach_and_takes_the_last() -> None:
    assert look_at(30, 10) == {29, 24, 19, 14}
    assert look_at(12, 10) == {11, 10}


@pytest.mark.parametrize("kernels", ["eager", "numba"])
def test_values_before_rounding_are_those_that_the_kernels_rounded(kernels: str, data: Path, tmp_path: Path) -> None:
    run = advanced(make_local_run(tmp_path, data, f"kernels={kernels}"), 2)
    batch = next(run.task.test_batches(run.task.split.train))
    layer, state = run.state.model.layers["layer1"], run.state.model.initial_states(len(batch.labels))["layer1"]
    weights, constants = layer.effective_weights(), layer.constants()
    target = torch.nn.functional.one_hot(batch.labels, 10).float()
    for events in batch.input:
        spikes = events.float()
        before = LayerState(type(state.traces)(*(t.clone() for t in state.traces)), state.refractory.clone())
        step, state = layer(spikes, state, weights, constants)
        values = forward_values(layer, spikes, before, step, weights, constants)
        rounded = {name: quantize(raw, fmt) for name, (raw, fmt) in values.items()}
        traces = constants.traces
        assert torch.equal(traces.membrane_full_scale * rounded["membrane_trace"], state.traces.membrane)
        assert torch.equal(traces.synapse_full_scale * rounded["synapse_trace"], state.traces.synapse)
        assert torch.equal(rounded["membrane"], step.membrane.membrane)
        r = layer.settings.refractory
        spiked = (step.membrane.membrane >= 0).float()
        assert torch.equal(r.decay * (r.full_scale * rounded["refractory"]) + spiked, step.membrane.refractory)
        readout = layer.readout(step, constants)
        assert torch.equal((rounded["readout"] + 1) / 2, readout)
    mask = torch.ones_like(target)
    error = error_values(layer, step, target, mask, constants)["error"]
    learned = layer.gradient(step, readout, target, mask, constants).error
    at_winners = quantize_error(error.raw, 6)[: learned.at_winners.numel()]
    assert torch.equal(at_winners, learned.at_winners.flatten())


def test_observe_looks_at_every_quantized_tensor_and_leaves_weights_and_streams(data: Path, tmp_path: Path) -> None:
    run = advanced(make_local_run(tmp_path, data), 2)
    before = {name: value.clone() for name, value in run.state.model.state_dict().items()}
    streams = dict(run.state.streams)
    observed = looked_at(run)
    assert run.state.streams == streams
    assert all(torch.equal(value, before[name]) for name, value in run.state.model.state_dict().items())
    expected = {f"{layer}.{t}/{figure}" for layer in ("layer1", "layer2") for t in TENSORS for figure in FIGURES}
    expected |= {f"{layer}/{figure}" for layer in ("layer1", "layer2") for figure in ("silent", "always_firing")}
    expected |= {f"{layer}.weight/never_changed" for layer in ("layer1", "layer2")}
    assert set(observed.health) == expected
    assert all(0 <= value <= 1 for key, value in observed.health.items() if not key.endswith("codes_in_use"))
    assert 0 < observed.health["layer1.weight/never_changed"] < 1
    assert observed.health["layer1.refractory/codes_in_use"] <= 4
    again = looked_at(run)
    assert again.health == observed.health


def test_observe_in_full_precision_has_only_the_neurons(data: Path, tmp_path: Path) -> None:
    run = make_local_run(tmp_path, data, "quantization=full_precision", "quantization.readout_weight_bits=6")
    assert {key.split("/")[1] for key in looked_at(run).health} == {"silent", "always_firing"}


def test_observe_counts_neurons_that_never_and_that_always_spike(data: Path, tmp_path: Path) -> None:
    run = make_local_run(tmp_path, data, "trainer.weight_mult=[10,4e-4]")
    layer = run.state.model.layers["layer1"]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([-0.9, -0.9, 0.9, -0.9]))  # of U = 8 and -8
    health = looked_at(run).health
    assert health["layer1/silent"] == pytest.approx(3 / 4)
    assert health["layer1/always_firing"] == pytest.approx(1 / 4)
    assert health["layer1.weight/codes_in_use"] == 1


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs with health and histograms in every second, and the same stopped after the third and resumed."""
    root = tmp_path_factory.mktemp("runs")
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "logging.health_every=2", "logging.histogram_every=2"]
    for name, more in (("whole", []), ("halves", ["trainer.epochs=3"]), ("halves", [f"resume={root / 'halves'}"])):
        start(compose_config([*words, "trainer.epochs=4", *more]), root / name, words)
    return root


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_health_is_logged_every_so_many_epochs_and_the_same_after_a_resume(runs: Path) -> None:
    assert [row["epoch"] for row in rows(runs / "whole") if "layer2.error/underflow" in row] == [1, 2, 4]
    assert rows(runs / "whole") == rows(runs / "halves")
    one, other = (load_checkpoint(runs / name / "checkpoints" / "last.pt") for name in ("whole", "halves"))
    for key in ("initial_codes", "changed"):
        assert set(one[key]) == {"layer1", "layer2"}
        assert all(torch.equal(one[key][name], other[key][name]) for name in one[key])


def test_health_logging_alters_no_weight(runs: Path, data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.epochs=4"]
    start(compose_config([*words, "logging.health_every=0", "logging.to=[]"]), tmp_path, words)
    one, other = (load_checkpoint(folder / "checkpoints" / "last.pt")["model"] for folder in (runs / "whole", tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_tensorboard_has_health_and_code_histograms_of_local_learning(runs: Path) -> None:
    events = EventAccumulator(str(runs / "whole"), size_guidance={"scalars": 0, "histograms": 0}).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"health/layer1.membrane/saturation", "health/layer2/silent", "health/layer1.weight/never_changed"} <= tags
    for tensor in ("weight", "membrane", "membrane_trace", "synapse_trace"):
        found = events.Histograms(f"code_{tensor}/layer1")
        assert [entry.step for entry in found] == [1, 2, 4]
    membrane = events.Histograms("code_membrane/layer1")[-1].histogram_value
    assert (membrane.num, membrane.min >= -31, membrane.max <= 31) == (10 * 4 * 9 * 9, True, True)


def test_health_above_a_limit_is_warned_of_once(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "logging.health_every=1", "logging.limits.underflow=0"]
    start(compose_config([*words, "logging.to=[]"]), tmp_path, words)
    told = [r.getMessage() for r in caplog.records if "underflow of layer1.error" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("epoch 1: underflow of layer1.error is ")
    assert told[0].endswith(" %, above logging.limits.underflow=0")
