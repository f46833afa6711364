"""How the weights of a net can be stored: bits, and accesses of a step, in the schemes of [ISCAS] (docs/storage.md).

    python scripts/storage.py run=outputs/pattern/<time>            the trained codes of a finished run
    python scripts/storage.py experiment=nmnist_conv sparsity=0.5   a config's net, with so large a share of zero codes
    python scripts/storage.py experiment=quick                      a config's untrained net
    python scripts/storage.py --paper [run=...]                     beside the figures of [ISCAS]

Own words, beside config keys: sparsity=S  rate=R (spikes an input and step where no run tells; 0.05)  error_rate=E (share of
neurons with an error; 1)  word_bits=W (of a bitmap's access; 64)  picture=FILE.png  widths=2,3,4,8 (panels)
"""

import sys
from pathlib import Path
from typing import Any

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import net_of_config
from qsnn.config.building.storage import measured_rates, rates_by_layer
from qsnn.config.command_line import compose_config, parse_overrides, set_up
from qsnn.config.nets import load_net
from qsnn.config.paths import split_checkpoint
from qsnn.config.schema import Config
from qsnn.errors import ConfigError, QsnnError
from qsnn.hardware.storage.nets import synapses_of_net
from qsnn.hardware.storage.picture import write_storage_picture
from qsnn.hardware.storage.published import bitmap_lines, functional_lines
from qsnn.hardware.storage.schemes import WORD_BITS, Rates
from qsnn.hardware.storage.synapses import evenly_sparse
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
}

MOST_BITS = 32


def split_words(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Own words, with what they are unless given, and config keys."""
    own, keys = dict(OWN), []
    for word in words:
        name, sign, value = word.partition("=")
        if sign and name in OWN:
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


def net_of(own: dict[str, str], keys: list[str]) -> tuple[str, Config, Any, tuple[int, ...]]:
    """Where it comes from, its config, the net, and the shape of its input."""
    if own["run"]:
        saved = load_net(Path(own["run"]), keys)
        return f"{saved.file}, after {saved.epoch} epochs", saved.config, saved.net, saved.inputs
    parse_overrides(keys)
    config = to_config(compose_config(keys))
    net, inputs = net_of_config(config)
    return "untrained", config, net, inputs


def show(own: dict[str, str], keys: list[str], paper: bool) -> None:
    """Print the table, or the paper's figures, and write the picture."""
    widths = panel_widths(own)
    if paper and not own["run"] and not keys:
        print(f"{table(list(bitmap_lines()))}\n\n{table(list(functional_lines()))}")
        return
    origin, config, net, inputs = net_of(own, keys)
    layers = synapses_of_net(net, inputs)
    if own["sparsity"]:
        share = number(own, "sparsity", 0, 1)
        origin, layers = f"{share:.1%} zeros given", {name: evenly_sparse(of, share) for name, of in layers.items()}
    if paper:
        two = [layer for layer in layers.values() if layer.bits == 2 and not layer.kernels]
        if not two:
            raise ConfigError(
                "--paper compares dense layers of 2 bits, and this net has none; give one, or no run at all"
            )
        print(f"{origin}\n\n{table(list(bitmap_lines(two)))}\n\n{table(list(functional_lines()))}")
    else:
        folder = split_checkpoint(Path(own["run"]))[0] if own["run"] else None
        kept = measured_rates(config, folder)
        rates, told = rates_by_layer(layers, kept, assumed_rates(own), isinstance(net, LocalNet))
        print(f"{origin}\n\n{storage_table(layers, rates, told)}")
    if own["picture"]:
        largest = max(layers.values(), key=lambda layer: layer.num)
        write_storage_picture(Path(own["picture"]), largest, widths, layers)


def main() -> int:
    """Print what the words ask for."""
    words = sys.argv[1:]
    if "-h" in words or "--help" in words:
        print(__doc__)
        return 0
    set_up()
    own, keys = split_words([word for word in words if word != "--paper"])
    try:
        show(own, keys, "--paper" in words)
    except QsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
