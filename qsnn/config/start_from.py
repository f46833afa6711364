"""Beginning with the weights of another run: quantized after training (`trainer.epochs=0`), or to learn on with fewer bits."""

from pathlib import Path

import torch

from qsnn.config.nets import SavedNet, load_net
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.models import SpikingNet
from qsnn.quantization import quantize, symmetric
from qsnn.training.run import Run


def load_source(config: Config) -> SavedNet:
    """The net that ``config.start_from`` names. Raises ConfigError if it learned in another way, or with other readouts,
    and what `load_net` does."""
    path = Path(str(config.start_from)).expanduser()
    other = load_net(path)
    ways = other.config.trainer.option, config.trainer.option
    if ways[0] != ways[1]:
        learned = f"its net learned by trainer={ways[0]}, this one by trainer={ways[1]}"
        raise ConfigError(f"start_from={path} does not fit: {learned}")
    for name in config.trainer.come_with_weights:
        theirs, ours = (getattr(one.trainer, name) for one in (other.config, config))
        if theirs != ours:
            fixed = f"trainer.{name} was {theirs:g} there and is {ours:g} here, but belongs to what is taken over"
            raise ConfigError(f"start_from={path} does not fit: {fixed}: set trainer.{name}={theirs:g}")
    return other


def begin_with_source(run: Run, config: Config) -> None:
    """Put the weights of the run that ``config.start_from`` names into ``run``, which has not begun.

    Raises ConfigError if the nets differ in more than bit widths; RunFolderError if the folder is none of a run, or damaged.
    """
    other, path = load_source(config), config.start_from
    try:
        run.state.model.take_weights(other.net.to(next(iter(run.state.model.trained_tensors().values())).device))
    except ValueError as error:
        wanted = "model.*, dataset.* and the loss must make nets of the same layers and shapes"
        raise ConfigError(f"start_from={path} does not fit: {error}; {wanted}") from error
    if config.quantization.integer and isinstance(run.state.model, SpikingNet):
        _onto_grid(run.state.model, config)
    run.state.forget_course()


@torch.no_grad()
def _onto_grid(net: SpikingNet, config: Config) -> None:
    """Round stored weights to codes, as integer arithmetic begins with."""
    widths = dict(zip(net.layers, config.quantization.by_layer(len(net.layers)), strict=True))
    for name, stored in net.weights().items():
        stored.weight.copy_(quantize(stored.weight, symmetric(widths[name.split(".")[0]].initial_bits)))
