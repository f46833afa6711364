"""Which loss a run learns by: the one that was chosen, or the one that trainer and data set call for."""

from pathlib import Path

import pytest
from event_builders import write_nmnist

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.losses.cross_entropy import CrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.training.trainers.bptt import BPTTLearner


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        (["experiment=quick"], "van_rossum"),
        (["trainer=bptt", "dataset=nmnist", "dataset.root=."], "cross_entropy"),
        (["experiment=icons_gesture", "loss=auto", "dataset.root=."], "local_readout"),
    ],
)
def test_auto_takes_the_loss_that_trainer_and_data_call_for(overrides: list[str], loss: str) -> None:
    assert type(to_config(compose_config(overrides)).loss).__name__.lower() == loss.replace("_", "")


def test_loss_that_was_chosen_is_the_one_that_is_learned(tmp_path: Path) -> None:
    write_nmnist(tmp_path / "nmnist")
    small = ["trainer=bptt", "model=feedforward", "dataset=nmnist", f"dataset.root={tmp_path / 'nmnist'}"]

    def loss_of(*overrides: str) -> object:
        learner = build_run(to_config(compose_config([*small, *overrides])), tmp_path).learner
        assert isinstance(learner, BPTTLearner)
        return learner.loss

    for name, kind in (
        ("auto", CrossEntropyLoss),
        ("cross_entropy", CrossEntropyLoss),
        ("spike_count", SpikeCountLoss),
    ):
        for quantization, quantized in (("bits", True), ("full_precision", False)):
            loss = loss_of(f"loss={name}", f"quantization={quantization}", "logging.progress=false")
            assert isinstance(loss, kind)
            assert loss.quantized is quantized
