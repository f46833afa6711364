"""What `qsnn.report` does: words to a request, a request to files and to what is printed."""

import math
import shlex
from pathlib import Path
from typing import NamedTuple

from qsnn.comparing.answers import answers, facts, first_of, unfinished
from qsnn.comparing.comparison import Request, compare
from qsnn.comparing.files import contents, earlier_files, without_reports, write_report
from qsnn.comparing.tables import columns_of, plain_text
from qsnn.errors import ConfigError

KEYS = ("by", "metric", "select", "reference", "lines", "confidence", "margin", "out")
FOLDER = "report"


class Printed(NamedTuple):
    """``text``: the answer; ``missing``: a line for each run that is not finished; ``damaged``: one for each other file that
    cannot be read."""

    text: str
    missing: list[str]
    damaged: list[str]


def report(words: list[str]) -> Printed:
    """Compare, write the files and tell. Raises ConfigError, RunFolderError and OSError."""
    request = parse_words(words)
    request = request._replace(folders=without_reports(request.folders))
    out = request.out or request.folders[0] / FOLDER
    earlier_files(out)
    comparison = compare(request)
    files = contents(comparison)
    write_report(out, files)
    c = comparison
    head = f"{c.title}: runs: {c.counts}; rows: {len(c.rows)}{', by ' + ', '.join(c.keys) if c.keys else ''}"
    written = f"wrote {out}/report.html and {len(files) - 1} more: {', '.join(name for name in files if name != 'report.html')}"
    text = "\n".join([head, "", plain_text(columns_of(c)), "", *answers(c), *facts(c), "", written])
    return Printed(text, first_of(unfinished(c)), first_of(c.damaged))


def parse_words(words: list[str]) -> Request:
    """The words of the command line. Raises ConfigError."""
    given: dict[str, str] = {}
    folders = []
    for word in words:
        key, sign, value = word.partition("=")
        if sign and key in KEYS:
            if key in given:
                raise ConfigError(f"{key}= is given twice")
            if not value:
                raise ConfigError(f"{key}= says nothing: give a value, or leave it out")
            given[key] = value
        elif sign and "/" not in key and not Path(word).exists():
            raise ConfigError(f"{word} is no folder and no key of report: {', '.join(KEYS)}")
        elif word.startswith("-"):
            raise ConfigError(f"{word} is no option of report: its keys are {', '.join(KEYS)}")
        else:
            folders.append(Path(word).expanduser())
    if not folders:
        raise ConfigError(
            "no folder is named: give those of runs or sweeps, such as outputs/multirun/<experiment>/<time>"
        )
    confidence, margin = _number("confidence", given, 0.95), _number("margin", given, 0.01)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence={confidence:g} is not possible: above 0 and below 1, such as 0.95")
    if not 0 <= margin < math.inf:
        raise ConfigError(
            f"margin={margin:g} is not possible: 0 or more, in units of the metric, such as 0.01 for one point"
        )
    out = Path(given["out"]).expanduser() if "out" in given else None
    return Request(
        tuple(folders), given.get("by", ""), given.get("metric"), given.get("select", ""), given.get("reference", ""),
        given.get("lines", ""), confidence, margin, out, shlex.join(["python", "-m", "qsnn.report", *words]),
    )  # fmt: skip


def _number(name: str, given: dict[str, str], default: float) -> float:
    if name not in given:
        return default
    try:
        return float(given[name])
    except ValueError:
        raise ConfigError(f"{name}={given[name]} is no number") from None
