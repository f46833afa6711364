"""Searches that are refused, interrupted or find nothing: what they leave and what they say."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from helpers import in_process

import qsnn.config.run
from qsnn.config.searching.trials import Failure, reached, runs_of

WORDS = [
    "experiment=quick", "trainer.epochs=2", "kernels=eager", "logging=search", "dataset.num_inputs=10", "dataset.num_outputs=8",
    "dataset.num_steps=10", "model.hidden=[6]", "dataset.target=tree", "search.within=null", "search.sampler=grid",
]  # fmt: skip
TWO = "search.over={output.weight_bits: [2,8], state_bits: 8}"
PLACE = Path("outputs", "search", "quick")


def test_trial_that_was_killed_is_resumed_by_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = qsnn.config.run.build_run

    def killed_once(*arguments: object) -> object:
        mark = tmp_path / "killed"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("qsnn.config.run.build_run", killed_once)  # workers are forks of this process
    first = in_process("search", *WORDS, TWO, folder=tmp_path)
    assert first.returncode == 1
    assert "1 of 2 settings finished, 0 infeasible, 0 failed, 1 killed" in first.stdout
    assert "error: trial 0 (output.weight_bits=2 state_bits=8): killed by SIGKILL" in first.stderr
    assert first.stderr.endswith("; the same command goes on with it\n")
    second = in_process("search", *WORDS, TWO, folder=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "2 of 2 settings finished, 0 infeasible, 0 failed; the front" in second.stdout
    (best,) = (tmp_path / PLACE / "trials").glob("output.weight_bits=2*")
    shutil.rmtree(best)
    third = in_process("search", *WORDS, TWO, folder=tmp_path)
    assert third.returncode == 0
    assert f"the folder of the answer is gone, and its weights with it: {best.relative_to(tmp_path)}\n" in third.stderr


def test_failure_of_its_own_is_none_from_outside(tmp_path: Path) -> None:
    runs = runs_of([], "a", [0, 1])
    states: list[dict[str, object]] = [
        {"status": "failed", "error": "no data"},
        {"status": "failed", "error": "x", "killed": True},
    ]
    for name, state in zip(runs.names, states, strict=True):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "summary.json").write_text(json.dumps(state))
    assert reached(runs, tmp_path) == Failure(f"no data [{tmp_path}/a/seed_0]", killed=False)
    later = runs_of([], "a", [1])
    assert reached(later, tmp_path) == Failure(f"x [{tmp_path}/a/seed_1]", killed=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["search.within=0.1", "search.reference=nowhere"], "search.reference=nowhere is not there"),
        (["search.reference=nowhere"], "search.reference says nothing where search.within=null"),
        (["hydra/launcher=foo"], "hydra/launcher=foo does not exist"),
    ],
)
def test_refused_search_leaves_its_name_free(words: list[str], told: str, tmp_path: Path) -> None:
    result = in_process("search", *WORDS, TWO, *words, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {told}")
    assert list(tmp_path.iterdir()) == []


def test_search_of_which_nothing_is_feasible_says_why_and_fails(tmp_path: Path) -> None:
    result = in_process("search", *WORDS, "search.over={output.weight_bits: 2, state_bits: [2,3]}", folder=tmp_path)
    assert result.returncode == 1
    assert "0 of 2 settings finished, 2 infeasible, 0 failed" in result.stdout
    assert result.stderr.startswith("infeasible: output.weight_bits=2 state_bits=2: ")
