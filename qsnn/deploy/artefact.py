"""An artefact: a folder that holds a net for an integer machine, which nothing else is needed to run.

    model.json            format and version, input, layers (kinds, sizes, formats, multipliers, shifts, thresholds, widths of
    their
                          accumulators), decision
    <layer>.<part>.bin    codes of weights, and multipliers of traces, packed at their width (`qsnn.deploy.packing`)
    SHA256SUMS            of all other files, as `sha256sum -c` reads it

A folder appears whole or not at all, and is read only if no byte of it has changed.
"""

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

from qsnn.deploy.arithmetic import WORD_BITS, Whole
from qsnn.deploy.arrays import Array
from qsnn.deploy.fields import Fields, shown
from qsnn.deploy.folder import FORMAT, MODEL, SUM, SUMS, write_folder
from qsnn.deploy.from_json import from_json
from qsnn.deploy.model import Model, size
from qsnn.deploy.packing import pack, packed_size, unpack
from qsnn.deploy.to_json import to_json
from qsnn.deploy.widths import Width, widths_of
from qsnn.errors import ConfigError, DataError

VERSION = 1
MORE = ("training.json", "training-")
"""How names of files begin that a model does not need: `qsnn.deploy.training.files` reads them. No layer's name has a -."""
MAX_JSON, DIGITS = 2**26, 64
"""Bytes of model.json, hexadecimal digits of a checksum."""


def files_of(model: Model) -> dict[str, bytes]:
    """Name and content of every file of the artefact. Raises ConfigError if a sum takes more bits than the engine has."""
    files: dict[str, bytes] = {}

    def save(name: str, array: Array, codes: Whole) -> None:
        files[name] = pack(codes, array.bits, array.signed)

    content = {"format": FORMAT, "version": VERSION, **to_json(model, save)}
    for layer, found in zip(content["layers"], checked_widths(model).values(), strict=True):
        layer["accumulators"] = {name: width._asdict() for name, width in found.items()}
    files = {MODEL: (in_lines(content) + "\n").encode(), **files}
    return {**files, SUMS: _sums(files)}


def in_lines(content: Any) -> str:
    """JSON for people: an entry a line, but lists of numbers, and objects of nothing else, in one."""
    flat = re.compile(r"[\[{][^\[\]{}]*[\]}]")
    return flat.sub(lambda found: re.sub(r"\n *", " ", found[0]), json.dumps(content, indent=1))


def checked_widths(model: Model) -> dict[str, dict[str, Width]]:
    """`widths_of`. Raises ConfigError, naming layer and sum, if one takes more bits than there are."""
    found = widths_of(model)
    for layer, widths in found.items():
        for name, width in widths.items():
            if width.bits > WORD_BITS:
                raise ConfigError(
                    f"{name} of layer {layer} takes {width.bits} signed bits, the engine has {WORD_BITS}: choose "
                    "fewer bits, or time constants and scales in proportion"
                )
    return found


