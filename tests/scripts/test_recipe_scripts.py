"""The scripts behind the recipes of docs/results.md: table, picture, and the floor that the state format sets."""

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scripts_module import load_script

recipes = load_script("recipes")
state_floor = load_script("state_floor")


def _row(recipe: str, target: str, density: float, seed: int, final: float) -> dict[str, Any]:
    key = recipes.Combination(recipe, target, density, seed, 200)._asdict()
    return {**key, "final": final, "best": final, "curve": [(1, 1.0), (101, 0.6), (200, final)]}


ROWS = [
    _row("pattern_w8", "smile", 0.3, 0, 0.30), _row("pattern_w8", "smile", 0.3, 1, 0.32),
    _row("pattern_w2", "smile", 0.3, 0, 0.33), _row("pattern_w2", "smile", 0.3, 1, 0.33),
    _row("pattern_w8", "letters:nd", 0.95, 0, 0.5), _row("original, 2 bits", "smile", 0.3, 0, 0.7),
]  # fmt: skip


def test_run_trains_a_recipe_and_tells_how_far_it_came() -> None:
    threads = torch.get_num_threads()
    row = recipes.run(recipes.Combination("pattern_w2_integer", "smile", 0.3, 0, 2))
    torch.set_num_threads(threads)
    assert 0 < row["best"] <= row["final"]
    assert [epoch for epoch, _ in row["curve"]] == [1, 2, 2]
    assert recipes.combination(row) == recipes.Combination("pattern_w2_integer", "smile", 0.3, 0, 2)


def test_override_that_a_recipe_refuses_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["--recipes", "pattern_w2_integer, integers alone", "--overrides", "quantization.rng_rule=original"]
    monkeypatch.setattr("sys.argv", ["recipes.py", "--results", str(tmp_path / "recipes.jsonl"), *words])
    with pytest.raises(SystemExit) as refused:
        recipes.main()
    assert "error: pattern_w2_integer, integers alone: quantization.rng_rule=original is not possible" in str(
        refused.value
    )
    assert not (tmp_path / "recipes.jsonl").exists()


def test_table_gives_means_spreads_and_ratios_where_results_are_there() -> None:
    assert recipes.table(ROWS).splitlines() == [
        "| recipe (seeds) | nd 0.95 | smile 0.3 | mean |",
        "|---|---|---|---|",
        "| original, 2 bits (1) |  | 70.0 |  |",
        "| pattern_w2 (2) |  | 33.0 ± 0.0 |  |",
        "| pattern_w8 (1-2) | 50.0 | 31.0 ± 1.4 | 40.5 |",
        "| pattern_w2 / pattern_w8 |  | 1.065 |  |",
        "| pattern_w2_integer / pattern_w8 |  |  |  |",
    ]


def test_seeds_that_a_cell_of_the_table_lacks_are_named() -> None:
    assert recipes.missing(ROWS) == [
        "missing: original, 2 bits, smile at density 0.3, seed 1",
        "missing: pattern_w8, letters:nd at density 0.95, seed 1",
    ]
    assert recipes.missing(ROWS[:4]) == []


def test_picture_draws_the_mean_curve_of_every_recipe_in_its_colour(tmp_path: Path) -> None:
    recipes.picture(ROWS, tmp_path / "recipes.png")
    with Image.open(tmp_path / "recipes.png") as image:
        pixels = np.unique(np.asarray(image).reshape(-1, 3), axis=0)
    colours = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in pixels.tolist()}
    assert {recipes.COLOURS["2 bits"], recipes.COLOURS["pattern_w8"]} <= colours
    assert recipes.COLOURS["4 bits"] not in colours
    assert recipes.mean_curve([[(1, 1.0), (9, 0.2)], [(1, 0.8), (9, 0.4)]]) == [(1, 0.9), (9, pytest.approx(0.3))]


def test_floor_is_zero_of_a_target_without_two_spikes_in_a_row() -> None:
    target = np.zeros((40, 3), dtype=bool)
    target[3::2, 0] = target[1::5, 1] = True
    assert state_floor.floor(target, beams=20) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_floor_equals_that_of_all_spike_trains_tried_one_by_one(seed: int) -> None:
    column = np.random.default_rng(seed).random(10) < 0.6
    best = np.inf
    for train in product((False, True), repeat=10):
        if not any(a and b for a, b in pairwise(train)):
            value, total = 0.0, 0.0
            for spike, wanted in zip(train, column, strict=True):
                value = 0.75 * value + spike - wanted
                total += value * value
            best = min(best, total)
    assert state_floor.least_square(column, beams=60) == pytest.approx(best)
