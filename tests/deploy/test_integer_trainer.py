"""The integer trainer beside the real one: stored codes, momentum and streams equal after every update, nets of every kind."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from learning_nets import BATCH, CLASSES, EAGER, MAPS, MODELS, NAMES, NEURONS, SOURCE, STEPS, UPDATES, local_state

from qsnn.data.events.batches import Batch
from qsnn.deploy import IntegerTrainer
from qsnn.deploy.from_net.model_of import model_of
from qsnn.deploy.model import Input
from qsnn.deploy.training.codes import significant
from qsnn.deploy.training.from_run import recipe_of
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.recipe import Extent, Recipe, VanRossum
from qsnn.deploy.training.replay import codes_of
from qsnn.deploy.training.widths import learning_widths
from qsnn.dynamics import SGD
from qsnn.kernels.backend import GradientRounding
from qsnn.losses.cross_entropy import IntegerCrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models.accumulators import Lesson, accumulators
from qsnn.quantization.bit_widths import INTEGER, BitWidths
from qsnn.training.bptt import BPTTLearner
from qsnn.training.run import RunSettings
from qsnn.training.state import TrainingState, new_training_state

LOSSES = {
    "spike_count": lambda: SpikeCountLoss(0.4, 0.1, True), "van_rossum": lambda: VanRossumDistance(0.75, 5e-3, EAGER, 6),
    "cross_entropy": lambda: IntegerCrossEntropyLoss(0.5, 7),
}  # fmt: skip


def wide(low: int, high: int) -> Any:
    return st.integers(low, high)


SPIKING = st.fixed_dictionaries({
    "weight_bits": wide(1, 8), "state_bits": wide(5, 10), "error_bits": wide(1, 10), "gradient_bits": wide(2, 10),
    "rng_bits": wide(1, 16), "surrogate_bits": wide(4, 16),
})  # fmt: skip


def inputs_of(signed: bool, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, *MAPS, generator=generator) < 0.4).float()
    sign = 1 - 2 * (torch.rand(x.shape, generator=generator) < 0.5).float() if signed else 1
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    return x * sign, labels, (torch.rand(STEPS, BATCH, CLASSES, generator=generator) < 0.4).float()


def assert_repeats(state: TrainingState, learner: Any, run: RunSettings, batches: list[Any], signed: bool) -> Recipe:
    """Every update in both; the trainer as its files have it."""
    extent = Extent(STEPS, BATCH, len(batches), run.epochs)
    net, recipe = state.model, recipe_of(state, learner, run, extent)
    names = () if isinstance(recipe.loss, VanRossum) else NAMES
    model = model_of(net, Input(MAPS, signed, 1000, STEPS), names, learner, SOURCE, all_readouts=True)
    trainer = IntegerTrainer(model, recipe)
    now = trainer.initial_state()
    for number, batch in enumerate(batches):
        learner.learn(state, batch, run.rates_at(1, number, len(batches)), False, lambda loss: None)
        now, _ = trainer.learn(now, *(part.numpy().astype(np.int64) for part in batch[:2]))
        for name, tensor in net.trained_tensors().items():
            moving, stored = now.tensors[name], recipe.stored[name]
            assert (codes_of(stored, tensor) == moving.codes).all(), (number, name)
            for slot in state.slots[name]:
                expected = slot.double().numpy().reshape(moving.momentum.shape) * 2.0 ** (stored.gradient_bits - 1)
                assert (expected == moving.momentum).all(), (number, name)
            assert state.streams[name].position == moving.drawn
    return recipe


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate), derandomize=True)
@given(
    st.sampled_from(sorted(MODELS)), st.sampled_from(NEURONS), SPIKING, st.sampled_from(["spike_count", "cross_entropy"]),
    st.sampled_from([0.0, 0.5, 0.875]), st.booleans(), wide(-2, 6),
)  # fmt: skip
def test_trainer_repeats_backpropagation_at_any_widths(
    kind: str, neuron: Any, widths: dict[str, int], loss: str, momentum: float, signed: bool, log_eta: int
) -> None:
    check_spiking(kind, neuron, widths, loss, momentum, signed, log_eta)


def check_spiking(
    kind: str, neuron: Any, widths: dict[str, int], loss: str, momentum: float, signed: bool, log_eta: int
) -> tuple[TrainingState, Recipe]:
    bits = BitWidths(**widths, arithmetic=INTEGER)
    net = MODELS[kind].build_spiking(MAPS, CLASSES, neuron, bits, None, 5, EAGER)
    state = new_training_state(net, SGD(1.0, momentum, 2.0 ** (1 - bits.gradient_bits)), 5)
    rounding = {
        name: GradientRounding(2.0**log_eta, bits.gradient_bits, bits.rng_bits, "unbiased") for name in net.layers
    }
    run = RunSettings(2, 1, rounding, "constant", "halving", 2, by_update=True)
    batches = [inputs_of(signed, seed) for seed in range(UPDATES)]
    if loss == "van_rossum":
        batches = [(x, raster) for x, _, raster in batches]
    return state, assert_repeats(state, BPTTLearner(LOSSES[loss](), "eager"), run, batches, signed)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_widths_are_those_that_training_is_checked_by(kind: str) -> None:
    bits = BitWidths(weight_bits=4, state_bits=8, error_bits=7, gradient_bits=6, arithmetic=INTEGER)
    net = MODELS[kind].build_spiking(MAPS, CLASSES, NEURONS[1], bits, None, 5, EAGER)
    rule, rounding = SGD(1.0, 0.875, 2.0**-5), {name: GradientRounding(8.0, 6, 8, "unbiased") for name in net.layers}
    loss = SpikeCountLoss(0.4, 0.1, True)
    run = RunSettings(2, 1, rounding, "constant", "halving", 2, by_update=True)
    learner, state = BPTTLearner(loss, "eager"), new_training_state(net, rule, 5)
    recipe = recipe_of(state, learner, run, Extent(STEPS, BATCH, 3, 2))
    model = model_of(net, Input(MAPS, False, 1000, STEPS), NAMES, learner, SOURCE)
    expected = accumulators(net, Lesson(STEPS, BATCH, loss.largest_error(STEPS), rounding, rule.momentum))
    found = learning_widths(model, recipe)
    for name, bounds in expected.items():
        assert bounds.keys() <= found[name].keys()
        assert {part: bound.bits for part, bound in bounds.items()} == {part: found[name][part] for part in bounds}


def test_a_number_beyond_its_proof_is_an_error() -> None:
    held = Held("hidden", {"current": 4})
    assert held.check("current", np.array([-8, 7])) is not None
    with pytest.raises(OverflowError, match=r"current of layer hidden reaches 0 \.\. 8"):
        held.check("current", np.array([0, 8]))


def test_significant_bits_are_those_of_a_float32() -> None:
    sizes = [0, 1, 2**24 - 1, 2**24 + 1, 2**24 + 3, 2**25 - 1, 2**25 + 2, 2**30 + 2**6 + 1, 2**40 - 1, 3**25]
    x = np.array([sign * size for size in sizes for sign in (1, -1)])
    assert (significant(x) == x.astype(np.float32).astype(np.int64)).all()


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_trainer_repeats_the_van_rossum_distance(kind: str) -> None:
    widths = {"weight_bits": 2, "state_bits": 8, "error_bits": 8, "gradient_bits": 12, "rng_bits": 16}
    state, _ = check_spiking(kind, NEURONS[0], widths, "van_rossum", 0.75, False, 5)
    assert any((codes != 0).any() for codes in state.slots["output.weight"])  # it learned


LOCAL = ("weight_bits", "membrane_bits", "error_bits", "gradient_bits", "rng_bits", "synapse_trace_bits",
    "membrane_trace_bits", "refractory_bits", "readout_weight_bits", "readout_bits", "sigmoid_bits")  # fmt: skip


@settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate), derandomize=True)
@given(st.fixed_dictionaries({name: wide(1, 12) for name in LOCAL}), wide(-2, 4), st.sampled_from([0.001, 3e5]))
def test_trainer_repeats_local_learning_at_any_widths(widths: dict[str, int], log_eta: int, l2: float) -> None:
    bits = BitWidths(**widths, arithmetic=INTEGER)
    state, learner = local_state(bits, l2, 0.4)
    rounding = {
        name: GradientRounding(2.0**log_eta, bits.gradient_bits, bits.rng_bits, "unbiased")
        for name in state.model.layers
    }
    drawn = [inputs_of(False, seed) for seed in (0, 1)]
    batches = [Batch(x.to(torch.uint8), labels, torch.arange(BATCH)) for x, labels, _ in drawn]
    run = RunSettings(2, 1, rounding, "constant", "constant", 2, lr_div=1)
    assert_repeats(state, learner, run, batches, False)
