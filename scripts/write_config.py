"""Write what follows from the registry: the options' files in conf/, docs/config.md, and the groups in `--help`.

python scripts/write_config.py
"""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from qsnn.config.schema import DATASET_NAME, MORE_GROUPS, Config, Limits, Logging, Search, Sweep
from qsnn.hardware.table import Hardware
from qsnn.options import GROUPS, options_of
from qsnn.quantization.bit_widths import FOLLOWS_STATE

ROOT = Path(__file__).resolve().parents[1]
HEADER = """# Config

Written by `python scripts/write_config.py` from the options' dataclasses; do not edit.

Override anything on the command line, `key=value`; choose a group's option or a file of settings with `group=name`. `null` is
full precision for a bit width, and "not set" elsewhere. `python -m qsnn.train --cfg job` prints the composed config.
The last column is the argument or constant of the original program; "bits of 33 and more" there are `null` here.
"""
TABLES = {
    "logging": ((Logging, "logging."), (Limits, "logging.limits.")),
    "search": ((Search, "search."),),
    "hardware": ((Hardware, "hardware."),),
}
MARK = "  Groups (override with group=option)\n"
END = "  The composed config (override anything with key.sub=value)\n"


def value_text(entry: Any) -> str:
    """A field's default as YAML writes it."""
    value = entry.default if entry.default is not MISSING else entry.default_factory()
    if isinstance(value, float) and value != 0 and abs(value) < 1e-4:
        return f"{value:.1e}"
    if isinstance(value, list):
        return "[" + ", ".join(f"{item:.1e}" if item == 4e-5 else str(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def summary(schema: type) -> str:
    """The first line of a docstring."""
    return (schema.__doc__ or "").strip().split("\n")[0]


def option_file(group: str, name: str, schema: type) -> str:
    """conf/<group>/<name>.yaml of a registered option: its defaults, for reading and overriding."""
    values = "".join(f"{entry.name}: {value_text(entry)}\n" for entry in fields(schema))
    return f"# {summary(schema)}\ndefaults:\n  - /schema/{group}@_here_: {name}\n  - _self_\n\n{values}"


def table(schema: type, prefix: str) -> str:
    """One row a documented field."""
    rows = ["| key | default | unit | meaning | original |", "|---|---|---|---|---|"]
    for entry in fields(schema):
        meta = entry.metadata
        if "meaning" in meta:
            default = (
                value_text(entry).replace(FOLLOWS_STATE, "state_bits").replace(DATASET_NAME, "that of the data set")
            )
            cells = (f"`{prefix}{entry.name}`", default, meta["unit"], meta["meaning"], meta["original"])
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def first_line(text: str) -> str:
    """What a file of conf/ says of itself in its first comment."""
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    return next(line for line in lines if not line.startswith("@package"))


def choices(group: str, written: dict[Path, str]) -> dict[str, str]:
    """What ``group=`` can be, options and files of settings, with a line of what each is.

    ``written``: the files that are about to be, which are not read.
    """
    folder = ROOT / "conf" / group
    paths = {*folder.glob("*.yaml"), *(path for path in written if path.parent == folder)}
    return {path.stem: first_line(written.get(path) or path.read_text()) for path in sorted(paths)}


def own_options(group: str) -> dict[str, type]:
    """The registered options of a group that are of this tree."""
    return {name: schema for name, schema in options_of(group).items() if schema.__module__.startswith("qsnn.")}


def config_docs(written: dict[Path, str]) -> str:
    """The whole page."""
    parts = [HEADER, "## Root\n", table(Config, ""), "\n## sweep\n", f"{summary(Sweep)}\n", table(Sweep, "sweep.")]
    for group in GROUPS:
        parts.append(f"\n## {group}\n")
        parts += [f"- `{group}={name}`: {line}" for name, line in choices(group, written).items()]
        for name, schema in own_options(group).items():
            parts += [f"\n### {group}={name}\n", f"{summary(schema)}\n", table(schema, f"{group}.")]
    for group in ("experiment", "logging", "search", "hardware"):
        lines = choices(group, written).items()
        parts += [f"\n## {group}\n", *(f"- `{group}={name}`: {line}" for name, line in lines)]
        for schema, prefix in TABLES.get(group, ()):
            parts += [f"\n{summary(schema)}\n", table(schema, prefix)]
    return "\n".join(parts) + "\n"


def help_page(old: str, written: dict[Path, str]) -> str:
    """The help page with the groups as they are in conf/."""
    before, rest = old.split(MARK)
    after = rest.split(END)[1]
    lines = []
    for group in (*GROUPS, *MORE_GROUPS):
        lines.append(f"    {group}")
        lines += [f"      {name:<28} {line}" for name, line in choices(group, written).items()]
    return f"{before}{MARK}" + "\n".join(lines) + f"\n\n{END}{after}"


def outputs() -> dict[Path, str]:
    """Every file that is written, with what belongs in it."""
    files = {
        ROOT / "conf" / group / f"{name}.yaml": option_file(group, name, schema)
        for group in GROUPS
        for name, schema in own_options(group).items()
    }
    page = ROOT / "conf" / "hydra" / "help" / "qsnn.yaml"
    return {**files, page: help_page(page.read_text(), files), ROOT / "docs" / "config.md": config_docs(files)}


def main() -> None:
    """Write them all."""
    for path, text in outputs().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
