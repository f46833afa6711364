"""From the words on the command line to Hydra: resume, and one clear line for every mistake. Does not import torch."""

import difflib
import re
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from qsnn.config.paths import config_folder, register_resolvers, split_checkpoint
from qsnn.config.saved_overrides import inherited_overrides
from qsnn.config.schema import GROUPS, Config, register_schema
from qsnn.errors import ConfigError


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
    """The line that helps with a failed composition: OmegaConf's own reason, beside the override that it is about."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
    named = (line.split(": ", 1)[1] for line in lines if line.startswith("full_key: "))
    full_key = getattr(cause, "full_key", None) or next(named, "")
    given = next((text for text in overrides if full_key and text.lstrip("+~").startswith(f"{full_key}=")), full_key)
    owners = [f"{group}={option}" for group, nodes in GROUPS.items() for option, node in nodes.items()
              if full_key in names_of(node, f"{group}.")]  # fmt: skip
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and owners:
        return f"{given}: this key belongs to {' and '.join(owners)}, which is not the one chosen"
    return f"{given}: {lines[0]}" if given else lines[0]


def parse_overrides(texts: list[str]) -> list[Override]:
    """Parse overrides and check the name of each. Raises ConfigError."""
    parsed = []
    for text in texts:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            raise ConfigError(
                f"{text!r} is not understood: write key=value, such as quantization.weight_bits=4; quote odd characters"
            ) from error
        _check_name(override)
        parsed.append(override)
    return parsed


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
    same_leaf = [known for known in known_keys() if known.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    near = same_leaf or difflib.get_close_matches(key, known_keys(), 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
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
    near = difflib.get_close_matches(str(choice), options, 1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    shown = "null" if choice is None else choice
    raise ConfigError(f"{group}={shown} does not exist: {hint}options are {', '.join(options)}")


def names_of(node: Any, prefix: str) -> list[str]:
    """Dotted names of a schema class's fields, inner ones included."""
    names = []
    for name, entry in getattr(node, "__dataclass_fields__", {}).items():
        names += [prefix + name, *names_of(entry.type, f"{prefix}{name}.")]
    return names


def known_keys() -> list[str]:
    """Dotted names of all keys of the root and of every group's options."""
    names = names_of(Config, "")
    for group, nodes in GROUPS.items():
        for node in nodes.values():
            names += names_of(node, f"{group}.")
    return list(dict.fromkeys(names))


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


def prepare_arguments(argv: list[str]) -> list[str]:
    """What Hydra shall read for what the user typed: overrides checked, and ``resume=`` turned into those of its run.

    Raises ConfigError and RunFolderError before anything has been written.
    """
    path, rest = take_path(argv, "resume")
    arguments = get_args_parser().parse_intermixed_args(rest)
    if arguments.help or arguments.hydra_help or arguments.shell_completion:
        return rest
    if arguments.experimental_rerun:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which can run anything: resume=<folder> goes on with a run"
        )
    overrides = arguments.overrides
    flags = [text for text in rest if text not in overrides]
    if path is not None:
        if arguments.multirun:
            raise ConfigError(f"resume={path} cannot be swept: leave out -m and resume one run at a time")
        folder, checkpoint = split_checkpoint(path)
        overrides = [*inherited_overrides(folder, overrides), f"resume={quoted(path)}"]
    for job in _jobs(parse_overrides(overrides), arguments.multirun):
        cfg = compose_config(job)
    if path is not None:
        from qsnn.config.builders import to_config  # these load torch, which only a resumed run needs so early
        from qsnn.config.resume import check_resumable

        check_resumable(folder, to_config(cfg), checkpoint)
        overrides = [*overrides, f"hydra.run.dir={quoted(folder)}"]
    return [*overrides, *flags]


def _jobs(overrides: list[Override], multirun: bool) -> list[list[str]]:
    """The override lists to try: one, or of a sweep one for each value of each swept key (not each combination)."""
    own = [override for override in overrides if not override.key_or_group.startswith("hydra")]
    swept = [override for override in own if override.is_sweep_override()]
    if swept and not multirun:
        raise ConfigError(f"{swept[0].input_line} holds several values: add -m to sweep, or brackets for a list")
    plain = [override.input_line or "" for override in own if not override.is_sweep_override()]
    jobs = [plain]
    for override in swept:
        if override.is_choice_sweep() or override.is_range_sweep():
            values = override.sweep_string_iterator()
            jobs += [[*plain, f"{override.get_key_element()}={value}"] for value in values]
    return jobs
