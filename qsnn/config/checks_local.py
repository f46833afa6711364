"""Checks of the config of local learning."""

import math

from qsnn.config.event_data import check_event_data
from qsnn.config.require import Numbers, check_bits, check_numbers, require
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
        yield f"model.weight_mult[{index}]", value, 0, math.inf, False
    yield "model.init_beta", model.init_beta, 0, math.inf, True
    yield "model.bias_gain", model.bias_gain, 0, math.inf, True
    yield "model.readout_amplitude", model.readout_amplitude, 0, math.inf, False
    for name in ("tau_mem_lower", "tau_syn_lower", "tau_ref"):
        yield f"neuron.{name}", getattr(neuron, name), neuron.dt, math.inf, False
    yield "neuron.tau_mem_upper", neuron.tau_mem_upper, neuron.tau_mem_lower, math.inf, True
    yield "neuron.tau_syn_upper", neuron.tau_syn_upper, neuron.tau_syn_lower, math.inf, True
    yield "neuron.trace_cap", neuron.trace_cap, 0, 1, False
    yield "neuron.decay_bits", neuron.decay_bits, 1, 24, True
    yield "trainer.batch_size", trainer.batch_size, 1, 100_000, True
    yield "trainer.burn_in", trainer.burn_in, 0, min(config.dataset.window_train, config.dataset.window_test), True
    for name in ("l1", "l2"):
        yield f"trainer.{name}", getattr(trainer, name), 0, math.inf, True
    yield "trainer.dropout", trainer.dropout, 0, 0.999, True
    yield "trainer.train_sample", trainer.train_sample, 0, 10**9, True
    for name in ("lr_div", "validate_every"):
        yield f"trainer.{name}", getattr(trainer, name), 1, 10**9, True


def check_local(config: Config) -> None:
    """What only local learning has."""
    check_bits(config, LOCAL_BITS)
    check_numbers(_local_numbers(config))
    check_event_data(config.dataset, config.neuron.dt)
    model, key = config.model, "hidden" if isinstance(config.model, LocalMLPConfig) else "channels"
    num_layers = len(getattr(model, key))
    require(num_layers > 0, f"model.{key}", "[]", "give one entry for each layer, at least one")
    for name in () if key == "hidden" else ("kernel_size", "padding", "pooling"):
        given = getattr(model, name)
        require(
            len(given) == num_layers,
            f"model.{name}",
            given,
            f"it needs {num_layers} entries, as many as model.channels",
        )
    mults = model.weight_mult
    require(
        len(mults) in (1, num_layers),
        "model.weight_mult",
        mults,
        f"it needs 1 entry or {num_layers}, one for each layer",
    )
    window, burn_in = min(config.dataset.window_train, config.dataset.window_test), config.trainer.burn_in
    later = round(window / config.neuron.dt) - round(burn_in / config.neuron.dt)
    require(
        later > 0, "trainer.burn_in", burn_in, f"it leaves no step to learn in windows of {window:g} s: make it shorter"
    )
