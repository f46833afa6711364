"""The files of a report: what is in them, what they are written over, and a page in which no name of a run is obeyed."""

import csv
import errno
import json
import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_runs import class_run, first_right, pattern_run, rates

from qsnn.comparing.charts.axes import linear
from qsnn.comparing.charts.heat import heat_map
from qsnn.comparing.charts.scene import Label
from qsnn.comparing.command import Printed, parse_words, report
from qsnn.comparing.comparison import Request, compare
from qsnn.comparing.files import write_report
from qsnn.comparing.pictures import _error_axis, _point
from qsnn.errors import ConfigError, RunFolderError

BITS, HIDDEN = "quantization.weight_bits", "model.hidden"
EVIL = "<script>alert(1)</script>|`x`\x1b[31m {{7*7}} \"'&\nnext"
PICTURES = {
    "error_memory", "by_model.hidden", "by_quantization.weight_bits", "equal_memory", "heat_map", "curves", "drift",
}  # fmt: skip


def sweep(folder: Path) -> Path:
    for bits, hidden, right in ((2, 32, 12), (4, 16, 11), (4, 32, 15), (8, 16, 16)):
        for seed in (0, 1):
            run = folder / f"{bits}-{hidden}-{seed}"
            class_run(run, first_right(right + seed), {BITS: bits, HIDDEN: [hidden], "seed": seed})
            rates(run, {"hidden": [0.1 / bits, 0.2]})
    return folder


def told(folder: Path, *words: str) -> Printed:
    return report([str(folder), *words])


def test_report_writes_page_tables_and_pictures(tmp_path: Path) -> None:
    printed = told(sweep(tmp_path / "sweep"))
    out = tmp_path / "sweep" / "report"
    files = {path.name for path in out.iterdir()}
    assert files == {"report.html", "report.json", "table.csv", "table.md", *(f"{name}.png" for name in PICTURES)}
    assert printed.missing == []
    assert "digits: runs: 8 finished; rows: 4, by model.hidden, quantization.weight_bits" in printed.text
    for name in PICTURES:
        with Image.open(out / f"{name}.png") as image:
            assert image.width == 760
            assert len(image.convert("RGB").getcolors(10**6) or ()) > 5
    rows = list(csv.DictReader((out / "table.csv").open(newline="")))
    row = next(row for row in rows if row[BITS] == "4" and row[HIDDEN] == "[16]")
    assert float(row["test_accuracy"]) == pytest.approx(0.575)
    assert (row["by_seed"], row["recordings"], row["seeds"]) == ("0:0.55 1:0.6", "20", "2")
    assert (row["reference"], row["as_good"]) == ("hidden=[16] weight_bits=8", "no")
    assert float(row["difference"]) == pytest.approx(-0.25)
    assert float(row["drift hidden"]) == pytest.approx((0.1 / 4 - 0.1 / 8) / 2)


def test_nets_of_equal_energy_are_compared_also_by_cost_json(tmp_path: Path) -> None:
    for place, (bits, energy) in enumerate(((2, 1000.0), (8, 1090.0), (4, 5000.0))):
        run = class_run(tmp_path / str(bits), first_right(12 + place), {BITS: bits})
        file = run / ("cost.json" if place else "summary.json")
        content = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**content, "energy": {"inference": {"picojoule": energy}}}))
    told(tmp_path)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"error_energy.png", "equal_energy.png"} <= names
    rows = list(csv.DictReader((tmp_path / "report" / "table.csv").open(newline="")))
    assert [float(row["energy [pJ]"]) for row in rows] == [1000.0, 5000.0, 1090.0]


def test_markdown_has_the_columns_of_docs_results(tmp_path: Path) -> None:
    for seed, share in enumerate((0.5, 0.52)):
        pattern_run(tmp_path / f"{seed}", share, {"seed": seed})
    told(tmp_path)
    head, _, row = (tmp_path / "report" / "table.md").read_text().splitlines()
    assert head.startswith(
        "| final / silent | by seed | best / silent | final distance | best distance | weight memory [bits] |"
    )
    assert row.startswith("| 51.0% ± 1.4% | 50.0%, 52.0% | 45.9% ± 1.3% | 510.0 ± 14.1 | 459.0 ± 12.7 | 3,840 |")


