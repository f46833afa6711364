"""Table and picture of a sweep: test accuracies of local learning, or distances of the pattern experiment.

python scripts/accuracy_table.py outputs/multirun/nmnist_small/<time> --by quantization.readout_weight_bits --picture docs/x.png

Runs that agree in ``--by`` (a key of the config; a group's bit widths: "quantization") are one row: folds of a
cross-validation with the same seed make one accuracy, of all their test recordings together; mean and spread are over
seeds. The standard error is what so many recordings leave open, sqrt(p (1 - p) / n) with n recordings: all seeds test the
same ones, so more seeds do not lessen it. The accuracies are those of the weights that validation chose, or of the last ones
where nothing was validated; the distances those of the last weights, as share of a silent net's. A row with a run that failed
or is missing has no mean; each such run is named, and the exit status is 1. To compare sweeps, give each a name: --line NAME
FOLDER, once for each; --line wide <folder> --line narrow <folder> makes one table and one picture.
"""

import argparse
import itertools
import math
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image, ImageDraw, ImageFont
from yaml import YAMLError

from qsnn.config.command_line import compose_config, set_up
from qsnn.errors import ConfigError
from qsnn.training.runs import Job, find_jobs, left_out

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 400, 70, 340, 30, 600
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
Groups = dict[Any, dict[int, list[Job]]]


class Row(NamedTuple):
    """What its runs share, their score by seed (None: a run of that seed is not finished), the finished runs, how many
    there should be."""

    value: Any
    scores: list[float | None]
    runs: list[dict[str, Any]]
    planned: int

    def known(self) -> list[float]:
        """The scores that there are."""
        return [value for value in self.scores if value is not None]

    def complete(self) -> bool:
        """Whether every run is finished."""
        return None not in self.scores


def config_of(job: Job) -> DictConfig | None:
    """The config of a run, from its folder, or from its overrides if it never started; None if there is none."""
    try:
        if job.folder is None:
            return compose_config(list(job.overrides))
        config = OmegaConf.load(job.folder / ".hydra" / "config.yaml")
    except (ConfigError, OSError, OmegaConfBaseException, YAMLError, UnicodeDecodeError):
        return None
    return config if isinstance(config, DictConfig) else None


def precision(quantization: dict[str, Any]) -> str:
    """In words: which quantities, if any, are in full precision."""
    widths = {name: bits for name, bits in quantization.items() if name.endswith("_bits") and name != "rng_bits"}
    floats = [name.removesuffix("_bits") for name, bits in widths.items() if bits is None]
    if len(floats) in (0, len(widths)):
        return "full precision" if floats else "quantized"
    return f"quantized, but {', '.join(floats)} in full precision"


def value_of(config: DictConfig, key: str) -> Any:
    """What ``key`` is in a run's config. Raises SystemExit if it is none of its keys."""
    try:
        value = OmegaConf.select(config, key, throw_on_missing=True)
        known = value is not None or OmegaConf.is_missing(config, key) or _holds(config, key)
    except OmegaConfBaseException:
        known = False
    if not known:
        raise SystemExit(f"error: --by {key} is no key of these runs; such as seed, or quantization.weight_bits")
    if key == "quantization":
        unused = () if OmegaConf.select(config, "loss.logits") == "membrane" else ("integrator_bits",)
        return precision({name: bits for name, bits in value.items() if name not in unused})
    return str(value) if OmegaConf.is_config(value) else value


def _holds(config: DictConfig, key: str) -> bool:
    """Whether a key whose value is null is there."""
    *parents, leaf = key.split(".")
    owner = OmegaConf.select(config, ".".join(parents)) if parents else config
    return isinstance(owner, DictConfig) and leaf in owner


def group(jobs: list[Job], key: str) -> Groups:
    """Runs by the value of ``key`` and by seed. Raises SystemExit if a seed's runs are anything but folds."""
    rows: Groups = defaultdict(lambda: defaultdict(list))
    folds: dict[tuple[Any, int], Counter[int]] = defaultdict(Counter)
    for job in jobs:
        config = config_of(job)
        if config is None:
            continue
        value, seed = value_of(config, key), config.seed
        rows[value][seed].append(job)
        fold = OmegaConf.select(config, "dataset.fold")
        folds[value, seed][fold] += 1
        if folds[value, seed][fold] > 1:
            raise SystemExit(
                f"error: with --by {key}, several runs are of {value}, seed {seed} and the same fold, so that a mean would "
                "mix them: choose the key in which they differ, or fewer folders"
            )
    return rows


def score(runs: list[dict[str, Any]]) -> float:
    """Share of all their test recordings that are classified rightly; or the final distance in units of silence."""
    if "relative_distance" in runs[0]["final"]:
        return float(runs[0]["final"]["relative_distance"])
    right = 0
    for run in runs:
        right += sum(row[index] for index, row in enumerate(confusion(run)))
    return right / sum(map(tested, runs))


def confusion(run: dict[str, Any]) -> list[list[int]]:
    """Of the weights that validation chose, or of the last ones."""
    scores = run["best"] if "confusion" in run.get("best", {}) else run["final"]
    return list(scores["confusion"])


def tested(run: dict[str, Any]) -> int:
    """How many recordings a run was tested on."""
    return sum(map(sum, confusion(run)))


