"""From the words of `qsnn.search` to a config, those of `search.` apart: what they set is no key of the runs.

They are read here rather than by Hydra because ``search.over={...}`` replaces what an experiment searches; Hydra would merge.
"""

from dataclasses import fields
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.building.common import to_config
from qsnn.config.checking.explaining import explain, nearest_key
from qsnn.config.command_line import parse_overrides
from qsnn.config.composition import compose_config, without_hydra
from qsnn.config.schema import Config, Search
from qsnn.config.search_path import note_search_path
from qsnn.config.sweep_jobs import check_launcher, check_objective
from qsnn.config.sweeps.launchers import register_launchers, workers_of
from qsnn.errors import ConfigError
from qsnn.options import impossible

PREFIX, OVER = "search.", "search.over."
QUIET = ("hydra.job_logging.root.handlers=[file]", "hydra.hydra_logging.root.level=WARNING")
"""A job's log goes into its folder alone; the search tells of each trial in a line."""
REFERENCE = "quantization=full_precision"
NOTHING = (
    "no word says what is to be trained: give an experiment, such as python -m qsnn.search experiment=search_bits, which takes "
    "minutes; experiment=pattern, the default of qsnn.train, would train 10,000 epochs in full precision first"
)


class Words(NamedTuple):
    """``task``: what every run is started with; ``hydra``: Hydra's own, such as the launcher; ``config``: of the task, with
    what was given of ``search.``."""

    task: list[str]
    hydra: list[str]
    config: Config

    @property
    def full_precision(self) -> list[str]:
        """The task's words in full precision."""
        return [*(word for word in self.task if not _key(word).startswith("quantization")), REFERENCE]

    def having(self, overrides: list[str]) -> list[str]:
        """The task's words with some set anew."""
        names = {_key(word) for word in overrides}
        return [*(word for word in self.task if _key(word) not in names), *overrides]


def read_words(arguments: list[str]) -> Words:
    """What the user typed. Raises one ConfigError with all that is wrong."""
    rest = note_search_path(arguments)
    flags = [word for word in rest if word.startswith("-")]
    if flags:
        raise ConfigError(f"{flags[0]} is not a flag: `--help` shows what there is")
    own = [word for word in rest if word.startswith(PREFIX)]
    hydra = [word for word in rest if _key(word).startswith("hydra")]
    task = [word for word in rest if word not in own and word not in hydra]
    if not task:
        raise ConfigError(NOTHING)
    _refuse(task, hydra)
    parsed = parse_overrides([*task, *hydra])
    swept = [override.input_line for override in parsed if override.is_sweep_override()]
    if swept:
        raise ConfigError(f"{swept[0]} holds several values: search over them, search.over='{{key: [value, value]}}'")
    _check_launcher(task, hydra, parsed)
    cfg = compose_config(task)
    _set(cfg, own)
    check_objective(cfg)
    config = to_config(without_hydra(cfg))
    objectives = config.search.objectives
    if not objectives or len(set(objectives)) < len(objectives):
        raise ConfigError(impossible("search.objectives", objectives, "give one, or several different ones"))
    return Words(task, [*hydra, *QUIET], config)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _refuse(task: list[str], hydra: list[str]) -> None:
    """Raise ConfigError for what a search sets itself."""
    for word in task:
        if _key(word) in ("resume", "sweep.name"):
            raise ConfigError(f"{word} is not taken: the same command goes on with the search of its search.name")
    for word in hydra:
        if _key(word).startswith(("hydra.run", "hydra.sweep", "hydra/sweeper")):
            raise ConfigError(f"{word} is not taken: a search's runs lie in outputs/search/<search.name>/")


def _check_launcher(task: list[str], hydra: list[str], parsed: list[Override]) -> None:
    """Raise ConfigError for a launcher that is not there, or whose keys it does not have, before a folder is anybody's."""
    if hydra:
        check_launcher(parsed)
        register_launchers()
        workers_of(compose_config([*task, *hydra], return_hydra_config=True))


def _set(cfg: DictConfig, words: list[str]) -> None:
    """Set the keys of ``search.``. Raises one ConfigError."""
    names, problems = [entry.name for entry in fields(Search)], []
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            problems.append(f"{word!r} is not understood: write such as search.over='{{weight_bits: [1,2,4,8]}}'")
            continue
        key, value = override.key_or_group.removeprefix(PREFIX), override.value()
        if override.is_sweep_override():
            problems.append(f"{word} holds several values: put a list into brackets")
        elif key in names:
            problems += _assign(cfg, key, value, word)
        elif override.key_or_group.startswith(OVER):
            with open_dict(cfg.search.over):
                cfg.search.over[override.key_or_group.removeprefix(OVER)] = value
        else:
            near = nearest_key(override.key_or_group)
            problems.append(f"unknown key {override.key_or_group!r}{f': did you mean {near}?' if near else ''}")
    if problems:
        raise ConfigError(*problems)


def _assign(cfg: DictConfig, key: str, value: Any, word: str) -> list[str]:
    """Set a key; what is wrong with its type."""
    if key == "name" and isinstance(value, bool | int | float):
        value = word.partition("=")[2].strip()  # as it was typed
    if key == "over" and not isinstance(value, dict):
        return [f"{word} is not possible: give such as search.over='{{weight_bits: [1,2,4,8]}}'"]
    try:
        with open_dict(cfg.search):
            cfg.search[key] = OmegaConf.create({str(k): v for k, v in value.items()}) if key == "over" else value
    except OmegaConfBaseException as error:
        return [explain(error, [word])]
    return []
