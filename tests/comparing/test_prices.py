"""Energies by several hardware tables, and costs that not every run tells, or that are damaged."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from report_runs import class_run, first_right

from qsnn.comparing.answers import facts
from qsnn.comparing.command import report
from qsnn.comparing.comparison import Comparison, Request, compare
from qsnn.comparing.costs import COSTS
from qsnn.comparing.pictures import pictures_of
from qsnn.comparing.tables import columns_of
from qsnn.errors import ConfigError

BITS, HIDDEN, ACCESS = "quantization.weight_bits", "model.hidden", "hardware.access_bits"


def run(folder: Path, bits: int, energy: Any, values: dict[str, Any] | None = None, **facts_: Any) -> Path:
    """One with ``energy`` in its summary; ``...``: with none."""
    class_run(folder, first_right(8 + bits // 2), {BITS: bits, **(values or {})})
    summary = json.loads((folder / "summary.json").read_text())
    told = {} if energy is ... else {"energy": {"inference": {"picojoule": energy}, "hardware": "mine"}}
    (folder / "summary.json").write_text(json.dumps({**summary, **told, **facts_}))
    return folder


def names_of(c: Comparison) -> set[str]:
    return {picture.name for picture in pictures_of(c)}


def column(c: Comparison, head: str) -> list[str]:
    return next(column.cells for column in columns_of(c) if column.head == head)


def test_swept_table_makes_rows_whose_energies_are_not_compared(tmp_path: Path) -> None:
    for bits in (2, 8):
        for access in (32, 64):
            values = {ACCESS: access, "hardware.name": "mine"}
            run(tmp_path / f"{bits}-{access}", bits, 1000.0 * bits / access, values)
    c = compare(Request((tmp_path,)))
    assert c.keys == [BITS, ACCESS]
    assert c.reference == {BITS: 8}
    assert [row.values for row in c.rows if row.cost(COSTS[3]) is not None] == [(2, 32), (2, 64), (8, 32), (8, 64)]
    assert set(c.fronts) == {"weight memory"}
    assert not {"error_energy", "equal_energy", "by_hardware.access_bits", "heat_map"} & names_of(c)
    (line,) = [line for line in facts(c) if line.startswith("Energies")]
    assert line.startswith(
        "Energies are by 2 hardware tables (mine), which differ in access_bits: they are not compared"
    )
    one = compare(Request((tmp_path,), select="access_bits:32"))
    assert one.keys == [BITS]
    assert "energy" in one.fronts
    assert "error_energy" in names_of(one)
    with pytest.raises(ConfigError, match=r"^metric=energy.inference.picojoule: Energies are by 2 hardware tables"):
        compare(Request((tmp_path,), metric="energy.inference.picojoule"))


@pytest.mark.parametrize("first", ["horowitz_45nm", None])
def test_swept_table_alone_makes_rows_also_beside_runs_by_the_default_one(first: str | None, tmp_path: Path) -> None:
    for name, figure in ((first, 64), ("ok", 32)):
        folder = run(tmp_path / f"{name}", 2, 10.0, {"hardware.name": name or "horowitz_45nm", ACCESS: figure})
        summary = json.loads((folder / "summary.json").read_text())
        overrides = [f"{BITS}=2", *([f"hardware={name}"] if name else [])]
        (folder / "summary.json").write_text(json.dumps({**summary, "overrides": overrides}))
    c = compare(Request((tmp_path,)))
    assert c.keys == ["hardware" if first else "hardware.name"]
    assert [row.values for row in c.rows] == [("horowitz_45nm",), ("ok",)]
    assert not any(c.differences)
    assert names_of(c) == {"error_memory", "curves"}


def test_row_of_runs_by_several_tables_has_no_energy(tmp_path: Path) -> None:
    for seed, access in ((0, 32), (1, 64)):
        folder = run(tmp_path / f"{seed}", 2, ..., {"seed": seed})
        costs = {"energy": {"inference": {"picojoule": 5.0}, "hardware": "mine"}, "hardware": {"access_bits": access}}
        (folder / "cost.json").write_text(json.dumps(costs))
    run(tmp_path / "8", 8, 7.0)
    c = compare(Request((tmp_path,)))
    assert column(c, "energy [pJ]") == ["2 tables", "7"]
    assert set(c.fronts) == {"weight memory"}


@pytest.mark.parametrize("energy", [..., "text", float("nan"), {}, None, -1.0, 10**400])
def test_row_of_which_a_run_lacks_its_energy_says_so_and_is_on_no_front(energy: Any, tmp_path: Path) -> None:
    for bits in (2, 4, 8):
        for seed in (0, 1):
            figure = energy if bits == 8 or (bits, seed) == (2, 1) else 100.0 * bits
            run(tmp_path / f"{bits}-{seed}", bits, figure, {"seed": seed})
    printed = report([str(tmp_path)])
    c = compare(Request((tmp_path,)))
    assert column(c, "energy [pJ]") == ["200 (1 of 2)", "400", "0 of 2"]
    assert column(c, "front (energy)") == ["unknown", "yes", "unknown"]
    word = "lacking" if energy is ... else "damaged"
    told = f"Energy is {word} in 3 of 6 finished runs, such as {tmp_path}/2-1: a row&#39;s is the median of the others"
    assert told in (tmp_path / "report" / "report.html").read_text()
    assert told.replace("&#39;", "'") in printed.text
    (picture,) = [picture for picture in pictures_of(c) if picture.name == "error_energy"]
    assert "Of 3 configurations 1 without a ring, as not all of their runs tell it and 1 not drawn" in picture.caption
    first, second, third = csv.DictReader((tmp_path / "report" / "table.csv").open(newline=""))
    assert [row["energy known"] for row in (first, second, third)] == ["200 (1 of 2)", "all", "0 of 2"]


def test_damaged_cost_file_and_memory_are_told(tmp_path: Path) -> None:
    (run(tmp_path / "2", 2, ...) / "cost.json").write_text("cut")
    run(tmp_path / "8", 8, ..., memory_bits={"weights": {"bits": "many"}})
    c = compare(Request((tmp_path,)))
    assert column(c, "weight memory [bits]") == ["960", "0 of 1"]
    lines = [line.partition(":")[0] for line in facts(c)]
    assert f"Energy is lacking in 1 and damaged in 1 of 2 finished runs, {tmp_path}/2" in lines
    assert f"Weight memory is damaged in 1 of 2 finished runs, {tmp_path}/8" in lines


def test_two_bits_against_eight_at_equal_memory_and_energy_tell_their_tolerance(tmp_path: Path) -> None:
    for bits, hidden, energy in ((2, 16, 300.0), (2, 64, 1000.0), (8, 16, 1090.0), (8, 8, 500.0)):
        run(tmp_path / f"{bits}-{hidden}", bits, energy, {HIDDEN: [hidden]})
    captions = {picture.name: picture.caption for picture in pictures_of(compare(Request((tmp_path,))))}
    assert "at equal weight memory (within 2 %): what quantization.weight_bits buys" in captions["equal_memory"]
    assert "at equal energy (within 10 %): what quantization.weight_bits buys" in captions["equal_energy"]
    (tmp_path / "8-16" / "summary.json").write_text(
        (tmp_path / "8-16" / "summary.json").read_text().replace("1090.0", "1110.0")
    )
    assert "equal_energy" not in names_of(compare(Request((tmp_path,))))
