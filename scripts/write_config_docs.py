"""Write docs/config.md from the schema: every key with its default, unit, meaning and the original's name for it.

python scripts/write_config_docs.py
"""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from qsnn.config.schema import GROUPS, Config, LimitsConfig, LoggingConfig

HEADER = """# Config

Written by `python scripts/write_config_docs.py` from `qsnn/config/schema.py`; do not edit.

Override anything on the command line, `key=value`; choose a group's option with `group=option`. `null` is full
precision for a bit width, and "not set" elsewhere. `python -m qsnn.train --cfg job` prints the composed config.
The last column is the argument or constant of the original program; "bits of 33 and more" there are `null` here.
"""


def default_text(entry: Any) -> str:
    """A field's default as YAML writes it."""
    value = entry.default if entry.default is not MISSING else entry.default_factory()
    if isinstance(value, str) and value.startswith("${"):
        return "state_bits"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def table(schema: type, prefix: str) -> str:
    """One row a documented field."""
    rows = ["| key | default | unit | meaning | original |", "|---|---|---|---|---|"]
    for entry in fields(schema):
        meta = entry.metadata
        if "meaning" in meta:
            cells = (f"`{prefix}{entry.name}`", default_text(entry), meta["unit"], meta["meaning"], meta["original"])
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def config_docs() -> str:
    """The whole page."""
    parts = [HEADER, "## Root\n", table(Config, "")]
    for group, options in GROUPS.items():
        parts.append(f"\n## {group}\n")
        for schema in options.values():
            parts += [f"{schema.__doc__}\n", table(schema, f"{group}."), ""]
    parts += ["\n## logging\n", f"{LoggingConfig.__doc__}\n", table(LoggingConfig, "logging."), ""]
    parts += [f"{LimitsConfig.__doc__}\n", table(LimitsConfig, "logging.limits.")]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "docs" / "config.md").write_text(config_docs())
