"""Table and picture of the test accuracies of a sweep of local learning.

python scripts/accuracy_table.py outputs/multirun/nmnist_small/<time> --by quantization.readout_weight_bits --picture docs/x.png

Runs that agree in ``--by`` (a key of the config; a group's bit widths: "quantization") are one row: folds of a
cross-validation with the same seed make one accuracy, of all their test recordings together; mean and spread are over
seeds. The accuracies are those of the weights that validation chose, or of the last ones where nothing was validated.
"""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 400, 70, 340, 30, 600
Rows = dict[Any, dict[int, list[dict[str, Any]]]]


def read(folders: list[Path], key: str) -> Rows:
    """Finished runs by the value of ``key`` and by seed."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for path in sorted(file for folder in folders for file in folder.rglob("summary.json")):
        summary = json.loads(path.read_text())
        if summary["status"] != "finished":
            raise SystemExit(
                f"error: {path} is of a run that is {summary['status']}; finish it with resume= or remove it"
            )
        config = yaml.safe_load((path.parent / ".hydra" / "config.yaml").read_text())
        if key == "quantization":
            value: Any = "full precision" if summary["quantization"]["weight_bits"] is None else "quantized"
        else:
            value = config
            for part in key.split("."):
                value = value[part]
        rows[value][summary["seed"]].append(summary)
    return rows


def accuracy(runs: list[dict[str, Any]]) -> float:
    """Share of all their test recordings that are classified rightly."""
    right = total = 0
    for run in runs:
        scores = run["best"] if "confusion" in run["best"] else run["final"]
        right += sum(row[index] for index, row in enumerate(scores["confusion"]))
        total += sum(map(sum, scores["confusion"]))
    return right / total


def table(rows: Rows, key: str) -> tuple[str, list[tuple[Any, list[float]]]]:
    """Markdown, and the accuracies of each row by seed."""
    lines = [f"| {key} | test accuracy | by seed | recordings tested | seconds a run |", "|---|---|---|---|---|"]
    points = []
    for value, seeds in sorted(rows.items(), key=lambda item: (isinstance(item[0], str), item[0])):
        accuracies = [accuracy(runs) for _, runs in sorted(seeds.items())]
        spread = f" ± {statistics.stdev(accuracies):.1%}" if len(accuracies) > 1 else ""
        runs = [run for group in seeds.values() for run in group]
        tested = sum(sum(map(sum, run["best"].get("confusion", run["final"]["confusion"]))) for run in runs) // len(
            seeds
        )
        seconds = statistics.median(run["seconds"] for run in runs)
        by_seed = ", ".join(f"{value:.1%}" for value in accuracies)
        lines.append(f"| {value} | {statistics.mean(accuracies):.1%}{spread} | {by_seed} | {tested} | {seconds:.0f} |")
        points.append((value, accuracies))
    return "\n".join(lines), points


def picture(points: list[tuple[Any, list[float]]], key: str, path: Path) -> None:
    """Accuracy of every run as a dot, the means joined by a line."""
    lowest = min(min(values) for _, values in points)
    floor = max(0, int(10 * lowest) / 10)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)

    def place(index: int, value: float) -> tuple[float, float]:
        step = (RIGHT - LEFT) / max(1, len(points) - 1)
        return LEFT + index * step, BOTTOM - (value - floor) / (1 - floor) * (BOTTOM - TOP)

    for tenth in range(round(10 * floor), 11):
        y = place(0, tenth / 10)[1]
        draw.line((LEFT, y, RIGHT, y), fill="#dddddd")
        draw.text((LEFT - 50, y - 8), f"{10 * tenth} %", fill="black", font=font)
    means = [place(index, statistics.mean(values)) for index, (_, values) in enumerate(points)]
    draw.line(means, fill="#0072b2", width=3)
    for index, (name, values) in enumerate(points):
        draw.text((place(index, floor)[0], BOTTOM + 8), str(name), fill="black", font=font, anchor="mt")
        for value in values:
            x, y = place(index, value)
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill="#e69f00", outline="black")
    draw.text((LEFT, HEIGHT - 24), f"{key}; test accuracy, a dot for each seed", fill="black", font=font)
    image.save(path)


def main() -> None:
    """Print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--by", default="quantization", help="key whose values are the rows")
    parser.add_argument("--picture", type=Path, help="where to draw the accuracies")
    options = parser.parse_args()
    rows = read(options.folders, options.by)
    if not rows:
        raise SystemExit(f"error: no summary.json below {', '.join(map(str, options.folders))}")
    text, points = table(rows, options.by)
    print(text)
    if options.picture:
        picture(points, options.by, options.picture)


if __name__ == "__main__":
    main()
