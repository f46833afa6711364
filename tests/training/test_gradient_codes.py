"""What gradient_bits and eta mean: the width of the integers that rounded gradients really are."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, SMALL, make_run
from local_data import SMALL_LOCAL, data_folder, make_local_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from qsnn.config.building.run import to_config
from qsnn.config.checking.remarks import remarks
from qsnn.config.command_line import compose_config
from qsnn.config.resume import restore
from qsnn.config.run import start
from qsnn.kernels.backend import Backend, GradientRounding, RoundedGradient
from qsnn.quantization import RandomStream
from qsnn.training.gradient_codes import gradient_code_bits
from qsnn.training.loop import save
from qsnn.training.run import Run

SGD = ["optimizer=sgd", "optimizer.eta=5"]


def trained_weights(tmp_path: Path, bits: int, rule: str, weight_bits: int) -> list[Tensor]:
    """After 60 epochs in which eps counts as much against gradients with a step of 2^-(bits-1) as against those of 8 bits."""
    eps = 2.0**-27 * 2 ** (8 - bits)
    words = [f"quantization.gradient_bits={bits}", f"optimizer={rule}", f"optimizer.eps={eps}", "optimizer.eta=64"]
    run = make_run(tmp_path, *words, f"quantization.weight_bits={weight_bits}", "optimizer.lr=0.02")
    for _ in range(60):
        run.learn_batch()
    return [linear.weight.detach() for linear in run.state.model.weights().values()]


@pytest.mark.parametrize("weight_bits", [2, 8])
@pytest.mark.parametrize("rule", ["adam", "adamax"])
def test_gradient_bits_change_no_weight_with_adam_and_adamax(rule: str, weight_bits: int, tmp_path: Path) -> None:
    """Not even where they are fewer than those of weights and state: they do not bound the initial weights."""
    two, eight = (trained_weights(tmp_path, bits, rule, weight_bits) for bits in (2, 8))
    assert all(torch.equal(a, b) for a, b in zip(two, eight, strict=True))
    assert two[0].unique().numel() > 1000  # it learned


def remarks_on(*overrides: str) -> list[str]:
    return remarks(to_config(compose_config(list(overrides))), list(overrides))


@pytest.mark.parametrize("rule", ["adam", "adamax"])
def test_remarks_say_that_gradient_bits_mean_nothing_with_adam_and_adamax(rule: str) -> None:
    (line,) = remarks_on(f"optimizer={rule}", "quantization.gradient_bits=4")
    assert line.startswith(
        f"quantization.gradient_bits=4 changes nothing with optimizer={rule} but how much optimizer.eps"
    )
    assert "optimizer.eta" in line
    assert "gradient_code_bits" in line
    assert "stored weights" not in line


def test_remarks_name_the_range_of_the_weights_in_local_learning() -> None:
    words = ["experiment=gesture_demo", "optimizer=adam", "quantization.gradient_bits=4"]
    assert "but how much optimizer.eps counts and the range of the stored weights:" in remarks_on(*words)[0]


@pytest.mark.parametrize(
    "words",
    [
        ["optimizer=sgd", "quantization.gradient_bits=4"],
        ["optimizer=adam"],
        ["optimizer=adam", "quantization.gradient_bits=null"],
        ["experiment=gesture_demo"],
        ["experiment=gesture_demo", "optimizer=adam"],
        ["experiment=pattern_w8"],
    ],
    ids=" ".join,
)
def test_remarks_are_silent_where_gradient_bits_mean_something_or_were_left_alone(words: list[str]) -> None:
    assert remarks_on(*words) == []


def test_remarks_notice_gradient_bits_that_come_from_a_file() -> None:
    config = to_config(compose_config(["optimizer=adam", "quantization.gradient_bits=4"]))
    assert len(remarks(config, ["experiment=own"])) == 1


def test_largest_codes_are_those_of_all_epochs_that_were_trained(tmp_path: Path) -> None:
    run, seen = make_run(tmp_path, *SGD), {"hidden.weight": 0.0, "output.weight": 0.0}
    for _ in range(25):
        step, _ = run.learn_batch(keep=True)
        seen = {name: max(seen[name], (g.abs().max() * 2**7).item()) for name, g in step.rounded.items()}
    assert run.state.largest_codes == {"hidden": seen["hidden.weight"], "output": seen["output.weight"]}
    assert 3 < max(seen.values()) <= 8  # about sqrt(2) * eta, rounded up


def test_largest_codes_of_a_resumed_run_are_those_of_the_whole(tmp_path: Path) -> None:
    words = [*SGD, "optimizer.eta_schedule=halving", "trainer.epochs=6"]  # the largest come first
    first = make_run(tmp_path, *words)
    for _ in range(3):
        first.learn_batch()
    save(first)
    second = make_run(tmp_path, *words)
    restore(second, tmp_path)
    assert second.state.largest_codes == first.state.largest_codes
    assert all(code > 1 for code in second.state.largest_codes.values())


def spied(run: Run, seen: list[float]) -> Run:
    """The run with a backend that notes the largest integer of every gradient that it rounds."""
    backend: Backend = run.learner.backend

    def round_gradient(gradient: Tensor, stream: RandomStream, rounding: GradientRounding) -> RoundedGradient:
        done = backend.round_gradient(gradient, stream, rounding)
        seen.append((done.gradient.abs().max() * 2 ** (rounding.gradient_bits - 1)).item())
        return done

    run.learner = run.learner._replace(backend=backend._replace(round_gradient=round_gradient))
    return run


@pytest.mark.parametrize("kernels", ["eager", "numba"])
def test_largest_codes_of_local_learning_are_those_of_every_step(kernels: str, tmp_path: Path) -> None:
    seen: list[float] = []
    words = [f"kernels={kernels}", "optimizer.eta=6"]
    run = spied(make_local_run(tmp_path / "run", tmp_path, *words), seen)
    run.advance(QUIET)
    by_layer = [seen[0::4] + seen[1::4], seen[2::4] + seen[3::4]]  # weight and bias of layer1, then of layer2
    assert list(run.state.largest_codes.values()) == [max(codes) for codes in by_layer]
    save(run)
    other = make_local_run(tmp_path / "run", tmp_path, *words)
    restore(other, tmp_path / "run")
    assert other.state.largest_codes == run.state.largest_codes


def told(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """summary.json, the last line of metrics.jsonl, and TensorBoard's last points of gradient_code_bits."""
    events = EventAccumulator(str(folder)).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("gradient_code_bits/")]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    points = {tag.split("/")[1]: events.Scalars(tag)[-1].value for tag in tags}
    return json.loads((folder / "summary.json").read_text()), rows[-1], points


