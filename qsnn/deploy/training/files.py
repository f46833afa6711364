"""What a machine needs to learn, as files of an artefact: training.json and ``training-*.bin``, beside model.json.

training.json                      format and version, extent, loss, update, rules of layers, tensors, widths of all sums
training-<layer>.<part>.bin        stored codes before the first batch
training-<layer>.feedback.bin      of a layer that learns locally
training-input.bin, -target.bin    of a pattern, which is the same in every batch; recordings come from the run's own data
"""

from pathlib import Path
from typing import Any

from qsnn.deploy.arithmetic import Whole, signed_bits
from qsnn.deploy.arrays import Array
from qsnn.deploy.artefact import MORE, Contents, files_of, in_lines, read_artefact, with_sums
from qsnn.deploy.fields import Fields, shown
from qsnn.deploy.folder import SUMS, write_folder
from qsnn.deploy.model import Model, size
from qsnn.deploy.packing import pack
from qsnn.deploy.training.from_json import FORMAT, VERSION, recipe_of
from qsnn.deploy.training.recipe import (
    LocalRule,
    Loss,
    Raster,
    Recipe,
    Softmax,
    SpikeCount,
    SpikingRule,
    Stored,
    VanRossum,
)
from qsnn.deploy.training.trainer import checked_learning_widths
from qsnn.errors import DataError

TRAINING = "training.json"
"""One of the names that an artefact may have beside those of its model."""


def training_files(model: Model, recipe: Recipe) -> dict[str, bytes]:
    """Name and content of every file of an artefact that can learn."""
    files = dict(files_of(model))
    content: dict[str, Any] = {
        "format": FORMAT, "version": VERSION, "extent": recipe.extent._asdict(), "loss": _loss(recipe.loss),
        "update": {**recipe.update._asdict(), "halvings": list(recipe.update.halvings)},
        "layers": [
            {"name": layer.name, **_rule(layer.name, rule, files)}
            for layer, rule in zip(model.layers, recipe.rules, strict=True)
        ],
        "tensors": [_stored(stored, files) for stored in recipe.stored.values()],
        "pattern": None if recipe.pattern is None else _pattern(recipe.pattern, files),
        "accumulators": checked_learning_widths(model, recipe),
    }  # fmt: skip
    files[TRAINING] = (in_lines(content) + "\n").encode()
    return with_sums(files)


def write_training(model: Model, recipe: Recipe, folder: Path, overwrite: bool = False) -> None:
    """Write `training_files`, at once. Raises ConfigError and OSError."""
    write_folder(training_files(model, recipe), folder, overwrite, SUMS)


def read_training(folder: Path) -> tuple[Model, Recipe]:
    """The inverse. Raises DataError, naming the file, for one that is missing or changed, or says what no recipe has."""
    model, contents, asked = read_artefact(folder), Contents(folder), {TRAINING}
    fields = Fields(contents.json(TRAINING), str(folder / TRAINING))
    if fields.take("format") != FORMAT:
        raise DataError(f"{fields.where} does not say how a net learns: its format is not {FORMAT!r}")
    version = fields.take("version")
    if version != VERSION or type(version) is not int:
        raise DataError(
            f"{fields.where} is of version {shown(version)}, this qsnn reads {VERSION}: export the run again"
        )
    stated = fields.take("accumulators")

    def load(name: str, array: Array) -> Whole:
        asked.add(name)
        return contents.codes(name, array)

    recipe = recipe_of(fields, model, load)
    fields.end()
    contents.check_all(asked, MORE)
    if stated != checked_learning_widths(model, recipe):
        raise DataError(f"{fields.where}: its accumulators are not those that formats and sizes take")
    return model, recipe


def _array(name: str, codes: Whole, bits: int, signed: bool, files: dict[str, bytes]) -> dict[str, Any]:
    files[name] = pack(codes, bits, signed)
    return {"file": name, "shape": list(codes.shape), "bits": bits}


def _stored(stored: Stored, files: dict[str, bytes]) -> dict[str, Any]:
    bits = signed_bits(-stored.limit, stored.limit)
    plain = {name: value for name, value in stored._asdict().items() if name not in ("name", "start", "key")}
    start = _array(f"training-{stored.name}.bin", stored.start, bits, True, files)
    return {"name": stored.name, **plain, "key": f"{stored.key:016x}", "start": start}


def _rule(layer: str, rule: SpikingRule | LocalRule, files: dict[str, bytes]) -> dict[str, Any]:
    if isinstance(rule, SpikingRule):
        return {"kind": "spiking", **rule._asdict(), "surrogate": rule.surrogate.tolist()}
    feedback = _array(f"training-{layer}.feedback.bin", rule.feedback.codes, rule.feedback.bits, True, files)
    return {
        "kind": "local", **rule._asdict(), "feedback": {**feedback, "point": rule.feedback.point},
        "slope": rule.slope.tolist(), "key": f"{rule.key:016x}",
    }  # fmt: skip


def _loss(loss: Loss) -> dict[str, Any] | None:
    if loss is None:
        return None
    if isinstance(loss, Softmax):
        return {"kind": "cross_entropy", "bits": loss.bits, "table": loss.table.tolist()}
    assert isinstance(loss, VanRossum | SpikeCount)
    return {"kind": "van_rossum" if isinstance(loss, VanRossum) else "spike_count", **loss._asdict()}


def _pattern(pattern: Raster, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        name: _array(f"training-{name}.bin", codes.reshape(len(codes), size(codes.shape[1:])), 1, False, files)
        for name, codes in pattern._asdict().items()
    }
