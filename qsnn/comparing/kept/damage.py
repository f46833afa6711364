"""Which files beside the summaries of finished runs are damaged or gone, and which plans of sweeps: a line for each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qsnn.comparing.kept.reading import METRICS, PREDICTIONS, RATES, Kept, is_logged
from qsnn.comparing.metrics import TEST_ACCURACY, counted
from qsnn.comparing.records import COSTS, Record, outdated_cost, printable
from qsnn.training.runs import PLAN, is_plan

WITHOUT = {
    RATES: "drift of firing rates is told without it",
    PREDICTIONS: "differences are paired by seed, not by recording",
    METRICS: "learning curves are drawn without it",
}
"""What a report does without each."""
WRITTEN = "files"
"""In summary.json: the files that the run has written beside it, of versions that say so."""


def damaged_files(folders: Sequence[Path], records: Sequence[Record], kept: Kept) -> list[str]:
    """A line for each, with what the report does without it."""
    found = [
        line for record in records if record.finished and record.folder for line in _of_run(record.folder, record, kept)
    ]
    found += [line for record in records if record.folder for line in _outdated_cost(record.folder, record)]
    return [*found, *(line for folder in folders for line in _plans(folder))]


def _of_run(folder: Path, record: Record, kept: Kept) -> Iterator[str]:
    written = record.summary.get(WRITTEN)
    for name, instead in WITHOUT.items():
        path = folder / name
        if path.is_file():
            reason = _reason(path, record, kept)
        elif path.exists():
            reason = "is no file"
        else:
            reason = "is gone" if isinstance(written, list) and name in written else ""
        if reason:
            yield printable(f"{path} {reason}: {instead}")


def _outdated_cost(folder: Path, record: Record) -> Iterator[str]:
    """Of a run whose summary has no energy of its own."""
    if "energy" not in record.summary and (reason := outdated_cost(folder, record.summary)):
        yield printable(
            f"{folder / COSTS} {reason}: energy is told without it; python -m qsnn.cost run={folder} makes it anew"
        )


def _reason(path: Path, record: Record, kept: Kept) -> str:
    """What is wrong with a file that is there."""
    if path.name == METRICS:
        return "" if is_logged(path, record) else "is damaged (a line is none of an epoch's, or all are gone)"
    if wrong := kept.wrong(path):
        return f"is damaged ({wrong})"
    known = counted(record.summary, TEST_ACCURACY) if path.name == PREDICTIONS else None
    found = kept.predictions(record) if known is not None else None
    return "" if known is None or found is not None else "is of other predictions than summary.json counts"


def _plans(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob(PLAN)):
        if not is_plan(path):
            yield printable(f"{path} is damaged: which jobs of the sweep never started is not known")
