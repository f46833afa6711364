"""What a backend is: one implementation of every expensive equation, all equal to the last bit on grids."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters, Slots, UpdateRule
from qsnn.dynamics.integrator import IntegratorActivity, IntegratorParameters
from qsnn.quantization import RandomStream
from qsnn.quantization.reductions import ALONE, Reductions


class GradientRounding(NamedTuple):
    """How weight gradients are rounded, see `quantize_gradient`; ``gradient_bits=None`` hands them to the optimizer as they
    are."""

    eta: float
    gradient_bits: int | None
    rng_bits: int
    rng_rule: str = "original"


class RoundedGradient(NamedTuple):
    """A stochastically rounded gradient, the stream after it, and the largest of its integers, see `largest_code`."""

    gradient: Tensor
    stream: RandomStream
    largest_code: int


class StoredWeight(NamedTuple):
    """A layer's stored weights (I, N), which a training step changes in place, and what it does so by."""

    weight: Tensor
    gradient: Tensor
    slots: Slots
    stream: RandomStream
    rounding: GradientRounding
    weight_bits: int | None


class WeightUpdate(NamedTuple):
    """What a training step did to a layer's weights, which it changed in place. ``rounded``: None unless asked for;
    ``largest_code``: of the rounded gradient, 0 if it is not rounded."""

    finite: bool
    slots: Slots
    stream: RandomStream
    rounded: Tensor | None
    largest_code: int


class WeightSettings(NamedTuple):
    """Stored weights (I, N), their bits and attenuation."""

    weight: Tensor
    weight_bits: int | None
    scale: float


class LayerSettings(NamedTuple):
    """A layer: stored weights (I, N), their bits and attenuation, its neurons, and its recurrent weights (N, N), if any."""

    weight: Tensor
    weight_bits: int | None
    scale: float
    lif: NeuronParameters | IntegratorParameters
    recurrent: WeightSettings | None = None


class LayerPass(NamedTuple):
    """What a layer did, forward and back: input current, activity, gradients at the current and at the weights; ``drive``: what
    of the current came from the layer below, None if it is all of it."""

    current: Tensor
    activity: LIFActivity | IntegratorActivity
    grad_current: Tensor
    gradient: Tensor
    drive: Tensor | None = None
    recurrent_gradient: Tensor | None = None


OutputLoss = Callable[[Tensor], tuple[float, Tensor]]
"""From the last layer's output (T, B, N) to the loss and its gradient there."""


class NetPass(NamedTuple):
    """The loss, and every layer, input first."""

    distance: float
    layers: tuple[LayerPass, ...]


class QuantizeError(Protocol):
    """``over``: all parts of a batch that several processes share; so in every operation that has it."""

    def __call__(self, error: Tensor, error_bits: int | None, over: Reductions = ALONE) -> Tensor: ...  # noqa: D102


class StackedNet(NamedTuple):
    """A net of dense spiking layers that learns a raster, as `NetStack` keeps it: input spikes, target (T, B, N), layers, the
    slots of each one's weights, the rule that they belong to, and what the van Rossum distance is told (see
    `Backend.net_gradients`)."""

    x: Tensor
    target: Tensor
    layers: tuple[LayerSettings, ...]
    slots: tuple[Slots, ...]
    rule: UpdateRule
    filter: tuple[float, float, int | None]


class StackStep(NamedTuple):
    """An update of the weights of net ``number``: see `Backend.train_weights`; streams and roundings one a layer."""

    number: int
    rule: UpdateRule
    step: int
    keep_rounded: bool
    streams: tuple[RandomStream, ...]
    roundings: tuple[GradientRounding, ...]


class NetStack(Protocol):
    """Independent nets, prepared to learn side by side: what each computes is what `Backend.net_gradients` and
    `Backend.train_weights` compute of it alone. Weights and slots are changed in place."""

    def gradients(self, numbers: Sequence[int]) -> list[NetPass | None]:
        """A pass of each of these nets, in memory that its next pass uses again; None of one that has to be computed, or told
        to be not finite, by the operations of a single net."""

    def train_weights(self, steps: Sequence[StackStep]) -> list[list[WeightUpdate]]:
        """Updates by the gradients of the last pass: of each layer of each net."""


class InputError(Protocol):
    """``error_bits`` as quantized errors have; None: sums in any order."""

    def __call__(  # noqa: D102
        self, error: Tensor, weight: Tensor, weight_bits: int | None, scale: float, error_bits: int | None = None
    ) -> Tensor: ...


class WeightGradient(Protocol):
    """Likewise."""

    def __call__(  # noqa: D102
        self, spikes: Tensor, error: Tensor, error_bits: int | None = None, over: Reductions = ALONE
    ) -> Tensor: ...


class ConvolutionSettings(NamedTuple):
    """A convolution: stored weights (O, C, k, k), their bits and attenuation, the errors' bits, and where its kernel goes."""

    weight: Tensor
    weight_bits: int | None
    scale: float
    error_bits: int | None
    stride: int
    padding: int