def test_page_needs_nothing_from_elsewhere_and_gives_every_picture_a_name(tmp_path: Path) -> None:
    told(sweep(tmp_path))
    page = (tmp_path / "report" / "report.html").read_text()
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|url\(|@import|https?://", page) == []
    assert page.count("<svg") == page.count('role="img"') == len(PICTURES)
    assert page.count('scope="col"') > 8
    assert page.count('scope="row"') == 2 * 4
    names = re.findall(r'id="([\w-]+)"', page)
    assert len(names) == len(set(names))


def test_no_name_of_a_run_is_obeyed_by_page_table_or_terminal(tmp_path: Path) -> None:
    for bits in (2, 4):
        values = {BITS: bits, "name": EVIL, "model.x": EVIL * (bits // 2), f"model.{EVIL.replace('.', '')}": bits}
        rates(class_run(tmp_path / f"{bits}", first_right(9), values), {EVIL.replace("/", ""): [0.1 * bits]})
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "summary.json").write_text(
        json.dumps({"status": "failed", "error": EVIL, "overrides": [EVIL]})
    )
    printed = told(tmp_path, "by=name,x,weight_bits")
    files = {name: (tmp_path / "report" / name).read_text() for name in ("report.html", "table.md")}
    assert re.findall(r"<script>alert|<script(?! |>\"use strict\")", files["report.html"]) == []
    assert "&lt;script&gt;alert(1)" in files["report.html"]
    assert "{{7*7}}" in files["report.html"]
    assert "<script" not in files["table.md"]
    assert all(
        line.count(" | ") == files["table.md"].splitlines()[0].count(" | ")
        for line in files["table.md"].splitlines()[2:]
    )
    assert not any("\x1b" in text for text in (*files.values(), printed.text, *printed.missing))


def test_report_writes_over_nothing_but_an_earlier_report(tmp_path: Path) -> None:
    out = tmp_path / "in" / "out"
    write_report(out, {"report.html": b"1", "heat_map.png": b"1"})
    write_report(out, {"report.html": b"2"})
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json"}
    for name in ("notes.txt", "heat_map.png"):
        (out / name).write_bytes(b"mine")
    write_report(out, {"report.html": b"3"})
    with pytest.raises(ConfigError, match=r"heat_map\.png is not of an earlier report: move it away"):
        write_report(out, {"report.html": b"4", "heat_map.png": b"4"})
    assert [(out / name).read_bytes() for name in ("notes.txt", "heat_map.png", "report.html")] == [
        b"mine",
        b"mine",
        b"3",
    ]


def test_report_takes_away_nothing_outside_its_folder(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.touch()
    write_report(out, {"report.html": b"1"})
    (out / "report.json").write_text('{"made_by": "qsnn.report", "files": ["../other", "..", "", 3, "report.html"]}')
    write_report(out, {"table.md": b"2"})
    assert other.exists()
    assert not (out / "report.html").exists()


def test_report_is_not_written_into_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    for name, message in (("file", "is no folder"), ("folder", "holds something that is no report")):
        with pytest.raises(ConfigError, match=message):
            write_report(tmp_path / name, {})


def test_refused_report_leaves_nothing(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    with pytest.raises(ConfigError):
        told(folder, "by=nothing")
    assert not (folder / "report").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no folder is named"),
        (["here", "bye=x"], r"bye=x is no folder and no key of report: by, metric"),
        (["here", "--by", "x"], r"--by is no option of report"),
        (["here", "by="], "by= says nothing"),
        (["here", "by=a", "by=b"], "by= is given twice"),
        (["here", "confidence=95"], "confidence=95 is not possible"),
        (["here", "margin=-1"], "margin=-1 is not possible"),
        (["here", "margin=nan"], "margin=nan is not possible"),
        (["here", "margin=one"], "margin=one is no number"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_words(words)


def test_sweep_of_which_nothing_is_finished_says_what_became_of_its_runs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").write_text('{"status": "failed", "error": "too few bits"}')
    with pytest.raises(RunFolderError, match=r"no run is finished yet: 1 failed; .*too few bits"):
        told(tmp_path)


def test_sweep_of_which_no_row_is_complete_has_its_curves_and_no_best_row(tmp_path: Path) -> None:
    for fold, status in ((0, "finished"), (1, "stopped")):
        run = class_run(tmp_path / f"{fold}", first_right(9), {"dataset.num_folds": 2, "dataset.fold": fold})
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps({**summary, "status": status}))
    printed = told(tmp_path)
    assert (tmp_path / "report" / "curves.png").exists()
    assert "No row is complete yet." in (tmp_path / "report" / "report.html").read_text()
    assert "1 stopped" in printed.text


def test_what_a_killed_report_left_half_written_goes_with_the_next_one(tmp_path: Path) -> None:
    write_report(tmp_path, {"report.html": b"1"})
    old, new = (tmp_path / f".report-{number}" for number in (1, 2))
    for path in (old, new):
        path.mkdir()
        (path / "report.html").touch()
    os.utime(old, (0, 0))
    write_report(tmp_path, {"report.html": b"2"})
    assert (old.exists(), new.exists()) == (False, True)  # the second may be another report's, which is still at it


@pytest.mark.parametrize("is_first", [True, False])
def test_report_that_does_not_fit_on_the_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    folder = tmp_path / "report"
    if not is_first:
        write_report(folder, {"report.html": b"1", "old.png": b"1"})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fsync(file: int) -> None:
        if os.fstat(file).st_size > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_report(folder, {"report.html": b"2", "table.csv": bytes(100_001)})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert folder.exists() != is_first


def test_bars_are_of_the_spread_even_where_it_is_none_and_no_share_is_above_all(tmp_path: Path) -> None:
    for bits, right in ((2, (1, 1)), (8, (0, 9))):
        for seed in (0, 1):
            class_run(tmp_path / f"{bits}-{seed}", first_right(right[seed]), {BITS: bits, "seed": seed})
    c = compare(Request((tmp_path,)))
    points = [_point(c, row, 0) for row in c.rows]
    assert (points[0].low, points[0].high) == (points[0].y, points[0].y)
    assert points[1].high == 1.0
    assert _error_axis(c).ticks[-1] == (1.0, "100%")


def test_bars_and_the_axis_of_a_share_end_at_none(tmp_path: Path) -> None:
    for bits, right in ((2, (19, 20)), (8, (20, 20))):
        for seed in (0, 1):
            class_run(tmp_path / f"{bits}-{seed}", first_right(right[seed]), {BITS: bits, "seed": seed})
    c = compare(Request((tmp_path,)))
    assert [_point(c, row, 0).low for row in c.rows] == [0.0, 0.0]
    assert _error_axis(c).ticks[0] == (0.0, "0%")


@pytest.mark.parametrize(("best", "is_logarithmic"), [(28, True), (27, False), (30, False)])
def test_axis_of_errors_is_logarithmic_if_they_span_more_than_ten_times_and_none_is_0(
    tmp_path: Path, best: int, is_logarithmic: bool
) -> None:
    for bits, right in ((2, 3), (8, best)):
        class_run(tmp_path / str(bits), first_right(right, 30), {BITS: bits})
    axis = _error_axis(compare(Request((tmp_path,))))
    assert axis.label.endswith(", logarithmic") == is_logarithmic
    assert axis.place(0.0) == 0.0


def test_axis_of_a_share_ends_at_all() -> None:
    assert [text for _, text in linear("error", [1.0, 1.0], "{:g}".format, floor=0.0, ceiling=1.0).ticks] == [
        "0.75",
        "1",
    ]


def test_heat_map_tells_long_keys_whole() -> None:
    keys = "quantization.readout_weight_bits", "quantization.membrane_trace_bits"
    scene = heat_map("t", "d", (keys[0], ["1", "2"]), (keys[1], ["3", "4"]), {(0, 0): (0.5, "50%")})
    texts = [shape.text for shape in scene.shapes if isinstance(shape, Label)]
    assert {f"across: {keys[0]}", f"down: {keys[1]}"} < set(texts)


class Killing(dict[str, bytes]):
    """Files whose writer is killed after the first."""

    def items(self) -> Any:
        for number, item in enumerate(super().items()):
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item


def test_killed_report_leaves_the_earlier_one_and_is_written_over(tmp_path: Path) -> None:
    names = ("report.html", "table.csv", "drift.png")
    write_report(tmp_path, dict.fromkeys(names, b"old"))
    child = multiprocessing.get_context("fork").Process(
        target=write_report, args=(tmp_path, Killing.fromkeys(names, b"new"))
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert [(tmp_path / name).read_bytes() for name in names] == [b"old", b"old", b"old"]
    write_report(tmp_path, dict.fromkeys(names, b"next"))
    assert [(tmp_path / name).read_bytes() for name in names] == [b"next", b"next", b"next"]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*names, "report.json"}
