"""Checks of the config of local learning."""

import math

from qsnn.config.event_data import wrong_event_data
from qsnn.config.require import (
    LONGEST_STEP,
    MAX_FACTOR,
    MAX_STEPS_OF_TAU,
    SHORTEST_STEP,
    Numbers,
    Problems,
    unless,
    wrong_bits,
    wrong_numbers,
)
from qsnn.config.schema import Config
from qsnn.config.schema_local import LocalMLPConfig

LOCAL_BITS = (
    "weight_bits", "synapse_trace_bits", "membrane_trace_bits", "refractory_bits", "readout_weight_bits", "gradient_bits",
    "error_bits", "membrane_bits", "readout_bits", "sigmoid_bits",
)  # fmt: skip


def _local_numbers(config: Config) -> Numbers:
    model, neuron, trainer = config.model, config.neuron, config.trainer
    layers = (
        {"hidden": 1}
        if isinstance(model, LocalMLPConfig)
        else {"channels": 1, "kernel_size": 1, "padding": 0, "pooling": 1}
    )
    for name, lowest in layers.items():
        for index, value in enumerate(getattr(model, name)):
            yield f"model.{name}[{index}]", value, lowest, 100_000, True
    for index, value in enumerate(model.weight_mult):
        yield f"model.weight_mult[{index}]", value, 0, MAX_FACTOR, False
    yield "model.init_beta", model.init_beta, 0, MAX_FACTOR, True
    yield "model.bias_gain", model.bias_gain, 0, MAX_FACTOR, True
    yield "model.readout_amplitude", model.readout_amplitude, 0, MAX_FACTOR, False
    longest = neuron.dt * MAX_STEPS_OF_TAU
    if SHORTEST_STEP <= neuron.dt <= LONGEST_STEP:
        for name in ("tau_mem_lower", "tau_syn_lower", "tau_ref"):
            yield f"neuron.{name}", getattr(neuron, name), neuron.dt, longest, False
        yield "neuron.tau_mem_upper", neuron.tau_mem_upper, neuron.tau_mem_lower, longest, True
        yield "neuron.tau_syn_upper", neuron.tau_syn_upper, neuron.tau_syn_lower, longest, True
    yield "neuron.trace_cap", neuron.trace_cap, 1 / MAX_FACTOR, 1, True
    yield "neuron.decay_bits", neuron.decay_bits, 1, 24, True
    yield "trainer.batch_size", trainer.batch_size, 1, 100_000, True
    yield "trainer.burn_in", trainer.burn_in, 0, min(config.dataset.window_train, config.dataset.window_test), True
    for name in ("l1", "l2"):
        yield f"trainer.{name}", getattr(trainer, name), 0, MAX_FACTOR, True
    yield "trainer.dropout", trainer.dropout, 0, 0.999, True
    yield "trainer.train_sample", trainer.train_sample, 0, 10**9, True
    for name in ("lr_div", "validate_every"):
        yield f"trainer.{name}", getattr(trainer, name), 1, 10**9, True


def wrong_in_local(config: Config) -> Problems:
    """What only local learning has."""
    yield from wrong_bits(config, LOCAL_BITS)
    yield from wrong_numbers(_local_numbers(config))
    wrong_data = [*wrong_event_data(config.dataset, config.neuron.dt)]
    yield from wrong_data
    yield from _wrong_layers(config)
    if not wrong_data:
        yield from _wrong_burn_in(config)


def _wrong_layers(config: Config) -> Problems:
    """Lists that need one entry for each layer."""
    model, key = config.model, "hidden" if isinstance(config.model, LocalMLPConfig) else "channels"
    num_layers = len(getattr(model, key))
    yield from unless(num_layers > 0, f"model.{key}", "[]", "give one entry for each layer, at least one")
    for name in () if key == "hidden" else ("kernel_size", "padding", "pooling"):
        given, allowed = getattr(model, name), f"it needs {num_layers} entries, as many as model.channels"
        yield from unless(len(given) == num_layers, f"model.{name}", given, allowed)
    mults, allowed = model.weight_mult, f"it needs 1 entry or {num_layers}, one for each layer"
    yield from unless(len(mults) in (1, num_layers), "model.weight_mult", mults, allowed)


def _wrong_burn_in(config: Config) -> Problems:
    """No time to learn."""
    window, burn_in = min(config.dataset.window_train, config.dataset.window_test), config.trainer.burn_in
    later = math.isfinite(burn_in) and round(window / config.neuron.dt) > round(burn_in / config.neuron.dt)
    allowed = f"it leaves no step to learn in windows of {window:g} s: make it shorter"
    if 0 <= burn_in <= window:
        yield from unless(later, "trainer.burn_in", burn_in, allowed)
