"""The plain-torch backend: any device, and the truth that the other backends are tested against."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from qsnn.dynamics import (
    LIFActivity,
    LIFState,
    NeuronParameters,
    Slots,
    UpdateRule,
    van_rossum_codes,
    van_rossum_distance,
    van_rossum_gradient,
)
from qsnn.dynamics.integrator import IntegratorActivity, IntegratorParameters, integrator_backward
from qsnn.dynamics.integrator import integrator_sequence as integrate
from qsnn.kernels.backend import (
    Backend,
    ConvolutionPass,
    ConvolutionSettings,
    GradientRounding,
    LayerSettings,
    NetPass,
    OutputLoss,
    RoundedGradient,
    StackedNet,
    StoredWeight,
    WeightSettings,
    WeightUpdate,
)
from qsnn.kernels.convolution import (
    compose_sequence,
    compose_sequence_backward,
    convolution_current,
    convolution_errors,
)
from qsnn.kernels.dense_layers import compose_gradients, compose_loss_gradients
from qsnn.quantization import (
    RandomStream,
    largest_code,
    quantize,
    quantize_error,
    quantize_gradient,
    symmetric,
    uniform_codes,
)
from qsnn.quantization.reductions import ALONE, Reductions, size_of

EXACT_SUM = 2**24
"""Up to here float32 counts in ones."""


def quantize_weights(weight: Tensor, weight_bits: int | None, scale: float) -> Tensor:
    """``w_q = quantize_symmetric(w, weight_bits) / scale``, the weights that a layer computes with."""
    return quantize(weight, symmetric(weight_bits)) / scale


def clamp_weights(weight: Tensor, weight_bits: int | None) -> None:
    """Bring stored weights into the range of symmetric(weight_bits), in place."""
    fmt = symmetric(weight_bits)
    if fmt is not None:
        weight.clamp_(fmt.smallest, fmt.largest)


def exact_product(a: Tensor, b: Tensor, *bits: int | None) -> Tensor:
    """``a @ b`` of tensors on grids: symmetric(bits) for each of ``bits`` that is given, spikes (-1, 0 or 1) otherwise.

    The sums are exact, and rounded once to the dtype of ``a``: where their largest possible integer exceeds what a float32
    counts in ones, they are taken in float64, which holds them all (2^53). ``bits`` with a None: full precision, in whose dtype
    it is summed in any order.
    """
    highest = a.shape[-1] * math.prod(symmetric(width).high for width in bits if width is not None)
    if highest <= EXACT_SUM or None in bits:
        return a @ b
    return (a.double() @ b.double()).to(a.dtype)


def input_current(spikes: Tensor, weight: Tensor, weight_bits: int | None, scale: float) -> Tensor:
    """``h[t] = x[t] @ w_q``."""
    return exact_product(spikes.to(weight.dtype), quantize_weights(weight, weight_bits, scale), weight_bits)


def input_error(
    error: Tensor, weight: Tensor, weight_bits: int | None, scale: float, error_bits: int | None = None
) -> Tensor:
    """``g_x[t] = e_h[t] @ w_q^T``."""
    return exact_product(error, quantize_weights(weight, weight_bits, scale).T, weight_bits, error_bits)


def weight_gradient(spikes: Tensor, error: Tensor, error_bits: int | None = None, over: Reductions = ALONE) -> Tensor:
    """``dw = sum over t and batch of x[t]^T e_h[t]``, rounded once it is that of all parts."""
    x, e = spikes.to(error.dtype).flatten(0, 1).T, error.flatten(0, 1)
    if over is ALONE:
        return exact_product(x, e, error_bits)
    return over.total(x.double() @ e.double()).to(error.dtype)


def recurrent_gradient(
    spikes: Tensor, error: Tensor, error_bits: int | None = None, over: Reductions = ALONE
) -> Tensor:
    """``dw_r = sum over t and batch of s[t-1]^T e_h[t]``."""
    return weight_gradient(spikes[:-1], error[1:], error_bits, over)


def lif_sequence(current: Tensor, state: LIFState | None, parameters: NeuronParameters) -> LIFActivity:
    """The neuron's own `sequence`, at rest if there is no state."""
    return parameters.sequence(current, LIFState.zeros(current[0]) if state is None else state)


def _more(over: Reductions) -> dict[str, Any]:
    """What a neuron is told of other parts of the batch: nothing where there are none, for it need not know of such."""
    return {} if over is ALONE else {"over": over}


def lif_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState | None,
    parameters: NeuronParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """The neuron's own `sequence_backward`, likewise."""
    initial = LIFState.zeros(current[0]) if initial is None else initial
    return parameters.sequence_backward(grad_spikes, current, activity, initial, **_more(over))


def recurrent_sequence(
    drive: Tensor, state: LIFState | None, parameters: NeuronParameters, weights: WeightSettings
) -> tuple[Tensor, LIFActivity]:
    """The neuron's own `sequence`, with ``h[t] = drive[t] + s[t-1] @ w_rq`` for its current."""
    current, w_q = drive.clone(), quantize_weights(*weights)
    state = LIFState.zeros(current[0]) if state is None else state
    return current, parameters.sequence(current, state, lambda spikes: exact_product(spikes, w_q, weights.weight_bits))


