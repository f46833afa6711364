"""start_from=: the weights of another run, across bit widths; tested as they are (trainer.epochs=0) or trained on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL
from local_data import SMALL_LOCAL, data_folder

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.errors import ConfigError, QsnnError, RunFolderError
from qsnn.models.local_net import readout_scale
from qsnn.quantization import quantize, symmetric
from qsnn.training.checkpoint import load_checkpoint

BARE = ["logging.to=[]"]


def train(folder: Path, words: list[str], *more: str) -> dict[str, Any]:
    """A run in ``folder`` as Hydra would start it; its summary."""
    overrides = [*words, *BARE, *more]
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    start(compose_config(overrides), folder, overrides)
    return json.loads((folder / "summary.json").read_text())


def model(folder: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / name)["model"]


def from_(folder: Path) -> str:
    return f"start_from={folder}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pattern run of eight-bit weights."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, SMALL, "quantization.weight_bits=8", "trainer.epochs=30")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of local learning; its recordings lie in ``data`` beside it."""
    folder = tmp_path_factory.mktemp("local")
    train(folder / "run", [*SMALL_LOCAL, *data_folder(folder / "data", "nmnist")])
    return folder


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_equal_widths_without_training_score_as_the_other_runs_best_weights(trained: Path, tmp_path: Path) -> None:
    summary, other = (
        train(tmp_path, SMALL, "quantization.weight_bits=8", "trainer.epochs=0", from_(trained)),
        summary_of(trained),
    )
    assert (summary["status"], summary["epochs"]) == ("finished", 0)
    assert summary["final"]["distance"] == other["best"]["distance"]
    assert all(torch.equal(ours, model(trained, "best.pt")[name]) for name, ours in model(tmp_path).items())


def test_equal_widths_from_the_last_checkpoint_score_as_the_other_runs_last_weights(
    trained: Path, tmp_path: Path
) -> None:
    last = from_(trained / "checkpoints" / "last.pt")
    summary = train(tmp_path, SMALL, "quantization.weight_bits=8", "trainer.epochs=0", last)
    assert summary["final"] == summary_of(trained)["final"]


@pytest.mark.parametrize("bits", ["1", "2", "4", "null", "[8,2]"])
def test_weights_across_widths_are_the_others_at_the_new_width(bits: str, trained: Path, tmp_path: Path) -> None:
    summary = train(tmp_path, SMALL, f"quantization.weight_bits={bits}", "trainer.epochs=0", from_(trained))
    assert summary["final"]["distance"] > 0
    ours, theirs = model(tmp_path), model(trained, "best.pt")
    for name in ("hidden.linear", "output.linear"):
        scales = ours[f"{name}.scale"], theirs[f"{name}.scale"]
        assert torch.equal(ours[f"{name}.weight"] / scales[0], theirs[f"{name}.weight"] / scales[1])


