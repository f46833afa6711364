"""Compare recipes over targets, densities and seeds: results to a file of JSON lines, a Markdown table and a picture.

    python scripts/recipes.py [--recipes ...] [--targets ...] [--densities ...] [--seeds ...] [--jobs 2]

A combination that is in the results file already is not run again, so that the comparison can be made in pieces.
"""

import argparse
import itertools
import json
import multiprocessing
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from tqdm import tqdm

from qsnn.config.builders import build_pattern_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.training.bptt import evaluate
from qsnn.training.pattern_run import train_epoch

RECIPES = {
    "original, 2 bits": [],
    "original, 4 bits": ["quantization.weight_bits=4"],
    "original, 6 bits": ["quantization.weight_bits=6"],
    "original, 8 bits": ["quantization.weight_bits=8"],
    "pattern_w2": ["experiment=pattern_w2"],
    "pattern_w2_integer": ["experiment=pattern_w2_integer"],
    "pattern_w8": ["experiment=pattern_w8"],
    "full precision": ["quantization=full_precision"],
}
Combination = tuple[str, str, float, int]
COLOURS = ["#000000", "#999999", "#cc79a7", "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#e69f00"]


def run(task: tuple[Combination, int]) -> dict[str, Any]:
    """Train one combination and return its relative distances: the final one, and a hundred on the way."""
    (recipe, target, density, seed), epochs = task
    torch.set_num_threads(1)
    set_up()
    overrides = [*RECIPES[recipe], f"dataset.target={target}", f"dataset.density={density}", f"seed={seed}"]
    run = build_pattern_run(to_config(compose_config([*overrides, f"trainer.epochs={epochs}"])), Path())
    silent, curve = run.loss.of_silence(run.pattern.target), []
    for epoch in range(epochs):
        distance = train_epoch(run)[0].distance
        if epoch % max(1, epochs // 100) == 0:
            curve.append((epoch + 1, round(distance / silent, 4)))
    final = evaluate(run.state.model, run.pattern, run.loss)[0]["relative_distance"]
    key = {"recipe": recipe, "target": target, "density": density, "seed": seed, "epochs": epochs}
    return {**key, "final": final, "curve": curve}


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def combination(row: dict[str, Any]) -> Combination:
    """What a result is of."""
    return row["recipe"], row["target"], row["density"], row["seed"]


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds of the final relative distance, one row a recipe, one column a data set."""
    data = sorted({(row["target"], row["density"]) for row in rows})
    recipes = [name for name in RECIPES if any(row["recipe"] == name for row in rows)]
    lines = ["| recipe | " + " | ".join(f"{t} {d:g}" for t, d in data) + " | mean |", "|---" * (len(data) + 2) + "|"]
    for name in recipes:
        cells, means = [], []
        for target, density in data:
            finals = [r["final"] for r in rows if (r["recipe"], r["target"], r["density"]) == (name, target, density)]
            spread = f" ± {statistics.stdev(finals):.1%}" if len(finals) > 1 else ""
            cells.append(f"{statistics.mean(finals):.1%}{spread} ({len(finals)})" if finals else "")
            means += [statistics.mean(finals)] if finals else []
        mean = f"{statistics.mean(means):.1%}" if len(means) == len(data) else ""
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {mean} |")
    return "\n".join(lines)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Relative distance against epochs on the first target and density, seed by seed."""
    width, height, left, top = 900, 420, 60, 20
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    first = next((r["target"], r["density"]) for r in rows)
    shown = [row for row in rows if (row["target"], row["density"]) == first]
    epochs, right, bottom = max(row["epochs"] for row in shown), width - 190, height - 40

    def place(epoch: float, value: float) -> tuple[float, float]:
        return left + (right - left) * epoch / epochs, bottom - (bottom - top) * min(value, 1.0)

    for tenth in range(0, 11, 2):
        draw.line([place(0, tenth / 10), place(epochs, tenth / 10)], fill="#dddddd")
        draw.text((left - 40, place(0, tenth / 10)[1] - 6), f"{tenth * 10} %", fill="black")
        draw.text((place(epochs * tenth / 10, 0)[0] - 12, bottom + 6), f"{epochs * tenth // 10}", fill="black")
    draw.text(
        (left, height - 18),
        f"epochs; distance relative to a silent net, {first[0]} at density {first[1]:g}",
        fill="black",
    )
    for number, name in enumerate(RECIPES):
        lines = [row["curve"] for row in shown if row["recipe"] == name]
        for curve in lines:
            draw.line([place(*point) for point in curve], fill=COLOURS[number], width=2)
        if lines:
            draw.line(
                [(right + 10, top + 18 * number + 6), (right + 30, top + 18 * number + 6)],
                fill=COLOURS[number],
                width=3,
            )
            draw.text((right + 36, top + 18 * number), name, fill="black")
    sheet.save(path)


def main() -> int:
    """Run what is missing, then write table and picture of everything in the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    parser.add_argument("--targets", nargs="+", default=["smile", "tree", "letters:lab"])
    parser.add_argument("--densities", nargs="+", type=float, default=[0.95, 0.5, 0.3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=10000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("outputs/recipes.jsonl"))
    parser.add_argument("--picture", type=Path, default=Path("docs/recipes.png"))
    options = parser.parse_args()
    done = {combination(row) for row in read(options.results)}
    # Seeds outermost, so that a comparison that is stopped early is complete for the first seeds.
    wanted = [
        (recipe, target, density, seed)
        for seed, target, density, recipe in itertools.product(
            options.seeds, options.targets, options.densities, options.recipes
        )
    ]
    tasks = [(entry, options.epochs) for entry in wanted if entry not in done]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool, open(options.results, "a") as file:
        for row in tqdm(pool.imap_unordered(run, tasks), total=len(tasks), unit="run"):
            file.write(json.dumps(row) + "\n")
            file.flush()
    rows = read(options.results)
    print(table(rows))
    picture(rows, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
