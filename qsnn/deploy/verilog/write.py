"""The folder of memory files and Verilog."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qsnn.deploy.artefact import checked_widths
from qsnn.deploy.folder import check_vacant, write_folder
from qsnn.deploy.golden import golden, random_inputs
from qsnn.deploy.model import INTEGRATOR, LocalLayer, Model, SpikingLayer
from qsnn.deploy.verilog.layers import Bench, bench_of, looked_at, memories
from qsnn.errors import ConfigError

MARK, LAYER, BENCH = "qsnn_mem.txt", "lif_layer.v", "testbench.v"
TEMPLATES = Path(__file__).parent / "templates"
MOST_WEIGHTS, MOST_STEPS, LEAST_STEPS = 1_000_000, 20, 3
"""A simulator looks at some hundred thousand weights in a second."""
RUN = f"iverilog -g2012 -o testbench {BENCH} {LAYER} && vvp testbench\n"


def files_of(model: Model) -> dict[str, bytes]:
    """Name and content of every file. Raises ConfigError for a net that the Verilog layer does not have."""
    layers = _spiking(model)
    checked_widths(model)
    files: dict[str, str] = {}
    for number, layer in enumerate(layers):
        files |= memories(layer, model.input.signed and not number)
    found = golden(model, random_inputs(model, steps_for(layers)))
    benches = [bench_of(model, number, found) for number in range(len(layers))]
    for bench in benches:
        files |= bench.files
    files[LAYER] = (TEMPLATES / LAYER).read_text(encoding="utf-8")
    files[BENCH] = _testbench(model, benches, *found.inputs.shape[:2])
    files[MARK] = RUN
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
    return found


def steps_for(layers: list[SpikingLayer]) -> int:
    """As many as a simulator makes in some seconds."""
    return max(LEAST_STEPS, min(MOST_STEPS, MOST_WEIGHTS // max(1, sum(map(looked_at, layers)))))


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
