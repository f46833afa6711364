"""One layer of local learning: convolution of traces, refractory neurons, and a fixed random readout of its own.

Source: [DECOLLE] Kaiser, Mostafa & Neftci 2020; [ICONS] Schaefer & Joshi 2020; NUMERICS section 4.
Shapes: B batch, C H W input maps, O output maps, F features (pooled output maps), K classes.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qsnn.dynamics.local_drive import WeightGrid
from qsnn.dynamics.local_readout import (
    Activation,
    MembraneError,
    ReadoutParameters,
    feedback_is_exact,
    local_loss,
    local_readout,
    readout_is_exact,
)
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters
from qsnn.dynamics.traces import TraceParameters, TraceState, trace_parameters, zero_traces
from qsnn.kernels.backend import Backend, GradientRounding, RoundedGradient
from qsnn.kernels.local_backend import LocalBackend
from qsnn.kernels.workers import ONE, Workers
from qsnn.quantization import RandomStream, quantize, symmetric

MEMBRANE_SUM_BITS = 31
"""A double holds sums of 2^(31 - b) membranes of b bits: up to 8 each, multiples of 2^-(19 + b) as float32."""


class LocalLayerSettings(NamedTuple):
    """Everything about a layer but its tensors. ``dt`` in seconds; ``weight_mult`` multiplies the weights, ``refractory.scale``
    divides them; ``readout_scale`` divides the readout's sums; every ``*_bits`` of None is full precision."""

    padding: int
    readout_scale: float
    weight_mult: float
    dt: float
    trace_cap: float
    refractory: RefractoryParameters
    weight_bits: int | None
    membrane_trace_bits: int | None
    synapse_trace_bits: int | None
    decay_bits: int | None
    sigmoid_bits: int | None
    readout_bits: int | None
    error_bits: int | None
    l1: float
    l2: float
    readout_weight_bits: int | None = None
    gradient_bits: int | None = None


class LayerState(NamedTuple):
    """What a layer carries from one time step to the next: traces of its input, refractory state of its neurons."""

    traces: TraceState
    refractory: Tensor


class LayerConstants(NamedTuple):
    """What stays fixed while weights learn, worked out once a batch: parameters of traces and of readout; ``exact``: see
    `readout_is_exact`."""

    traces: TraceParameters
    readout: ReadoutParameters
    exact: bool = False


class LayerStep(NamedTuple):
    """One time step of a layer: ``trace`` P (B, C, H, W); the membrane (B, O, H, W); spikes and z' (B, O, H', W')."""

    trace: Tensor
    membrane: MembraneStep
    activation: Activation


class LocalGradient(NamedTuple):
    """What a layer learned from one step: sums over batch and space; ``error`` e_U."""

    weight: Tensor
    bias: Tensor
    error: MembraneError
    loss: Tensor


