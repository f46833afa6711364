"""The folder of memory files and Verilog."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qsnn.deploy.artefact import check_vacant, checked_widths, write_folder
from qsnn.deploy.golden import golden, random_inputs
from qsnn.deploy.model import CONV, INTEGRATOR, LocalLayer, Model, SpikingLayer, size
from qsnn.deploy.verilog.layers import Bench, bench_of, memories
from qsnn.errors import ConfigError

MARK, LAYER, BENCH = "qsnn_mem.txt", "lif_layer.v", "testbench.v"
TEMPLATES = Path(__file__).parent / "templates"
MOST_CLOCKS, MOST_STEPS, LEAST_STEPS = 4_000_000, 20, 3
"""The module takes a clock for each input of each neuron; a simulator makes about a million in a second."""
RUN = f"iverilog -g2012 -o testbench {BENCH} {LAYER} && vvp testbench\n"


def files_of(model: Model) -> dict[str, bytes]:
    """Name and content of every file. Raises ConfigError for a net of which the Verilog layer has nothing."""
    layers = _spiking(model)
    checked_widths(model)
    files: dict[str, str] = {}
    for number, layer in enumerate(layers):
        files |= memories(layer, model.input.signed and not number)
    found = golden(model, random_inputs(model, steps_for(layers)))
    benches = [bench_of(model, number, found) for number, layer in enumerate(layers) if layer.kind != CONV]
    for bench in benches:
        files |= bench.files
    files[LAYER] = (TEMPLATES / LAYER).read_text(encoding="utf-8")
    files[BENCH] = _testbench(model, benches, *found.inputs.shape[:2])
    files[MARK] = RUN + _unchecked(layers)
    return {name: content.encode() for name, content in files.items()}


def _spiking(model: Model) -> list[SpikingLayer]:
    found = []
    for layer in model.layers:
        if isinstance(layer, LocalLayer):
            raise ConfigError(
                f"format=mem: layer {layer.name} learned locally, which {LAYER} does not have: take format=c, onnx or artefact"
            )
        if layer.kind == INTEGRATOR and layer != model.layers[-1]:
            raise ConfigError(
                f"format=mem: layer {layer.name} integrates and others follow it: it can only be the last layer"
            )
        found.append(layer)
    if all(layer.kind == CONV for layer in found):
        raise ConfigError(
            f"format=mem: {', '.join(layer.name for layer in found)}: only convolutions, which {LAYER} does not have: take "
            "format=c, onnx or artefact"
        )
    return found


def steps_for(layers: list[SpikingLayer]) -> int:
    """As many as a simulator makes in some seconds."""
    clocks = sum(size(layer.inputs) * size(layer.neurons) for layer in layers if layer.kind != CONV)
    return max(LEAST_STEPS, min(MOST_STEPS, MOST_CLOCKS // max(1, clocks)))


def _unchecked(layers: list[SpikingLayer]) -> str:
    names = ", ".join(layer.name for layer in layers if layer.kind == CONV)
    return f"Memory files only, no bench: {names} (convolutions).\n" if names else ""


def _testbench(model: Model, benches: list[Bench], samples: int, steps: int) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    title = re.sub(r"[^A-Za-z0-9_ .,+-]", "_", f"{model.source.name}, {model.source.weights} weights")
    return environment.get_template(f"{BENCH}.jinja").render(title=title, benches=benches, samples=samples, steps=steps)


def write_mem(model: Model, out: Path, overwrite: bool = False) -> None:
    """Make the folder ``out``, at once. Raises ConfigError and OSError."""
    write_folder(files_of(model), out, overwrite, MARK)


def check_mem(out: Path, overwrite: bool) -> None:
    """Raise ConfigError if ``out`` would be written over."""
    check_vacant(out, overwrite, MARK)
