"""One epoch of training, and the original program's training curve."""

import json
from pathlib import Path

import pytest
import torch
from helpers import make_run
from scripts_module import load_script

from qsnn.errors import NonFiniteError


def step(run, keep_errors=False):  # type: ignore[no-untyped-def]
    return run.learn_batch(keep_errors)[0]


@pytest.mark.parametrize("kernels", ["eager", "numba"])
def test_training_follows_the_originals_curve_from_its_weights_and_data(
    kernels: str, golden: Path, tmp_path: Path
) -> None:
    script = load_script("golden_training")
    curves = json.loads((golden / "pattern_training.json").read_text())["curves"]
    epochs = 150 if kernels == "numba" else 3
    ours = script.golden_curve(golden, 0, epochs, tmp_path, [f"kernels={kernels}"])
    assert ours[0] == pytest.approx(curves[0][0], abs=1e-3)
    for epoch in (3, 10, 50, 100, 150):
        if epoch <= epochs:
            mean = sum(curve[epoch - 1] for curve in curves) / len(curves)
            assert ours[epoch - 1] == pytest.approx(mean, rel=0.03)


def test_training_is_the_same_to_the_last_bit_with_every_backend(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, f"kernels={kernels}") for kernels in ("eager", "numba")]
    distances = [[step(run).loss for _ in range(20)] for run in runs]
    assert distances[0] == distances[1]
    for name, linear in runs[0].state.model.weights().items():
        assert torch.equal(linear.weight, runs[1].state.model.weights()[name].weight)


@pytest.mark.parametrize(
    "overrides", [[], ["optimizer=sgd", "optimizer.eta=1"], ["optimizer=adam"], ["quantization=full_precision"]]
)
def test_training_reduces_the_distance(overrides: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path, *overrides)
    distances = [step(run).loss for _ in range(150)]
    assert min(distances[-20:]) < 0.93 * distances[0]


def test_training_with_sgd_keeps_stored_weights_on_the_integer_grid(tmp_path: Path) -> None:
    run = make_run(tmp_path, "optimizer=sgd")
    for _ in range(10):
        step(run)
    for linear in run.state.model.weights().values():
        codes = linear.weight.detach() * 2**7
        assert torch.equal(codes, codes.round())


def test_weights_without_a_format_learn_as_those_of_many_bits(tmp_path: Path) -> None:
    """quantization.weight_bits=null beside quantized gradients: the learning rate is a share of the same range."""
    words = ["optimizer=sgd", "optimizer.eta=1", "quantization.state_bits=16"]
    many, none = (make_run(tmp_path, *words, f"quantization.weight_bits={bits}") for bits in (16, "null"))
    distances = [[step(run).loss for _ in range(30)] for run in (many, none)]
    assert distances[0] == pytest.approx(distances[1], rel=0.02)
    layers = [run.state.model.weights()["hidden.weight"] for run in (many, none)]
    assert layers[0].attenuation == layers[1].attenuation > 1


def test_full_precision_attenuates_no_weights(tmp_path: Path) -> None:
    run = make_run(tmp_path, "quantization=full_precision")
    assert [linear.attenuation for linear in run.state.model.weights().values()] == [1, 1]


@pytest.mark.parametrize("layer", ["hidden", "output"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_training_stops_at_a_weight_that_is_not_finite_and_names_it(layer: str, value: float, tmp_path: Path) -> None:
    run = make_run(tmp_path, "optimizer=adamax")
    run.state.slots[f"{layer}.weight"][0][0, 0] = value
    with pytest.raises(NonFiniteError, match=rf"{layer}\.weight holds (NaN|Inf) in epoch 1: .*optimizer\.lr"):
        step(run)
    assert run.state.epoch == 0


def test_training_keeps_the_weights_that_reached_the_best_distance(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    distances = [step(run).loss for _ in range(30)]
    best = run.state.best
    assert best.score == min(distances)
    assert best.epoch == distances.index(min(distances))  # an epoch measures before it updates
    run.state.model.load_state_dict(best.weights)
    activity, _ = run.state.model(run.task.pattern.input)
    assert run.learner.loss(activity["output"].spikes, run.task.pattern.target).item() == best.score
