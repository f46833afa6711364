"""How the weights of a net can be stored: words, table and picture of `qsnn.cost storage=true` (docs/storage.md)."""

from pathlib import Path
from typing import Any

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import net_of_config
from qsnn.config.building.storage import assumed_traces, measured_rates, rates_by_layer
from qsnn.config.command_line import compose_config, parse_overrides
from qsnn.config.costing.places import check_folder_of
from qsnn.config.nets import load_net
from qsnn.config.paths import split_checkpoint
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.hardware.storage.nets import synapses_of_net
from qsnn.hardware.storage.picture import write_storage_picture
from qsnn.hardware.storage.published import bitmap_lines, functional_lines
from qsnn.hardware.storage.schemes import WORD_BITS, Rates
from qsnn.hardware.storage.synapses import Synapses, evenly_sparse
from qsnn.hardware.storage.table import storage_table
from qsnn.models.local_net import LocalNet
from qsnn.reporting.summary import table

OWN = {
    "run": "",
    "sparsity": "",
    "rate": "0.05",
    "error_rate": "1",
    "word_bits": str(WORD_BITS),
    "picture": "",
    "widths": "2,3,4,8",
    "paper": "false",
}
MOST_BITS = 32


def split_words(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Own words, with what they are unless given, and config keys."""
    own, keys, taken = dict(OWN), [], set[str]()
    for word in words:
        name, sign, value = word.partition("=")
        if sign and name in OWN:
            if name in taken:
                raise ConfigError(f"{name} is given more than once; one at a time")
            if not value.strip("'\""):
                raise ConfigError(f"{word} names nothing: give a value, or leave it out")
            taken.add(name)
            own[name] = value
        else:
            keys.append(word)
    return own, keys


def number(own: dict[str, str], name: str, low: float, high: float) -> float:
    """A word's number. Raises ConfigError."""
    try:
        value = float(own[name])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ConfigError(f"{name}={own[name]} is no number from {low:g} to {high:g}")
    return value


def assumed_rates(own: dict[str, str]) -> Rates:
    """What is taken where no run tells. Raises ConfigError."""
    return Rates(number(own, "rate", 0, 1), number(own, "error_rate", 0, 1), int(number(own, "word_bits", 1, 4096)))


def panel_widths(own: dict[str, str]) -> list[int]:
    """Of the picture. Raises ConfigError."""
    parts = own["widths"].split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= MOST_BITS for part in parts):
        raise ConfigError(f"widths={own['widths']} are no bits from 1 to {MOST_BITS} with commas between")
    return [int(part) for part in parts]


def picture_path(own: dict[str, str]) -> Path | None:
    """Where the picture is to be written. Raises ConfigError where it cannot be, or is no name of one."""
    if not own["picture"]:
        return None
    path = Path(own["picture"])
    if path.suffix.lower() != ".png":
        raise ConfigError(
            f"picture={path} is no name of a picture: pictures are .png, such as {path.with_suffix('.png')}"
        )
    check_folder_of("picture", path)
    if path.is_dir():
        raise ConfigError(f"picture={path} is a folder: name a file in it, such as {path / 'storage.png'}")
    return path


def net_of(own: dict[str, str], keys: list[str]) -> tuple[str, Config, Any, tuple[int, ...]]:
    """Where it comes from, its config, the net, and the shape of its input."""
    if own["run"]:
        saved = load_net(Path(own["run"]), keys)
        return f"{saved.file}, after {saved.epoch} epochs", saved.config, saved.net, saved.inputs
    parse_overrides(keys)
    config = to_config(compose_config(keys))
    net, inputs = net_of_config(config)
    return "untrained", config, net, inputs


def storage(words: list[str]) -> str:
    """The table, or the paper's figures; writes the picture. Raises ConfigError, DataError, RunFolderError, OSError."""
    own, keys = split_words(words)
    widths, paper, picture = panel_widths(own), _is_true(own, "paper"), picture_path(own)
    if paper and not own["run"] and not keys:
        return f"{table(list(bitmap_lines()))}\n\n{table(list(functional_lines()))}"
    origin, config, net, inputs = net_of(own, keys)
    layers = synapses_of_net(net, inputs)
    if own["sparsity"]:
        share = number(own, "sparsity", 0, 1)
        origin, layers = f"{share:.1%} zeros given", {name: evenly_sparse(of, share) for name, of in layers.items()}
    told = _beside_the_paper(layers) if paper else _told(own, config, layers, net)
    if picture is not None:
        largest = max(layers.values(), key=lambda layer: layer.num)
        write_storage_picture(picture, largest, widths, layers)
    return f"{origin}\n\n{told}"


def _told(own: dict[str, str], config: Config, layers: dict[str, Synapses], net: Any) -> str:
    folder = split_checkpoint(Path(own["run"]))[0] if own["run"] else None
    kept = measured_rates(config, folder)
    assumed = assumed_rates(own)
    traces = assumed_traces(config, net, number(own, "rate", 0, 1)) if isinstance(net, LocalNet) else None
    return storage_table(layers, *rates_by_layer(layers, kept, assumed, traces))


def _beside_the_paper(layers: dict[str, Synapses]) -> str:
    two = [layer for layer in layers.values() if layer.bits == 2 and not layer.kernels]
    if not two:
        raise ConfigError(
            "paper=true compares dense layers of 2 bits, and this net has none; give one, or no run at all"
        )
    return f"{table(list(bitmap_lines(two)))}\n\n{table(list(functional_lines()))}"


def _is_true(own: dict[str, str], name: str) -> bool:
    if own[name] not in ("true", "false"):
        raise ConfigError(f"{name}={own[name]} is not possible: allowed are true, false")
    return own[name] == "true"
