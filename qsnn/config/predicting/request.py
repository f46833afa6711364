"""What somebody asks `qsnn.predict`: the words of its command line."""

from pathlib import Path
from typing import NamedTuple

from qsnn.config.command_line import take_path
from qsnn.config.search_path import note_search_path
from qsnn.data.sources.array_file import TIME_UNITS
from qsnn.errors import ConfigError

FORMATS = ("table", "csv", "json")
KEYS = ("run", "format", "out", "votes", "pictures", "time_unit")
MACHINE = ("device", "kernels", "threads")


class Request(NamedTuple):
    """``paths``: files and folders; ``format``: of the answer; ``out``: the file that it goes to, None for the console;
    ``votes``: the file for a table of the votes over time, None for none; ``pictures``: the folder for a picture of each
    recording, None for no pictures; ``time_unit``: of times in a .npz, None: the run's; ``overrides``: device and kernels."""

    run: Path
    paths: list[Path]
    format: str
    out: Path | None
    votes: Path | None
    pictures: Path | None
    time_unit: str | None
    overrides: list[str]

    @property
    def over_time(self) -> bool:
        """Whether votes after each step are asked for."""
        return self.format == "json" or self.votes is not None


def parse_request(arguments: list[str]) -> Request:
    """The words of the command line. Raises ConfigError."""
    found: dict[str, Path | None] = {}
    rest = note_search_path(arguments)
    for name in KEYS:
        found[name], rest = take_path(rest, name)
    if found["run"] is None:
        raise ConfigError("run= names no folder: give a run's, such as run=outputs/<experiment>/<time>")
    form, unit = str(found["format"] or "table"), found["time_unit"]
    _check_choice("format", form, FORMATS)
    if unit is not None:
        _check_choice("time_unit", str(unit), tuple(TIME_UNITS))
    overrides = [text for text in rest if text.partition("=")[0] in MACHINE]
    paths = _paths([text for text in rest if text not in overrides])
    out, votes = found["out"], found["votes"]
    if votes is None and out is not None and form == "csv":
        votes = out.with_name(f"{out.stem}_votes{out.suffix}")
    _check_free("out", out)
    _check_free("votes", votes)
    if out is not None and votes is not None and out.absolute() == votes.absolute():
        raise ConfigError(f"votes={votes} is out= too: two tables, two files")
    return Request(
        found["run"], paths, form, out, votes, found["pictures"], None if unit is None else str(unit), overrides
    )


def _paths(words: list[str]) -> list[Path]:
    """What is asked about. Raises ConfigError for nothing, and for what looks like a key."""
    paths = [Path(text).expanduser() for text in words]
    strange = next((path for path in paths if "=" in str(path) and not path.exists()), None)
    if strange is not None:
        raise ConfigError(f"{strange} is no file and no key of predict: {', '.join((*KEYS, *MACHINE))}")
    if not paths:
        raise ConfigError("no recording is named: give files or folders, such as recording.aedat")
    return paths


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}={value} is not possible: allowed are {', '.join(choices)}")


def _check_free(name: str, path: Path | None) -> None:
    """Raise ConfigError where a file would be written over, or into no folder."""
    if path is not None and (path.exists() or not path.parent.is_dir()):
        wrong = "is there already: choose another file" if path.exists() else "lies in no folder that is there"
        raise ConfigError(f"{name}={path} {wrong}")
