"""From a run that has not begun to what an integer machine needs to learn as it will: a `Model` and a `Recipe`."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from qsnn.deploy.arithmetic import Whole, highest_code
from qsnn.deploy.from_net.model_of import event_input, model_of, raster_input
from qsnn.deploy.from_net.spiking_layers import neuron_of
from qsnn.deploy.model import Model, Source, Weights
from qsnn.deploy.training.recipe import (
    Extent,
    LocalRule,
    Loss,
    Raster,
    Recipe,
    Softmax,
    SpikeCount,
    SpikingRule,
    Stored,
    Update,
    VanRossum,
)
from qsnn.dynamics import SGD, UpdateRule
from qsnn.dynamics.dropout import dropout_threshold
from qsnn.dynamics.surrogate import table_of
from qsnn.dynamics.time_constants import fraction_bits
from qsnn.errors import ConfigError
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.losses.cross_entropy import IntegerCrossEntropyLoss
from qsnn.losses.integer_softmax import softmax_table
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models.local_net import LocalNet
from qsnn.options import impossible
from qsnn.quantization import symmetric, to_codes
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Run, RunSettings
from qsnn.training.state import TrainingState

IN_INTEGERS = (
    "only a run that learns in integers can be repeated in integers: train with quantization.arithmetic=integer"
)


def learning_of(run: Run, source: Source, dt: float) -> tuple[Model, Recipe]:
    """``run``: as built, its weights those of the start; steps of ``dt`` seconds. Raises ConfigError, naming the key, if its
    training is none of integers."""
    if "accumulator_bits" not in run.facts:
        raise ConfigError(impossible("quantization.arithmetic", "float", IN_INTEGERS))
    task: Any = run.task
    if isinstance(task, PatternTask):
        inputs = raster_input(task.inputs, dt)
    else:
        inputs = event_input(task.inputs, tuple(task.dataset.sensor), task.test_windows)
        train = event_input(task.inputs, tuple(task.dataset.sensor), task.train_windows)
        inputs = inputs._replace(signed=inputs.signed or train.signed)
    model = model_of(run.state.model, inputs, task.classes, run.learner, source, all_readouts=True)
    samples = 1 if isinstance(task, PatternTask) else task.settings.batch_size
    extent = Extent(task.num_steps, samples, task.batches_per_epoch, run.settings.epochs)
    pattern = Raster(*map(_whole, task.pattern)) if isinstance(task, PatternTask) else None
    return model, recipe_of(run.state, run.learner, run.settings, extent)._replace(pattern=pattern)


def recipe_of(state: TrainingState, learner: Any, settings: RunSettings, extent: Extent) -> Recipe:
    """From a state before its first batch, how it learns and with which rates. Raises ConfigError."""
    net = state.model
    rules = tuple(
        _local_rule(layer, learner, state.streams[f"{name}/dropout"].key)
        if isinstance(layer, IntegerLocalLayer)
        else _spiking_rule(layer)
        for name, layer in net.layers.items()
    )
    stored = {
        name: _stored(name, tensor, net, settings, state.streams[name].key)
        for name, tensor in net.trained_tensors().items()
    }
    loss = None if isinstance(net, LocalNet) else _loss(learner.loss, extent.steps)
    return Recipe(rules, stored, loss, _update(state.rule, settings, extent), extent)


def _stored(name: str, tensor: Tensor, net: Any, settings: RunSettings, key: int) -> Stored:
    layer = name.partition(".")[0]
    rounding, module = settings.rounding[layer], net.layers[layer]
    assert rounding.gradient_bits is not None
    if isinstance(module, IntegerLocalLayer):
        assert module.settings.weight_bits is not None
        weight_bits, bits = module.settings.weight_bits, rounding.gradient_bits
        limit = highest_code(bits)
    else:
        weight_bits = net.weights()[name].weight_bits
        bits = max(weight_bits, rounding.gradient_bits)
        limit = highest_code(weight_bits) << (bits - weight_bits)
    start = np.clip(on_grid(tensor, bits), -limit, limit)  # as training clamps it before the first pass
    return Stored(name, start, bits - 1, limit, weight_bits, rounding.gradient_bits, rounding.rng_bits, key)


def on_grid(tensor: Tensor, bits: int) -> Whole:
    """Codes of stored values that are multiples of 2^-(bits-1). Raises ConfigError for one that is none."""
    scaled = tensor.detach().cpu().double().numpy() * 2.0 ** (bits - 1)
    codes: Whole = np.rint(scaled).astype(np.int64)
    if (codes != scaled).any():
        raise ConfigError(f"stored weights are no multiples of 2^-{bits - 1}: {IN_INTEGERS}")
    return codes


def _spiking_rule(layer: Any) -> SpikingRule:
    neuron = neuron_of(layer)
    found = table_of(neuron)
    assert found is not None
    return SpikingRule(neuron.error_bits, _whole(found[0]), neuron.surrogate_bits, bool(neuron.threshold_mask))


def _local_rule(layer: IntegerLocalLayer, learner: Any, key: int) -> LocalRule:
    _, _, readout = layer.constants()
    bits = layer.settings.readout_weight_bits
    assert bits is not None
    feedback = Weights(_whole(to_codes(layer.readout_feedback, symmetric(bits))), bits, bits - 1)
    return LocalRule(
        readout.error_bits,
        feedback,
        _whole(readout.slope),
        readout.l1,
        readout.l2,
        dropout_threshold(learner.dropout),
        key,
    )


def _whole(tensor: Tensor) -> Whole:
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).astype(np.int64)


def _loss(loss: Any, steps: int) -> Loss:
    if isinstance(loss, VanRossumDistance) and loss.filter_bits is not None:
        shift = fraction_bits(loss.decay)
        return VanRossum(round(loss.decay * 2**shift), shift, loss.filter_bits)
    if isinstance(loss, SpikeCountLoss):
        return SpikeCount(round(loss.true_rate * steps), round(loss.false_rate * steps))
    if isinstance(loss, IntegerCrossEntropyLoss):
        return Softmax(_whole(softmax_table(loss.temperature, steps, loss.softmax_bits)), loss.softmax_bits)
    raise ConfigError(
        impossible("loss", type(loss).__name__, "the trainer knows van_rossum, spike_count and cross_entropy")
    )


def _update(rule: UpdateRule, settings: RunSettings, extent: Extent) -> Update:
    """The rule; eta's halvings are looked up in the schedule of the run itself, whatever it rounds."""
    if not isinstance(rule, SGD) or rule.lr != 1:
        raise ConfigError(impossible("optimizer", type(rule).__name__, "the trainer knows SGD with optimizer.lr=1"))
    momentum, below = rule.momentum.as_integer_ratio()

    def log_eta(batch: int) -> int:
        epoch, place = divmod(batch, extent.batches)
        (eta,) = {r.eta for r in settings.rates_at(epoch + 1, place, extent.batches).rounding.values()}
        return math.frexp(eta)[1] - 1

    last = max(0, extent.epochs * extent.batches - 1)
    first = log_eta(0)
    return Update(momentum, below.bit_length() - 1, first, tuple(_halvings(log_eta, 0, last, first, log_eta(last))))


def _halvings(log_eta: Any, low: int, high: int, above: int, below: int) -> list[int]:
    """The batches in low + 1 .. high from which on eta is halved once more, it being ``above`` in low and ``below`` in high."""
    if above == below:
        return []
    if high == low + 1:
        return [high] * (above - below)
    middle = (low + high) // 2
    between = log_eta(middle)
    return _halvings(log_eta, low, middle, above, between) + _halvings(log_eta, middle, high, between, below)
