"""From the words on the command line to Hydra: resume, and one clear line for every mistake. Does not import torch."""

import argparse
import difflib
import re
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from qsnn.config.checking.explaining import known_keys, nearest_key
from qsnn.config.composition import compose_config, wrong_values
from qsnn.config.old_names import hint_for_key, hint_for_option
from qsnn.config.packages import check_packages
from qsnn.config.paths import AUTO, quoted, register_resolvers, split_checkpoint
from qsnn.config.saved_overrides import inherited_overrides
from qsnn.config.schema import MORE_GROUPS, register_schema
from qsnn.config.search_path import config_folders, note_search_path
from qsnn.config.sweep_jobs import Sweep, check_auto, expand_glob
from qsnn.config.trying import try_run, try_sweep
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, options_of

NAMES = ("name", "sweep.name")
"""Keys that name folders."""


def set_up() -> None:
    """Register schema and resolvers; once a process, before Hydra composes."""
    register_schema()
    register_resolvers()


def group_options() -> dict[str, list[str]]:
    """Every group with what can be chosen there: the files in conf/, and registered options."""
    found = {
        name: {file.stem for folder in config_folders() for file in (folder / name).glob("*.yaml")}
        for name in (*GROUPS, *MORE_GROUPS)
    }
    return {name: sorted(files | set(options_of(name) if name in GROUPS else ())) for name, files in found.items()}


def parse_overrides(texts: list[str]) -> list[Override]:
    """Parse overrides and check the name of each. Raises one ConfigError with all mistakes, those of composition too."""
    parsed: list[Override] = []
    problems: list[str] = []
    for text in texts:
        try:
            parsed.append(_parse(text))
        except ConfigError as error:
            problems += error.args
    if not problems:
        return parsed
    groups = [text for text in texts if text.partition("=")[0] in group_options()]
    known = len(groups) == sum(override.key_or_group in group_options() for override in parsed)
    raise ConfigError(*problems, *(_wrong_in(parsed) if known else ()))  # without its groups every key may seem wrong


def saved_and_given(folder: Path, given: list[str]) -> list[str]:
    """The overrides of ``folder``'s run, then the given ones. Raises RunFolderError, and ConfigError with the file's name or
    that of a package that is missing."""
    merged = inherited_overrides(folder, given)
    check_packages(folder)
    try:
        parse_overrides(merged[: len(merged) - len(given)])
    except ConfigError as error:
        path = folder / ".hydra" / "overrides.yaml"
        raise ConfigError(*(f"{path}: {problem}{_where_else(problem)}" for problem in error.args)) from error
    return merged


def _where_else(problem: str) -> str:
    """What to do where a run chose what is not here."""
    if " does not exist: " not in problem:
        return ""
    return "; what lies in a folder of your own is found by --config-dir, what is of a package once that is installed"


def _parse(text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"{text!r} is not understood: write key=value, such as quantization.weight_bits=4; quote odd characters"
        ) from error
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        override = OverridesParser.create().parse_override(expand_glob(override, group_options()))
    if override.key_or_group in NAMES and isinstance(override.value(), bool | int | float):
        override = OverridesParser.create().parse_override(named_as_typed(text))
    _check_name(override)
    return override


def named_as_typed(text: str) -> str:
    """``name=true`` and ``name=007`` as the texts that they are, not as values that are written otherwise."""
    key, _, value = text.partition("=")
    return f"{key}='{value.strip()}'"


def _wrong_in(overrides: list[Override]) -> tuple[str, ...]:
    """What is wrong with these, the others left out."""
    plain = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
    try:
        return wrong_values(compose_config(plain))
    except ConfigError as error:
        return error.args


def _check_name(override: Override) -> None:
    """Raise ConfigError, with the nearest valid name, for a key or a group's option that does not exist."""
    key, options = override.key_or_group, group_options()
    if override.is_delete():
        raise ConfigError(f"{override.input_line}: keys and groups cannot be removed, only set")
    if key in options:
        for choice in _choices(override):
            _check_choice(key, choice, options[key])
        return
    if re.match(r"hydra([./]|$)", key) or key in known_keys():
        return
    old = hint_for_key(key)
    if old is not None:
        raise ConfigError(old)
    near = nearest_key(key)
    hint = f"did you mean {near}? " if near else ""
    raise ConfigError(f"unknown key {key!r}: {hint}`--cfg job` prints all keys")


