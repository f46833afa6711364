"""The memory of a config's net to the bit, term by term, beside the same at 32 bits; nothing is trained.

    python scripts/memory.py [experiment=randman quantization.weight_bits=2 ...]
    python scripts/memory.py --icons        the published accounting of [ICONS], and the corrected ones

`python -m qsnn.train` prints the totals at the end of a run, and writes all of it into summary.json.
"""

import sys

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import memory_of_config
from qsnn.config.command_line import compose_config, parse_overrides, set_up
from qsnn.errors import ConfigError
from qsnn.hardware.icons import accountings, icons_layers
from qsnn.hardware.memory import Memory, memory_rows
from qsnn.models.conv import Conv
from qsnn.models.geometry import Shape
from qsnn.reporting.summary import table

ICONS_INPUTS: Shape = (2, 32, 32)


def icons_table() -> str:
    """Bits, bits at 32 bits, and what is saved, of each accounting of the net of [ICONS]."""
    bits = to_config(compose_config(["experiment=icons_gesture"])).quantization
    found = accountings(icons_layers(ICONS_INPUTS, Conv().geometries()), bits)
    return table(
        [(name, f"{one.bits:>13,} of {one.at_32_bits:>13,}  {one.saved:.2%} less") for name, one in found.items()]
    )


def memory_table(memory: Memory) -> str:
    """Every term, of one sample, and the totals."""
    rows = [
        (f"{layer:<8} {term.name}", f"{term.bits:>13,} of {term.at_32_bits:>13,}  {term.formula}")
        for layer, terms in memory.terms.items()
        for term in terms
    ]
    return f"{table(rows)}\n\n{table(memory_rows(memory.plain()))}"


def main() -> int:
    """Print one of the tables."""
    words = sys.argv[1:]
    if "-h" in words or "--help" in words:
        print(__doc__)
        return 0
    set_up()
    try:
        if words == ["--icons"]:
            print(icons_table())
        else:
            parse_overrides(words)
            print(memory_table(memory_of_config(to_config(compose_config(words)))))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
