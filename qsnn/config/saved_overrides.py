"""What a run's folder says it was started with: input like any other file, of which only settings of this program pass."""

import re
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from qsnn.config.old_names import renewed
from qsnn.errors import RunFolderError

MAX_BYTES = 2**20
SWEEPS = ("sweep.json", "multirun.yaml")
"""What the folder of a sweep has, and that of a run has not."""
# ${dataset.num_outputs} is another key; ${oc.env:HOME} calls a function, and ${hydra.job.name} is no key of a run.
_KEY_INTERPOLATION = re.compile(r"\$\{\.*(?!hydra\b)[A-Za-z_]\w*(\.\w+)*\}")


def inherited_overrides(folder: Path, given: list[str]) -> list[str]:
    """The overrides that ``folder``'s run was started with, each replaced by the given one of its key, then the rest given.

    The names are checked as those on the command line are, by `qsnn.config.command_line.parse_overrides`; here fails what a
    run never has in its folder: keys of Hydra itself (which can run code), packages, sweeps and calls of resolvers.
    Raises RunFolderError, naming the file.
    """
    path, new = folder / ".hydra" / "overrides.yaml", {_key(text) for text in given}
    kept = [text for text in renewed(_read(folder, path)) if _key(text) not in (*new, "resume")]
    for text in kept:
        _check(text, path)
    return kept + given


def run_of_sweep(folder: Path) -> Path | None:
    """The first run of a sweep's folder, ``<job>`` in it where none has begun; None of a folder of something else."""
    if not any((folder / name).is_file() for name in SWEEPS):
        return None
    return next((path.parents[1] for path in sorted(folder.glob("*/.hydra/overrides.yaml"))), folder / "<job>")


def _key(text: str) -> str:
    return text.split("=", 1)[0].strip().lstrip("+")


def _read(folder: Path, path: Path) -> list[str]:
    """The entries of the file, as they are."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; name a run's, such as outputs/<experiment>/<time>")
    if not path.is_file():
        if (first := run_of_sweep(folder)) is not None:
            raise RunFolderError(f"{folder} is the folder of a sweep: name one of its runs, such as {first}")
        raise RunFolderError(f"{folder} is not the folder of a run: it has no .hydra/overrides.yaml")
    if path.stat().st_size > MAX_BYTES:
        raise RunFolderError(f"{path} has {path.stat().st_size} bytes; the overrides of a run have at most {MAX_BYTES}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise RunFolderError(f"{path} is not readable: {ascii(first_line)[1:-1][:200]}") from error
    if not isinstance(content, list) or not all(isinstance(entry, str) for entry in content):
        raise RunFolderError(f"{path} is not a list of overrides")
    return content


def _check(text: str, path: Path) -> None:
    """Raise RunFolderError for an override that no run has in its folder."""
    shown, key = ascii(text)[1:-1][:120], ascii(_key(text))[1:-1][:80]
    try:
        override = OverridesParser.create().parse_override(text)
    except (HydraException, RecursionError) as error:
        raise RunFolderError(f"{path}: {shown} is no override, such as quantization.weight_bits=4") from error
    if _is_of_hydra(override):
        raise RunFolderError(
            f"{path}: {shown} is not taken from a run's folder: it sets Hydra itself, not a key of the run"
        )
    if override.is_delete() or override.is_sweep_override():
        raise RunFolderError(f"{path}: {shown} is not one value of one key, as a run has")
    if any("${" in _KEY_INTERPOLATION.sub("", written) for written in (text, str(override.value()))):
        raise RunFolderError(
            f"{path}: {shown} calls a resolver, which a run's folder may not: give {key}=... on the command line"
        )


def _is_of_hydra(override: Override) -> bool:
    return override.package is not None or re.match(r"hydra\b", override.key_or_group) is not None
