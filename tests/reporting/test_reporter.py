"""What is told of a run: a bar whose rate is of training, figures under tags, pictures at the end."""

import re
from pathlib import Path

import pytest
import torch
from helpers import make_run
from local_data import make_local_run
from PIL import Image

from qsnn.reporting import reporter as module
from qsnn.reporting.health.figures import Limits
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.pictures import CELL
from qsnn.reporting.reporter import LoggingSettings, Reporter, tags_of, write_pictures
from qsnn.training.run import Ending, Run


def test_bar_leaves_compiling_out_of_rate_and_remaining_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LoggingSettings(0, 0, 0, 0, [], True, Limits(1, 1, 1, 1, 1))
    compiled = [0.0]
    monkeypatch.setattr(module, "compile_seconds", lambda: compiled[0])
    with Reporter(RunIdentity(tmp_path, 0, 0, 1000, "epoch", "", {}), settings) as reporter:
        compiled[0] = 100.0  # as if they had passed
        reporter._bar.start_t -= 100
        reporter._bar.last_print_t -= 100
        for _ in range(10):
            reporter.after_batch("")
        reporter._bar.refresh()
        text = capsys.readouterr().err
    assert "starting" in text
    elapsed, remaining = re.findall(r"training +1%.* 10/1000 \[([\d:]+)<([\d:]+)", text)[-1]
    assert len(elapsed) == len(remaining) == len("00:00")
    seconds = [60 * int(text[:2]) + int(text[3:]) for text in (elapsed, remaining)]
    assert seconds[0] < 50
    assert seconds[1] < 3000  # 990 epochs of almost no time; with the wait they would be 9900 s


FIGURES = {
    "distance": 1.0, "rate_hidden": 0.1, "rate_hidden1": 0.2, "gradient_norm_output": 3.0, "online_accuracy_layer1": 0.5,
    "gradient_norm_hidden1.recurrent": 4.0,
}  # fmt: skip


def test_tags_of_group_figures_of_layers_and_put_those_of_the_net_under_loss() -> None:
    layers = ["hidden", "hidden1", "hidden1.recurrent", "output", "layer1"]
    assert tags_of(FIGURES, layers) == {
        "loss/distance": 1.0,
        "rate/hidden": 0.1,
        "rate/hidden1": 0.2,
        "gradient_norm/output": 3.0,
        "online_accuracy/layer1": 0.5,
        "gradient_norm/hidden1.recurrent": 4.0,
    }


def pictured(run: Run, ending: Ending, folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes of the pictures that a run's end writes."""
    write_pictures(run, ending)
    sizes = {}
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
    return sizes


def test_write_pictures_of_a_pattern_is_one_sheet_of_target_output_both_and_hidden_spikes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    ending = run.task.scores_now(run)[1]
    assert ending is not None
    assert {"input", "hidden", "output"} == set(ending.look.rasters)
    sizes = pictured(run, ending, tmp_path)
    assert list(sizes) == ["raster.png"]
    width, height = sizes["raster.png"]
    assert width > 4 * 60  # steps
    assert height > 60  # hidden neurons


def test_write_pictures_of_classes_adds_their_confusion(tmp_path: Path) -> None:
    run = make_local_run(tmp_path / "run", tmp_path)
    ending = Ending({}, run.task.look(run), torch.eye(10, dtype=torch.int64))
    sizes = pictured(run, ending, run.folder)
    assert set(sizes) == {"raster.png", "confusion.png"}
    assert min(sizes["confusion.png"]) > 10 * CELL
    assert set(ending.look.rasters) == {"input", "layer1", "layer2"}
