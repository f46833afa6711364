"""What `select=` leaves out is told: how many runs, and which of the folders that were named have none left."""

import html
from pathlib import Path

import pytest
from report_runs import class_run, first_right

from qsnn.comparing.answers import facts
from qsnn.comparing.command import report
from qsnn.comparing.comparison import Request, compare
from qsnn.errors import ConfigError
from qsnn.training.runs import write_plan

BITS, HIDDEN = "quantization.weight_bits", "model.hidden"


def sweeps(folder: Path) -> list[Path]:
    """``small``: 2 and 8 bits of 16 neurons; ``large``: 4 bits of 32."""
    for name, bits, hidden in (("small", 2, 16), ("small", 8, 16), ("large", 4, 32)):
        class_run(folder / name / f"{bits}", first_right(9 + bits), {BITS: bits, HIDDEN: [hidden]})
    return [folder / "small", folder / "large"]


def told(folders: list[Path], select: str) -> list[str]:
    return [line for line in facts(compare(Request(tuple(folders), select=select))) if "leaves out" in line]


def test_select_tells_runs_left_out_and_folders_without_any_on_terminal_and_page(tmp_path: Path) -> None:
    small, large = sweeps(tmp_path)
    printed = report([str(small), str(large), "select=weight_bits:2"])
    line = f"select=weight_bits:2 leaves out 2 of 3 runs; no run is left of {large}."
    assert line in printed.text.splitlines()
    assert f"<li>{line}</li>" in html.unescape((small / "report" / "report.html").read_text())


def test_select_names_no_folder_where_each_has_a_run_left(tmp_path: Path) -> None:
    folders = sweeps(tmp_path)
    assert told(folders, "weight_bits:2,weight_bits:4") == [
        "select=weight_bits:2,weight_bits:4 leaves out 1 of 3 runs."
    ]


@pytest.mark.parametrize("select", ["", "weight_bits:2,weight_bits:4,weight_bits:8"])
def test_select_says_nothing_where_it_leaves_out_nothing(select: str, tmp_path: Path) -> None:
    assert told(sweeps(tmp_path), select) == []


def test_select_counts_a_job_that_never_started_to_the_folder_of_its_sweep(tmp_path: Path) -> None:
    small, large = sweeps(tmp_path)
    write_plan(large, [[f"{BITS}=4", f"{HIDDEN}=[32]"], [f"{BITS}=2", f"{HIDDEN}=[32]"]])
    assert told([small, large], "weight_bits:2") == ["select=weight_bits:2 leaves out 2 of 4 runs."]


def test_select_counts_a_run_to_each_folder_that_it_lies_below(tmp_path: Path) -> None:
    small, large = sweeps(tmp_path)
    (line,) = told([tmp_path, small, small / "2", small / "8", large], "weight_bits:2")
    assert line.endswith(f"leaves out 2 of 3 runs; no run is left of {small / '8'}, {large}.")


def test_select_of_values_that_no_run_has_together_is_refused_with_those_there(tmp_path: Path) -> None:
    folders = sweeps(tmp_path)
    with pytest.raises(
        ConfigError,
        match=r"^select=hidden:\[16\],weight_bits:4 leaves no run: those with model\.hidden \[16\] have "
        r"quantization\.weight_bits 2, 8$",
    ):
        told(folders, "hidden:[16],weight_bits:4")
