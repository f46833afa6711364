"""The net of a run's folder, without the data that it learned from."""

from pathlib import Path
from typing import Any, NamedTuple

from qsnn.config.building.common import plain_config, to_config
from qsnn.config.building.run import build_machine
from qsnn.config.command_line import compose_config, parse_overrides, saved_and_given
from qsnn.config.paths import split_checkpoint
from qsnn.config.resume import check_same_config, checkpoint_path
from qsnn.config.schema import Config
from qsnn.errors import RunFolderError
from qsnn.training.checkpoint import BEST, load_checkpoint
from qsnn.training.checkpoint_layout import check_layout

MAX_SIZE, MAX_NAME = 2**24, 200


class SavedNet(NamedTuple):
    """``net``: with the weights of checkpoint ``file``, those after ``epoch`` epochs; ``config``: what it was built from;
    ``inputs``: shape of a sample's input in a step; ``classes``: their names, none of a net that answers with a raster;
    ``sensor``: height and width that its recordings had."""

    net: Any
    config: Config
    file: Path
    epoch: int
    inputs: tuple[int, ...]
    classes: tuple[str, ...]
    sensor: tuple[int, ...]


def weights_file(path: Path) -> Path:
    """The checkpoint that ``path`` names: of a folder best.pt or, if it has none, last.pt."""
    folder, name = split_checkpoint(path)
    best = folder / "checkpoints" / BEST
    if path != folder:
        return best.with_name(name)
    return best if best.exists() else checkpoint_path(folder)


def load_net(path: Path, overrides: list[str] | None = None) -> SavedNet:
    """The net of the run in folder ``path``, or of one of its checkpoints. ``overrides``: where to compute (device, kernels).

    Raises ConfigError and RunFolderError.
    """
    merged = saved_and_given(split_checkpoint(path)[0], overrides or [])
    parse_overrides(merged)
    config, file = to_config(compose_config(merged)), weights_file(path)
    built: dict[str, Any] = {}

    def check(found: dict[str, Any]) -> None:
        check_same_config(plain_config(config), found.get("config"), file)
        inputs, num_outputs, built["classes"], built["sensor"] = _shapes(found.get("shapes"), file)
        net = config.trainer.build_net(config, inputs, num_outputs, build_machine(config))
        built["net"], built["inputs"] = net, inputs
        if not isinstance(found.get("model"), dict) or type(found.get("epoch")) is not int:
            raise RunFolderError(f"{file} holds no net")
        check_layout(found["model"], net.state_dict(), str(file), "model")

    content = load_checkpoint(file, check)
    built["net"].load_state_dict(content["model"])
    return SavedNet(config=config, file=file, epoch=content["epoch"], **built)


def _shapes(found: Any, file: Path) -> tuple[tuple[int, ...], int, tuple[str, ...], tuple[int, ...]]:
    """What `Task.shapes` wrote. Raises RunFolderError, naming the file, if it is something else."""
    if isinstance(found, dict) and found.keys() == {"inputs", "num_outputs", "classes", "sensor"}:
        inputs, outputs, classes, sensor = (found[name] for name in ("inputs", "num_outputs", "classes", "sensor"))
        sizes = [*inputs, outputs, *sensor] if isinstance(inputs, list) and isinstance(sensor, list) else [None]
        whole = all(type(size) is int and 0 < size <= MAX_SIZE for size in sizes) and len(sizes) in (2, 6)
        named = isinstance(classes, list) and all(isinstance(name, str) and len(name) <= MAX_NAME for name in classes)
        if whole and named and len(classes) in (0, outputs):
            return tuple(inputs), outputs, tuple(classes), tuple(sensor)
    raise RunFolderError(f"{file} does not say for which inputs its net was built")