def test_fewer_bits_after_training_are_worse_and_fine_tuning_makes_some_of_it_good(
    trained: Path, tmp_path: Path
) -> None:
    one = ["quantization.weight_bits=1", from_(trained)]
    tested = train(tmp_path / "tested", SMALL, *one, "trainer.epochs=0")["final"]["distance"]
    tuned = train(tmp_path / "tuned", SMALL, *one, "trainer.epochs=30")
    assert summary_of(trained)["best"]["distance"] < tested
    assert tuned["best"]["distance"] < tested
    rows = [json.loads(line) for line in (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["distance"] == tested  # an epoch measures before it updates
    assert tuned["epochs"] == 30


def test_run_that_began_with_other_weights_goes_on_from_its_own(trained: Path, tmp_path: Path) -> None:
    words = ["quantization.weight_bits=2", from_(trained)]
    train(tmp_path / "whole", SMALL, *words, "trainer.epochs=6")
    train(tmp_path / "halves", SMALL, *words, "trainer.epochs=3")
    train(tmp_path / "halves", SMALL, *words, "trainer.epochs=6", f"resume={tmp_path / 'halves'}")
    whole, halves = model(tmp_path / "whole"), model(tmp_path / "halves")
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())


def test_weights_that_never_changed_are_counted_from_those_that_were_taken(trained: Path, tmp_path: Path) -> None:
    train(tmp_path, SMALL, "quantization.weight_bits=4", "trainer.epochs=0", from_(trained))
    saved = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    codes = quantize(saved["model"]["hidden.linear.weight"], symmetric(4)) * 2**3
    assert torch.equal(saved["initial_codes"]["hidden"].float(), codes)
    assert not any(changed.any() for changed in saved["changed"].values())


def test_local_net_of_equal_widths_scores_as_the_other_runs_best_weights(local: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(local / "data", "nmnist"), "trainer.epochs=0"]
    summary, best = train(tmp_path, words, from_(local / "run")), summary_of(local / "run")["best"]
    assert {key: summary["final"][key] for key in best if key != "epoch"} == {
        key: value for key, value in best.items() if key != "epoch"
    }


@pytest.mark.parametrize(
    "width", ["quantization.weight_bits=2", "quantization=full_precision", "quantization.readout_weight_bits=3"]
)
def test_local_net_takes_time_constants_and_what_weights_and_readouts_do(
    width: str, local: Path, tmp_path: Path
) -> None:
    words = [*SMALL_LOCAL, *data_folder(local / "data", "nmnist"), "trainer.epochs=0", width]
    summary = train(tmp_path, words, from_(local / "run"), "seed=3")
    assert 0 <= summary["final"]["test_accuracy"] <= 1
    ours, theirs = model(tmp_path), model(local / "run", "best.pt")
    for name in ("layer1", "layer2"):
        assert torch.equal(ours[f"{name}.tau_mem"], theirs[f"{name}.tau_mem"])
        weights = ours[f"{name}.weight"], theirs[f"{name}.weight"]
        factor = (weights[0] * weights[1]).sum() / weights[1].square().sum()
        torch.testing.assert_close(weights[0], weights[1] * factor)
        if width == "quantization=full_precision":
            scale = readout_scale(6, 4, theirs[f"{name}.readout_weight"].shape[1])
            assert scale > 1
            assert torch.equal(ours[f"{name}.readout_weight"] * scale, theirs[f"{name}.readout_weight"])
        if width.startswith("quantization.weight"):
            assert torch.equal(ours[f"{name}.readout_weight"], theirs[f"{name}.readout_weight"])


def test_local_net_learns_on_with_other_widths(local: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(local / "data", "nmnist"), "trainer.epochs=1", "quantization.weight_bits=4"]
    assert train(tmp_path, words, from_(local / "run"))["epochs"] == 1


REFUSED = {
    "model.hidden=[50]": r"hidden\.weight is \[100, 60\] there and \[100, 50\] here",
    "model.hidden=[60,30]": r"hidden1?\.weight is (missing there|missing here|\[100, 60\] there and missing here)",
    "dataset.num_outputs=30": r"output\.weight is \[60, 40\] there and \[60, 30\] here",
}


@pytest.mark.parametrize("override", REFUSED)
def test_net_of_another_shape_is_refused_in_one_line_with_the_tensor(
    override: str, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(tmp_path, SMALL, override, from_(trained))
    (line,) = caught.value.args
    assert line.startswith(f"start_from={trained} does not fit: ")
    assert "must make nets of the same layers and shapes" in line
    assert "\n" not in line
    assert not (tmp_path / "checkpoints").exists()


def test_net_of_another_way_to_learn_is_refused(local: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="does not fit: its net learned by trainer=local, this one by trainer=bptt"
    ) as caught:
        train(tmp_path, SMALL, from_(local / "run"))
    assert len(caught.value.args) == 1
    assert not (tmp_path / "checkpoints").exists()


def damage(folder: Path, how: str) -> None:
    """A copy of a run's folder is spoilt in one way."""
    best = folder / "checkpoints" / "best.pt"
    if how == "cut":
        best.write_bytes(best.read_bytes()[:-7])
    elif how == "no checkpoint":
        for path in (folder / "checkpoints").iterdir():
            path.unlink()
    elif how == "no overrides":
        (folder / ".hydra" / "overrides.yaml").unlink()
    else:
        (folder / ".hydra" / "overrides.yaml").write_text(json.dumps([*SMALL, "model.hiden=[3]"]))


@pytest.mark.parametrize("how", ["cut", "no checkpoint", "no overrides", "misspelt"])
def test_damaged_folder_is_refused_in_one_line_that_names_the_file(how: str, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in (trained / ".hydra" / "overrides.yaml", *(trained / "checkpoints").iterdir()):
        copy = other / path.relative_to(trained)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    damage(other, how)
    with pytest.raises(QsnnError) as caught:
        train(tmp_path / "run", SMALL, "quantization.weight_bits=2", from_(other))
    (line,) = caught.value.args
    assert str(other) in line
    assert "\n" not in line
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_missing_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=str(tmp_path / "nowhere")):
        train(tmp_path / "run", SMALL, from_(tmp_path / "nowhere"))
    assert not (tmp_path / "run" / "checkpoints").exists()
