"""Local learning in integer arithmetic: what would be a float is refused by its key, and a run states its widths."""

from pathlib import Path

import pytest
from helpers import QUIET
from local_data import SMALL_NET, data_folder

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.errors import ConfigError
from qsnn.reporting.health.local import observe_run

INTEGERS = ["quantization=icons_integer", "neuron.decay_bits=16"]
LOCAL = ["experiment=icons_gesture", "dataset=nmnist", *SMALL_NET, *INTEGERS]
REFUSED = {
    "optimizer=adam": "optimizer=adam is not possible",
    "optimizer.eta=3": "optimizer.eta=3.0 is not possible",
    "optimizer.eta_schedule=cosine": "allows constant or halving",
    "optimizer.lr=0.5": "optimizer.lr=0.5 is not possible",
    "optimizer.momentum=0.5": "optimizer.momentum=0.5 is not possible",
    "neuron.decay_bits=null": "neuron.decay_bits=null is not possible",
    "quantization.rng_rule=original": "set quantization.rng_rule=unbiased",
    "quantization.membrane_trace_bits=null": "quantization.membrane_trace_bits=null is not possible",
    "quantization.sigmoid_bits=[6,null]": "quantization.sigmoid_bits=[6, null] is not possible",
    "quantization.gradient_bits=null": "quantization.gradient_bits=null is not possible",
}


@pytest.mark.parametrize("word", REFUSED)
def test_float_of_local_learning_is_refused_by_its_key(word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        to_config(compose_config([*LOCAL, f"dataset.root={Path.cwd()}", word]))
    lines = [line for line in str(refused.value).splitlines() if REFUSED[word] in line]
    assert len(lines) == 1
    assert "quantization.arithmetic=integer" in lines[0]


def test_run_in_integers_states_its_widths_and_stays_on_its_grid(tmp_path: Path) -> None:
    words = [
        *LOCAL, *data_folder(tmp_path, "nmnist"), "dataset.downsample=4", "dataset.window_train=0.03",
        "dataset.window_test=0.03", "trainer.burn_in=0.01", "trainer.batch_size=10",
    ]  # fmt: skip
    run = build_run(to_config(compose_config(words)), tmp_path)
    assert run.facts["accumulator_bits"]["layer1"]["membrane_error"] == 28
    health = observe_run(run, run.learner).health
    assert health["layer1.membrane_trace/saturation"] < 0.1
    assert {key.split("/")[0] for key in health} >= {
        f"layer1.{name}" for name in ("refractory", "readout", "error", "gradient")
    }
    before = {name: tensor.clone() for name, tensor in run.state.model.trained_tensors().items()}
    run.advance(QUIET)
    after = run.state.model.trained_tensors()
    assert all((before[name] != after[name]).any() for name in before if name.endswith("weight"))
    assert all((tensor * 2**9 == (tensor * 2**9).round()).all() for tensor in after.values())
