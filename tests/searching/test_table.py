"""The front, what is within reach of full precision, and the answer."""

import csv
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qsnn.config.searching.table import (
    INFEASIBLE,
    Found,
    Row,
    answer,
    console_table,
    infeasible_lines,
    plain,
    write_tables,
)
from qsnn.config.searching.trials import Reached
from qsnn.reporting.front_picture import Point, bit_marks, error_marks, write_front

REFERENCE = Reached(0.05, 0.01, None, {"inference": 1000, "training": 9000, "weights": 800})


def row(number: int, error: float, bits: int) -> Row:
    reached = Reached(error, 0.01, None, {"inference": bits, "training": 9 * bits, "weights": bits // 2})
    return Row(number, {"weight_bits": number}, f"trials/{number}", "complete", "", reached)


def found(*rows: Row, within: float | None = 0.02) -> Found:
    return Found(["error", "inference"], rows, REFERENCE, within)


def test_answer_is_the_fewest_bits_within_reach() -> None:
    rows = [row(1, 0.08, 100), row(2, 0.07, 200), row(3, 0.06, 200), row(4, 0.04, 300), row(5, 0.05, 400)]
    many = found(*rows, Row(6, {"weight_bits": 6}, "", "infeasible", "silent"))
    assert many.front() == [1, 3, 4]
    best = many.best()
    assert best is not None
    assert best[0].number == 3  # of equal bits the smaller error; 0.07 is just within reach
    assert answer(many).startswith(
        "fewest bits within 2 points of full precision (5.00 ± 1.00 %): weight_bits=3: 200 bits of memory in inference, "
        "20.0% of full precision's 1,000; error 6.00 ± 1.00 %"
    )


def test_answer_without_a_setting_within_reach_tells_the_nearest() -> None:
    assert answer(found(row(1, 0.3, 10))).endswith("none of the settings tried; the smallest error is 30.00 ± 1.00 %")
    assert answer(found()).endswith("none was finished")
    assert answer(found(row(1, 0.3, 10), within=None)).startswith(
        "fewest bits, whatever the error: weight_bits=1: 10 bits"
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), max_size=12))
def test_front_is_what_no_other_setting_beats(pairs: list[tuple[int, int]]) -> None:
    rows = [row(number, error / 10, bits) for number, (error, bits) in enumerate(pairs)]
    for number, (error, bits) in enumerate(pairs):
        beaten = any(e <= error and b <= bits and (e, b) != (error, bits) for e, b in pairs)
        assert (number in found(*rows).front()) is not beaten


def test_tables_hold_every_trial_with_its_marks(tmp_path: Path) -> None:
    failed = Row(3, {"weight_bits": 3}, "trials/3", "failed", "killed by SIGKILL | really")
    all_of_it = found(row(1, 0.2, 100), row(2, 0.06, 200), failed)
    write_tables(tmp_path, all_of_it, ["weight_bits"])
    with (tmp_path / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["trial"], r["front"], r["within"], r["status"].split(":")[0]) for r in rows] == [
        ("full precision", "", "", "reference"), ("1", "yes", "no", "complete"), ("2", "yes", "yes", "complete"),
        ("3", "", "", "failed"),
    ]  # fmt: skip
    assert len((tmp_path / "front.md").read_text().splitlines()) == 2 + 6 + 2
    assert plain(all_of_it)["best"] == 2
    assert len(console_table(all_of_it).splitlines()) == 4


def test_picture_of_the_front_is_written(tmp_path: Path) -> None:
    write_front(
        tmp_path / "a.png", [Point(100, 0.1, 0.01, True), Point(200, 0.05, None, True)], "inference", 0.04, 0.06
    )
    write_front(tmp_path / "b.png", [Point(100, 0.0, None, True)], "weights", None, None)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_marks_of_the_picture_are_round_numbers() -> None:
    assert [f"{mark:.4g}" for mark in error_marks(0.582)] == ["0", "0.2", "0.4", "0.6"]
    assert error_marks(1.0)[-1] == 1.0
    assert bit_marks(3900, 130000) == [10000, 30000, 100000]
    assert bit_marks(10000 / 1.15, 11000 * 1.15) == [9000, 10000, 11000, 12000]
    assert bit_marks(4 / 1.15, 4 * 1.15) == [4]


def test_each_reason_of_infeasible_settings_is_told_once() -> None:
    rows = [Row(n, {"weight_bits": n}, "", INFEASIBLE, f"reason {n % 7}") for n in range(8)]
    lines = infeasible_lines(found(*rows))
    assert lines[:2] == ["infeasible: weight_bits=0 and 1 more: reason 0", "infeasible: weight_bits=1: reason 1"]
    assert lines[-1] == "infeasible: 2 more reasons are in front.csv"
    assert len(lines) == 6
