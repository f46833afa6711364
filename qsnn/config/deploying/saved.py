"""A run's net as a `Model` of integers."""

from typing import Any, NamedTuple

import qsnn
from qsnn.config.building.run import build_machine
from qsnn.config.deploying.request import Words
from qsnn.config.nets import SavedNet, load_net
from qsnn.config.paths import split_checkpoint
from qsnn.deploy.from_net.model_of import event_input, model_of, raster_input
from qsnn.deploy.model import Input, Model, Source
from qsnn.errors import ConfigError
from qsnn.training.runs import read_job


class Exported(NamedTuple):
    """``saved``: the run's net; ``learner``: how it learned; ``model``: the net in integers."""

    saved: SavedNet
    learner: Any
    model: Model


def exported(words: Words) -> Exported:
    """What ``run=`` names. Raises ConfigError, with the run's name, for a net that is none of integers, and RunFolderError."""
    path = words.checkpoint()
    saved = load_net(path, words.overrides)
    learner = saved.config.trainer.build_learner(saved.config, build_machine(saved.config))
    source = Source(saved.config.name or "", saved.file.stem, saved.epoch, qsnn.__version__)
    try:
        model = model_of(saved.net, _input(saved), saved.classes, learner, source)
    except ConfigError as error:
        raise ConfigError(*(f"{path} is no net of integers: {problem}" for problem in error.args)) from error
    return Exported(saved, learner, model)


def reached(run: Exported, words: Words) -> str:
    """After how many epochs the weights are, and whether the run goes on, or was stopped, before its end."""
    if read_job(split_checkpoint(words.run())[0]).status == "finished":
        return f"after {run.saved.epoch} epochs"
    return f"after {run.saved.epoch} of {run.saved.config.trainer.epochs} epochs, not finished"


def _input(saved: SavedNet) -> Input:
    dt = saved.config.neuron.dt
    if not saved.classes:
        return raster_input(saved.inputs, dt)
    return event_input(saved.inputs, saved.sensor, saved.config.dataset.windows(dt, training=False))
