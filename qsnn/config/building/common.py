"""Parts of a run that every kind of experiment has, from a checked config."""

from dataclasses import fields
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.checking.checks import check_config
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.kernels.cuda import set_up_cuda
from qsnn.options import GROUPS, Option
from qsnn.reporting.health.figures import Limits
from qsnn.reporting.reporter import LoggingSettings


def to_config(cfg: DictConfig) -> Config:
    """The composed config as checked dataclasses. Raises ConfigError."""
    try:
        config = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        where = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{where}{str(error).strip().splitlines()[0]}") from error
    assert isinstance(config, Config)
    for group in GROUPS:
        if not isinstance(getattr(config, group), Option):
            begin = f"defaults: [/schema/{group}@_here_: <option>, _self_]"
            raise ConfigError(f"the file that was chosen in group {group} names no option: begin it with {begin}")
    if config.loss.stands_for_another:
        config.loss = config.loss.choose(config.trainer, config.dataset)
    config.trainer.settle(config)
    check_config(config)
    return config


def build_device(config: Config) -> torch.device:
    """The device to compute on, a GPU set up by `set_up_cuda`. Raises ConfigError if it is not there."""
    allowed = "allowed are cpu, cuda and cuda:<index>"
    try:
        device = torch.device(config.device)
    except RuntimeError as error:
        raise ConfigError(f"device={config.device} is not known: {allowed}") from error
    if device.type not in ("cpu", "cuda") or config.device.startswith("cpu:"):
        raise ConfigError(f"device={config.device} is not supported: {allowed}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ConfigError(f"device={config.device} is not there: torch finds {found} CUDA devices; use device=cpu")
    if device.type == "cuda":
        set_up_cuda()
    return device


def build_logging(config: Config) -> LoggingSettings:
    """What is written and how often."""
    settings = vars(config.logging)
    return LoggingSettings(**{**settings, "limits": Limits(**vars(config.logging.limits))})


def plain_config(config: Any) -> dict[str, Any]:
    """The config as nested plain dicts."""
    plain = {}
    for entry in fields(config):
        value = getattr(config, entry.name)
        plain[entry.name] = plain_config(value) if hasattr(value, "__dataclass_fields__") else value
    return plain


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
