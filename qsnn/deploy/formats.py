"""What a model can be written as: `python -m qsnn.export format=...`. A format is a function and a line of help."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qsnn.deploy.artefact import SUMS, check_vacant, write_artefact
from qsnn.deploy.model import Model


class ExportFormat(NamedTuple):
    """``summary``: a line for --help; ``write``: a model to ``out``, which it makes at once and never writes over unless told
    to; ``check``: what can be told of ``out`` before any work is done. Both raise ConfigError."""

    summary: str
    write: Callable[[Model, Path, bool], None]
    check: Callable[[Path, bool], None]


def _check_artefact(out: Path, overwrite: bool) -> None:
    check_vacant(out, overwrite, SUMS)


FORMATS: dict[str, ExportFormat] = {
    "artefact": ExportFormat("a folder for qsnn.deploy.IntegerEngine", write_artefact, _check_artefact),
}