def maps_last(matrix: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(K, C*H*W) with its columns in the order (H, W, C), in which channels-last maps lie in memory."""
    return matrix.view(-1, *shape).permute(0, 2, 3, 1).flatten(1)


def channels_last(constant: Tensor) -> Tensor:
    """(C, H, W) with the memory order (H, W, C)."""
    return constant.permute(1, 2, 0).contiguous().permute(2, 0, 1)


class LocalLayer(nn.Module):
    """``weight`` (O, C, k, k) and ``bias`` (O), in units of weight_mult; buffers, all saved: ``tau_mem`` and ``tau_syn``
    (C, H, W) in seconds, ``readout_weight`` and ``readout_feedback`` (K, F)."""

    weight: Tensor
    bias: Tensor
    tau_mem: Tensor
    tau_syn: Tensor
    readout_weight: Tensor
    readout_feedback: Tensor

    def __init__(self, tensors: dict[str, Tensor], settings: LocalLayerSettings, backend: LocalBackend) -> None:
        super().__init__()
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(tensors[name], requires_grad=False))
        for name in ("tau_mem", "tau_syn", "readout_weight", "readout_feedback"):
            self.register_buffer(name, tensors[name])
        self.settings, self.backend = settings, backend

    def output_shape(self) -> tuple[int, int, int]:
        """(O, H, W) of the membrane, before pooling."""
        channels, _, *kernel = self.weight.shape
        height, width = (
            n + 2 * self.settings.padding - k + 1 for n, k in zip(self.tau_mem.shape[1:], kernel, strict=True)
        )
        return channels, height, width

    def pooled_shape(self) -> tuple[int, int, int]:
        """(O, H', W') of what the next layer sees."""
        channels, height, width = self.output_shape()
        side = self.settings.refractory.pooling
        return channels, height // side, width // side

    @torch.no_grad()
    def take(self, other: "LocalLayer") -> None:
        """The tensors of another layer, see `LocalNet.take_weights`."""
        s, t = self.settings, other.settings
        factor = s.refractory.scale * t.weight_mult / (t.refractory.scale * s.weight_mult)
        for name, tensor in other.state_dict().items():
            getattr(self, name).copy_(tensor * factor if name in ("weight", "bias") else tensor)
        if s.readout_weight_bits != t.readout_weight_bits:
            for matrix in (self.readout_weight, self.readout_feedback):
                matrix.copy_(quantize(matrix * (s.readout_scale / t.readout_scale), symmetric(s.readout_weight_bits)))

    def initial_state(self, batch_size: int) -> LayerState:
        """Zeros."""
        shapes = tuple(self.tau_mem.shape), self.output_shape()
        maps = [torch.zeros(batch_size, *shape, device=self.weight.device) for shape in shapes]
        traces, refractory = (part.contiguous(memory_format=torch.channels_last) for part in maps)
        return LayerState(zero_traces(traces), refractory)

    def constants(self) -> LayerConstants:
        """Parameters from the saved tensors as they are now."""
        s = self.settings
        traces = trace_parameters(
            channels_last(self.tau_mem), channels_last(self.tau_syn), s.dt, s.trace_cap,
            s.membrane_trace_bits, s.synapse_trace_bits, s.decay_bits,
        )  # fmt: skip
        weight, feedback = (maps_last(m, self.pooled_shape()) for m in (self.readout_weight, self.readout_feedback))
        readout = ReadoutParameters(
            weight, feedback, s.readout_scale, s.sigmoid_bits, s.readout_bits, s.error_bits, s.l1, s.l2, s.refractory.pooling,
            s.readout_weight_bits,
        )  # fmt: skip
        return LayerConstants(traces, readout, readout_is_exact(readout))

    def rounded_sums(self, samples: int) -> Iterator[str]:
        """Sums over a batch of so many ``samples`` whose last bit could depend on how processes share it: none where floats
        hold them exactly. (Of the readout's it does not: see `of_whole_batch`.)"""
        membrane_bits, error_bits = self.settings.refractory.membrane_bits, self.settings.error_bits
        if not feedback_is_exact(self.constants().readout):
            yield f"readout errors of {error_bits} bits through its feedback matrix: lower quantization.error_bits"
        neurons = samples * math.prod(self.output_shape())
        if membrane_bits is None or neurons > 2 ** (MEMBRANE_SUM_BITS - membrane_bits):
            yield f"{neurons} membranes of {membrane_bits} bits: lower quantization.membrane_bits or trainer.batch_size"

    def effective_weights(self) -> tuple[Tensor, Tensor]:
        """``quantize_symmetric(w) * weight_mult`` of weights and bias: what the convolution computes with."""
        fmt, factor = symmetric(self.settings.weight_bits), self.settings.weight_mult
        weight = (quantize(self.weight, fmt) * factor).contiguous(memory_format=torch.channels_last)
        return weight, quantize(self.bias, fmt) * factor

    def weight_grid(self) -> WeightGrid:
        """Where the `effective_weights` lie."""
        return WeightGrid(self.settings.weight_bits, self.settings.weight_mult)

    def forward(
        self, spikes: Tensor, state: LayerState, weights: tuple[Tensor, Tensor], constants: LayerConstants
    ) -> tuple[LayerStep, LayerState]:
        """One time step with input ``spikes`` (B, C, H, W) and the `effective_weights`."""
        traces = self.backend.trace_step(spikes, state.traces, constants.traces)
        drive = self.backend.drive(
            traces.membrane, *weights, self.settings.padding, self.weight_grid(), constants.traces
        )
        step = self.backend.membrane_step(drive, state.refractory, self.settings.refractory)
        activation = self.backend.activate(step.pooled, self.settings.sigmoid_bits)
        return LayerStep(traces.membrane, step, activation), LayerState(traces, step.refractory)

    def readout(self, step: LayerStep, constants: LayerConstants) -> Tensor:
        """r (B, K) before dropout."""
        return local_readout(features(step.activation.feature), constants.readout)

    def of_whole_batch(
        self, step: LayerStep, constants: LayerConstants, workers: Workers, samples: int
    ) -> tuple[Tensor, LayerStep]:
        """`readout` of a batch of ``samples``, of which this process has a part, and the step with sums over all of it.

        Sums that float32 may round depend on how many samples a product has: then all features are put together first.
        """
        if workers.size == 1:
            return self.readout(step, constants), step
        if constants.exact:
            return with_sums_of_all(self.readout(step, constants), step, workers, samples)
        z = features(step.activation.feature)
        _, step = with_sums_of_all(z[:, :0], step, workers, samples)
        return local_readout(workers.joined(z, samples), constants.readout), step

    def gradient(
        self,
        step: LayerStep,
        readout: Tensor,
        target: Tensor,
        mask: Tensor,
        constants: LayerConstants,
        workers: Workers = ONE,
    ) -> LocalGradient:
        """Loss of one step and what the weights learn from it.

        ``readout`` (B, K) before dropout, ``target`` one-hot, ``mask`` of the dropout, 0 or 1, all (B, K) of the whole batch,
        of which ``step`` is the part that is this process', but for its sums (`of_whole_batch`).
        """
        parameters, (B, C, H, W), samples = constants.readout, step.activation.value.shape, len(target)
        outer = self.backend.readout_error(readout, target, mask, parameters.error_bits)
        loss = local_loss(outer.fit, step.activation.mean(), step.membrane.mean(samples), parameters)
        error_of_own = outer.error[workers.own(samples)]
        back = (error_of_own @ parameters.feedback).view(B, H, W, C).permute(0, 3, 1, 2)
        value, over = step.activation.value, workers.over
        error = self.backend.membrane_error(back, value, step.membrane, parameters, samples, over)
        padding, traces = self.settings.padding, constants.traces
        sums = self.backend.weight_gradient(error, step.trace, self.weight, padding, traces, over)
        return LocalGradient(sums.weight, sums.bias, error, loss)

    def rounded_gradient(
        self, values: Tensor, stream: RandomStream, rounding: GradientRounding, backend: Backend
    ) -> RoundedGradient:
        """A gradient of weights or bias as rows, one an output channel, rounded if it is quantized."""
        flat = rows(values)
        if rounding.gradient_bits is None:
            # of the stored weights, which weight_mult multiplies
            return RoundedGradient(flat * self.settings.weight_mult, stream, 0)
        return backend.round_gradient(flat, stream, rounding)


def with_sums_of_all(readout: Tensor, step: LayerStep, workers: Workers, samples: int) -> tuple[Tensor, LayerStep]:
    """Readout (B, K) and the step's sums of U and z' of a whole batch of ``samples``, told in one go, in double."""
    totals, total = step.activation.totals, step.membrane.total
    of_membrane = torch.zeros_like(totals, dtype=torch.float64)
    of_membrane[:1] = total  # of the part: it goes with its first sample
    own = torch.cat([readout.double(), totals.double()[:, None], of_membrane[:, None]], 1)
    whole = workers.joined(own, samples)
    membrane = step.membrane._replace(total=whole[:, -1].sum().to(total.dtype))
    activation = step.activation._replace(totals=whole[:, -2].to(totals.dtype))
    return whole[:, :-2].to(readout.dtype), step._replace(membrane=membrane, activation=activation)


def rows(values: Tensor) -> Tensor:
    """(O, ...) as (O, N), in the order in which random numbers are drawn."""
    return values.contiguous(memory_format=torch.contiguous_format).view(len(values), -1)


def features(activation: Tensor) -> Tensor:
    """(B, C, H, W) as (B, F), the columns in the order of `maps_last`: a view of channels-last maps."""
    return activation.permute(0, 2, 3, 1).flatten(1)
