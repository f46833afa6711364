"""Runs of nets without, with one and with several hidden layers: training, resuming, and all that is told of each layer."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL, make_run
from PIL import Image

from qsnn.config.building.common import build_logging
from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config
from qsnn.models.feedforward import layer_names
from qsnn.reporting.identity import identity_of
from qsnn.reporting.reporter import Reporter
from qsnn.reporting.summary import table_of
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.loop import save, train
from qsnn.training.run import Run

DEEP = [
    *SMALL, "model.fan_in=null", "neuron.threshold=0.5",
    "logging.health_every=3", "logging.histogram_every=3", "logging.raster_every=3",
]  # fmt: skip
LOGGING = build_logging(to_config(compose_config(DEEP)))
DEPTHS = pytest.mark.parametrize("hidden", [[], [30], [30, 20, 25]])


def run_of_depth(folder: Path, hidden: list[int]) -> Run:
    return make_run(folder, *DEEP, f"model.hidden={hidden}".replace(" ", ""))


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        assert torch.equal(ours, theirs) if isinstance(theirs, torch.Tensor) else ours == theirs


@DEPTHS
def test_run_of_a_net_of_any_depth_goes_on_as_if_it_had_never_stopped(hidden: list[int], tmp_path: Path) -> None:
    whole, first, second = (run_of_depth(tmp_path, hidden) for _ in range(3))
    before = {name: weight.clone() for name, weight in whole.state.model.state_dict().items()}
    distances = [whole.learn_batch()[0].loss for _ in range(6)]
    resumed = [first.learn_batch()[0].loss for _ in range(3)]
    save(first)
    second.state.load_state_dict(load_checkpoint(tmp_path / "checkpoints" / "last.pt"))
    resumed += [second.learn_batch()[0].loss for _ in range(3)]
    assert resumed == distances
    assert_same(second.state.state_dict(), whole.state.state_dict())
    for name, linear in whole.state.model.weights().items():
        assert (linear.weight != before[f"{name.removesuffix('.weight')}.linear.weight"]).any()


@DEPTHS
def test_run_of_a_net_of_any_depth_tells_of_every_layer(hidden: list[int], tmp_path: Path) -> None:
    run, names = run_of_depth(tmp_path, hidden), layer_names(len(hidden))
    pattern = run.task.pattern
    outcome = train(run, lambda: Reporter(identity_of(run, "", {}), LOGGING))
    assert [key for key in outcome.final if key.startswith("rate_")] == [f"rate_{name}" for name in names]
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    for name in names:
        assert {f"rate_{name}", f"gradient_norm_{name}", f"{name}/silent", f"{name}.weight/never_changed"} <= set(line)
        assert line[f"gradient_code_bits_{name}"] > 1
    with Image.open(tmp_path / "raster.png") as picture:
        assert picture.width > (3 + len(hidden)) * pattern.input.shape[0]
    memory = run.state.model.memory_bytes()
    sizes = [pattern.input.shape[-1], *hidden, pattern.target.shape[-1]]
    assert memory["parameters"] == sum(inputs * neurons for inputs, neurons in pairwise(sizes)) * 2 / 8
    table = table_of(run, outcome, dict.fromkeys(names, 2))
    rates = ", ".join(f"{name} {outcome.final[f'rate_{name}']:.2%}" for name in names)
    assert f"{rates} of all steps\n" in table
    assert ", ".join(f"{name} 2 bits" for name in names) in table
