"""What a run that failed leaves in its folder."""

import json
from pathlib import Path

import pytest
from helpers import SMALL

from qsnn.config.command_line import compose_config
from qsnn.config.run import record_refusal, start
from qsnn.errors import NonFiniteError, RunFolderError


def test_refused_job_leaves_a_summary_with_the_reason(tmp_path: Path) -> None:
    cfg = compose_config([*SMALL, "seed=3"])
    record_refusal(tmp_path, cfg, ["seed=3"], "no data")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {key: summary[key] for key in ("status", "error", "experiment", "seed", "overrides")} == {
        "status": "failed", "error": "no data", "experiment": "quick", "seed": 3, "overrides": ["seed=3"]
    }  # fmt: skip


def test_job_that_is_refused_a_folder_leaves_the_run_in_it_alone(tmp_path: Path) -> None:
    cfg = compose_config([*SMALL, "trainer.epochs=1", "logging.to=[]", "kernels=eager"])
    start(cfg, tmp_path, [])
    before = (tmp_path / "summary.json").read_bytes()
    with pytest.raises(RunFolderError, match="already holds a run") as refused:
        start(cfg, tmp_path, [])
    record_refusal(tmp_path, cfg, [], str(refused.value))
    assert (tmp_path / "summary.json").read_bytes() == before


def test_folder_that_was_deleted_is_not_made_again_for_the_reason(tmp_path: Path) -> None:
    record_refusal(tmp_path / "deleted", compose_config(SMALL), [], "no data")
    assert not (tmp_path / "deleted").exists()


@pytest.mark.parametrize("error", [NonFiniteError("weight holds NaN"), OSError(28, "No space left on device", "x.pt")])
def test_run_that_fails_in_training_says_so_with_its_facts(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("qsnn.config.run.train", fails)
    with pytest.raises(type(error)):
        start(compose_config([*SMALL, "logging.to=[]"]), tmp_path, ["seed=0"])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert ("x.pt: No space left on device" if isinstance(error, OSError) else "weight holds NaN") in summary["error"]
    assert (summary["epochs"], summary["overrides"]) == (0, ["seed=0"])