class ConvolutionPass(NamedTuple):
    """What a convolutional layer did forward, neurons flat (T, B, N) but for ``output`` (T, B, O, H'', W''), pooled spikes.

    ``maps``: (O, H', W') of the neurons; ``tape``: what the backend that made it keeps for its way back.
    """

    current: Tensor
    activity: LIFActivity
    output: Tensor
    maps: tuple[int, int, int]
    tape: Any = None


class Backend(NamedTuple):
    """The operations of a training step. T time, B batch, I inputs, N neurons; tensors are float32.

    The definition of each is the plain-torch one in `qsnn.kernels.eager`; the others must return the same bits.
    ``w_q`` is the quantized weight that a layer computes with, ``quantize_symmetric(w, weight_bits) / scale``.
    """

    name: str
    clamp_weights: Callable[[Tensor, int | None], None]
    """(I, N) stored weights, weight_bits -> the same in place, within the range of their format"""
    input_current: Callable[[Tensor, Tensor, int | None, float], Tensor]
    """(T, B, I) input spikes, of 8-bit integers too, (I, N) stored weights, weight_bits, scale -> (T, B, N)"""
    input_error: InputError
    """(T, B, N) errors, (I, N) stored weights, weight_bits, scale, error_bits -> (T, B, I)"""
    weight_gradient: WeightGradient
    """(T, B, I) input spikes, (T, B, N) errors, error_bits -> (I, N), summed over time and batch"""
    recurrent_gradient: WeightGradient
    """(T, B, N) spikes, (T, B, N) errors, error_bits -> (N, N), of the spikes one step before the errors"""
    quantize_error: QuantizeError
    """(T, B, N) gradient -> errors over the whole sequence's maximum"""
    lif_sequence: Callable[[Tensor, LIFState | None, NeuronParameters], LIFActivity]
    """input current (T, B, N), state (None: at rest), parameters -> spikes and states"""
    lif_sequence_backward: Callable[..., Tensor]
    """gradient at the spikes, input current, activity, state before it, parameters, over -> gradient at the current"""
    recurrent_sequence: Callable[
        [Tensor, LIFState | None, NeuronParameters, WeightSettings], tuple[Tensor, LIFActivity]
    ]
    """drive (T, B, N), state (None: at rest), parameters, recurrent weights (N, N) -> whole current, spikes and states"""
    recurrent_sequence_backward: Callable[..., Tensor]
    """gradient at the spikes, whole current, activity, state before it, parameters, recurrent weights, over -> gradient at
    the current"""
    integrator_sequence: Callable[[Tensor, LIFState | None, IntegratorParameters], IntegratorActivity]
    """as `lif_sequence`, of a membrane readout"""
    integrator_sequence_backward: Callable[..., Tensor]
    """gradient at the readout, likewise"""
    van_rossum_distance: Callable[[Tensor, Tensor, float, float], tuple[Tensor, Tensor]]
    van_rossum_gradient: Callable[[Tensor, Tensor, float, float], Tensor]
    van_rossum_codes: Callable[[Tensor, Tensor, float, int], Tensor]
    """spikes, target (T, B, N), decay, filter_bits -> the gradient at the spikes in fixed point, integers"""
    round_gradient: Callable[[Tensor, RandomStream, GradientRounding], RoundedGradient]
    """gradient, stream, rounding with gradient_bits -> the gradient rounded"""
    update_weights: Callable[[UpdateRule, Tensor, Tensor, Slots, int], tuple[Tensor, Slots]]
    """rule, weights, gradient, slots, step -> the next weights and slots; may reuse the memory of the old ones"""
    train_weights: Callable[[UpdateRule, int, bool, list[StoredWeight]], list[WeightUpdate]]
    """rule, rounding, step, whether to return the rounded gradients, layers -> what was done to each"""
    all_finite: Callable[..., bool]
    """whether a tensor of any shape, and with ``over`` those of all parts, are free of NaN and Inf"""
    net_gradients: Callable[..., NetPass]
    """input spikes, target, one layer or more (input first), decay and tau of the van Rossum distance, and perhaps
    filter_bits -> `NetPass`"""
    stack_nets: Callable[[Sequence[StackedNet]], NetStack | None]
    """nets -> the same side by side; None where that has nothing over one after the other, which is its definition"""
    loss_gradients: Callable[[Tensor, Sequence[LayerSettings], OutputLoss], NetPass]
    """input spikes, layers, any loss of the last one's output -> `NetPass`"""
    convolution_current: Callable[[Tensor, ConvolutionSettings], Tensor]
    """input spikes (S, C, H, W), convolution -> (S, O, H', W'), see `qsnn.kernels.convolution`"""
    convolution_errors: Callable[..., tuple[Tensor | None, Tensor]]
    """input spikes (S, C, H, W) or (T, B, C, H, W), gradient at the current, in maps or flat, convolution, whether to return
    the first, over -> gradients at the input, if asked for, and at the weights (O, C, k, k)"""
    convolution_sequence: Callable[
        [Tensor, LIFState | None, ConvolutionSettings, NeuronParameters, int], ConvolutionPass
    ]
    """input spikes (T, B, C, H, W), state (None: at rest), convolution, neuron, side of the window -> `ConvolutionPass`"""
    convolution_sequence_backward: Callable[..., Tensor]
    """gradient at the pooled spikes, pass, state before it, neuron, side of the window, over -> gradient at the current (T, B,
    N)"""