def _sums(files: dict[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return "".join(lines).encode()


def write_artefact(model: Model, folder: Path, overwrite: bool = False) -> None:
    """Write `files_of` a model. Raises ConfigError if ``folder`` is there, unless it is an artefact and to be replaced."""
    write_folder(files_of(model), folder, overwrite, SUMS)


def read_artefact(folder: Path) -> Model:
    """The model of an artefact. Raises DataError, naming the file, if one is missing or changed, or says what no model has."""
    sums = _read_sums(folder)
    content = json_of(folder / MODEL, _verified(folder, MODEL, sums, None))
    fields = Fields(content, str(folder / MODEL))
    if fields.take("format") != FORMAT:
        raise DataError(f"{fields.where} is no model of an artefact: its format is not {FORMAT!r}")
    version = fields.take("version")
    if version != VERSION or type(version) is not int:
        raise DataError(
            f"{fields.where} is of version {shown(version)}, this qsnn reads {VERSION}: export the run again"
        )
    asked = {MODEL}

    def load(name: str, array: Array) -> Whole:
        asked.add(name)
        return _codes(folder, name, array, sums)

    model, stated = from_json(fields, load)
    fields.end()
    others = {name for name in sums if not name.startswith(MORE)} - asked
    if others:
        raise DataError(f"{folder / SUMS} names {sorted(others)[0][:80]!a}, which the model does not have")
    _check_widths(folder, model, stated)
    return model


def _check_widths(folder: Path, model: Model, stated: dict[str, Any]) -> None:
    """Raise DataError unless the widths that model.json states are those that its weights prove."""
    try:
        found = checked_widths(model)
    except ConfigError as error:
        raise DataError(f"{folder / MODEL}: {error}") from error
    for name, widths in found.items():
        if stated[name] != {part: width._asdict() for part, width in widths.items()}:
            raise DataError(f"{folder / MODEL}: the accumulators of layer {name} are not those that its weights take")


def json_of(path: Path, content: bytes) -> Any:
    """What a file's JSON says. Raises DataError."""
    try:
        return json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {ascii(str(error))[1:-1][:120]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError for a key that it has twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it has the key {name[:80]!a} twice in an object")
        found[name] = value
    return found


def _codes(folder: Path, name: str, array: Array, sums: dict[str, str]) -> Whole:
    count = size(array.shape)
    content = _verified(folder, name, sums, packed_size(count, array.bits))
    try:
        return unpack(content, count, array.bits, array.signed)
    except ValueError as error:
        raise DataError(f"{folder / name}: {error}") from error


def _read_sums(folder: Path) -> dict[str, str]:
    """Checksum by name, in any order. Raises DataError unless each line is as `_sums` writes it, and for a file that none
    names."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not there, or no folder: name an artefact, such as python -m qsnn.export writes")
    text = _content(folder / SUMS, None).decode("ascii", "replace")
    lines = [SUM.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    found = {line[1]: line[0][:DIGITS] for line in lines if line}
    if MODEL not in found or len(found) != len(lines) or not text.endswith("\n"):
        raise DataError(
            f"{folder / SUMS} is damaged: it is not a list of checksums and names, each once; export the run again"
        )
    others = {path.name for path in folder.iterdir()} - {*found, SUMS}
    if others:
        raise DataError(f"{folder / min(others)!s:.200} is no file of the artefact: {SUMS} does not name it; move it")
    return found


def _verified(folder: Path, name: str, sums: dict[str, str], wanted: int | None) -> bytes:
    if name not in sums:
        raise DataError(f"{folder / SUMS} has no checksum of {name}; export the run again")
    content = _content(folder / name, wanted)
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise DataError(f"{folder / name} is damaged: its checksum is not the one in {SUMS}; export the run again")
    return content


def _content(path: Path, wanted: int | None) -> bytes:
    """All bytes of a regular file, ``wanted`` of them, None: up to `MAX_JSON`. Raises DataError."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path} is no regular file")
        if found.st_size > MAX_JSON if wanted is None else found.st_size != wanted:
            allowed = f"at most {MAX_JSON}" if wanted is None else f"{wanted}"
            raise DataError(f"{path} is damaged: it has {found.st_size} bytes, expected are {allowed}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); export the run again") from error


class Contents:
    """Further files of an artefact, each verified. Raises DataError, naming the file, for what is missing or changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._sums = folder, _read_sums(folder)

    def json(self, name: str) -> Any:
        """What a file of JSON says."""
        return json_of(self.folder / name, _verified(self.folder, name, self._sums, None))

    def codes(self, name: str, array: Array) -> Whole:
        """The codes of a packed file, flat."""
        return _codes(self.folder, name, array, self._sums)

    def check_all(self, asked: set[str], prefix: tuple[str, ...]) -> None:
        """Raise DataError for a file whose name begins so, and that nobody has ``asked`` for."""
        others = {name for name in self._sums if name.startswith(prefix)} - asked
        if others:
            raise DataError(f"{self.folder / SUMS} names {sorted(others)[0][:80]!a}, which nothing refers to")


def with_sums(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files of an artefact with the checksums of all of them, in place of those that there may be."""
    content = {name: part for name, part in files.items() if name != SUMS}
    return {**content, SUMS: _sums(content)}
