"""From the words on the command line to Hydra: resume, and one clear line for every mistake. Does not import torch."""

import difflib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.paths import config_folder, register_resolvers
from qsnn.config.schema import GROUPS, register_schema
from qsnn.errors import ConfigError, QsnnError

EXIT_BAD_INPUT = 2


def fail(error: QsnnError | OSError, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """Print one line and leave."""
    sys.stderr.write(f"error: {describe(error)}\n")
    sys.exit(code)


def describe(error: QsnnError | OSError) -> str:
    """One line; for a failure of the operating system (a full disk, no permission), with the file it is about."""
    if isinstance(error, OSError):
        return f"cannot use {error.filename or 'a file of the run'}: {error.strerror or error}; nothing was left half-written"
    return " ".join(str(error).split("\n"))


def set_up() -> None:
    """Register schema and resolvers; once a process, before Hydra composes."""
    register_schema()
    register_resolvers()


def group_options() -> dict[str, list[str]]:
    """Every group with the options that conf/ holds."""
    folder = Path(config_folder())
    names = [*GROUPS, "experiment"]
    return {name: sorted(file.stem for file in (folder / name).glob("*.yaml")) for name in names}


def compose_config(overrides: list[str], return_hydra_config: bool = False) -> DictConfig:
    """Compose the config, with mistakes explained. Raises ConfigError."""
    try:
        with initialize_config_dir(config_folder(), version_base="1.3"):
            return compose("config", overrides=overrides, return_hydra_config=return_hydra_config)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, overrides)) from error


def explain(error: Exception, overrides: list[str]) -> str:
    """The one line that helps: the unknown group option or key with the nearest valid one, or the value's own error."""
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            return f"{text!r} is not understood: write key=value, such as quantization.weight_bits=4, and quote odd characters"
        hint = _explain_override(override)
        if hint:
            return hint
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    full_key = getattr(cause, "full_key", None) or next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("full_key: ")), ""
    )
    given = next((text for text in overrides if full_key and text.lstrip("+~").startswith(f"{full_key}=")), full_key)
    return f"{given}: {lines[0]}" if given else lines[0]


def _explain_override(override: Override) -> str | None:
    """What is wrong with an override's name, if anything is."""
    key = override.key_or_group
    options = group_options()
    if key in options:
        choice = override.value()
        if choice is None or choice in options[key] or override.is_sweep_override():
            return None
        near = difflib.get_close_matches(str(choice), options[key], 1)
        hint = f"did you mean {key}={near[0]}? " if near else ""
        return f"{key}={choice} does not exist: {hint}options are {', '.join(options[key])}"
    if key.startswith("hydra") or "/" in key or key in known_keys() or override.is_delete():
        return None
    near = difflib.get_close_matches(key, known_keys(), 1, 0.5) or [
        known for known in known_keys() if known.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]
    ]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown key {key}: {hint}`--cfg job` prints all keys"


def known_keys() -> list[str]:
    """Dotted names of all leaves and inner nodes of the default config and of every option's own keys."""
    from qsnn.config.schema import Config

    def names(node: Any, prefix: str) -> list[str]:
        found = []
        for name, entry in getattr(node, "__dataclass_fields__", {}).items():
            found += [prefix + name, *names(entry.type, f"{prefix}{name}.")]
        return found

    keys = names(Config, "")
    for group, nodes in GROUPS.items():
        for node in nodes.values():
            keys += names(node, f"{group}.")
    return list(dict.fromkeys(keys))


def take_path(arguments: list[str], name: str) -> tuple[Path | None, list[str]]:
    """Split ``name=<path>`` off: the path as it was typed (Hydra's grammar would read commas in it) and the rest."""
    given = [text for text in arguments if text.startswith(f"{name}=")]
    rest = [text for text in arguments if not text.startswith(f"{name}=")]
    if len(given) > 1:
        raise ConfigError(f"{name} is given {len(given)} times; one folder at a time")
    if not given:
        return None, rest
    text = given[0].split("=", 1)[1].strip("'\"")
    return (None if text in ("null", "") else Path(text)), rest


def quoted(path: Path) -> str:
    """A path as a value in Hydra's grammar."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", str(path)) + "'"


def merge_overrides(saved: list[str], given: list[str]) -> list[str]:
    """The saved overrides, each replaced by the given one of the same key, then the rest of the given."""
    def key(text: str) -> str:
        return text.split("=", 1)[0].lstrip("+")

    new = {key(text) for text in given}
    dropped = new | {"resume", "hydra.run.dir"}
    return [text for text in saved if key(text) not in dropped] + given


def prepare_arguments(argv: list[str]) -> list[str]:
    """What Hydra shall read for what the user typed: overrides checked, and ``resume=`` turned into those of its run.

    Raises ConfigError and RunFolderError before anything has been written.
    """
    folder, rest = take_path(argv, "resume")
    arguments = get_args_parser().parse_args(rest)
    if arguments.help or arguments.hydra_help or arguments.shell_completion:
        return rest
    if folder is not None:
        from qsnn.config.resume import saved_overrides

        if arguments.multirun:
            raise ConfigError(f"resume={folder} cannot be swept: leave out -m and resume one run at a time")
        flags = [text for text in rest if text not in arguments.overrides]
        merged = merge_overrides(saved_overrides(folder), arguments.overrides)
        merged += [f"resume={quoted(folder)}", f"hydra.run.dir={quoted(folder)}"]
        compose_config([text for text in merged if not text.startswith("hydra.")])
        return [*flags, *merged]
    for job in _jobs(arguments.overrides, arguments.multirun):
        compose_config(job)
    return rest


def _jobs(overrides: list[str], multirun: bool) -> list[list[str]]:
    """The override lists to try: one, or of a sweep one for each value of each swept key (not each combination)."""
    own = [text for text in overrides if not text.lstrip("+~").startswith("hydra")]
    try:
        parsed = OverridesParser.create(config_loader=None).parse_overrides(own)
    except HydraException as error:
        raise ConfigError(explain(error, own)) from error
    swept = [override for override in parsed if override.is_sweep_override()]
    if swept and not multirun:
        raise ConfigError(f"{swept[0].input_line} holds several values: add -m to sweep, or brackets for a list")
    plain = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    jobs = [plain]
    for override in swept:
        name = override.get_key_element()
        if override.is_choice_sweep() or override.is_range_sweep():
            jobs += [[*plain, f"{name}={value}"] for value in override.sweep_string_iterator()]
    return jobs

