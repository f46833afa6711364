"""The numba backend: jitted kernels for float32 tensors on the CPU, equal to the plain-torch definitions bit for bit.

What a kernel is not made for (other dtypes, empty tensors) goes to the definition itself.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState, NeuronParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.kernels.backend import Backend, ConvolutionPass, ConvolutionSettings, LayerSettings, NetPass, OutputLoss
from qsnn.kernels.convolution import compose_sequence, compose_sequence_backward
from qsnn.kernels.dense_layers import compose_gradients, compose_loss_gradients
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba import recurrences, weights
from qsnn.kernels.numba.convolution import layers as convolutional
from qsnn.kernels.numba.convolution import products as convolution
from qsnn.kernels.numba.gradients import fused_gradients
from qsnn.kernels.numba.neurons import filters, lif
from qsnn.kernels.numba.neurons.states import decays, states, surrogate
from qsnn.kernels.numba.products import products
from qsnn.kernels.numba.recurrences import NEURONS, has_kernel
from qsnn.kernels.numba.rounding.calls import backward_grids, found_already, grid, largest, or_eager, state_grids
from qsnn.kernels.numba.rounding.quantizers import error_factors, to_floats
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array, matrix
from qsnn.kernels.numba.runtime.buffers import empty
from qsnn.kernels.numba.runtime.memory import remember
from qsnn.kernels.numba.runtime.team import run_together
from qsnn.kernels.numba.runtime.threads import split
from qsnn.kernels.numba.stack import stack_nets
from qsnn.quantization.reductions import ALONE, Reductions

CHUNK = 2**16
OCTETS = torch.uint8, torch.int8  # that input spikes may have


@or_eager("quantize_error")
def quantize_error(error: Tensor, error_bits: int | None, over: Reductions = ALONE) -> Tensor:
    """`qsnn.quantization.quantize_error`; its codes are kept in mind for the products to come."""
    if error_bits is None:
        return error
    size = largest(error, over)
    codes = products.quantized_codes(error, error_factors(size, grid(error_bits)[0]), error_bits)
    if codes is None or size >= INFINITY:  # NaN
        return EAGER.quantize_error(error, error_bits, found_already(size, over))
    out = empty(*error.shape)
    rows = array(out).reshape(len(codes.integers), -1)
    split(to_floats[codes.integers.dtype], len(rows), rows.size, codes.integers, codes.step, rows)
    remember(out, "codes", codes)
    return out


@or_eager("lif_sequence")
def lif_sequence(current: Tensor, state: LIFState | None, parameters: NeuronParameters) -> LIFActivity:
    """`qsnn.dynamics.lif_sequence`; another neuron's own definition."""
    if type(parameters) is LeakyParameters:
        return recurrences.leaky_sequence(current, state, parameters)
    if not has_kernel(parameters) or not isinstance(parameters, LIFParameters):
        return EAGER.lif_sequence(current, state, parameters)
    p, shape, out = parameters, current.shape[1:], empty(3, *current.shape)
    formats = state_grids(p.synapse_bits, p.membrane_bits, p.state_range)
    sizes = split(
        lif.lif_forward[len(formats[0])], shape.numel(), 3 * current.numel(),
        matrix(current), states(state, shape), decays(p, shape), p.threshold,
        *formats, array(out).reshape(3, len(current), -1),
    )  # fmt: skip
    activity = LIFActivity(*out.unbind())
    remember(activity.membrane, "largest", max(sizes))
    return activity


