"""What the folders of runs and sweeps tell: finished, failed, missing, damaged."""

import json
import os
from pathlib import Path

import pytest

from qsnn.errors import RunFolderError
from qsnn.training.runs import find_jobs, headline, left_out, sweep_table, write_plan


def run(folder: Path, *overrides: str, **summary: object) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    if summary:
        (folder / "summary.json").write_text(json.dumps({"overrides": list(overrides), **summary}))


def test_every_job_of_a_sweep_is_told_with_its_reason(tmp_path: Path) -> None:
    write_plan(tmp_path, [["experiment=quick", f"seed={seed}"] for seed in range(6)])
    run(tmp_path / "a", "experiment=quick", "seed=0", status="finished", final={"test_accuracy": 0.5}, best={})
    run(tmp_path / "b", "experiment=quick", "seed=1", status="failed", error="no data")
    run(tmp_path / "c", "experiment=quick", "seed=2")
    run(tmp_path / "d", "experiment=quick", "seed=3")
    (tmp_path / "d" / "summary.json").write_text("[")
    run(tmp_path / "e", "experiment=quick", "seed=4", status="stopped", final={}, best={})
    jobs = find_jobs(tmp_path)
    assert [job.status for job in jobs] == ["finished", "failed", "unfinished", "unreadable", "stopped", "missing"]
    assert left_out(jobs) == [
        f"error: no data [seed=1, in {tmp_path}/b]",
        f"error: unfinished: it has no summary.json: it is still running, or was killed [seed=2, in {tmp_path}/c]",
        f"error: unreadable: its summary.json is damaged [seed=3, in {tmp_path}/d]",
        f"error: stopped: resume=<its folder> goes on with it [seed=4, in {tmp_path}/e]",
        "error: missing: it never started [seed=5]",
    ]
    assert sweep_table(tmp_path, jobs).splitlines()[:5] == [
        f"sweep of 6 jobs: 1 finished, 1 failed, 1 unfinished, 1 unreadable, 1 stopped, 1 missing; in {tmp_path}",
        "",
        "  job     status      score                folder",
        "  seed=0  finished    test accuracy 50.0%  a",
        "  seed=1  failed                           b",
    ]


def test_second_sweep_into_a_folder_keeps_the_jobs_of_the_first(tmp_path: Path) -> None:
    write_plan(tmp_path, [["seed=0"], ["seed=1"]])
    write_plan(tmp_path, [["seed=1"], ["seed=2"]])
    assert [job.overrides for job in find_jobs(tmp_path)] == [("seed=0",), ("seed=1",), ("seed=2",)]


def test_damaged_files_of_a_folder_are_no_traceback(tmp_path: Path) -> None:
    for number, content in enumerate((b"null", b"\xff\xfe", b"[" * 100_000, b'{"overrides": 3}')):
        folder = tmp_path / str(number)
        run(folder, "seed=0")
        (folder / "summary.json").write_bytes(content)
    (tmp_path / "0" / ".hydra" / "overrides.yaml").write_bytes(b"\xff: [")
    (tmp_path / "sweep.json").write_text('{"jobs": 7}')
    assert {job.status for job in find_jobs(tmp_path)} == {"unreadable"}


def test_headline_is_the_score_of_the_weights_that_are_handed_out() -> None:
    assert (
        headline({"final": {"distance": 12.345, "relative_distance": 0.5}, "best": {}})
        == "distance 12.35 (50.0% of silence)"
    )
    assert headline({"final": {"test_accuracy": 0.1}, "best": {"test_accuracy": 0.9}}) == "test accuracy 90.0%"
    assert headline({"final": {}, "best": {"validation_accuracy": 0.25}}) == "validation accuracy 25.0%"
    assert headline({"status": "failed"}) == ""


@pytest.mark.parametrize(
    "content", ["", "[", "{}", '{"jobs": 7}', '{"jobs": [3]}', '{"jobs": [["seed=0", 1]]}', "pipe", "link"]
)
def test_damaged_plan_is_not_written_over(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "link":
        path.symlink_to("nowhere")
    else:
        path.write_text(content)
    with pytest.raises(
        RunFolderError, match=r"sweep\.json is damaged: it does not tell which jobs the sweep has; move it away"
    ):
        write_plan(tmp_path, [["seed=0"]])
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.json"]
    assert path.is_symlink() or path.is_fifo() or path.read_text() == content
    assert find_jobs(tmp_path) == []


def test_what_is_stopped_goes_on_by_the_command_that_made_it(tmp_path: Path) -> None:
    run(tmp_path / "a", "seed=0", status="stopped")
    assert left_out(find_jobs(tmp_path))[0].startswith("error: stopped: resume=<its folder> goes on with it [")
    assert left_out(find_jobs(tmp_path), again=True)[0].startswith(
        "error: stopped: the same command again goes on with it ["
    )
