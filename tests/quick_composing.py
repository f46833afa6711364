"""Hydra parses every config file and every ``${...}`` anew each time it composes, half of the seconds of a composition, and
tests compose a thousand times: what has been parsed once is remembered, a file for as long as it is the same file."""

import copy
import functools
import os
import sys

import omegaconf  # noqa: F401  with the modules that have its parser
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import grammar_parser

# Looking for plugins defines their classes anew, so it comes before the class is asked for.
Plugins.instance()
_Files = SourcesRegistry.instance().resolve("file")
_load, _parse = _Files.load_config, grammar_parser.parse


@functools.cache
def loaded(provider: str, folder: str, config: str, file: tuple[int, ...]) -> ConfigResult:
    """What Hydra reads from a file that ``stat`` tells from others."""
    return _load(_Files(provider, folder), config)


def _load_once(source: ConfigSource, config_path: str) -> ConfigResult:
    """A copy of what was read from the file; ``stat`` tells whether it has been written since."""
    path = os.path.join(source.path, source._normalize_file_name(config_path))
    if not os.path.exists(path):
        return _load(source, config_path)
    found = os.stat(path)
    file = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return copy.deepcopy(loaded(source.provider, os.path.abspath(source.path), config_path, file))


def parse_once() -> None:
    """For the rest of this process. Syntax trees are shared: who visits them changes nothing."""
    _Files.load_config = _load_once  # type: ignore[assignment]
    once = functools.cache(_parse)
    for name, module in list(sys.modules.items()):
        if name.startswith("omegaconf.") and getattr(module, "parse", None) is _parse:
            module.parse = once  # type: ignore[attr-defined]
