"""The text header of AEDAT files: which version and camera it names, and where the events begin.

Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/index.html. Lines of #, the first of them
``#!AER-DAT<version>``; a file without that line is one of version 1.0. A sound file of another version or camera is
called by its name, so that nobody downloads it again.
"""

import re
from pathlib import Path

import numpy as np

from qsnn.data.formats.event_file import broken
from qsnn.errors import DataError

MAX_HEADER_BYTES = 2**22  # jAER writes all its settings there: some hundred kilobytes
SUPPORTED = (
    "AEDAT 2.0 of a DVS128 (dataset=slow_poker), AEDAT 3.1 (dataset=dvs_gesture) and, for dataset=nmnist, the .bin files of "
    "N-MNIST"
)
_WRITERS = {"1.0": "jAER before 2010", "2.0": "jAER", "3.0": "cAER", "3.1": "cAER", "4.0": "DV"}
_VERSION = re.compile(rb"#!AER-DAT *(\d{1,2}\.\d{1,2})[ \t]*\r?\n")
_HEADER_LINES = re.compile(rb"(?:#(?!!END-HEADER)[^\n]*\n)*")
_HEADER_END = re.compile(rb"#!END-HEADER[ \t]*\r?\n")
_CHIP = re.compile(rb"^#[ \t]*AEChip:[ \t]*([\w.$]+)", re.MULTILINE)
_OLD_EVENT = np.dtype([("address", ">u2"), ("time", ">u4")])  # of AEDAT 1.0
_LOOK_AT = 1000  # events of a file that may be AEDAT 1.0
_ENOUGH, _ENOUGH_BEHIND_HEADER = 32, 2  # events whose times are no accident


def other_kind(path: Path, found: str) -> DataError:
    """The error of a file that is sound as far as can be seen, but of a kind that is not read: ``found`` names it."""
    return DataError(
        f"{path} is {found}; supported are {SUPPORTED}: give recordings of that kind, or convert the file to one of them"
    )


def end_of_header(data: bytes, version: str, path: Path) -> int:
    """Where the events of an AEDAT file begin: behind its lines of #, up to and with ``#!END-HEADER`` where it has one.

    ``version``: of the format, as in the first line, such as 3.1. Raises DataError for another version, another kind of
    file, or a header that does not end.
    """
    _check_version(data, version, path)
    lines = _HEADER_LINES.match(data, 0, MAX_HEADER_BYTES)
    end = lines.end() if lines else 0
    marked = _HEADER_END.match(data, end)
    end = marked.end() if marked else end
    if data[end : end + 1] == b"#" and not marked:
        expected = f"a line that ends within the {MAX_HEADER_BYTES} bytes that a header may have"
        raise broken(path, end, f"a header line does not end in the {len(data)} bytes of the file", expected)
    if end == len(data):
        raise broken(path, end, "the file ends behind its header", "events")
    return end


def _check_version(data: bytes, version: str, path: Path) -> None:
    found = _VERSION.match(data)
    if found and found[1].decode() == version:
        return
    if found:
        name = found[1].decode()
        by = f", as {_WRITERS[name]} writes it" if name in _WRITERS else ""
        raise other_kind(path, f"an AEDAT {name} file{by}, not AEDAT {version}")
    if _is_version_1(data):
        raise other_kind(path, f"an AEDAT 1.0 file, as jAER wrote it before 2010, not AEDAT {version}")
    start = data[:64].split(b"\n")[0].strip()
    raise broken(path, 0, f"the first line is {start.decode('latin1')!a}", f"{f'#!AER-DAT{version}'!r}")


def _is_version_1(data: bytes) -> bool:
    """Whether a file without a line of its version is AEDAT 1.0: events of 6 bytes behind an optional header, in order."""
    lines = _HEADER_LINES.match(data, 0, MAX_HEADER_BYTES)
    start = lines.end() if lines else 0
    count, rest = divmod(len(data) - start, _OLD_EVENT.itemsize)
    if rest or count < (_ENOUGH_BEHIND_HEADER if start else _ENOUGH) or data.startswith(b"#!"):
        return False
    time = np.frombuffer(data, _OLD_EVENT, min(count, _LOOK_AT), start)["time"].astype(np.int64)
    return bool((np.diff(time) >= 0).mean() > 0.99 and time[-1] > time[0])


def chip_of(header: bytes) -> str | None:
    """The camera that jAER names in its header, such as DVS128 or Davis240C: the last word of the line ``# AEChip:``."""
    found = _CHIP.search(header)
    return None if found is None else found[1].decode("latin1").split(".")[-1]
