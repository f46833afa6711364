"""Mistakes that are told before a run has a folder, and what its folder and TensorBoard say of keys left to settle."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import SMALL, in_process
from local_data import SMALL_LOCAL, data_folder
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qsnn import options
from qsnn.config.building.run import to_config
from qsnn.config.checking.remarks import remedies
from qsnn.config.command_line import compose_config
from qsnn.config.packages import packages_of
from qsnn.config.run import start
from qsnn.config.start_from import load_source
from qsnn.errors import ConfigError, DataError
from qsnn.options import package_of

REFUSED = {
    "--config-name foo": "--config-name is not taken: qsnn has one config, of groups; put settings of your own into files",
    "-cn foo": "--config-name is not taken",
    "--config-path=/tmp experiment=quick": "--config-path is not taken",
    "hydra.run.dir= experiment=quick": "hydra.run.dir= names no folder: give one, such as hydra.run.dir=runs/mine",
    "hydra.run.dir='' experiment=quick": "hydra.run.dir= names no folder",
    "-m hydra.sweep.dir= experiment=quick seed=0,1": "hydra.sweep.dir= names no folder",
    "experiment=quick dataset.density=0": "dataset.target=smile is empty, with dataset.density=0 and",
    "dataset=synthetic_gesture trainer=bptt neuron.dt=0.7": "dataset.window_train=0.5 is not possible: it must be 1 to 1000000 "
    "time steps of 0.7 s, which neuron.dt sets",
    "dataset=nmnist neuron.dt=5": "dataset.window_test=0.3 is not possible",
}


@pytest.mark.parametrize("words", REFUSED)
def test_mistake_is_refused_without_a_dump_or_a_file(words: str, tmp_path: Path) -> None:
    done = in_process("train", *words.split(), folder=tmp_path)
    assert done.returncode == 2
    assert REFUSED[words] in done.stderr
    assert done.stderr.count("\n") == (1 if "things are wrong" not in done.stderr else 3)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_window_of_one_step_is_no_mistake() -> None:
    to_config(compose_config(["dataset=yin_yang", "neuron.dt=0.1"]))


def test_target_file_without_a_spike_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((250, 250)))
    with pytest.raises(DataError, match=r"none\.npy is empty, .*: a net that never spikes has learned it"):
        to_config(compose_config([f"dataset.target={tmp_path}/none.npy"])).dataset.load()


def test_run_without_an_epoch_tells_no_width_of_gradients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        start(compose_config([*SMALL, "trainer.epochs=0", "logging.to=[]"]), tmp_path, [])
    assert "widest gradients" not in caplog.text
    assert json.loads((tmp_path / "summary.json").read_text())["gradient_code_bits"] == {}


def test_summary_and_tensorboard_show_what_the_config_has_settled_to(tmp_path: Path) -> None:
    words = [*SMALL, "trainer.epochs=1", "trainer.checkpoint_every=null"]
    start(compose_config(words), tmp_path, words)
    config = json.loads((tmp_path / "summary.json").read_text())["config"]
    assert (config["loss"]["option"], config["trainer"]["checkpoint_every"]) == ("van_rossum", 500)
    board = EventAccumulator(str(tmp_path)).Reload()
    text = board.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "option: van_rossum" in text
    assert "checkpoint_every: 500" in text


def test_silent_nets_are_given_a_remedy_that_there_is() -> None:
    def said(*words: str) -> str:
        return remedies(to_config(compose_config(list(words))), list(words))["silent"]

    assert said("dataset=yin_yang") == (
        "longer neuron.tau_mem and neuron.tau_syn, or experiment=yin_yang, whose nets do, may make them spike"
    )
    assert "experiment=randman, whose nets do," in said("dataset=randman", "neuron=lif", "trainer=bptt")
    assert said("experiment=yin_yang") == "longer neuron.tau_mem and neuron.tau_syn may make them spike"
    assert said("neuron=if", "dataset=yin_yang").startswith("a lower neuron.threshold, or experiment=yin_yang")


def recorded(folder: Path, words: list[str], **facts: Any) -> Path:
    """A folder that says that a run was started with these words."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    (folder / "summary.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize(
    ("packages", "reason"),
    [
        (
            {"dataset=flashes": "flashes 0.1"},
            "its dataset=flashes came from the package flashes 0.1, which is not installed",
        ),
        ({"dataset=nmnist": "other 1"}, "what lies in a folder of your own is found by --config-dir"),
        ({"dataset=flashes": "x\n\x1b[2J"}, "dataset=flashes does not exist: options are "),
        ({"dataset=flashes": ["y"]}, "what is of a package once that is installed"),
        ([], "dataset=flashes does not exist"),
        (None, "dataset=flashes does not exist"),
    ],
)
def test_run_of_a_package_that_is_missing_names_it(packages: Any, reason: str, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "run", ["dataset=flashes"], status="finished", packages=packages)
    for module, more in (("evaluate", []), ("predict", ["recording.bin"])):
        done = in_process(module, f"run={folder}", *more, folder=tmp_path)
        assert done.returncode == 2
        assert reason in done.stderr
        assert str(folder) in done.stderr
        assert done.stderr.count("\n") == 1


