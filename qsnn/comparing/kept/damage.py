"""Which files beside the summaries of finished runs are damaged or gone, and which plans of sweeps: a line for each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qsnn.comparing.kept.reading import METRICS, PREDICTIONS, RATES, is_logged, load_predictions, load_rates
from qsnn.comparing.metrics import TEST_ACCURACY, counted
from qsnn.comparing.records import Record, printable
from qsnn.errors import DataError
from qsnn.training.runs import PLAN, is_plan

WITHOUT = {
    RATES: "drift of firing rates is told without it",
    PREDICTIONS: "differences are paired by seed, not by recording",
    METRICS: "learning curves are drawn without it",
}
"""What a report does without each."""
WRITTEN = "files"
"""In summary.json: the files that the run has written beside it, of versions that say so."""


def damaged_files(folders: Sequence[Path], records: Sequence[Record]) -> list[str]:
    """A line for each, with what the report does without it."""
    found = [line for record in records if record.finished and record.folder for line in _of_run(record.folder, record)]
    return [*found, *(line for folder in folders for line in _plans(folder))]


def _of_run(folder: Path, record: Record) -> Iterator[str]:
    written = record.summary.get(WRITTEN)
    for name, instead in WITHOUT.items():
        path = folder / name
        if path.is_file():
            reason = _reason(path, record)
        elif path.exists():
            reason = "is no file"
        else:
            reason = "is gone" if isinstance(written, list) and name in written else ""
        if reason:
            yield printable(f"{path} {reason}: {instead}")


def _reason(path: Path, record: Record) -> str:
    """What is wrong with a file that is there."""
    try:
        if path.name == RATES:
            load_rates(path)
        elif path.name == METRICS:
            return "" if is_logged(path, record) else "is damaged (a line is none of an epoch's, or all are gone)"
        else:
            own = load_predictions(path).counts
            known = counted(record.summary, TEST_ACCURACY)
            return "" if known in (own, None) else "is of other predictions than summary.json counts"
    except DataError as error:
        return f"is damaged ({str(error).removeprefix(f'{path}: ').removeprefix(f'{path} ')})"
    return ""


def _plans(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob(PLAN)):
        if not is_plan(path):
            yield printable(f"{path} is damaged: which jobs of the sweep never started is not known")
