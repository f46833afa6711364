"""From overrides to a composed config, with every mistake explained. Does not import torch unless there is one."""

import contextlib
import copy
from collections.abc import Callable, Container, Iterable, Iterator

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.checking.explaining import cause_of, explain, lines_of, override_of
from qsnn.config.paths import config_folder
from qsnn.config.search_path import search_path_override
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, Option


def compose_config(
    overrides: list[str],
    return_hydra_config: bool = False,
    others: Callable[[DictConfig], Iterable[str]] | None = None,
) -> DictConfig:
    """Compose the config, with mistakes explained. Raises one ConfigError with all of them.

    ``others``: what else is wrong, asked where an override is; None: `wrong_values`, of a run.
    """
    problems: list[str] = []
    while True:
        try:
            cfg = _compose(overrides, return_hydra_config)
        except (HydraException, OmegaConfBaseException) as error:
            problems.append(explain(error, overrides))
            wrong = override_of(error, overrides)
            if wrong is None:
                raise ConfigError(*problems) from error
            overrides = [text for text in overrides if text != wrong]  # what else is wrong?
            continue
        problems += wrong_types(cfg)
        if not problems:
            return cfg
        raise ConfigError(*dict.fromkeys((*problems, *(others or wrong_values)(cfg))))


def _compose(overrides: list[str], return_hydra_config: bool) -> DictConfig:
    with without_running_hydra(), initialize_config_dir(config_folder(), version_base="1.3"):
        searched = [text for text in overrides if not text.startswith("hydra.searchpath=")]
        try:
            return compose("config", [*searched, *search_path_override()], return_hydra_config)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"a config file cannot be read: {reason[:300]}") from error
        except RecursionError as error:
            raise ConfigError("a config file names itself in its defaults, by way of others or at once") from error


def compose_like(cfg: DictConfig, before: list[str], overrides: list[str], groups: Container[str]) -> DictConfig:
    """What `compose_config` gives and raises; of ``cfg``, which was composed with the overrides ``before`` of the same keys,
    where only plain values differ, which is a hundred times as quick. ``groups``: keys that choose an option."""
    new = [OverridesParser.create().parse_override(text) for text in overrides if text not in before]
    if not any(override.key_or_group in groups or isinstance(override.value(), dict | list) for override in new):
        cfg = copy.deepcopy(cfg)
        with contextlib.suppress(OmegaConfBaseException):
            for override in new:
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
            if not any(wrong_types(cfg)):
                return cfg
    return compose_config(overrides)  # which says what is wrong


@contextlib.contextmanager
def without_running_hydra() -> Iterator[None]:
    """Within a job that Hydra runs another config can be composed, such as that of the run it starts from."""
    running = GlobalHydra.instance()
    kept = running.hydra
    running.clear()
    try:
        yield
    finally:
        running.hydra = kept


def wrong_types(cfg: DictConfig) -> Iterator[str]:
    """Values of a wrong type that OmegaConf does not know as such, because their key takes several types."""
    for group in GROUPS:
        try:
            one = OmegaConf.to_object(cfg[group])
        except OmegaConfBaseException as error:  # an interpolation that leads nowhere, a value that is missing
            _, full_key = cause_of(error)
            yield f"{full_key}: {lines_of(error)[0]}" if full_key else lines_of(error)[0]
            continue
        if isinstance(one, Option):
            yield from one.wrong_types()


def wrong_values(cfg: DictConfig) -> tuple[str, ...]:
    """What `check_config` finds in a config that lacks the overrides that are wrong by themselves."""
    from qsnn.config.building.common import to_config  # takes torch with it

    try:
        to_config(without_hydra(cfg))
    except ConfigError as error:
        return error.args
    return ()


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own part."""
    own = copy.copy(cfg)
    with open_dict(own):
        own.pop("hydra", None)
    return own
