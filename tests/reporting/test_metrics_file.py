"""metrics.jsonl after crashes."""

from pathlib import Path

import pytest

from qsnn.reporting.metrics_file import append_metrics, open_metrics, read_metrics


def test_open_metrics_drops_what_came_after_the_checkpoint_and_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"epoch": 1, "distance": 5.0}\n{"epoch": 2, "distance": 4.0}\n{"epoch": 3, "distance": 3.0}\n{"epo'
    )
    with open_metrics(path, 2) as file:
        append_metrics(file, {"epoch": 3, "distance": 2.5})
    assert [(row["epoch"], row["distance"]) for row in read_metrics(path)] == [(1, 5.0), (2, 4.0), (3, 2.5)]


def test_open_metrics_of_a_new_run_starts_an_empty_file(tmp_path: Path) -> None:
    open_metrics(tmp_path / "metrics.jsonl", 0).close()
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == []


def test_metrics_keep_every_digit_of_a_float(tmp_path: Path) -> None:
    value = 3300.87890625 / 3
    with open_metrics(tmp_path / "m", 0) as file:
        append_metrics(file, {"epoch": 1, "distance": value})
    assert next(read_metrics(tmp_path / "m"))["distance"] == value


@pytest.mark.parametrize(
    "foreign",
    [
        b"[1]", b"null", b"7", b"\xff\xfe", b'{"epoch": "2"}', b'{"epoch": true}', b'{"epoch": null}', b"{}", b"", b"epoch",
        b"[" * 100_000, b'{"epoch": ' + b"9" * 5000 + b"}", b'{"epoch": -1}',
    ],
)  # fmt: skip
def test_foreign_lines_are_left_out_and_counted(
    foreign: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": 1, "x": 1}\n' + foreign + b'\n{"epoch": 2, "x": 2}\n')
    open_metrics(path, 2).close()
    assert path.read_text() == '{"epoch": 1, "x": 1}\n{"epoch": 2, "x": 2}\n'
    assert caplog.messages == [f"{path}: left out 1 lines that are no rows of metrics with an epoch"]


def test_line_that_a_killed_process_left_unfinished_is_not_worth_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "m").write_text('{"epoch": 1}\n{"epo')
    assert list(read_metrics(tmp_path / "m")) == [{"epoch": 1}]
    assert caplog.messages == []
