"""`python -m qsnn.train` as a user meets it: folders, sweeps, messages, failures."""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from forking import Forked, forked
from helpers import SMALL, command, in_process

from qsnn.command import run_command
from qsnn.config.building.run import to_config
from qsnn.config.checking.explaining import known_keys
from qsnn.config.command_line import compose_config, group_options, parse_overrides
from qsnn.config.composition import without_hydra
from qsnn.config.old_names import OLD_KEYS, OLD_OPTIONS
from qsnn.config.training import train as train_here

Train = Callable[..., "subprocess.CompletedProcess[str]"]


def only_run(folder: Path) -> Path:
    (found,) = folder.glob("outputs/quick/*")
    return found


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["model"]


def test_train_leaves_the_promised_files_and_prints_table_and_paths(tmp_path: Path) -> None:
    result = command("train", *SMALL, "logging.progress=true", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    run = only_run(tmp_path)
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and "tfevents" not in path.name}
    hydra = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    assert names == hydra | {
        "checkpoints/best.pt", "checkpoints/last.pt", "checkpoints/previous.pt", "metrics.jsonl", "raster.png",
        "rates.npz", "spike_counts.npz", "summary.json", "train.log",
    }  # fmt: skip
    assert len(list(run.glob("events.out.tfevents.*"))) == 2  # hyperparameters in a file of their own
    assert "epoch 6/6" in result.stderr
    assert all(word in result.stderr for word in ("distance=", "hidden=", "output="))
    for word in ("status", "finished", "final distance", "% of a silent net's", str(run.relative_to(tmp_path))):
        assert word in result.stdout
    assert yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text()) == [*SMALL, "logging.progress=true"]


def test_train_mistake_prints_one_line_and_writes_nothing(train: Train, tmp_path: Path) -> None:
    result = train("quantization.weight_bit=4")
    assert result.returncode == 2
    assert result.stderr == (
        "error: unknown key 'quantization.weight_bit': did you mean quantization.weight_bits? `--cfg job` prints all keys\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_train_impossible_config_prints_one_line_and_leaves_no_folder(train: Train, tmp_path: Path) -> None:
    result = train("quantization.state_bits=4")
    assert list(tmp_path.iterdir()) == []
    assert result.returncode == 2
    assert result.stderr.startswith("error: quantization.membrane_bits=4 cannot reach neuron.threshold=0.9")
    assert result.stderr.count("\n") == 1


def test_help_is_a_page_and_cfg_prints_the_config(tmp_path: Path) -> None:
    page = forked("train", "--help", folder=tmp_path)
    assert page.returncode == 0
    assert page.stderr == ""
    assert "resume=outputs/<run>" in page.stdout
    for group, names in group_options().items():
        assert f"\n  {group}\n" in page.stdout
        assert [name for name in names if not re.search(rf"\n    {name} +\S.*\.\n", page.stdout)] == []
    job = in_process("train", "--cfg", "job", "quantization.weight_bits=5", folder=tmp_path)
    assert yaml.safe_load(job.stdout)["quantization"]["weight_bits"] == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [f"{key}=1" for key in OLD_KEYS] + [
    f"{group}={old}" for group, names in OLD_OPTIONS.items() for old in names
])  # fmt: skip
def test_name_of_the_first_version_is_told_with_its_new_one(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_command(lambda _: train_here([words]))
    errors, (key, _, value) = capsys.readouterr().err, words.partition("=")
    group, name = key.split(".")[0], OLD_OPTIONS.get(key, {}).get(value)
    new = f"{words} is now {group}={name}" if name else f"{key} is now {OLD_KEYS.get(key)}"
    assert (end.value.code, errors) == (2, f"error: {new}\n")
    assert list(tmp_path.iterdir()) == []


def test_new_names_that_old_ones_are_told_with_are_there() -> None:
    for new in OLD_KEYS.values():
        assert re.match(r"[\w.]+", new)[0] in known_keys()  # type: ignore[index]
    for group, names in OLD_OPTIONS.items():
        assert {new.split()[0] for new in names.values()} <= set(group_options()[group])
        for new in names.values():
            parse_overrides(f"{group}={new}".split())
        assert not set(names) & set(group_options()[group])
    assert not set(OLD_KEYS) & set(known_keys())


def test_run_without_an_experiment_lands_in_the_folder_of_its_data_set(tmp_path: Path) -> None:
    recordings = ["dataset=gesture_demo", "model=conv", "neuron=trace_lif", "loss=local_readout", "trainer=local"]
    for words, name in (
        ([], "pattern"),
        (["dataset=pattern_quick", "model=quick"], "pattern"),
        (recordings, "synthetic_gesture"),
        ([*recordings, "name=mine"], "mine"),
        (["experiment=gesture_demo", "model=feedforward"], "gesture_demo"),
        (["experiment=gesture_demo", "dataset=nmnist"], "gesture_demo"),
    ):
        cfg = compose_config(words, return_hydra_config=True)
        assert Path(cfg.hydra.run.dir).parent == Path("outputs") / name
        assert Path(cfg.hydra.sweep.dir).parent == Path("outputs/multirun") / name
        assert to_config(without_hydra(cfg)).name == name
    small = ["dataset=pattern_quick", "model=quick", "trainer=bptt_quick", "trainer.epochs=1", "kernels=eager"]
    result = in_process("train", *small, "logging.to=[]", "logging.progress=false", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    (run,) = tmp_path.glob("outputs/pattern/*")
    assert json.loads((run / "summary.json").read_text())["experiment"] == "pattern"
    assert json.loads(in_process("evaluate", f"run={run}", folder=tmp_path).stdout)["epochs"] == 1


def test_widths_that_the_net_does_not_have_are_named_as_unused(train: Train, tmp_path: Path) -> None:
    words = [
        "quantization.weight_bits=[8,2]",
        "quantization.readout_bits=4",
        "neuron=lif",
        "quantization.synapse_bits=6",
    ]
    result = train(*words, "kernels=eager", "trainer.epochs=1", "logging.to=[]")
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stdout.splitlines() if "is not used" in line]
    assert [line.split()[0] for line in told] == ["quantization.synapse_bits", "quantization.readout_bits"]
    assert json.loads((only_run(tmp_path) / "summary.json").read_text())["quantization"]["weight_bits"] == [8, 2]
    refused = train("quantization.weight_bits=[8,2,8]", "hydra.run.dir=refused")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: quantization.weight_bits=[8, 2, 8] is not possible: the net has 2 layers: give one width, or a list of 2\n"
    )
    assert not (tmp_path / "refused").exists()


