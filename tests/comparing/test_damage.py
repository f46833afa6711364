"""Damaged summaries are unreadable runs, and other damaged files a line each: nothing is shown that no run has said."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_runs import class_run, first_right, pattern_run, rates

from qsnn.comparing.command import report
from qsnn.comparing.comparison import Request, compare
from qsnn.comparing.kept.reading import COLUMNS
from qsnn.errors import RunFolderError
from qsnn.training.runs import PLAN, headline, read_job, sweep_table

BITS = "quantization.weight_bits"


def pair(folder: Path) -> Path:
    for bits in (2, 8):
        run = class_run(folder / f"{bits}", first_right(9 + bits), {BITS: bits, "logging.metrics_every": 1})
        rates(run, {"hidden": [0.1 * bits, 0.2]})
        change(run, "epochs", 3)
    return folder


def change(run: Path, place: str, value: Any) -> None:
    """A part of a run's summary, by its dotted place; ... takes it away."""
    summary = json.loads((run / "summary.json").read_text())
    *sections, leaf = place.split(".")
    owner = summary
    for section in sections:
        owner = owner[section]
    if value is ...:
        del owner[leaf]
    else:
        owner[leaf] = value
    (run / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("config", ..., "config"),
        ("config", None, "config"),
        ("config", 3, "config"),
        ("config.quantization", None, "config.quantization"),
        (f"config.{BITS}", {"a": 1}, f"config.{BITS}"),
        (f"config.{BITS}", "2", f"config.{BITS}"),
        ("config.seed", "<script>", "config.seed"),
        ("config.name", 7, "config.name"),
        ("config.dataset.fold", [1], "config.dataset.fold"),
        ("status", 5, "status"),
        ("status", "weird", "status"),
        ("status", ["finished"], "status"),
        ("best", [1], "best"),
        ("final.test_accuracy", "x", "final.test_accuracy"),
        ("final.test_accuracy", 1.5, "final.test_accuracy"),
        ("final.confusion", {"a": {}}, "final.confusion"),
        ("final.confusion", [[1, 2], [3]], "final.confusion"),
    ],
)  # fmt: skip
def test_damaged_part_of_a_summary_makes_an_unreadable_run_and_no_row(
    place: str, value: Any, told: str, tmp_path: Path
) -> None:
    run = pair(tmp_path) / "2"
    change(run, place, value)
    c = compare(Request((tmp_path,), by=BITS))
    assert [record.reason for record in c.unfinished] == [f"its summary.json is damaged ({told})"]
    assert [record.status for record in c.unfinished] == ["unreadable"]
    assert [row.values for row in c.rows if row.finished] == [(8,)]
    assert all(row.values[0] in (2, 8) for row in c.rows)
    sweep_table(tmp_path, [read_job(run)])


def test_headline_of_scores_that_are_none_is_none() -> None:
    assert headline({"final": {"distance": "x", "relative_distance": None}, "best": 3}) == ""
    assert headline({"final": [1]}) == ""


class Hostile:
    """What runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("owned"),))  # type: ignore[return-value]


def test_every_damaged_file_is_a_line_and_the_exit_status_stays(tmp_path: Path) -> None:
    sound = report([str(pair(tmp_path / "a"))])
    assert sound.damaged == []
    names = ("rates.npz", "test_predictions.npz", "metrics.jsonl")
    whole = {name: (tmp_path / "a" / "2" / name).read_bytes() for name in names}
    for content in (b"", "cut", pickle.dumps(Hostile())):
        for name in names:
            damaged = whole[name][: len(whole[name]) // 2] if isinstance(content, str) else content
            (tmp_path / "a" / "2" / name).write_bytes(damaged)
        told = report([str(tmp_path / "a")])
        assert [Path(line.split()[0]).name for line in told.damaged] == list(names)
        assert told.missing == []
    assert not Path("owned").exists()
    assert told.damaged[1].endswith(": differences are paired by seed, not by recording")
    assert told.damaged[0] in (tmp_path / "a" / "report" / "report.html").read_text().replace("&#39;", "'")
    for name in names:
        (tmp_path / "a" / "2" / name).unlink()
    assert report([str(tmp_path / "a")]).damaged == []  # a version that does not say what it wrote
    change(tmp_path / "a" / "2", "files", list(names))
    gone = [Path(line.split(":")[0]).name for line in report([str(tmp_path / "a")]).damaged]
    assert gone == [f"{name} is gone" for name in names]


@pytest.mark.parametrize(
    ("name", "arrays", "told"),
    [
        ("rates.npz", {"hidden": np.array([np.nan], np.float32)}, "hidden holds no rates"),
        ("rates.npz", {}, "it holds no layer"),
        ("test_predictions.npz", {"index": np.zeros(3, np.int32)}, "it lacks label, prediction"),
        ("test_predictions.npz", dict.fromkeys(COLUMNS, np.zeros((2, 2), np.int32)), "are not alike"),
        ("test_predictions.npz", dict.fromkeys(COLUMNS, np.zeros(2, np.int32)), "is there twice"),
        ("test_predictions.npz", dict.fromkeys(COLUMNS, np.arange(2, dtype=np.int32)), "than summary.json counts"),
    ],
)  # fmt: skip
def test_array_that_no_run_writes_is_told_with_what_is_wrong(
    name: str, arrays: dict[str, Any], told: str, tmp_path: Path
) -> None:
    np.savez(pair(tmp_path) / "8" / name, allow_pickle=False, **arrays)
    (line,) = compare(Request((tmp_path,))).damaged
    assert told in line
    assert "\n" not in line


def test_damaged_plan_of_a_sweep_is_told(tmp_path: Path) -> None:
    (pair(tmp_path) / PLAN).write_text('{"jobs": 7}')
    assert compare(Request((tmp_path,))).damaged == [
        f"{tmp_path}/{PLAN} is damaged: which jobs of the sweep never started is not known"
    ]


def test_reports_among_the_folders_are_passed_over_unless_they_are_all_there_is(tmp_path: Path) -> None:
    report([str(pair(tmp_path))])
    printed = report([str(path) for path in sorted(tmp_path.iterdir(), reverse=True)])  # the report comes first
    assert "2 finished" in printed.text
    assert (tmp_path / "8" / "report" / "report.html").exists()
    with pytest.raises(RunFolderError, match="no runs below"):
        report([str(tmp_path / "report")])


def test_experiments_of_different_tasks_are_rows_of_their_own_and_not_compared(tmp_path: Path) -> None:
    pattern_run(tmp_path / "a", 0.5, {"name": "quick", "trainer.epochs": 10, "dataset.num_inputs": 20})
    pattern_run(tmp_path / "b", 0.4, {"name": "pattern", "trainer.epochs": 20, "dataset.num_inputs": 700})
    for name, epochs in (("a", 10), ("b", 20)):
        change(tmp_path / name, "overrides", [f"trainer.epochs={epochs}"])
    c = compare(Request((tmp_path,)))
    assert c.keys == ["name"]
    assert c.differences == [None, None]
    for name in ("a", "b"):
        change(tmp_path / name, "config.dataset.num_inputs", 20)
    c = compare(Request((tmp_path,)))
    assert c.keys == ["trainer.epochs"]
    assert any(c.differences)
