"""Table and picture of the test accuracies of a sweep of local learning.

python scripts/accuracy_table.py outputs/multirun/nmnist_small/<time> --by quantization.readout_weight_bits --picture docs/x.png

Runs that agree in ``--by`` (a key of the config; a group's bit widths: "quantization") are one row: folds of a
cross-validation with the same seed make one accuracy, of all their test recordings together; mean and spread are over
seeds. The standard error is what so many recordings leave open, sqrt(p (1 - p) / n) with n recordings: all seeds test the
same ones, so more seeds do not lessen it. The accuracies are those of the weights that validation chose, or of the last ones
where nothing was validated. To compare sweeps, give each a name: --line NAME FOLDER, once for each; --line wide <folder>
--line narrow <folder> makes one table and one picture.
"""

import argparse
import itertools
import json
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 400, 70, 340, 30, 600
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
Rows = dict[Any, dict[int, list[dict[str, Any]]]]
Points = list[tuple[Any, list[float]]]


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
        scores = run.get("best", run["final"])  # without a validation part no weights are the best
        right += sum(row[index] for index, row in enumerate(scores["confusion"]))
        total += sum(map(sum, scores["confusion"]))
    return right / total


def header(key: str, named: bool) -> str:
    """The first two lines of the table; ``named``: with a column for the names of the lines."""
    cells = [key, "test accuracy", "standard error", "by seed", "recordings tested", "seconds a run"]
    cells = ["line", *cells] if named else cells
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def table(rows: Rows, name: str | None = None) -> tuple[str, Points]:
    """Markdown lines, with ``name`` in front if there is one, and the accuracies of each row by seed."""
    lines, points = [], []
    for value, seeds in sorted(rows.items(), key=lambda item: (isinstance(item[0], str), item[0])):
        accuracies = [accuracy(runs) for _, runs in sorted(seeds.items())]
        spread = f" ± {statistics.stdev(accuracies):.1%}" if len(accuracies) > 1 else ""
        runs = [run for group in seeds.values() for run in group]
        tested = sum(sum(map(sum, run["final"]["confusion"])) for run in runs) // len(seeds)
        mean = statistics.mean(accuracies)
        cells = [
            str(value), f"{mean:.1%}{spread}", f"{math.sqrt(mean * (1 - mean) / tested):.1%}",
            ", ".join(f"{value:.1%}" for value in accuracies), str(tested),
            f"{statistics.median(run['seconds'] for run in runs):.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells if name is None else [name, *cells]) + " |")
        points.append((value, accuracies))
    return "\n".join(lines), points


def picture(lines: dict[str | None, Points], key: str, path: Path) -> None:
    """Accuracy of every run as a dot, the means of each line joined; values of ``key`` from left to right."""
    names = list(dict.fromkeys(name for points in lines.values() for name, _ in points))
    lowest = min(min(values) for points in lines.values() for _, values in points)
    floor = max(0, int(10 * lowest) / 10)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)

    def place(name: Any, value: float) -> tuple[float, float]:
        step = (RIGHT - LEFT) / max(1, len(names) - 1)
        return LEFT + names.index(name) * step, BOTTOM - (value - floor) / (1 - floor) * (BOTTOM - TOP)

    for tenth in range(round(10 * floor), 11):
        y = place(names[0], tenth / 10)[1]
        draw.line((LEFT, y, RIGHT, y), fill="#dddddd")
        draw.text((LEFT - 50, y - 8), f"{10 * tenth} %", fill="black", font=font)
    for name in names:
        draw.text((place(name, floor)[0], BOTTOM + 8), str(name), fill="black", font=font, anchor="mt")
    for number, ((label, points), colour) in enumerate(zip(lines.items(), itertools.cycle(COLOURS))):
        draw.line([place(name, statistics.mean(values)) for name, values in points], fill=colour, width=3)
        dots = [place(name, value) for name, values in points for value in values]
        for x, y in dots:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline="black")
        draw.text((LEFT + 12, BOTTOM - 18 * (len(lines) - number)), label or "", fill=colour, font=font)
    draw.text((LEFT, HEIGHT - 24), f"{key}; test accuracy, a dot for each seed", fill="black", font=font)
    image.save(path)


def main() -> None:
    """Print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--by", default="quantization", help="key whose values are the rows")
    parser.add_argument(
        "--line", nargs=2, action="append", default=[], metavar=("NAME", "FOLDER"), help="a named sweep"
    )
    parser.add_argument("--picture", type=Path, help="where to draw the accuracies")
    options = parser.parse_args()
    named: dict[str | None, list[Path]] = defaultdict(list)
    for name, folder in options.line:
        named[name].append(Path(folder))
    if bool(named) == bool(options.folders):
        parser.error("give either the folders of one sweep or --line NAME FOLDER for each of several")
    lines: dict[str | None, Points] = {}
    texts = [header(options.by, bool(named))]
    for name, folders in (named or {None: options.folders}).items():
        rows = read(folders, options.by)
        if not rows:
            raise SystemExit(f"error: no summary.json below {', '.join(map(str, folders))}")
        text, lines[name] = table(rows, name)
        texts.append(text)
    print("\n".join(texts))
    if options.picture:
        picture(lines, options.by, options.picture)


if __name__ == "__main__":
    main()