def test_sweep_runs_equal_the_same_runs_alone_to_the_last_bit(train: Train, tmp_path: Path) -> None:
    assert train("-m", "quantization.weight_bits=2,4", "seed=0,1").returncode == 0
    runs = sorted(tmp_path.glob("outputs/multirun/quick/*/*/checkpoints"))
    assert len(runs) == 4
    assert len(list(tmp_path.glob("outputs/multirun/quick/*/*quantization.weight_bits=4,seed=1*"))) == 1
    assert train("quantization.weight_bits=4", "seed=1").returncode == 0
    alone = only_run(tmp_path)
    (swept,) = tmp_path.glob("outputs/multirun/quick/*/*quantization.weight_bits=4,seed=1*")
    assert all(torch.equal(tensor, weights(alone)[name]) for name, tensor in weights(swept).items())
    assert (swept / "metrics.jsonl").read_bytes() == (alone / "metrics.jsonl").read_bytes()


def test_two_sweeps_started_at_once_do_not_collide(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "qsnn.train", *SMALL, "-m", "seed=0,1"]
    both = [Forked(words, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len(list(tmp_path.glob("outputs/multirun/quick/*"))) == 2
    assert len(list(tmp_path.glob("outputs/multirun/quick/*/*/summary.json"))) == 4


def test_train_refuses_a_folder_that_holds_a_run(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=mine").returncode == 0
    before = (tmp_path / "mine" / "checkpoints" / "last.pt").read_bytes()
    again = train("hydra.run.dir=mine", "seed=5")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr
    assert (tmp_path / "mine" / "checkpoints" / "last.pt").read_bytes() == before


def test_train_stops_at_a_tensor_that_is_not_finite_and_keeps_the_good_checkpoint(train: Train, tmp_path: Path) -> None:
    result = train("quantization=full_precision", "optimizer.lr_full_precision=1e39", "trainer.checkpoint_every=1")
    assert result.returncode == 2
    assert "weight holds Inf in epoch 1: training stopped" in result.stderr or "NaN" in result.stderr
    assert "Traceback" not in result.stderr
    run = only_run(tmp_path)
    assert all(tensor.isfinite().all() for tensor in weights(run).values())
    assert json.loads((run / "summary.json").read_text())["status"] == "failed"


def test_train_on_a_full_disk_prints_one_line_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    result = forked(
        "train", *SMALL, "logging.to=[]", "kernels=eager", folder=tmp_path, limits={resource.RLIMIT_FSIZE: 40_000}
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: cannot use ")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.rglob("*.tmp")) == []


def test_flag_with_a_value_goes_with_a_run_as_with_any_other_command(train: Train, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    result = train("--config-dir", "more", "trainer.epochs=1", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "summary.json").exists()