@or_eager("lif_sequence_backward")
def lif_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState | None,
    parameters: NeuronParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """`qsnn.dynamics.lif_sequence_backward`; likewise. Step by step where every step's maxima are those of all parts."""
    known = has_kernel(parameters)
    if known and (type(parameters) is LeakyParameters or over is not ALONE):
        assert isinstance(parameters, LeakyParameters | LIFParameters)
        return recurrences.leaky_sequence_backward(grad_spikes, current, activity, initial, parameters, over)
    if not known or not isinstance(parameters, LIFParameters):
        return EAGER.lif_sequence_backward(grad_spikes, current, activity, initial, parameters, over)
    p, shape, out = parameters, current.shape[1:], empty(*current.shape)
    formats = backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, p.threshold_mask, p.state_range)
    team = max(1, min(torch.get_num_threads(), shape.numel() // NEURONS))
    factor = surrogate(p)
    size = run_together(
        lif.lif_backward[len(formats[0]), len(factor)], team, np.empty((2, team, 16), np.int32),
        *(matrix(tensor) for tensor in (grad_spikes, current, *activity)), states(initial, shape), decays(p, shape),
        p.threshold, factor, formats, matrix(out),
    )  # fmt: skip
    remember(out, "largest", size)
    return out


@or_eager("van_rossum_distance")
def van_rossum_distance(spikes: Tensor, target: Tensor, decay: float, tau: float) -> tuple[Tensor, Tensor]:
    """`qsnn.dynamics.van_rossum_distance`."""
    if spikes.shape != target.shape:
        return EAGER.van_rossum_distance(spikes, target, decay, tau)
    difference = empty(*spikes.shape)
    columns = matrix(difference)
    arguments = (matrix(spikes), matrix(target), decay, columns)
    split(filters.filtered_difference, columns.shape[1], 3 * columns.size, *arguments)
    # In chunks of a fixed size, so that the sum does not depend on the number of threads.
    squares = np.empty(-(-columns.size // CHUNK))
    split(filters.sums_of_squares, len(squares), columns.size, columns.reshape(-1), CHUNK, squares)
    return torch.tensor(math.sqrt(squares.sum() / tau)), difference


@or_eager("van_rossum_gradient")
def van_rossum_gradient(difference: Tensor, distance: Tensor, decay: float, tau: float) -> Tensor:
    """`qsnn.dynamics.van_rossum_gradient`."""
    divisor = np.float32(tau) * np.float32(distance.item())
    if divisor == 0:
        return torch.zeros_like(difference)
    out = empty(*difference.shape)
    columns = matrix(out)
    arguments = (matrix(difference), divisor, decay, columns)
    split(filters.filter_back, columns.shape[1], 3 * columns.size, *arguments)
    return out


@or_eager("van_rossum_codes")
def van_rossum_codes(spikes: Tensor, target: Tensor, decay: float, filter_bits: int) -> Tensor:
    """`qsnn.dynamics.van_rossum_codes`."""
    if spikes.shape != target.shape:
        return EAGER.van_rossum_codes(spikes, target, decay, filter_bits)
    out = empty(*spikes.shape)
    columns = matrix(out)
    arguments = (matrix(spikes), matrix(target), decay, 2.0**filter_bits, columns)
    split(filters.fixed_point_codes, columns.shape[1], 4 * columns.size, *arguments)
    return out


@or_eager("all_finite")
def all_finite(tensor: Tensor, over: Reductions = ALONE) -> bool:
    """`eager.all_finite`: the largest size has an exponent below that of Inf and NaN."""
    return largest(tensor, over) < INFINITY


def net_gradients(
    x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float, filter_bits: int | None = None
) -> NetPass:
    """`dense_layers.compose_gradients`, in one kernel where that can be."""
    loss = decay, tau, filter_bits
    fused = fused_gradients(x, target, layers, *loss)
    return compose_gradients(NUMBA, x, target, layers, *loss) if fused is None else fused


def loss_gradients(x: Tensor, layers: Sequence[LayerSettings], loss: OutputLoss) -> NetPass:
    """`dense_layers.compose_loss_gradients` of these operations."""
    return compose_loss_gradients(NUMBA, x, layers, loss)


def convolution_sequence(
    x: Tensor, state: LIFState | None, layer: ConvolutionSettings, neuron: NeuronParameters, pooling: int
) -> ConvolutionPass:
    """`qsnn.kernels.convolution.compose_sequence`, in one kernel where that can be."""
    fused = convolutional.sequence(x, state, layer, neuron, pooling)
    return compose_sequence(NUMBA, x, state, layer, neuron, pooling) if fused is None else fused


def convolution_sequence_backward(
    grad: Tensor,
    done: ConvolutionPass,
    state: LIFState | None,
    neuron: NeuronParameters,
    pooling: int,
    over: Reductions = ALONE,
) -> Tensor:
    """`qsnn.kernels.convolution.compose_sequence_backward`, likewise."""
    fused = convolutional.sequence_backward(grad, done, neuron, pooling) if over is ALONE else None
    return compose_sequence_backward(NUMBA, grad, done, state, neuron, pooling, over) if fused is None else fused


NUMBA = Backend(
    name="numba",
    clamp_weights=weights.clamp_weights,
    input_current=or_eager("input_current", *OCTETS)(products.input_current),
    input_error=or_eager("input_error")(products.input_error),
    weight_gradient=or_eager("weight_gradient", *OCTETS)(products.weight_gradient),
    recurrent_gradient=or_eager("recurrent_gradient")(products.recurrent_gradient),
    quantize_error=quantize_error,
    lif_sequence=lif_sequence,
    lif_sequence_backward=lif_sequence_backward,
    recurrent_sequence=recurrences.recurrent_sequence,
    recurrent_sequence_backward=recurrences.recurrent_sequence_backward,
    integrator_sequence=recurrences.integrator_sequence,
    integrator_sequence_backward=recurrences.integrator_sequence_backward,
    van_rossum_distance=van_rossum_distance,
    van_rossum_gradient=van_rossum_gradient,
    van_rossum_codes=van_rossum_codes,
    round_gradient=weights.round_gradient,
    update_weights=weights.update_weights,
    train_weights=weights.train_weights,
    all_finite=all_finite,
    net_gradients=net_gradients,
    stack_nets=stack_nets,
    loss_gradients=loss_gradients,
    convolution_current=or_eager("convolution_current")(convolution.convolution_current),
    convolution_errors=or_eager("convolution_errors")(convolution.convolution_errors),
    convolution_sequence=convolution_sequence,
    convolution_sequence_backward=convolution_sequence_backward,
)
