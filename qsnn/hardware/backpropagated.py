"""Memory of nets that learn by backpropagation through time. NUMERICS section 7.

T time steps of a training window, a layer of N neurons, P of them after pooling.

In inference, a layer:

    weights, recurrent weights   inputs * N * weight_bits (a convolution: O * C * k * k), N * N * weight_bits
    synapse, membrane            N * synapse_bits, N * membrane_bits; of a membrane readout both N * integrator_bits
    last spikes                  N * 1, of a recurrent layer, whose spikes come back a step later

Training adds what `qsnn.hardware.learning` has, and of each sample of a batch:

    history: spikes              T * N * 1
    history: threshold codes     T * N * membrane_bits: v_thr, for the surrogate
    history: masks               T * N * masks * 1: in_range of membrane, of synapse, and of v_thr where it is masked; none
                                 where errors or states are in full precision
    history: winners             T * P * ceil(log2(pooling^2)): which neuron of a window gets its error
    history: largest step        N * ceil(log2(T)), of a membrane readout whose loss takes its largest value over time
    errors                       T * N * error_bits: e_h of the whole sequence
    errors of states             N * states * error_bits: e_mem and e_syn, from a step to the one before
    history: input (layer input) T * inputs * 1 (2 bits of signed events), which the first layer's weight gradient needs
"""

import math
from collections.abc import Iterator
from typing import Any

from qsnn.hardware.learning import Learning, Trained, learned
from qsnn.hardware.terms import Term, term
from qsnn.layers.activity import Layer
from qsnn.layers.convolution import SpikingConvolution
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.models.accumulators import neuron_of
from qsnn.models.spiking_net import SpikingNet
from qsnn.quantization.bit_widths import BitWidths

STATES = ("synapse", "membrane")
Names = tuple[str, ...]
DENSE: Names = ("inputs", "neurons")
RECURRENT: Names = ("from neurons", "to neurons")
CONVOLUTION: Names = ("outputs", "channels", "rows", "columns")


def terms_of_net(net: SpikingNet, inputs: int, learning: Learning | None) -> dict[str, list[Term]]:
    """By layer, after ``input``; ``inputs``: values of a sample's input in a step. ``learning`` of None: inference alone."""
    found: dict[str, list[Term]] = {"input": []}
    if learning is not None:
        sizes, width = {"steps": learning.num_steps, "inputs": inputs}, ("input_bits", learning.input_bits)
        found["input"] = [term("history: input", sizes, width, full=learning.input_bits, per_sample=True)]
    for name, layer in net.layers.items():
        found[name] = [*_inference(layer), *(_training(name, layer, learning) if learning is not None else ())]
    return found


def _weights(layer: Layer) -> Iterator[tuple[str, Any, dict[str, int]]]:
    """Name, stored weights and sizes of each tensor."""
    for part, stored in layer.weights().items():
        shape, names = stored.weight.shape, CONVOLUTION
        if len(shape) == 2:
            names = DENSE if part == "weight" else RECURRENT
        yield part.replace("_", " ") + "s", stored, dict(zip(names, shape, strict=True))


def _states(layer: Layer) -> dict[str, int | None]:
    """Widths of the states that there are."""
    return {name: bits for name, bits in zip(STATES, layer.state_widths(), strict=True) if bits != 0}


def _inference(layer: Layer) -> Iterator[Term]:
    for name, stored, sizes in _weights(layer):
        yield term(name, sizes, ("weight_bits", stored.weight_bits), inference=True)
    neurons = {"neurons": layer.num_neurons}
    for name, bits in _states(layer).items():
        width = "integrator_bits" if isinstance(layer, IntegratingLinear) else f"{name}_bits"
        yield term(name, neurons, (width, bits), per_sample=True, inference=True)
    if "recurrent_weight" in layer.weights():
        yield term("last spikes", neurons, ("spike_bits", 1), full=1, per_sample=True, inference=True)


def _training(name: str, layer: Layer, learning: Learning) -> Iterator[Term]:
    for trained, _ in trained_of(layer, learning.widths[name]):
        yield from learned(name, trained, learning)
    yield from _history(layer, learning)
    neurons, error_bits = {"neurons": layer.num_neurons}, layer.weights()["weight"].error_bits
    yield term("errors", {"steps": learning.num_steps, **neurons}, ("error_bits", error_bits), per_sample=True)
    states = {**neurons, "states": len(_states(layer))}
    yield term("errors of states", states, ("error_bits", error_bits), per_sample=True)


def trained_of(layer: Layer, widths: BitWidths) -> Iterator[tuple[Trained, int | None]]:
    """The trained tensors, each with the bits of the errors of which its gradient is a sum."""
    for part, stored, _ in _weights(layer):
        grid = _grid(widths, stored.weight_bits)
        yield Trained(part, stored.weight.numel(), stored.weight_bits, grid), stored.error_bits


def _grid(widths: BitWidths, weight_bits: int | None) -> int | None:
    """Width of the grid that initial weights and their clamp lie on. Of one bit that is +1 and -1, and +1 is a code more than
    the others' range has."""
    if widths.initial_bits is None or weight_bits is None:
        return None
    return max(widths.initial_bits, weight_bits, widths.gradient_bits or 0) + (weight_bits == 1)


def _history(layer: Layer, learning: Learning) -> Iterator[Term]:
    """What backpropagation keeps of every step."""
    values = {"steps": learning.num_steps, "neurons": layer.num_neurons}
    reads = isinstance(layer, IntegratingLinear)
    if not reads:
        yield term("history: spikes", values, ("spike_bits", 1), full=1, per_sample=True)
        membrane = ("membrane_bits", layer.state_widths()[1])
        yield term("history: threshold codes", values, membrane, per_sample=True)
    if masks := _num_masks(layer):
        kept = term("history: masks", {**values, "masks": masks}, ("mask_bits", 1), per_sample=True)
        yield kept._replace(at_32_bits=0)
    if isinstance(layer, SpikingConvolution) and layer.pooling > 1:
        pooled, window = math.prod(layer.output_shape), (layer.pooling**2 - 1).bit_length()
        sizes = {"steps": learning.num_steps, "pooled neurons": pooled}
        yield term("history: winners", sizes, ("place_bits", window), full=window, per_sample=True)
    if reads and learning.marks_a_step:
        place = (learning.num_steps - 1).bit_length()
        sizes = {"neurons": layer.num_neurons}
        yield term("history: largest step", sizes, ("step_bits", place), full=place, per_sample=True)


def _num_masks(layer: Layer) -> int:
    """How many in_range masks a step has."""
    if layer.weights()["weight"].error_bits is None:
        return 0
    quantized = [bits is not None for bits in _states(layer).values()]
    masked = not isinstance(layer, IntegratingLinear) and getattr(neuron_of(layer), "threshold_mask", False)
    return sum(quantized) + (bool(masked) and layer.state_widths()[1] is not None)
