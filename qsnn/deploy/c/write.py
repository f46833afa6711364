"""The folder of C files."""

from pathlib import Path

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.c.program import Program, program_of, templates, title
from qsnn.deploy.c.selftest import selftest
from qsnn.deploy.folder import check_vacant, write_folder
from qsnn.deploy.model import RASTER, Model, size

MARK = "qsnn_c.txt"
"""A file that only such a folder has: it may be replaced."""


def files_of(model: Model, inputs: Whole | None = None) -> dict[str, bytes]:
    """Name and content of every file. ``inputs`` (S, T, I) of the golden vectors, random ones unless given.

    Raises ConfigError for a net that this format does not have."""
    program = program_of(model)
    files = {f"{program.name}.h": program.header, f"{program.name}.c": program.source}
    files["selftest.c"] = selftest(model, program, inputs)
    listens = bool(model.input.sensor) and model.decision.rule != RASTER
    if listens:
        files["events.c"] = _events(model, program)
    files[MARK] = _how(program, listens)
    return {name: content.encode() for name, content in files.items()}


def write_c(model: Model, out: Path, overwrite: bool = False) -> None:
    """Make the folder ``out``, at once. Raises ConfigError and OSError."""
    write_folder(files_of(model), out, overwrite, MARK)


def check_c(out: Path, overwrite: bool) -> None:
    """Raise ConfigError if ``out`` would be written over."""
    check_vacant(out, overwrite, MARK)


def _events(model: Model, program: Program) -> str:
    given = model.input
    _, rows, columns = given.shape
    return templates().get_template("events.c.jinja").render(
        name=program.name, upper=program.name.upper(), title=title(model), height=given.sensor[0], width=given.sensor[1],
        step_us=given.step_us, steps=given.steps, downsample=given.downsample, mode=given.mode, signed=given.signed,
        places=rows * columns, columns=columns, inputs=size(given.shape),
    )  # fmt: skip


def _how(program: Program, listens: bool) -> str:
    flags = "cc -std=c99 -O3 -Wall -Wextra"
    lines = [f"{flags} {program.name}.c selftest.c -o selftest && ./selftest"]
    lines += [f"{flags} {program.name}.c events.c -o events && ./events RECORDING.bin"] * listens
    return "\n".join(lines) + "\n"
