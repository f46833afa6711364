"""The number that a run returns to a sweeper."""

import math
from pathlib import Path

import pytest
from local_data import SMALL_LOCAL, data_folder, make_local_run

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.loop import Outcome
from qsnn.training.objective import error_to_minimise


def test_error_of_a_pattern_run_is_its_final_distance() -> None:
    outcome = Outcome("finished", 0, {"distance": 12.5, "relative_distance": 0.4}, {"distance": 3.0}, 1.0, 0.0)
    assert error_to_minimise(outcome) == 12.5


def test_error_of_local_learning_is_that_of_the_best_weights_on_the_validation_part(tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(tmp_path / "data", "nmnist"), "logging.to=[]"]
    outcome = start(compose_config(words), tmp_path / "run", [])
    run = make_local_run(tmp_path / "run", tmp_path / "data")
    run.state.model.load_state_dict(load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt")["model"])
    assert error_to_minimise(outcome) == pytest.approx(1 - run.task.evaluate(run, run.task.split.validation).accuracy())


def test_error_without_a_validation_part_is_nan_and_not_that_of_the_test() -> None:
    assert math.isnan(
        error_to_minimise(Outcome("finished", 0, {"test_accuracy": 0.9}, {"test_accuracy": 0.9}, 1.0, 0.0))
    )
