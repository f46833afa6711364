"""With quantization.arithmetic=integer whatever a run would compute in floats is refused by name, before it has a folder."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from qsnn.config.building.common import to_config
from qsnn.config.building.run import build_run
from qsnn.config.command_line import compose_config
from qsnn.dynamics.lif import LIF
from qsnn.errors import ConfigError

PATTERN = ["experiment=pattern_w2_integer", "model.hidden=[20]"]
REFUSED = {
    "optimizer=adam": "optimizer=adam is not possible",
    "optimizer=adamax": "optimizer=adamax is not possible",
    "optimizer.eta=0.1": "optimizer.eta=0.1 is not possible",
    "optimizer.eta=24": "give a power of two",
    "optimizer.lr=0.5": "optimizer.lr=0.5 is not possible",
    "optimizer.eta_schedule=cosine": "allows constant or halving",
    "optimizer.lr_schedule=halving": "optimizer.lr_schedule=halving is not possible",
    "optimizer.momentum=0.9": "give 2^-k or 1 - 2^-k",
    "optimizer.momentum=0.5 quantization.gradient_bits=[8,10]": "momentum keeps all layers on one grid",
    "quantization.rng_rule=original": "set quantization.rng_rule=unbiased",
    "quantization.error_bits=null": "quantization.error_bits=null is not possible",
    "quantization.gradient_bits=null": "quantization.gradient_bits=null is not possible",
    "quantization.weight_bits=[2,null]": "quantization.weight_bits=[2, null] is not possible",
    "quantization.state_bits=null": "quantization.membrane_bits=null is not possible",
    "neuron.decay=exponential": "neuron.decay=exponential is not possible",
    "neuron=lif neuron.decay=euler neuron.tau_mem=0.03": "of neuron.tau_mem is none: set neuron.decay=dyadic, or set "
    "neuron.decay_bits=8, which rounds it",
    "neuron.membrane_decay=0.7": "give a fraction such as 0.699219, or set neuron.decay_bits=8, which rounds it",
    "loss=van_rossum loss.van_rossum_decay=0.7": "loss.van_rossum_decay=0.7 is not possible: with "
    "quantization.arithmetic=integer a decay is a multiplier over a power of two, it is none: give a fraction such as 0.699219",
    "neuron.membrane_decay=0.9": "neuron.membrane_decay=0.9 is not possible",
    "loss=van_rossum loss.decay=euler loss.tau_vr=0.007": "loss.decay=euler is not possible",
    "dataset=randman loss=cross_entropy loss.logits=membrane": "loss=cross_entropy is not possible",
}


@pytest.mark.parametrize("words", REFUSED)
def test_float_is_refused_by_its_key(words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        to_config(compose_config([*PATTERN, *words.split()]))
    lines = [line for line in str(refused.value).splitlines() if REFUSED[words] in line]
    assert lines
    assert all("quantization.arithmetic=integer" in line for line in lines)


@pytest.mark.parametrize("words", ["neuron.decay=exponential neuron.decay_bits=8", "neuron=lif", "neuron=if",
                                   "optimizer.momentum=0.875 optimizer.eta_schedule=constant",
                                   "dataset=randman loss=cross_entropy"])  # fmt: skip
def test_what_is_whole_is_let_through(words: str) -> None:
    to_config(compose_config([*PATTERN, *words.split()]))


@dataclass
class Changed(LIF):
    """A neuron of somebody's own that has changed an equation."""


def test_neuron_that_is_derived_from_one_of_ours_has_to_say_itself_that_its_step_is_whole() -> None:
    config = to_config(compose_config([*PATTERN, "neuron=lif"]))
    assert not list(config.trainer.float_quantities(config))
    config.neuron = Changed()
    assert ["neuron=lif is not possible" in line for line in config.trainer.float_quantities(config)] == [True]


def test_sum_that_float32_would_round_is_refused_with_its_layer_and_width(tmp_path: Path) -> None:
    wide = ["quantization.weight_bits=14", "quantization.gradient_bits=14", "quantization.error_bits=12"]
    with pytest.raises(
        ConfigError,
        match="spike_gradient of layer hidden can need 33 signed bits, 25 with the sign are summed exactly: lower",
    ):
        build_run(to_config(compose_config([*PATTERN, *wide])), tmp_path)


def test_run_starts_on_the_grid_of_its_gradients_and_states_its_widths(tmp_path: Path) -> None:
    run = build_run(
        to_config(compose_config([*PATTERN, "quantization.gradient_bits=5", "quantization.state_bits=9"])), tmp_path
    )
    for stored in run.state.model.weights().values():
        codes = stored.weight * 2**4
        assert (codes == codes.round()).all()
    assert run.facts["accumulator_bits"]["hidden"]["current"] == 11
    assert run.facts["accumulator_bits"]["output"]["rounded_gradient"] == 12  # to 1024 sqrt(2): eta is 1024
