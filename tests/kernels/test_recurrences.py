"""Kernels of recurrent layers, of neurons without a synaptic filter, and of membrane readouts: the bits of plain torch."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_tensors import NUMBA, SEEDS, same, strided, values
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState, NeuronParameters
from qsnn.dynamics.integrator import IntegratorActivity, IntegratorParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.kernels import eager
from qsnn.kernels.backend import WeightSettings
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.products.products import Spikes, spike_lists
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.layers.spiking_linear import SpikingLinear
from qsnn.losses.cross_entropy import CrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models import SpikingNet
from qsnn.quantization import quantize, symmetric

BITS = st.integers(1, 16)
OR_NULL = st.none() | BITS
SIZES = st.sampled_from([1, 7, 16, 31, 65, 130])
BATCHES = st.sampled_from([1, 2, 5, 9])
few = settings(max_examples=18, deadline=None)


@st.composite
def neurons(draw: st.DrawFn, null: bool) -> LIFParameters | LeakyParameters:
    """Any widths; ``null``: full precision among them."""
    bits = [draw(OR_NULL if null else BITS) for _ in range(3)]
    threshold, slope, mask = draw(st.tuples(st.sampled_from([0.1, 0.4]), st.sampled_from([0.0, 5.0]), st.booleans()))
    table = 13 if bits[1] and bits[0] and draw(st.booleans()) else None
    if draw(st.booleans()):
        leak = draw(st.sampled_from([1.0, 0.875, 0.9]))
        return LeakyParameters(leak, threshold, slope, bits[0], bits[2], mask, surrogate_bits=table)
    decay, state_range = draw(st.sampled_from([0.875, 0.81])), draw(st.sampled_from([1.0, 4.0]))
    return LIFParameters(0.75, decay, threshold, slope, *bits, mask, table, state_range)


def weights(generator: torch.Generator, size: int, bits: int | None) -> WeightSettings:
    return WeightSettings(strided(torch.rand(size, size, generator=generator) * 2 - 1, generator), bits, 2.0)


def drives(generator: torch.Generator, *shape: int) -> tuple[Tensor, Tensor]:
    """On a grid that floats add up on exactly, and gradients of any kind."""
    density = float(torch.rand((), generator=generator))
    return (values(generator, *shape, sparse=density).clamp(-2, 2) * 256).round() / 256, values(generator, *shape)


@given(SEEDS, neurons(null=True), OR_NULL, BATCHES, SIZES, st.integers(1, 7))
@few
def test_recurrent_sequences_in_both_directions(
    seed: int, neuron: LIFParameters | LeakyParameters, bits: int | None, batch: int, size: int, steps: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    recurrent, (drive, grad) = weights(generator, size, bits), drives(generator, steps, batch, size)
    initial = LIFState(*(values(generator, batch, size).clamp(-1, 1) for _ in range(2)))
    if neuron.surrogate_bits is not None:  # a table has entries for membranes on the grid alone
        initial = initial._replace(membrane=quantize(initial.membrane, symmetric(neuron.membrane_bits)))
    before = drive.clone()
    current, activity = EAGER.recurrent_sequence(drive, initial, neuron, recurrent)
    same(NUMBA.recurrent_sequence(drive, initial, neuron, recurrent), (current, activity))
    same(drive, before)
    known = (grad, current, LIFActivity(*(strided(tensor, generator) for tensor in activity)), initial, neuron)
    ours, theirs = (b.recurrent_sequence_backward(*known, recurrent) for b in (NUMBA, EAGER))
    same(ours, theirs)
    error = EAGER.quantize_error(theirs, neuron.error_bits)
    same(*(b.recurrent_gradient(activity.spikes, error, neuron.error_bits) for b in (NUMBA, EAGER)))


@given(SEEDS, neurons(null=True), BATCHES, SIZES, st.integers(1, 7))
@few
def test_sequences_without_a_synapse_in_both_directions(
    seed: int, neuron: NeuronParameters, batch: int, size: int, steps: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    current, grad = drives(generator, steps, batch, size)
    activity = EAGER.lif_sequence(current, None, neuron)
    same(NUMBA.lif_sequence(current, None, neuron), activity)
    same(*(b.lif_sequence_backward(grad, current, activity, None, neuron) for b in (NUMBA, EAGER)))


@given(SEEDS, OR_NULL, OR_NULL, BATCHES, SIZES, st.integers(1, 7), st.booleans())
@few
def test_integrators_in_both_directions(
    seed: int, bits: int | None, error_bits: int | None, batch: int, size: int, steps: int, at_rest: bool
) -> None:
    generator, p = torch.Generator().manual_seed(seed), IntegratorParameters(0.75, 0.97, bits, error_bits)
    current, grad = drives(generator, steps, batch, size)
    states = LIFState(*(values(generator, batch, size).clamp(-1, 1) for _ in range(2)))
    initial = None if at_rest else states
    activity = EAGER.integrator_sequence(current, initial, p)
    same(NUMBA.integrator_sequence(current, initial, p), activity)
    laid_otherwise = IntegratorActivity(*(tensor.transpose(0, -1).contiguous().transpose(0, -1) for tensor in activity))
    known = (grad, current, laid_otherwise, initial, p)
    same(*(b.integrator_sequence_backward(*known) for b in (NUMBA, EAGER)))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("leaky", [False, True])
def test_recurrent_sequences_shared_by_threads(threads: int, leaky: bool) -> None:
    generator, shape = torch.Generator().manual_seed(1), (6, 23, 150)
    cuba = LIFParameters(0.75, 0.875, 0.4, 5.0, 8, 8, 8, False)
    neuron = LeakyParameters(0.875, 0.4, 5.0, 8, 8) if leaky else cuba
    drive, grad = torch.randn(shape, generator=generator).mul(64).round() / 256, torch.randn(shape, generator=generator)
    recurrent, before = weights(generator, 150, 8), torch.get_num_threads()
    current, activity = EAGER.recurrent_sequence(drive, None, neuron, recurrent)
    expected = EAGER.recurrent_sequence_backward(grad, current, activity, None, neuron, recurrent)
    torch.set_num_threads(threads)
    try:
        same(NUMBA.recurrent_sequence(drive, None, neuron, recurrent), (current, activity))
        same(NUMBA.recurrent_sequence_backward(grad, current, activity, None, neuron, recurrent), expected)
    finally:
        torch.set_num_threads(before)


LOSSES: dict[str, Any] = {
    "spike_count": SpikeCountLoss(0.4, 0.1, True),
    "cross_entropy": CrossEntropyLoss(0.5, None, True),
    "max": CrossEntropyLoss(0.5, "max", True),
    "mean": CrossEntropyLoss(0.5, "mean", True),
    "van_rossum": VanRossumDistance(0.75, 0.005, EAGER),
}


@st.composite
def nets(draw: st.DrawFn) -> tuple[list[int], list[tuple[NeuronParameters, int | None, bool]], str, int, int]:
    """Sizes, neurons and weight bits and whether it is recurrent of each layer, loss, batch, seed."""
    sizes = draw(st.lists(st.sampled_from([1, 8, 9, 31, 65]), min_size=2, max_size=5))
    layers = [
        (draw(neurons(null=False)), draw(st.integers(1, 9)), number < len(sizes) - 2 and draw(st.booleans()))
        for number in range(len(sizes) - 1)
    ]
    return sizes, layers, draw(st.sampled_from(list(LOSSES))), draw(st.integers(1, 5)), draw(SEEDS)


def built(
    sizes: list[int], layers: list[tuple[NeuronParameters, int | None, bool]], loss: str, seed: int, backend: Any
) -> SpikingNet:
    generator, made = torch.Generator().manual_seed(seed), dict[str, Any]()
    for number, (shape, (neuron, bits, recurrent)) in enumerate(zip(pairwise(sizes), layers, strict=True)):
        w, w_r = (torch.rand(rows, shape[1], generator=generator) * 2 - 1 for rows in shape)
        linear = QuantizedLinear(w, 1.0, bits, neuron.error_bits, backend)
        layer: Any = SpikingLinear(w, 1.0, bits, neuron, backend)
        if recurrent:
            layer = RecurrentLinear(linear, QuantizedLinear(w_r, 2.0, bits, neuron.error_bits, backend), neuron)
        elif loss in ("max", "mean") and number == len(layers) - 1:
            layer = IntegratingLinear(linear, IntegratorParameters(0.75, 0.9375, 9, neuron.error_bits))
        made[f"layer{number}"] = layer
    return SpikingNet(made)


@given(nets(), st.integers(1, 3), st.sampled_from([0.05, 0.3, 0.8]))
@settings(max_examples=20, deadline=None)
def test_nets_of_any_layers_and_loss_need_no_graph(net: Any, threads: int, density: float) -> None:
    """Of the kernels, of plain torch, and by autograd the same spikes, states, errors and gradients."""
    sizes, layers, loss, batch, seed = net
    generator, before = torch.Generator().manual_seed(seed), torch.get_num_threads()
    x = (torch.rand(9, batch, sizes[0], generator=generator) < density).float()
    target = torch.randint(sizes[-1], (batch,), generator=generator)
    if loss == "van_rossum":
        target = (torch.rand(9, batch, sizes[-1], generator=generator) < 0.3).float()
    nets = [built(sizes, layers, loss, seed, backend) for backend in (EAGER, NUMBA)]
    expected = nets[0].gradients(x, target, LOSSES[loss])
    torch.set_num_threads(threads)
    try:
        found = [nets[1].gradients(x, target, LOSSES[loss]), *(n._by_autograd(x, target, LOSSES[loss]) for n in nets)]
    finally:
        torch.set_num_threads(before)
    for other in found:
        assert list(other.weights) == list(expected.weights)
        same(tuple(other.weights.values()), tuple(expected.weights.values()))
        same(tuple(other.currents.values()), tuple(expected.currents.values()))
        same(tuple(other.activity.values()), tuple(expected.activity.values()))
        assert other.loss == expected.loss


LONG = 40_000


@pytest.mark.parametrize("backend", [EAGER, NUMBA])
def test_weight_gradients_are_exact_where_floats_no_longer_count_in_ones(backend: Any) -> None:
    """Errors of 12 bits over 40,000 rows: 2^26. In float32 the last ones are lost."""
    generator = torch.Generator().manual_seed(0)
    spikes, codes = torch.zeros(LONG, 1, 3), torch.randint(1800, 2048, (LONG, 1, 2), generator=generator)
    spikes[:, 0, 1], spikes[::3, 0, 2] = 1, 1
    error = codes.float() / 2048
    exact = torch.einsum("tbi,tbj->ij", spikes.double(), codes.double())
    assert exact.max() > 2**24
    found = backend.weight_gradient(spikes, error, 12).double() * 2048
    assert torch.equal(found.float(), exact.float())
    assert not torch.equal((spikes.flatten(0, 1).T @ error.flatten(0, 1)).double() * 2048, exact)


@pytest.mark.parametrize("backend", [EAGER, NUMBA])
def test_products_of_wide_codes_are_exact(backend: Any) -> None:
    """Errors of 12 bits times weights of 12, and currents of 16-bit weights, over 700 neurons: beyond 2^24 both."""
    generator = torch.Generator().manual_seed(0)
    codes, rows = (
        torch.randint(-2047, 2048, (3, 2, 700), generator=generator),
        torch.randint(-2047, 2048, (5, 700), generator=generator),
    )
    found = backend.input_error(codes.float() / 2048, rows.float() / 2048, 12, 2.0, 12)
    assert torch.equal(found, (codes.double() @ rows.double().T / 2**23).float())
    wide = torch.randint(30_000, 32_768, (700, 4), generator=generator)
    assert torch.equal(
        backend.input_current(torch.ones(2, 1, 700), wide.float() / 2**15, 16, 1.0),
        (torch.ones(2, 1, 700).double() @ wide.double() / 2**15).float(),
    )
    assert eager.exact_product(torch.ones(1, 2), torch.ones(2, 1), 16, None).item() == 2


def test_a_recurrent_current_of_wide_weights_and_its_error_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    neuron = LIFParameters(0.75, 0.875, 0.2, 5.0, 8, 8, 12, False)
    recurrent = WeightSettings(torch.rand(300, 300, generator=generator), 16, 1.0)
    drive, grad = (
        torch.rand(5, 2, 300, generator=generator).mul(256).round() / 256,
        torch.randn(5, 2, 300, generator=generator),
    )
    current, activity = EAGER.recurrent_sequence(drive, None, neuron, recurrent)
    same(NUMBA.recurrent_sequence(drive, None, neuron, recurrent), (current, activity))
    known = (grad, current, activity, None, neuron, recurrent)
    same(NUMBA.recurrent_sequence_backward(*known), EAGER.recurrent_sequence_backward(*known))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
def test_input_spikes_may_be_integers_of_8_bits(signed: bool, recurrent: bool) -> None:
    generator, neuron = torch.Generator().manual_seed(0), LIFParameters(0.75, 0.875, 0.4, 5.0, 8, 8, 8, False)
    x = (torch.rand(9, 3, 70, generator=generator) < 0.2).float()
    x = x * (torch.randint(0, 2, x.shape, generator=generator) * 2 - 1) if signed else x
    target, layers = torch.tensor([0, 3, 1]), [(neuron, 8, recurrent), (neuron, 4, False)]
    expected, *others = (
        built([70, 31, 9], layers, "spike_count", 1, backend).gradients(given, target, LOSSES["spike_count"])
        for backend in (EAGER, NUMBA)
        for given in (x, x.to(torch.int8 if signed else torch.uint8))
    )
    assert all(gradient.any() for gradient in expected.weights.values())
    for other in others:
        same(tuple(other.weights.values()), tuple(expected.weights.values()))


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200])
def test_spikes_are_listed_row_by_row(kind: torch.dtype, columns: int) -> None:
    x = (torch.rand(40, 3, columns, generator=torch.Generator().manual_seed(columns)) < 0.3).to(kind)
    lists = spike_lists(x)
    assert isinstance(lists, Spikes)
    for row, start, end in zip(x.flatten(0, 1), lists.starts, lists.ends, strict=True):
        assert lists.indices[start:end].tolist() == row.nonzero().flatten().tolist()
    assert lists.num_ones() == x.sum()
    x[7, 1, columns - 1] = 2
    assert spike_lists(x) is False
