"""The benchmark compares equal work: its autograd loop takes the same steps as the project."""

import pytest
from helpers import SMALL
from scripts_module import load_script

from qsnn.training.pattern_run import train_epoch


def test_benchmarks_autograd_loop_follows_the_projects_distances() -> None:
    script = load_script("benchmark")
    ours, theirs = (script.make_run("eager", 2, SMALL) for _ in range(2))
    for run in (ours, theirs):
        run.state.model.clamp_weights()
    step = script.autograd_step(theirs)
    for _ in range(3):
        assert step() == pytest.approx(train_epoch(ours)[0].distance, rel=1e-3)