def test_run_tells_the_width_of_its_integer_gradients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = [*SMALL, "optimizer=adam", "optimizer.eta=5", "quantization.gradient_bits=3", "logging.metrics_every=3"]
    with caplog.at_level(logging.INFO):
        start(compose_config(words), tmp_path, words)
    summary, row, points = told(tmp_path)
    assert summary["gradient_code_bits"] == points == {"hidden": 4, "output": 4}
    assert (row["gradient_code_bits_hidden"], row["gradient_code_bits_output"]) == (4, 4)
    assert "widest gradients" in caplog.text
    assert "hidden 4 bits, output 4 bits, as integers" in caplog.text
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("quantization.gradient_bits=3 changes nothing with optimizer=adam" in line for line in warnings) == 1


def test_run_of_local_learning_tells_the_width_of_its_integer_gradients(tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(tmp_path, "nmnist"), "optimizer.eta=5", "trainer.epochs=1"]
    start(compose_config(words), tmp_path / "run", words)
    summary, row, points = told(tmp_path / "run")
    assert summary["gradient_code_bits"] == points == {"layer1": 4, "layer2": 4}
    assert row["gradient_code_bits_layer1"] == 4


def test_full_precision_has_no_integer_gradients() -> None:
    assert gradient_code_bits({"hidden": 0}, {"hidden": GradientRounding(0.1, None, 16)}) == {}