def test_options_of_a_package_are_noted_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    config = to_config(compose_config(SMALL))
    assert packages_of(config) == {}
    points = (SimpleNamespace(dist=SimpleNamespace(name="flashes", version="0.1"), module="flashes.options"),)
    monkeypatch.setattr(options, "_announced", lambda path: points)
    assert package_of(type("Own", (options.Option,), {"__module__": "flashes.neurons"})) == "flashes 0.1"
    assert package_of(type("Own", (options.Option,), {"__module__": "flashes_other"})) is None
    assert packages_of(config) == {}


def test_start_from_refuses_other_readouts_than_it_takes_over(tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(tmp_path / "data", "nmnist"), "trainer.epochs=0", "logging.to=[]"]
    start(compose_config(words), recorded(tmp_path / "run", words), [])
    source = f"start_from={tmp_path}/run"
    with pytest.raises(ConfigError) as caught:
        load_source(to_config(compose_config([*words, source, "trainer.readout_amplitude=8"])))
    wanted = "trainer.readout_amplitude was 4 there and is 8 here, but belongs to what is taken over: set "
    assert wanted in str(caught.value)
    load_source(to_config(compose_config([*words, source, "quantization.readout_weight_bits=3"])))


def test_folder_of_a_run_that_was_refused_late_tells_why(tmp_path: Path) -> None:
    """A net of another shape, and a file that is broken behind its head, are found when the run has its folder."""
    other = [
        "experiment=quick",
        "trainer.epochs=0",
        "logging.to=[]",
        "logging.progress=false",
        "kernels=eager",
    ]
    start(compose_config(other), recorded(tmp_path / "run", other), [])
    data = data_folder(tmp_path / "data", "nmnist")
    broken = next((tmp_path / "data").rglob("Train/*/*.bin"))
    broken.write_bytes(broken.read_bytes()[:-2])
    for words, name in (
        (
            [*other, "model.hidden=[7]", f"start_from={tmp_path}/run"],
            "hidden.weight is [100, 60] there and [100, 7] here",
        ),
        ([*SMALL_LOCAL, *data], str(broken)),
    ):
        done = in_process("train", *words, "hydra.run.dir=new", folder=tmp_path)
        summary = json.loads((tmp_path / "new" / "summary.json").read_text())
        assert done.returncode == 2
        assert name in done.stderr
        assert (summary["status"], f"error: {summary['error']}\n") == ("failed", done.stderr.splitlines(True)[-1])
        assert not (tmp_path / "new" / "checkpoints").exists()
        (tmp_path / "new").rename(tmp_path / f"old{len(words)}")
