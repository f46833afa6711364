"""Nets on a machine without floats: `IntegerEngine` runs finished ones, `IntegerTrainer` repeats how they learned; artefacts.

What is where. Without torch, and without a float:

    model.py              `Model`: layers (`SpikingLayer`, `LocalLayer`), `Weights`, `State`, `Traces`, ..., `Input`, `Decision`
    arithmetic.py         `half_up`, `half_even`, `rounded_code`, `clamped`, `highest_code`, `signed_bits`, `code_type`
    packing.py            `pack`, `unpack`: codes of b bits, b bits each
    widths.py             `widths_of(model)`, `ranges(layer, signed)`: proved bits of every accumulator
    accumulate.py         sums that are exact, saturate or wrap
    spiking.py, local.py  `step` and `rest` of a layer, its state, its equations
    decision.py           votes after each step
    engine.py             `IntegerEngine`: step, steps, run
    artefact.py           `write_artefact`, `read_artefact`, `write_folder` (a folder at once), `files_of`
    folder.py            made at once, written over only if nothing else is in it
    recordings.py         `listen`: a recording event by event, a prediction after each step; `steps_of` its inputs
    to_json.py, from_json.py, fields.py, arrays.py      model.json, each value checked
    training              a room of its own: `IntegerTrainer`, `Recipe`, training.json

Exports, each with golden vectors and a check of itself (docs/exports.md), their registry `formats.FORMATS`:

    golden/                inputs, and what the engine holds after each step of them
    c/, verilog/           C99; memory files, a layer, a test bench
    nir_graph/, onnx_step/ graphs, of the extras ``nir`` and ``onnx``

From torch:

    from_net              `model_of` of a net, `spiking_layers` (BPTT), `local_layers`, `event_input`, `raster_input`
    replay.py             `compare`: the engine beside the net, code by code; `trained_steps`: what the net holds after each
"""

from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.training.trainer import IntegerTrainer

__all__ = ["IntegerEngine", "IntegerTrainer"]
