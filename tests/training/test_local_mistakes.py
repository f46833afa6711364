"""Wrong values of local learning: each refused with its key and value, before anything is built."""

from collections.abc import Callable
from pathlib import Path

import pytest
from local_data import make_local_run

from qsnn.errors import ConfigError


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str], str]:
    """The message that an override gets."""

    def message(override: str) -> str:
        with pytest.raises(ConfigError) as caught:
            make_local_run(Path(), tmp_path, "loss=local_readout", override)
        return str(caught.value)

    return message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "model.kernel_size=[3,3,3]",
            "model.kernel_size=[3, 3, 3] is not possible: it needs 1 entry, or 2, as many as model.channels",
        ),
        ("model.channels=[]", "model.channels=[] is not possible: give one entry for each layer"),
        ("trainer.weight_mult=[1,2,3]", "trainer.weight_mult=[1.0, 2.0, 3.0] is not possible: it needs 1 entry or 2"),
        ("model.pooling=[0,1]", "model.pooling[0]=0 is not possible: it must be at least 1"),
        (
            "neuron.tau_mem_lower=0.0005",
            "neuron.tau_mem_lower=0.0005 is not possible: it must be above neuron.dt, 0.001",
        ),
        (
            "neuron.tau_mem_upper=0.004",
            "neuron.tau_mem_upper=0.004 is not possible: it must be at least neuron.tau_mem_lower, 0.005",
        ),
        ("neuron.tau_ref=0.001", "neuron.tau_ref=0.001 is not possible: it must be above neuron.dt, 0.001"),
        ("neuron.tau_ref=1e300", "neuron.tau_ref=1e+300 is not possible: it must be at most 1048.58"),
        (
            "neuron.tau_mem_upper=1e300",
            "neuron.tau_mem_upper=1e+300 is not possible: it must be at most 1048.58",
        ),
        (
            "neuron.tau_syn_upper=1e9",
            "neuron.tau_syn_upper=1000000000.0 is not possible: it must be at most 1048.58",
        ),
        ("neuron.dt=1e300", "neuron.dt=1e+300 is not possible: it must be at least 1e-09 and at most 1000"),
        ("neuron.dt=1.5e-6", "neuron.dt=1.5e-06 is not possible: with events"),
        ("neuron.trace_cap=1e-300", "neuron.trace_cap=1e-300 is not possible: it must be at least 1e-09 and at most 1"),
        (
            "trainer.weight_mult=[1e300]",
            "trainer.weight_mult[0]=1e+300 is not possible: it must be above 0 and at most 1e+09",
        ),
        ("trainer.bias_gain=1e300", "trainer.bias_gain=1e+300 is not possible"),
        ("trainer.readout_amplitude=1e300", "trainer.readout_amplitude=1e+300 is not possible"),
        ("loss.l1=1e300", "loss.l1=1e+300 is not possible"),
        ("loss.l2=1e300", "loss.l2=1e+300 is not possible: it must be at least 0 and at most 1e+09"),
        ("trainer.burn_in=0.03", "trainer.burn_in=0.03 is not possible: it leaves no step to learn in"),
        ("trainer.dropout=1", "trainer.dropout=1.0 is not possible: it must be at least 0 and at most 0.999"),
        ("quantization.sigmoid_bits=17", "quantization.sigmoid_bits=17 is not possible: allowed are 1..16"),
    ],
)
def test_mistake_is_told_by_key_and_value(override: str, expected: str, refused: Callable[[str], str]) -> None:
    assert expected in refused(override)
