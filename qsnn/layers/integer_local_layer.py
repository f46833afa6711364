"""One layer of local learning in integers: `LocalLayer` with the equations of `qsnn.dynamics.integer_local`.

State, traces, membranes and errors are codes in integer tensors; stored weights are floats on the gradients' grid, and the
readout's values floats on theirs, both exactly. Shapes: B batch, C H W input maps, O output maps, F features, K classes.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import code_type, point
from qsnn.dynamics.integer_local.membrane import IntegerMembrane, bias_term, integer_membrane, potential_step
from qsnn.dynamics.integer_local.readout import (
    IntegerReadout,
    ReadoutFormats,
    feedback_sums,
    integer_readout,
    readout_codes,
    readout_values,
)
from qsnn.dynamics.integer_local.traces import IntegerTraces, integer_traces
from qsnn.dynamics.integer_local.widths import LayerExtent, accumulator_bits, check_widths
from qsnn.dynamics.local_gradient import total_of
from qsnn.dynamics.local_readout import ReadoutParameters, local_loss
from qsnn.dynamics.traces import TraceState
from qsnn.errors import ConfigError
from qsnn.kernels.backend import Backend, GradientRounding, RoundedGradient
from qsnn.kernels.integer_local_backend import IntegerLocalBackend
from qsnn.kernels.local_backend import LocalBackend
from qsnn.kernels.workers import ONE, Workers
from qsnn.layers.local_layer import (
    LayerState,
    LayerStep,
    LocalGradient,
    LocalLayer,
    LocalLayerSettings,
    channels_last,
    features,
    maps_last,
    rows,
    with_sums_of_all,
)
from qsnn.quantization import RandomStream, nearest_codes, quantize, symmetric, to_codes


class IntegerConstants(NamedTuple):
    """What stays fixed while weights learn, worked out once a batch."""

    traces: IntegerTraces
    membrane: IntegerMembrane
    readout: IntegerReadout


class IntegerLocalLayer(LocalLayer):
    """Parameters and buffers of `LocalLayer`. Every width must be set; ConfigError, naming the first that is not, else."""

    def __init__(
        self, tensors: dict[str, Tensor], settings: LocalLayerSettings, backend: LocalBackend, integer: IntegerLocalBackend
    ) -> None:  # fmt: skip
        missing = [name for name, value in _widths(settings).items() if value is None]
        if missing:
            raise ConfigError(f"quantization.arithmetic=integer: {missing[0]} is null, which is full precision; set it")
        grid = symmetric(settings.gradient_bits)
        tensors = {**tensors, **{name: quantize(tensors[name], grid) for name in ("weight", "bias")}}
        super().__init__(tensors, settings, backend)
        self.integer = integer

    @torch.no_grad()
    def take(self, other: LocalLayer) -> None:
        """Weights that learned on another grid come to the nearest codes of this one."""
        super().take(other)
        for parameter in (self.weight, self.bias):
            parameter.copy_(quantize(parameter, symmetric(self.settings.gradient_bits)))

    def initial_state(self, batch_size: int) -> LayerState:
        """Zeros, in the types of their codes."""
        s = self.settings
        bits = s.membrane_trace_bits, s.synapse_trace_bits, s.refractory.refractory_bits
        shapes = tuple(self.tau_mem.shape), tuple(self.tau_mem.shape), self.output_shape()
        membrane, synapse, refractory = (
            torch.zeros(
                batch_size, *shape, dtype=code_type(width or 1, signed=False), device=self.weight.device
            ).contiguous(memory_format=torch.channels_last)
            for shape, width in zip(shapes, bits, strict=True)
        )
        return LayerState(TraceState(membrane, synapse), refractory)

    def constants(self) -> Any:
        """`IntegerConstants` from the saved tensors as they are now."""
        s, w = self.settings, _Widths(**_widths(self.settings))
        traces = integer_traces(
            channels_last(self.tau_mem), channels_last(self.tau_syn), s.dt, s.trace_cap, w.membrane_trace_bits,
            w.synapse_trace_bits, w.decay_bits,
        )  # fmt: skip
        unit = s.weight_mult * 2.0 ** -point(w.weight_bits) / s.refractory.scale
        membrane = integer_membrane(unit, traces.full_scale, w.membrane_trace_bits, s.refractory)
        weight, feedback = (
            to_codes(maps_last(matrix, self.pooled_shape()), symmetric(w.readout_weight_bits))
            for matrix in (self.readout_weight, self.readout_feedback)
        )
        formats = ReadoutFormats(
            w.membrane_bits, w.sigmoid_bits, w.readout_weight_bits, w.readout_bits, w.error_bits,
            math.frexp(s.readout_scale)[1] - 1,
        )  # fmt: skip
        readout = integer_readout(weight, feedback, formats, s.l1, s.l2, s.refractory.pooling)
        tables = (membrane.subtracted, membrane.after, readout.activation, readout.slope)
        subtracted, after, activation, slope = (table.to(self.weight.device) for table in tables)
        return IntegerConstants(
            traces,
            membrane._replace(subtracted=subtracted, after=after),
            readout._replace(activation=activation, slope=slope),
        )

    def accumulator_bits(self, batch_size: int, rounding: GradientRounding) -> dict[str, int]:
        """`widths.accumulator_bits` in batches of at most ``batch_size``, at the largest eta of the run."""
        constants, w = self.constants(), _Widths(**_widths(self.settings))
        outputs, *places = self.output_shape()
        extent = LayerExtent(
            self.weight[0].numel(), math.prod(places), outputs, len(self.readout_weight), batch_size, w.weight_bits,
            w.readout_weight_bits, w.gradient_bits, rounding.rng_bits, rounding.eta,
        )  # fmt: skip
        return accumulator_bits(constants.traces, constants.membrane, constants.readout, extent)

    def check_widths(self, name: str, batch_size: int, rounding: GradientRounding) -> dict[str, int]:
        """`accumulator_bits`, or ConfigError, naming layer and sum, where there are not as many."""
        bits = self.accumulator_bits(batch_size, rounding)
        check_widths(name, bits)
        return bits

    def effective_weights(self) -> tuple[Tensor, Tensor]:
        """Codes of weights and biases, int16."""
        fmt = symmetric(self.settings.weight_bits)
        assert fmt is not None
        weight, bias = (nearest_codes(part, fmt).to(torch.int16) for part in (self.weight, self.bias))
        return weight.contiguous(memory_format=torch.channels_last), bias

    def forward(
        self, spikes: Tensor, state: LayerState, weights: tuple[Tensor, Tensor], constants: Any
    ) -> tuple[LayerStep, LayerState]:
        """One time step with input ``spikes`` (B, C, H, W) and the `effective_weights`."""
        traces = self.integer.trace_step(spikes, state.traces, constants.traces)
        bits = constants.traces.membrane_bits
        accumulator = self.integer.drive(traces.membrane, weights[0], self.settings.padding, bits)
        bias = bias_term(weights[1], constants.membrane)
        step = self.integer.membrane_step(accumulator, bias, state.refractory, constants.membrane)
        activation = self.integer.activate(step.pooled, constants.readout)
        return LayerStep(traces.membrane, step, activation), LayerState(traces, step.refractory)

    def readout(self, step: LayerStep, constants: Any) -> Tensor:
        """r (B, K) before dropout, codes times 2^-readout_bits."""
        codes = readout_codes(features(step.activation.feature), constants.readout)
        return readout_values(codes, constants.readout)

    def rounded_sums(self, samples: int) -> Iterator[str]:
        """None: `check_widths` has seen to it."""
        yield from ()

    def of_whole_batch(
        self, step: LayerStep, constants: Any, workers: Workers, samples: int
    ) -> tuple[Tensor, LayerStep]:
        """As in `LocalLayer`; all sums are exact."""
        readout = self.readout(step, constants)
        return (readout, step) if workers.size == 1 else with_sums_of_all(readout, step, workers, samples)

    def feedback(self, error: Tensor, shape: torch.Size, constants: Any) -> Tensor:
        """e_r (B, K) through the feedback matrix, whole floats of ``shape`` (B, C, H', W')."""
        B, C, H, W = shape
        return feedback_sums(error, constants.readout).view(B, H, W, C).permute(0, 3, 1, 2)

    def gradient(
        self, step: LayerStep, readout: Tensor, target: Tensor, mask: Tensor, constants: Any, workers: Workers = ONE
    ) -> LocalGradient:
        """As in `LocalLayer`; ``weight`` and ``bias`` are sums of products of codes, int64."""
        samples, over = len(target), workers.over
        outer = self.backend.readout_error(readout, target, mask, self.settings.error_bits)  # exact: codes times 2^-n
        error_of_own = outer.error[workers.own(samples)]
        back = self.feedback(error_of_own, step.activation.feature.shape, constants)
        error = self.integer.membrane_error(back, step.membrane, constants.readout, samples, over)
        size, padding = self.weight.shape[-1], self.settings.padding
        sums = self.integer.weight_gradient(error, step.trace, size, padding, constants.traces.membrane_bits)
        sums = total_of(sums, over)
        return LocalGradient(sums.weight, sums.bias, error, self._loss(outer.fit, step, constants.readout, samples))

    def _loss(self, fit: Tensor, step: LayerStep, readout: IntegerReadout, samples: int) -> Tensor:
        """What is reported, in floats: nothing is learned from it."""
        activation = step.activation.mean() * 2.0**-readout.sigmoid_bits
        membrane = step.membrane.mean(samples) * potential_step(readout.membrane_bits)
        none = torch.empty(0)
        s = self.settings
        terms = ReadoutParameters(none, none, s.readout_scale, None, None, None, s.l1, s.l2, readout.pooling)
        return local_loss(fit, activation, membrane, terms)

    def rounded_gradient(
        self, values: Tensor, stream: RandomStream, rounding: GradientRounding, backend: Backend
    ) -> RoundedGradient:
        """As in `LocalLayer`, of whole numbers."""
        return self.integer.round_gradient(rows(values), stream, rounding)


class _Widths(NamedTuple):
    """Widths of a layer that has them all."""

    weight_bits: int
    membrane_bits: int
    membrane_trace_bits: int
    synapse_trace_bits: int
    refractory_bits: int
    decay_bits: int
    readout_weight_bits: int
    sigmoid_bits: int
    readout_bits: int
    error_bits: int
    gradient_bits: int


def _widths(settings: LocalLayerSettings) -> dict[str, Any]:
    return {
        name: getattr(settings.refractory if name in ("membrane_bits", "refractory_bits") else settings, name)
        for name in _Widths._fields
    }
