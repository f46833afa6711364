"""The command line's runs from Python: `qsnn.run` and `qsnn.load`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from qsnn.config.building.common import plain_config, to_config
from qsnn.config.building.run import check_startable
from qsnn.config.command_line import read_command_line, set_up
from qsnn.config.composition import without_hydra
from qsnn.config.nets import load_net
from qsnn.config.resume import check_folder, goes_on
from qsnn.config.run import record_refusal, start
from qsnn.config.search_path import note_search_path
from qsnn.config.start_from import load_source
from qsnn.errors import ConfigError, QsnnError, naming
from qsnn.processes import place
from qsnn.training.folders.lock import locked
from qsnn.training.folders.state import told_as_running


class FinishedRun(NamedTuple):
    """A run's folder, its summary.json and its net, with the best weights or, if there are none to choose among, the last."""

    folder: Path
    summary: dict[str, Any]
    model: Any


class LoadedNet(NamedTuple):
    """``model``: a net, by BPTT ready to call on input spikes (T, B, ...); ``config``: of its run, as nested dicts; ``epoch``:
    how many the weights have finished; ``inputs``: shape of a sample's input in a step; ``classes``: names, if any."""

    model: Any
    config: dict[str, Any]
    epoch: int
    inputs: tuple[int, ...]
    classes: tuple[str, ...]


def run(overrides: list[str]) -> FinishedRun:
    """Train as ``python -m qsnn.train`` does with the same words, and leave the same folder.

    Ctrl-C stops it as it would the command. Raises QsnnError (ConfigError, DataError, RunFolderError, NonFiniteError) and
    OSError; ConfigError for what is no single run.
    """
    if place().shares:
        raise ConfigError("qsnn.run is one process: torchrun starts python -m qsnn.train, whose folder qsnn.load reads")
    set_up()
    _, cfg, sweep = read_command_line(list(overrides))
    if cfg is None or sweep is not None:
        raise ConfigError("qsnn.run takes the words of one run: neither flags nor several values of a key")
    own, folder = without_hydra(cfg), Path(cfg.hydra.run.dir)
    config, task = to_config(own), list(cfg.hydra.overrides.task)
    check_startable(config)
    if config.start_from is not None and not goes_on(config, folder):
        load_source(config)
    with naming(folder), locked(folder):
        check_folder(config, folder)
        _write_hydra(folder, {"config": own, "hydra": OmegaConf.create({"hydra": cfg.hydra}), "overrides": task})
        with told_as_running(folder, task):
            try:
                start(own, folder, task)
            except (QsnnError, OSError) as error:
                record_refusal(folder, own, task, str(error))
                raise
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return FinishedRun(folder, summary, load(folder).model)


def load(folder: str | Path, words: list[str] | None = None) -> LoadedNet:
    """The net of a run's folder, or of one of its checkpoints, without the data that it learned from.

    ``words``: where to compute, such as ``device=cuda``, and ``--config-dir`` of a run that was started with one.
    Raises RunFolderError and ConfigError.
    """
    set_up()
    saved = load_net(Path(folder), note_search_path(words) if words else None)
    return LoadedNet(saved.net, plain_config(saved.config), saved.epoch, saved.inputs, saved.classes)


def _write_hydra(folder: Path, parts: dict[str, Any]) -> None:
    """What Hydra writes of a run: its config, Hydra's own, and the overrides."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        content = OmegaConf.to_yaml(part if name != "overrides" else OmegaConf.create(part))
        (folder / ".hydra" / f"{name}.yaml").write_text(content, encoding="utf-8")
