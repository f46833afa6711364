"""What NIR cannot say of a net."""

from collections.abc import Iterator

from qsnn.deploy.arithmetic import highest_code
from qsnn.deploy.model import RECURRENT, LocalLayer, Model, SpikingLayer
from qsnn.errors import ConfigError

MOST_BITS = 24
"""Of a weight in float32."""


def check(model: Model) -> None:
    """Raise ConfigError, with a line for everything that is not possible."""
    wrong = [text for layer in model.layers for text in _impossible(layer)]
    if wrong:
        raise ConfigError(*wrong)


def _impossible(layer: SpikingLayer | LocalLayer) -> Iterator[str]:
    name = f"format=nir: layer {layer.name}"
    if isinstance(layer, LocalLayer):
        yield f"{name} learned locally; NIR has no neuron with traces of its inputs and tables: take format=c, onnx or artefact"
        return
    if layer.kind == RECURRENT:
        yield (
            f"{name} is recurrent; its spikes come back a step later than those of a graph of NIR: take format=c, onnx or "
            "artefact"
        )
    if layer.weight.bits > MOST_BITS:
        yield f"{name} has weights of {layer.weight.bits} bits; the floats of NIR hold {MOST_BITS}"
    yield from _states(name, layer)
    if layer.spike is not None and not 0 < layer.spike <= highest_code(layer.membrane.bits):
        yield f"{name} spikes from code {layer.spike} on: at rest, or never; NIR has thresholds in between"


def _states(name: str, layer: SpikingLayer) -> Iterator[str]:
    for part, state in (("synapse", layer.synapse), ("membrane", layer.membrane)):
        if state is None:
            continue
        if state.bits == 1:
            yield f"{name}: its {part} has 1 bit, and is never 0 again; the states of NIR begin at 0 and stay there"
        if state.multiplier == 1 << state.shift:
            yield f"{name}: its {part} does not decay, for which NIR has no time constant"
        if part == "membrane" and not state.multiplier:
            yield f"{name}: its membrane keeps nothing from step to step, for which NIR has no reset"
