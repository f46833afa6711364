"""Local learning in integers, over whole batches: an independent program of int64 repeats every code; widths are proved."""

import math
from typing import Any

import integer_local_nets as program
import numpy as np
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from qsnn.data.events.batches import Batch
from qsnn.dynamics import SGD
from qsnn.dynamics.dropout import dropout_mask, dropout_threshold
from qsnn.dynamics.trace_lif import TraceLIF
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.kernels.dispatch import select_backend, select_integer_local_backend, select_local_backend
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.models.geometry import Geometry
from qsnn.models.local_net import LocalInit, LocalNet, build_local_net
from qsnn.quantization import random_stream, uniform
from qsnn.quantization.bit_widths import INTEGER, BitWidths
from qsnn.training.local_learning import dropout_streams, evaluate_batch, train_batch
from qsnn.training.run import Rates
from qsnn.training.state import TrainingState, new_training_state

CLASSES, BURN_IN, STEPS, SAMPLES, DROPOUT = 4, 2, 7, 3, 0.4
ICONS = BitWidths(
    weight_bits=8, membrane_bits=6, error_bits=6, gradient_bits=10, arithmetic=INTEGER, rng_bits=16, synapse_trace_bits=10,
    membrane_trace_bits=12, refractory_bits=2, readout_weight_bits=6, readout_bits=6, sigmoid_bits=6,
)  # fmt: skip
WIDE = {name: 16 for name, value in vars(ICONS).items() if name.endswith("_bits") and value is not None}
ONE = dict.fromkeys(WIDE, 1)


def make_net(bits: BitWidths, backend: Backend, decay_bits: int = 16, l2: float = 0.001, seed: int = 0) -> LocalNet:
    """Two layers on maps of 2 x 9 x 8, the first with pooling."""
    neuron = TraceLIF(tau_syn_upper=0.02, decay_bits=decay_bits, trace_cap=0.5)
    geometries = [Geometry(5, 3, 1, 2), Geometry(3, 3, 1, 1)]
    init = LocalInit([2e-3, 1e-3], None, 1.5, 1.0, 4.0, 0.001, l2)
    return build_local_net(
        (2, 9, 8), geometries, CLASSES, neuron, [bits, bits], init, seed,
        select_local_backend(backend.name), select_integer_local_backend(backend.name),
    )  # fmt: skip


def rounding_of(bits: BitWidths, log_eta: int) -> GradientRounding:
    assert bits.gradient_bits is not None
    return GradientRounding(2.0**log_eta, bits.gradient_bits, bits.rng_bits, "unbiased")


def stored_codes(values: torch.Tensor, bits: int) -> np.ndarray:
    codes = values.double().numpy() * 2 ** (bits - 1)
    assert (codes == np.rint(codes)).all()
    return codes.astype(np.int64)


def exported(layer: IntegerLocalLayer, bits: BitWidths, log_eta: int) -> program.Constants:
    """The layer's integers, as an exporter would write them."""
    traces, membrane, readout = layer.constants()
    widths = program.Widths(
        bits.membrane_trace_bits, bits.synapse_trace_bits, bits.refractory_bits, bits.membrane_bits, bits.weight_bits,
        bits.sigmoid_bits, bits.readout_weight_bits, bits.error_bits, bits.readout_bits, bits.gradient_bits, bits.rng_bits,
    )  # fmt: skip
    matrices = (
        stored_codes(m, bits.readout_weight_bits) for m in (layer.readout_weight.data, layer.readout_feedback.data)
    )
    return program.Constants(
        widths, *(part.numpy() for part in traces[:4]), traces.shift, *membrane.drive, *membrane.bias,
        membrane.subtracted.tolist(), membrane.after.tolist(), readout.activation.tolist(), readout.slope.tolist(),
        *matrices, readout.shift, readout.l1, readout.l2, layer.settings.padding, readout.pooling, log_eta,
        dropout_threshold(DROPOUT),
    )  # fmt: skip


def as_program(state: TrainingState, bits: BitWidths, log_eta: int) -> list[program.Layer]:
    layers = []
    for name, layer in state.model.layers.items():
        streams = {part: program.Stream(state.streams[f"{name}.{part}"].key) for part in ("weight", "bias")}
        streams["dropout"] = program.Stream(state.streams[f"{name}/dropout"].key)
        stored = (stored_codes(part.data, bits.gradient_bits) for part in (layer.weight, layer.bias))
        layers.append(program.Layer(exported(layer, bits, log_eta), *stored, streams))
    return layers