def rows_of(groups: Groups) -> list[Row]:
    """The rows in order: numbers, words, null."""
    rows = []
    for value in sorted(
        groups, key=lambda value: (value is None, isinstance(value, str), 0 if value is None else value)
    ):
        seeds = [jobs for _, jobs in sorted(groups[value].items())]
        done = [[job.summary for job in jobs if job.status == "finished"] for jobs in seeds]
        scores = [score(runs) if len(runs) == len(jobs) else None for runs, jobs in zip(done, seeds, strict=True)]
        rows.append(Row(value, scores, [run for runs in done for run in runs], sum(map(len, seeds))))
    return rows


def header(key: str, named: bool, local: bool) -> str:
    """The first two lines of the table; ``named``: with a column for the names of the lines."""
    cells = [key, "test accuracy", "standard error"] if local else [key, "final distance / silent"]
    cells += ["by seed", "recordings tested", "seconds a run"] if local else ["by seed", "seconds a run"]
    cells = ["line", *cells] if named else cells
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def cells_of(row: Row, local: bool) -> list[str]:
    """The cells of a row."""
    known, mean, error = row.known(), f"{len(row.runs)} of {row.planned} runs", ""
    number = sum(map(tested, row.runs)) // len(row.scores) if local else 0
    if row.complete():
        p = statistics.mean(known)
        mean = f"{p:.1%}" + (f" ± {statistics.stdev(known):.1%}" if len(known) > 1 else "")
        error = f"{math.sqrt(p * (1 - p) / number):.1%}" if local else ""
    by_seed = ", ".join("-" if value is None else f"{value:.1%}" for value in row.scores)
    seconds = f"{statistics.median(run['seconds'] for run in row.runs):.0f}" if row.runs else ""
    middle = [error, by_seed, str(number)] if local else [by_seed]
    return [name_of(row.value), mean, *middle, seconds]


def name_of(value: Any) -> str:
    """A value as the config writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def picture(lines: dict[str | None, list[Row]], title: str, path: Path) -> None:
    """Score of every seed as a dot, the means of each line joined, values from left to right; rows that are not complete
    are left out."""
    points = {
        name: [(name_of(row.value), row.known()) for row in rows if row.complete()] for name, rows in lines.items()
    }
    names = list(dict.fromkeys(name for line in points.values() for name, _ in line))
    every = [value for line in points.values() for _, values in line for value in values]
    floor, ceiling = max(0, int(10 * min(every)) / 10), max(1.0, math.ceil(10 * max(every)) / 10)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)

    def place(name: str, value: float) -> tuple[float, float]:
        step = (RIGHT - LEFT) / max(1, len(names) - 1)
        return LEFT + names.index(name) * step, BOTTOM - (value - floor) / (ceiling - floor) * (BOTTOM - TOP)

    for tenth in range(round(10 * floor), round(10 * ceiling) + 1):
        y = place(names[0], tenth / 10)[1]
        draw.line((LEFT, y, RIGHT, y), fill="#dddddd")
        draw.text((LEFT - 50, y - 8), f"{10 * tenth} %", fill="black", font=font)
    for name in names:
        draw.text((place(name, floor)[0], BOTTOM + 8), name, fill="black", font=font, anchor="mt")
    for number, ((label, line), colour) in enumerate(zip(points.items(), itertools.cycle(COLOURS))):
        draw.line([place(name, statistics.mean(values)) for name, values in line], fill=colour, width=3)
        for x, y in [place(name, value) for name, values in line for value in values]:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline="black")
        draw.text((LEFT + 12, BOTTOM - 18 * (len(points) - number)), label or "", fill=colour, font=font)
    draw.text((LEFT, HEIGHT - 24), f"{title}, a dot for each seed", fill="black", font=font)
    image.save(path)


def arguments() -> argparse.Namespace:
    """What the user asks for; ``lines``: folders by the name of their line, None where it has none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--by", default="quantization", help="key whose values are the rows")
    parser.add_argument(
        "--line", nargs=2, action="append", default=[], metavar=("NAME", "FOLDER"), help="a named sweep"
    )
    parser.add_argument("--picture", type=Path, help="where to draw the scores")
    options = parser.parse_args()
    if bool(options.line) == bool(options.folders):
        parser.error("give either the folders of one sweep or --line NAME FOLDER for each of several")
    options.lines = {name: [] for name, _ in options.line} or {None: options.folders}
    for name, folder in options.line:
        options.lines[name].append(Path(folder))
    return options


def main() -> int:
    """Print the table, draw the picture, name the runs that are not in them; exit status 1 if there are any."""
    options = arguments()
    set_up()
    jobs = {name: [job for folder in folders for job in find_jobs(folder)] for name, folders in options.lines.items()}
    finals = [job.summary["final"] for found in jobs.values() for job in found if job.status == "finished"]
    if len({"confusion" in final for final in finals}) > 1:
        raise SystemExit("error: accuracies and distances do not go into one table: name folders of one kind of runs")
    lines = {name: rows_of(group(found, options.by)) for name, found in jobs.items()}
    local, named = any("confusion" in final for final in finals), None not in lines
    if finals:
        print(header(options.by, named, local))
    for name, rows in lines.items() if finals else ():
        for row in rows:
            print("| " + " | ".join([*([name] if named else []), *cells_of(row, local)]) + " |")
    if options.picture and any(row.complete() for rows in lines.values() for row in rows):
        what = "test accuracy" if local else "final distance as share of a silent net's"
        picture(lines, f"{options.by}; {what}", options.picture)
    missing = [line for found in jobs.values() for line in left_out(found)]
    empty = [f"error: no runs below {', '.join(map(str, options.lines[name]))}" for name in jobs if not jobs[name]]
    sys.stderr.writelines(f"{line}\n" for line in [*missing, *empty])
    return 1 if missing or empty else 0


if __name__ == "__main__":
    sys.exit(main())
