"""From a trained net, and what its run says of data and loss, to a `Model`."""

from typing import Any

from qsnn.data.events.windows import SIGNED_MODES, WindowSettings
from qsnn.deploy.from_net.local_layers import local_layers
from qsnn.deploy.from_net.spiking_layers import spiking_layers
from qsnn.deploy.model import COUNT, MAX, MEAN, RASTER, VOTES, Decision, Input, Layer, Model, Source
from qsnn.errors import ConfigError
from qsnn.losses.cross_entropy import MAX as OVER_TIME_MAX
from qsnn.losses.cross_entropy import CrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.models import SpikingNet
from qsnn.models.local_net import LocalNet
from qsnn.options import impossible

MICROSECONDS = 1e6


def model_of(
    net: Any, inputs: Input, classes: tuple[str, ...], learner: Any, source: Source, all_readouts: bool = False
) -> Model:
    """The net as integers. ``learner``: how it learned, which says how it decides; ``all_readouts``: of a net that learned
    locally those of every layer, not of the last alone. Raises ConfigError, naming the keys, if it is none of integers."""
    layers: tuple[Layer, ...]
    if isinstance(net, LocalNet):
        layers, decision = local_layers(net, all_readouts), Decision(VOTES, learner.burn_in, classes)
    elif isinstance(net, SpikingNet):
        layers, decision = (
            spiking_layers(net, inputs.shape, inputs.signed),
            Decision(_rule(learner, classes), 0, classes),
        )
    else:
        raise ConfigError(
            impossible("model", type(net).__name__, "the engine knows nets of trainer=bptt and trainer=local")
        )
    return Model(inputs, layers, decision, source)


def _rule(learner: Any, classes: tuple[str, ...]) -> str:
    """How a net that learned by backpropagation decides."""
    if not classes:
        return RASTER
    loss = learner.loss
    if isinstance(loss, SpikeCountLoss):
        return COUNT
    if isinstance(loss, CrossEntropyLoss):
        return COUNT if loss.over_time is None else MAX if loss.over_time == OVER_TIME_MAX else MEAN
    raise ConfigError(impossible("loss", type(loss).__name__, "the engine decides as cross_entropy and spike_count do"))


def event_input(inputs: tuple[int, ...], sensor: tuple[int, ...], windows: WindowSettings) -> Input:
    """Of a net that learned from recordings: ``inputs`` (C, H, W), ``sensor`` (height, width), its test ``windows``."""
    signed, w = windows.input_mode in SIGNED_MODES, windows
    return Input(inputs, signed, w.step, w.num_steps, tuple(sensor), w.input_mode, w.downsample)


def raster_input(inputs: tuple[int, ...], dt: float) -> Input:
    """Of a net that learned a pattern, in steps of ``dt`` seconds."""
    return Input(inputs, False, max(1, round(dt * MICROSECONDS)), 0)
