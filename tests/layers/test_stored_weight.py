"""Weights that are taken over by a layer of another width: what they do stays as near as the new width allows."""

import pytest
import torch
from torch import Tensor

from qsnn.kernels.eager import EAGER
from qsnn.layers.stored_weight import EXPONENTS, StoredWeights
from qsnn.quantization import quantize, symmetric, to_codes

BITS = [None, 1, 2, 4, 8]


def stored(bits: int | None, scale: float, values: Tensor | None = None) -> StoredWeights:
    return StoredWeights(torch.zeros(30, 20) if values is None else values, scale, bits, 8, EAGER)


def drawn(limit: float) -> Tensor:
    return (2 * torch.rand(30, 20, generator=torch.Generator().manual_seed(0)) - 1) * limit


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scale", [0.5, 1.0, 8.0])
def test_take_of_the_same_width_takes_weights_and_scale_as_they_are(bits: int | None, scale: float) -> None:
    theirs, ours = stored(bits, scale, drawn(1.3)), stored(bits, 2.0)
    ours.take(theirs)
    assert torch.equal(ours.weight, theirs.weight)
    assert ours.scale == theirs.scale
    assert ours.attenuation == theirs.attenuation == scale
    assert torch.equal(ours.quantized_weight(), theirs.quantized_weight())


@pytest.mark.parametrize("bits", BITS)
def test_take_into_full_precision_takes_the_stored_weights_and_not_their_codes(bits: int | None) -> None:
    theirs, ours = stored(bits, 4.0, drawn(0.4)), stored(None, 1.0)
    ours.take(theirs)
    assert torch.equal(ours.quantized_weight(), theirs.weight / 4)


@pytest.mark.parametrize("limit", [0.01, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("other", [None, 6])
def test_take_of_another_width_finds_the_power_of_two_with_the_smallest_squares(
    limit: float, bits: int, other: int | None
) -> None:
    theirs, ours = stored(other, 2.0, drawn(limit)), stored(bits, 1.0)
    ours.take(theirs)
    wanted = theirs.weight / 2
    squares = {
        scale: (quantize(wanted * scale, symmetric(bits)) / scale - wanted).double().square().sum().item()
        for scale in (2.0**exponent for exponent in EXPONENTS)
    }
    assert squares[ours.attenuation] == pytest.approx(min(squares.values()), rel=1e-5)
    assert ours.scale == ours.attenuation
    assert torch.equal(ours.weight, wanted * ours.attenuation)  # unrounded: learning goes on from all that they knew
    to_codes(ours.quantized_weight() * ours.attenuation, symmetric(bits))


def test_take_of_more_bits_loses_nothing_that_the_fewer_had() -> None:
    few = stored(2, 1.0, quantize(drawn(0.8), symmetric(2)))
    many = stored(8, 4.0)
    many.take(few)
    assert torch.equal(many.quantized_weight(), few.quantized_weight())


def test_take_keeps_parameter_and_buffer_so_that_optimizers_and_checkpoints_see_the_new_values() -> None:
    ours = stored(2, 1.0)
    parameter, buffer = ours.weight, ours.scale
    ours.take(stored(None, 1.0, drawn(0.1)))
    assert ours.weight is parameter
    assert ours.scale is buffer
    assert ours.state_dict()["scale"] == ours.attenuation