def recurrent_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState | None,
    parameters: NeuronParameters,
    weights: WeightSettings,
    over: Reductions = ALONE,
) -> Tensor:
    """The neuron's own `sequence_backward`, with ``g_s[t-1] += e[t] @ w_rq^T``, e the error at the step's current."""
    back, bits = quantize_weights(*weights).T.contiguous(), (weights.weight_bits, parameters.error_bits)
    initial = LIFState.zeros(current[0]) if initial is None else initial
    return parameters.sequence_backward(
        grad_spikes, current, activity, initial, lambda error: exact_product(error, back, *bits), **_more(over)
    )


def integrator_sequence(
    current: Tensor, state: LIFState | None, parameters: IntegratorParameters
) -> IntegratorActivity:
    """`qsnn.dynamics.integrator.integrator_sequence`, at rest if there is no state."""
    return integrate(current, LIFState.zeros(current[0]) if state is None else state, parameters)


def integrator_sequence_backward(
    grad_output: Tensor,
    current: Tensor,
    activity: IntegratorActivity,
    initial: LIFState | None,
    parameters: IntegratorParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """`integrator_backward`, likewise."""
    initial = LIFState.zeros(current[0]) if initial is None else initial
    return integrator_backward(grad_output, current, activity, initial, parameters, over)


def round_gradient(gradient: Tensor, stream: RandomStream, rounding: GradientRounding) -> RoundedGradient:
    """`quantize_gradient` with the next numbers of ``stream``."""
    eta, gradient_bits, rng_bits, rng_rule = rounding
    assert gradient_bits is not None
    codes, stream = uniform_codes(stream, gradient.shape, rng_bits, rng_rule, gradient.device)
    rounded = quantize_gradient(
        gradient, codes, eta=eta, gradient_bits=gradient_bits, rng_bits=rng_bits, rng_rule=rng_rule
    )
    return RoundedGradient(rounded, stream, largest_code(rounded, gradient_bits))


def update_weights(rule: UpdateRule, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
    """The rule's own update."""
    return rule.update(weight, gradient, slots, step)


def _train_layer(rule: UpdateRule, step: int, keep_rounded: bool, layer: StoredWeight) -> WeightUpdate:
    """Round the gradient, change the weights in place by the rule, and clamp them for the next forward pass."""
    weight, gradient, slots, stream, rounding, weight_bits = layer
    largest = 0
    if rounding.gradient_bits is not None:
        gradient, stream, largest = round_gradient(gradient, stream, rounding)
    updated, slots = rule.update(weight, gradient, slots, step)
    finite = all_finite(updated)  # before the clamp, which hides Inf
    weight.copy_(updated)
    clamp_weights(weight, weight_bits)
    return WeightUpdate(finite, slots, stream, gradient if keep_rounded else None, largest)


def train_weights(rule: UpdateRule, step: int, keep_rounded: bool, layers: list[StoredWeight]) -> list[WeightUpdate]:
    """`_train_layer` of each."""
    return [_train_layer(rule, step, keep_rounded, layer) for layer in layers]


def all_finite(tensor: Tensor, over: Reductions = ALONE) -> bool:
    """Whether no element is NaN or Inf."""
    return bool(over.largest(size_of(tensor).double()[None]).isfinite())


def net_gradients(
    x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float, filter_bits: int | None = None
) -> NetPass:
    """`dense_layers.compose_gradients` of these operations."""
    return compose_gradients(EAGER, x, target, layers, decay, tau, filter_bits)


def stack_nets(nets: Sequence[StackedNet]) -> None:
    """None: nets side by side are, by definition, one after the other."""


def loss_gradients(x: Tensor, layers: Sequence[LayerSettings], loss: OutputLoss) -> NetPass:
    """`dense_layers.compose_loss_gradients` of these operations."""
    return compose_loss_gradients(EAGER, x, layers, loss)


def convolution_sequence(
    x: Tensor, state: LIFState | None, layer: ConvolutionSettings, neuron: NeuronParameters, pooling: int
) -> ConvolutionPass:
    """`convolution.compose_sequence` of these operations."""
    return compose_sequence(EAGER, x, state, layer, neuron, pooling)


def convolution_sequence_backward(
    grad: Tensor,
    done: ConvolutionPass,
    state: LIFState | None,
    neuron: NeuronParameters,
    pooling: int,
    over: Reductions = ALONE,
) -> Tensor:
    """`convolution.compose_sequence_backward` of these operations."""
    return compose_sequence_backward(EAGER, grad, done, state, neuron, pooling, over)


EAGER = Backend(
    name="eager",
    clamp_weights=clamp_weights,
    input_current=input_current,
    input_error=input_error,
    weight_gradient=weight_gradient,
    recurrent_gradient=recurrent_gradient,
    quantize_error=quantize_error,
    lif_sequence=lif_sequence,
    lif_sequence_backward=lif_sequence_backward,
    recurrent_sequence=recurrent_sequence,
    recurrent_sequence_backward=recurrent_sequence_backward,
    integrator_sequence=integrator_sequence,
    integrator_sequence_backward=integrator_sequence_backward,
    van_rossum_distance=van_rossum_distance,
    van_rossum_gradient=van_rossum_gradient,
    van_rossum_codes=van_rossum_codes,
    round_gradient=round_gradient,
    update_weights=update_weights,
    train_weights=train_weights,
    all_finite=all_finite,
    net_gradients=net_gradients,
    stack_nets=stack_nets,
    loss_gradients=loss_gradients,
    convolution_current=convolution_current,
    convolution_errors=convolution_errors,
    convolution_sequence=convolution_sequence,
    convolution_sequence_backward=convolution_sequence_backward,
)