def _choices(override: Override) -> list[Any]:
    """The options that an override of a group names: one, a list of them, or those of a sweep."""
    if override.is_sweep_override():
        return [] if not override.is_choice_sweep() else list(override.sweep_string_iterator())
    value = override.value()
    return value if isinstance(value, list) else [value]


def _check_choice(group: str, choice: Any, options: list[str]) -> None:
    """Raise ConfigError unless the group has the option."""
    if choice in options:
        return
    old = hint_for_option(group, str(choice))
    if old is not None:
        raise ConfigError(old)
    near = difflib.get_close_matches(str(choice), options, 1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    shown = "null" if choice is None else choice
    raise ConfigError(f"{group}={shown} does not exist: {hint}options are {', '.join(options)}")


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


class CommandLine(NamedTuple):
    """``words``: what Hydra shall read; ``cfg``: the config of a single run, with Hydra's own part; ``sweep``: the jobs of
    a sweep. Both are None where neither is run."""

    words: list[str]
    cfg: DictConfig | None
    sweep: Sweep | None = None


def prepare_arguments(argv: list[str]) -> list[str]:
    """The words of `read_command_line`."""
    return read_command_line(argv).words


def read_command_line(argv: list[str]) -> CommandLine:
    """What the user typed: overrides checked, and ``resume=`` turned into those of its run.

    Raises ConfigError and RunFolderError; nothing is written.
    """
    path, rest = take_path(argv, "resume")
    note_search_path(rest)
    arguments = _parse_flags(rest)
    if arguments.help or arguments.hydra_help or arguments.shell_completion:
        return CommandLine(rest, None)
    overrides = arguments.overrides
    flags = [text for text in rest if text not in overrides]
    if path == Path(AUTO):
        check_auto(overrides, arguments.multirun)
        overrides = [*overrides, f"resume={AUTO}"]
    elif path is not None:
        if arguments.multirun:
            raise ConfigError(f"resume={path} cannot be swept: leave out -m and resume one run at a time")
        folder, _ = split_checkpoint(path)
        overrides = [*saved_and_given(folder, overrides), f"resume={quoted(path)}"]
        overrides += [f"hydra.run.dir={quoted(folder)}"]
    parsed = parse_overrides(overrides)
    overrides = [override.input_line or "" for override in parsed]
    words = [*flags, *overrides]  # argparse takes the overrides in one piece, and more may follow
    if arguments.cfg or arguments.info:
        try_run(parsed)
        return CommandLine(words, None)
    if arguments.multirun:
        sweep = try_sweep(parsed, group_options())
        return CommandLine([*words, f"hydra.sweep.dir={quoted(sweep.folder)}"], None, sweep)
    cfg = try_run(parsed)
    return CommandLine(words, cfg if cfg.hydra.mode != RunMode.MULTIRUN else None)


def _parse_flags(words: list[str]) -> argparse.Namespace:
    """Hydra's flags and, as ``overrides``, the other words. Raises ConfigError for a flag that it does not have."""
    parser = get_args_parser()
    parser.allow_abbrev = False  # --experiment would be --experimental-rerun
    arguments, unknown = parser.parse_known_intermixed_args(words)
    flag = next((word for word in unknown if word.startswith("-")), None)
    if flag is not None:
        raise ConfigError(_instead_of(flag, words))
    if arguments.config_name or arguments.config_path:
        name = "--config-name" if arguments.config_name else "--config-path"
        raise ConfigError(
            f"{name} is not taken: qsnn has one config, of groups; put settings of your own into files of groups, such as "
            "experiment/mine.yaml, and name their folder by --config-dir"
        )
    if arguments.multirun and (arguments.cfg or arguments.info):
        raise ConfigError("--cfg and --info tell of one run: leave out -m and sweep.name=, with one value of each key")
    if arguments.experimental_rerun:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which may run anything: go on with a run by resume=<folder>"
        )
    return arguments


def _instead_of(flag: str, words: list[str]) -> str:
    """What to write for ``--key value`` or ``--key=value``."""
    name, _, value = flag.lstrip("-").partition("=")
    follows = words[words.index(flag) + 1 :][:1]
    if not value and follows and not follows[0].startswith("-") and "=" not in follows[0]:
        value = follows[0]
    key = nearest_key(name.replace("-", "_"))
    example = f"{key}={value or '<value>'}" if key else "key=value, such as quantization.weight_bits=4"
    return f"{flag} is not a flag: write {example}; `--help` shows more"
