"""The config of a job from that of the one before, where only values differ: composing takes Hydra a tenth of a second."""

import copy
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException


class Composer:
    """Composes job after job as Hydra's ``load_sweep_config`` does; from the last one's config where that gives the same."""

    def __init__(self, loader: ConfigLoader, cfg: DictConfig) -> None:
        self._loader, self._sweep = loader, cfg
        self._last: tuple[list[str], DictConfig] | None = None

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job, with Hydra's part. Raises what Hydra does."""
        cfg = None if self._last is None else changed(*self._last, overrides)
        if cfg is None:
            cfg = self._loader.load_sweep_config(self._sweep, list(overrides))
        else:
            OmegaConf.copy_cache(from_config=self._sweep, to_config=cfg)
        self._last = list(overrides), copy.deepcopy(cfg)
        return cfg


def changed(before: Sequence[str], cfg: DictConfig, now: Sequence[str]) -> DictConfig | None:
    """``cfg``, which was composed with the overrides ``before``, as it is with those of ``now``. None if they differ in
    more than values of keys: in a group's option, which decides what keys there are, or in which keys they set."""
    pairs = [(old, new) for old, new in zip(before, now, strict=False) if old != new]
    keys = [key_of(text) for text in now]
    if len(before) != len(now) or len(set(keys)) < len(keys) or any(key_of(old) != key_of(new) for old, new in pairs):
        return None
    if any(not is_value(key_of(new), keys, cfg) for _, new in pairs):
        return None
    cfg = copy.deepcopy(cfg)
    parser = OverridesParser.create()
    for old, new in pairs:
        override = parser.parse_override(new)
        if isinstance(override.value(), dict):  # it would be merged into the last one's
            return None
        try:
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:  # Hydra says it better
            return None
        _note(cfg, old, new)
    with open_dict(cfg):
        cfg.hydra.job.override_dirname = override_dirname(now, cfg)
    return cfg


def is_value(key: str, keys: list[str], cfg: DictConfig) -> bool:
    """Whether ``key`` sets a value that no other of the ``keys`` has to do with."""
    related = [other for other in keys if other.startswith(f"{key}.") or key.startswith(f"{other}.")]
    return key.replace(".", "").replace("_", "").isalnum() and key not in cfg.hydra.runtime.choices and not related


def key_of(text: str) -> str:
    """What an override sets."""
    return text.partition("=")[0]


def _note(cfg: DictConfig, old: str, new: str) -> None:
    overrides = cfg.hydra.overrides.hydra if key_of(new).startswith("hydra.") else cfg.hydra.overrides.task
    listed = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(listed, list)
    overrides[listed.index(old)] = new


def override_dirname(overrides: Sequence[str], cfg: DictConfig) -> str:
    """What Hydra calls ``hydra.job.override_dirname``: the overrides of keys that are not Hydra's own, in one word."""
    setting = cfg.hydra.job.config.override_dirname
    names = {text: key_of(text).partition("@")[0].lstrip("+~") for text in overrides}
    kept = [
        text
        for text, name in names.items()
        if name not in setting.exclude_keys and not name.startswith(("hydra.", "hydra/"))
    ]
    return setting.item_sep.join(sorted(kept)).replace("=", setting.kv_sep)
