"""Compare recipes over targets, densities and seeds: results to a file of JSON lines, a Markdown table and a picture.

    python scripts/recipes.py [--recipes ...] [--targets ...] [--densities ...] [--seeds ...] [--jobs 2]

A combination that is in the results file already is not run again, so that the comparison can be made in pieces; with
`--epochs 0` nothing is run, and table and picture are made of what is there. Seeds draw initial weights and rounding.
"""

import argparse
import itertools
import json
import multiprocessing
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageDraw
from tqdm import tqdm

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.errors import ConfigError
from qsnn.training.bptt import evaluate
from qsnn.training.pattern_task import PatternTask

RECIPES = {
    "original, 2 bits": ["experiment=iscas_pattern"],
    "original, 4 bits": ["experiment=iscas_pattern", "quantization.weight_bits=4"],
    "original, 6 bits": ["experiment=iscas_pattern", "quantization.weight_bits=6"],
    "original, 8 bits": ["experiment=iscas_pattern", "quantization.weight_bits=8"],
    "original, full precision": ["experiment=pattern_full_precision"],
    "pattern_w2": ["experiment=pattern_w2"],
    # As it was, with codes alone in memory and floats between them:
    "pattern_w2_integer": ["experiment=pattern_w2_integer", "quantization=iscas", "optimizer=sgd"],
    "pattern_w2_integer, integers alone": ["experiment=pattern_w2_integer"],
    "pattern_w8, 4 bits": ["experiment=pattern_w8", "quantization.weight_bits=4"],
    "pattern_w8, 6 bits": ["experiment=pattern_w8", "quantization.weight_bits=6"],
    "pattern_w8": ["experiment=pattern_w8"],
    "pattern_w8, full precision": ["experiment=pattern_w8", "quantization=full_precision"],
}  # fmt: skip
REFERENCE = "pattern_w8"
COMPARED = ("pattern_w2", "pattern_w2_integer")
COLOURS = {
    "full": "#000000", "8 bits": "#0072b2", "pattern_w8": "#0072b2", "6 bits": "#009e73", "4 bits": "#e69f00",
    "2 bits": "#d55e00", "pattern_w2": "#d55e00", "pattern_w2_integer": "#cc79a7",
}  # fmt: skip
PANELS = (("smile", 0.95), ("smile", 0.3))


class Combination(NamedTuple):
    """What a result is of."""

    recipe: str
    target: str
    density: float
    seed: int
    epochs: int
    overrides: tuple[str, ...] = ()


