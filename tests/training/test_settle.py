"""What of a trainer's keys follows from the data set, if they are left alone; and how losses and widths follow."""

import pytest

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.run import used_widths
from qsnn.config.schema import Config


def config(*words: str) -> Config:
    return to_config(compose_config(list(words)))


CLASSES = ["dataset=synthetic_gesture", "trainer=bptt", "neuron=cuba_lif"]


@pytest.mark.parametrize(("words", "epochs", "every"), [([], 10000, 500), (CLASSES, 50, 1)], ids=["pattern", "classes"])
def test_epochs_and_checkpoints_of_bptt_follow_from_the_data_set(words: list[str], epochs: int, every: int) -> None:
    settled = config(*words).trainer
    assert (settled.epochs, settled.checkpoint_every) == (epochs, every)


@pytest.mark.parametrize("words", [[], CLASSES], ids=["pattern", "classes"])
@pytest.mark.parametrize("epochs", [0, 7])
def test_epochs_and_checkpoints_that_are_given_stay(words: list[str], epochs: int) -> None:
    settled = config(*words, f"trainer.epochs={epochs}", "trainer.checkpoint_every=3").trainer
    assert (settled.epochs, settled.checkpoint_every) == (epochs, 3)


def test_settling_a_composed_config_leaves_it_as_it_was() -> None:
    """So that every job of a sweep, and every resumed run, settles for itself."""
    composed = compose_config([])
    to_config(composed)
    assert (composed.trainer.epochs, composed.trainer.checkpoint_every) == (None, None)


READOUT = ["loss=cross_entropy", "loss.logits=membrane"]


@pytest.mark.parametrize(
    ("words", "there", "missing"),
    [
        ([], {"membrane_bits", "synapse_bits"}, {"integrator_bits", "readout_bits"}),
        (["neuron=lif"], {"membrane_bits"}, {"synapse_bits", "integrator_bits"}),
        (CLASSES, {"synapse_bits"}, {"integrator_bits"}),
        ([*CLASSES, *READOUT], {"synapse_bits", "integrator_bits"}, {"sigmoid_bits"}),
        (["experiment=gesture_demo"], {"readout_bits", "sigmoid_bits"}, {"synapse_bits", "integrator_bits"}),
    ],
    ids=["pattern", "no synapse", "counts", "membrane readout", "local"],
)
def test_widths_that_are_told_of_are_those_that_the_net_has(
    words: list[str], there: set[str], missing: set[str]
) -> None:
    told = set(used_widths(config(*words)))
    assert there <= told
    assert not missing & told
    assert {"weight_bits", "gradient_bits", "rng_rule"} <= told