def batch_of(seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    events = torch.from_numpy((rng.random((STEPS, SAMPLES, 2, 9, 8)) < 0.3).astype(np.uint8))
    return Batch(events, torch.from_numpy(rng.integers(0, CLASSES, SAMPLES)), torch.arange(SAMPLES))


def assert_program_repeats(
    bits: BitWidths, backend: Backend, log_eta: int = 1, l2: float = 0.001, batches: int = 2, **more: Any
) -> int:  # fmt: skip
    """Batches of training, weights equal after each; how many weights have moved, counted at every step."""
    moved = 0
    net = make_net(bits, backend, l2=l2, **more)
    state = new_training_state(net, SGD(1.0), 0, dropout_streams(net))
    rounding = rounding_of(bits, log_eta)
    layers = as_program(state, bits, log_eta)
    rates = Rates(dict.fromkeys(net.layers, rounding), 1.0)
    net.accumulator_bits(SAMPLES, rates.rounding)
    for seed in range(batches):
        batch = batch_of(seed)
        tallies = train_batch(state, batch, BURN_IN, DROPOUT, rates, backend)
        votes = program.train(layers, batch.input.numpy(), batch.labels.numpy(), CLASSES, BURN_IN)
        for (name, layer), theirs, voted in zip(net.layers.items(), layers, votes, strict=True):
            moved += tallies[name].updates
            for part in ("weight", "bias"):
                ours = stored_codes(getattr(layer, part).data, bits.gradient_bits)
                assert (ours == getattr(theirs, part)).all(), f"{name}.{part}, batch {seed}"
            assert (tallies[name].votes.numpy() == voted).all(), f"votes of {name}, batch {seed}"
    return moved


def test_int64_program_repeats_training_at_the_papers_widths(backend: Backend) -> None:
    assert assert_program_repeats(ICONS, backend) > 1000


def test_int64_program_repeats_training_where_regularisers_matter(backend: Backend) -> None:
    assert_program_repeats(ICONS, backend, l2=3e5, batches=1)


WIDTHS = st.fixed_dictionaries({name: st.integers(1, 16) for name in WIDE})


@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))  # to shrink takes minutes
@given(WIDTHS, st.integers(-3, 4), st.integers(1, 20), st.sampled_from(["eager", "numba"]))
@example(WIDE, 3, 24, "numba")
@example(ONE, 0, 8, "numba")
def test_int64_program_repeats_training_at_any_widths(
    widths: dict[str, int], log_eta: int, decay_bits: int, backend: str
) -> None:
    bits = BitWidths(**{**vars(ICONS), **widths})
    assert_program_repeats(bits, select_backend(backend, "cpu"), log_eta, decay_bits=decay_bits, batches=1)


def test_evaluation_counts_the_same_votes_over_backends() -> None:
    votes = []
    for name in ("eager", "numba"):
        net = make_net(ICONS, select_backend(name, "cpu"))
        votes.append([tally.votes for tally in evaluate_batch(net, batch_of(5), BURN_IN).values()])
    assert all(torch.equal(one, other) for one, other in zip(*votes, strict=True))


def test_readouts_of_the_module_are_codes_of_their_width() -> None:
    net = make_net(ICONS, select_backend("eager", "cpu"))
    for readout in net(batch_of(0).input).values():
        assert (readout * 64 == (readout * 64).round()).all()
        assert readout.min() > 0
        assert readout.max() < 1


def test_taken_weights_come_to_the_gradients_grid() -> None:
    eager = select_backend("eager", "cpu")
    source, net = make_net(BitWidths(**{**vars(ICONS), "arithmetic": "float"}), eager, seed=1), make_net(ICONS, eager)
    for layer in source.layers.values():
        layer.weight.data.add_(0.0003)
    net.take_weights(source)
    for layer in net.layers.values():
        stored_codes(layer.weight.data, 10)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 0.999])
def test_dropout_threshold_is_the_comparison_of_floats(dropout: float) -> None:
    stream = random_stream(0, "any")
    numbers, after = uniform(stream, (5000,))
    mask, position = dropout_mask(stream, (5000,), dropout)
    assert position == after
    assert torch.equal(mask, (numbers >= dropout).float())
    assert math.isclose(mask.mean().item(), 1 - dropout, abs_tol=0.03)