def run(key: Combination) -> dict[str, Any]:
    """Train one combination and return its relative distances: the final and the best one, and a hundred on the way."""
    torch.set_num_threads(1)
    set_up()
    data = [f"dataset.target={key.target}", f"dataset.density={key.density}"]
    overrides = [*RECIPES[key.recipe], *data, *key.overrides]
    config = to_config(compose_config([*overrides, f"seed={key.seed}", f"trainer.epochs={key.epochs}"]))
    run = config.trainer.build_run(config, build_machine(config), Path(), {})
    assert isinstance(run.task, PatternTask)
    loss, pattern, curve = run.task.loss, run.task.pattern, []
    silent = loss.of_silence(pattern.target)
    for epoch in range(key.epochs):
        distance = run.learn_batch()[0].loss
        if epoch % max(1, key.epochs // 100) == 0:
            curve.append((epoch + 1, round(distance / silent, 4)))
    final = evaluate(run.state.model, pattern, loss)[0]["relative_distance"]
    best = run.state.best.score / silent if run.state.best else final
    rounded = {"final": round(final, 5), "best": round(min(best, final), 5)}
    return {**key._asdict(), **rounded, "curve": [*curve, (key.epochs, round(final, 4))]}


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def combination(row: dict[str, Any]) -> Combination:
    """What a result is of."""
    values = {name: row[name] for name in Combination._fields if name in row}
    return Combination(**{**values, "overrides": tuple(row.get("overrides", ()))})


def finals(rows: list[dict[str, Any]], recipe: str, data: tuple[str, float]) -> list[float]:
    """Final relative distances of ``recipe`` on ``data`` (target, density), one a seed."""
    return [row["final"] for row in rows if (row["recipe"], (row["target"], row["density"])) == (recipe, data)]


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def _ratio(rows: list[dict[str, Any]], recipe: str, data: tuple[str, float]) -> float | None:
    above, below = finals(rows, recipe, data), finals(rows, REFERENCE, data)
    return statistics.mean(above) / statistics.mean(below) if above and below else None


def _table_row(name: str, cells: Iterable[str], values: list[float | None], form: str) -> str:
    """A line of the table; the last cell is the mean over the data sets, if all are there."""
    known = [value for value in values if value is not None]
    mean = form.format(statistics.mean(known)) if len(known) == len(values) else ""
    return f"| {name} | " + " | ".join(cells) + f" | {mean} |"


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds of the final distance in percent of silence, and ratios to 8 bits.

    One line a recipe (and the least and largest number of seeds in its cells), one column a data set, and the mean of
    the columns.
    """
    data = sorted({(row["target"], row["density"]) for row in rows})
    header = [f"{target.removeprefix('letters:')} {density:g}" for target, density in data]
    lines = ["| recipe (seeds) | " + " | ".join(header) + " | mean |", "|---" * (len(data) + 2) + "|"]
    for name in RECIPES:
        found = [finals(rows, name, entry) for entry in data]
        if any(found):
            seeds = "-".join(str(n) for n in sorted({len(values) for values in found if values}))
            means = [100 * statistics.mean(values) if values else None for values in found]
            lines.append(_table_row(f"{name} ({seeds})", map(_cell, found), means, "{:.1f}"))
    for name in COMPARED:
        ratios = [_ratio(rows, name, entry) for entry in data]
        cells = ["" if ratio is None else f"{ratio:.3f}" for ratio in ratios]
        lines.append(_table_row(f"{name} / {REFERENCE}", cells, ratios, "{:.3f}"))
    return "\n".join(lines)


def missing(rows: list[dict[str, Any]]) -> list[str]:
    """The seeds that a cell of the table lacks though another cell has them: its mean is of fewer runs than theirs."""
    seeds = sorted({row["seed"] for row in rows})
    cells: dict[tuple[str, str, float], set[int]] = {}
    for row in rows:
        cells.setdefault((row["recipe"], row["target"], row["density"]), set()).add(row["seed"])
    lacking = {cell: [seed for seed in seeds if seed not in there] for cell, there in cells.items()}
    return [
        f"missing: {recipe}, {target} at density {density:g}, seed {', '.join(map(str, absent))}"
        for (recipe, target, density), absent in sorted(lacking.items())
        if absent
    ]


def _colour(recipe: str) -> str:
    exact = [colour for name, colour in COLOURS.items() if recipe == name]
    return exact[0] if exact else next(c for name, c in COLOURS.items() if name in recipe.split(", ")[1])


def mean_curve(curves: list[list[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The mean over seeds, epoch by epoch."""
    return [(points[0][0], statistics.mean(value for _, value in points)) for points in zip(*curves, strict=True)]


def _panel(draw: ImageDraw.ImageDraw, rows: list[dict[str, Any]], corner: tuple[int, int], title: str) -> None:
    """Distance against epochs of ``rows`` in a box of 660 x 330 pixels, a mean line and a legend entry a recipe."""
    left, top, right, bottom = corner[0] + 50, corner[1] + 26, corner[0] + 470, corner[1] + 290
    epochs = max((row["epochs"] for row in rows), default=1)

    def place(epoch: float, value: float) -> tuple[float, float]:
        return left + (right - left) * epoch / epochs, bottom - (bottom - top) * min(value, 1.0)

    draw.text((left, corner[1] + 6), title, fill="black")
    for tenth in range(0, 11, 2):
        draw.line([place(0, tenth / 10), place(epochs, tenth / 10)], fill="#dddddd")
        draw.text((left - 38, place(0, tenth / 10)[1] - 6), f"{tenth * 10:3d} %", fill="black")
        draw.text((place(epochs * tenth / 10, 0)[0] - 14, bottom + 6), f"{epochs * tenth // 10}", fill="black")
    names = [name for name in RECIPES if any(row["recipe"] == name for row in rows)]
    for number, name in enumerate(names):
        curve = mean_curve([row["curve"] for row in rows if row["recipe"] == name])
        draw.line([place(*point) for point in curve], fill=_colour(name), width=2)
        height = top + 16 * number
        draw.line([(right + 10, height + 6), (right + 26, height + 6)], fill=_colour(name), width=3)
        draw.text((right + 31, height), f"{name} {curve[-1][1]:.1%}", fill="black")


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Distance against epochs: a line of panels a data set, the original recipe on the left and ours on the right."""
    sheet = Image.new("RGB", (1320, 330 * len(PANELS) + 20), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (target, density) in enumerate(PANELS):
        shown = [row for row in rows if (row["target"], row["density"]) == (target, density)]
        for column, (title, original) in enumerate((("original recipe", True), ("our recipes", False))):
            chosen = [row for row in shown if row["recipe"].startswith("original") == original]
            _panel(draw, chosen, (660 * column, 330 * line), f"{title}: {target} at density {density:g}")
    text = "x: epochs; y: van Rossum distance in percent of a silent net's; means over the seeds that were run"
    draw.text((50, 330 * len(PANELS)), text, fill="black")
    sheet.save(path)


def main() -> int:
    """Run what is missing, then write table and picture of everything in the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    parser.add_argument("--targets", nargs="+", default=["smile", "tree", "letters:nd"])
    parser.add_argument("--densities", nargs="+", type=float, default=[0.95, 0.3, 0.5])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=10000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--overrides", nargs="+", default=[], help="config overrides of every run, such as a bit width")
    parser.add_argument("--results", type=Path, default=Path("outputs/recipes.jsonl"))
    parser.add_argument("--picture", type=Path, default=Path("docs/recipes.png"))
    options = parser.parse_args()
    done = {combination(row) for row in read(options.results)}
    # Seeds outermost, so that a comparison that is stopped early is complete for the first seeds.
    wanted = [
        Combination(recipe, target, density, seed, options.epochs, tuple(options.overrides))
        for seed, target, density, recipe in itertools.product(
            options.seeds, options.targets, options.densities, options.recipes
        )
    ]
    tasks = [key for key in wanted if key not in done and options.epochs]
    set_up()
    try:
        for recipe in options.recipes:
            to_config(compose_config([*RECIPES[recipe], *options.overrides]))
    except ConfigError as error:
        sys.exit(f"error: {recipe}: {error}")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool, open(options.results, "a") as file:
        for row in tqdm(pool.imap_unordered(run, tasks), total=len(tasks), unit="run"):
            file.write(json.dumps(row) + "\n")
            file.flush()
    rows = read(options.results)
    print(table(rows))
    sys.stderr.writelines(f"{line}\n" for line in missing(rows))
    picture(rows, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
