"""Going on with a run from one of its checkpoints, if what is asked for is still the same run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qsnn.config.building.common import flatten, plain_config
from qsnn.config.paths import AUTO, split_checkpoint
from qsnn.config.schema import Config
from qsnn.errors import RunFolderError
from qsnn.reporting.loggers.csv_file import check_csv
from qsnn.reporting.loggers.names import CSV
from qsnn.training.checkpoint import (
    BEST,
    LAST,
    PREVIOUS,
    UnreadableCheckpoint,
    describe_checkpoint,
    go_back_to,
    load_checkpoint,
    remove_leftovers,
)
from qsnn.training.checkpoint_layout import Count, check_layout
from qsnn.training.run import Run

# What may differ between a run and its continuation: how long, where, how fast and how much is told.
FREE_KEYS = (
    "resume", "sweep.", "search.", "trainer.epochs", "trainer.checkpoint_every", "trainer.train_sample", "trainer.vectorize",
    "device", "kernels",
    "threads", "logging.", "hardware.", "dataset.root", "dataset.file", "dataset.cache", "dataset.num_workers",
)  # fmt: skip


def checkpoint_path(folder: Path, name: str = LAST) -> Path:
    """Where a checkpoint of a run is. Raises RunFolderError for a ``name`` that nothing can go on from."""
    if name not in (LAST, PREVIOUS):
        raise RunFolderError(
            f"{name} is no checkpoint to go on from: name the run's folder, or its checkpoints/{PREVIOUS}"
        )
    return folder / "checkpoints" / name


def restore(run: Run, folder: Path, name: str = LAST) -> None:
    """Load a checkpoint of ``folder`` into ``run``. Raises RunFolderError if it is of another run; nothing is changed then."""
    path = checkpoint_path(folder, name)
    with _with_advice(path):
        saved = load_checkpoint(path, lambda found: _check_fits(run, found, run.layout(), path))
    run.state.load_state_dict(saved)


def begin_again_from(folder: Path, name: str) -> None:
    """Before a restored run trains: its checkpoint is the last one, and what a killed process left half-written goes."""
    path = checkpoint_path(folder, name)
    if name == PREVIOUS:
        go_back_to(path)
    remove_leftovers(path.parent)


def load_best(run: Run, folder: Path) -> dict[str, Any] | None:
    """The content of best.pt, None where there is none yet. Raises RunFolderError if it is damaged or of another run."""
    path = folder / "checkpoints" / BEST
    if not path.exists():
        return None
    layout = {"model": run.layout()["model"], "epoch": Count()}
    return load_checkpoint(path, lambda found: _check_fits(run, found, layout, path))


def _check_fits(run: Run, found: dict[str, Any], layout: dict[str, Any], path: Path) -> None:
    """Raise RunFolderError unless a checkpoint's description is of this run, and holds what the ``layout`` says."""
    check_same_config(run.facts["config"], found.get("config"), path)
    if any(run.facts[name] != found.get(name) for name in ("data", "shapes")):
        raise RunFolderError(f"{path} was trained on other data: the files of dataset.* have changed since")
    own = {name: value for name, value in found.items() if name not in ("format_version", *run.facts)}
    try:
        check_layout(own, layout, str(path))
    except RunFolderError as error:  # such as best.pt in its place: what the folder has beside it may be whole
        raise UnreadableCheckpoint(str(error)) from error


def goes_on(config: Config, folder: Path) -> bool:
    """Whether a run in ``folder`` is one that goes on: ``resume`` is set or, with ``resume=auto``, there is a checkpoint."""
    return checkpoint_path(folder).exists() if config.resume == AUTO else config.resume is not None


def check_vacant(config: Config, folder: Path) -> None:
    """Raise RunFolderError if a new run would overwrite one that ``folder`` holds, or any run what it calls metrics.csv."""
    if CSV in config.logging.to:
        check_csv(folder)
    if not goes_on(config, folder) and checkpoint_path(folder).exists():
        raise RunFolderError(f"{folder} already holds a run: resume={folder} goes on with it; or choose another folder")


def check_folder(config: Config, folder: Path) -> None:
    """What can be told of ``folder`` before anything is written. Raises RunFolderError if it holds another run than the
    one that is to go on, or none, or one that is not to go on."""
    check_vacant(config, folder)
    if goes_on(config, folder):
        check_resumable(folder, config, split_checkpoint(Path(str(config.resume)))[1])


def check_resumable(folder: Path, config: Config, name: str = LAST) -> None:
    """Raise RunFolderError if ``folder`` has no checkpoint of a run with ``config``. Before anything is written."""
    path = checkpoint_path(folder, name)
    with _with_advice(path):
        content = describe_checkpoint(path)
    check_same_config(plain_config(config), content.get("config"), path)


@contextlib.contextmanager
def _with_advice(path: Path) -> Iterator[None]:
    """Have the error of an unreadable checkpoint say what the run's folder still has."""
    try:
        yield
    except UnreadableCheckpoint as error:
        raise RunFolderError(f"{error}{_what_is_left(path)}") from error


def _what_is_left(path: Path) -> str:
    """What can be done without the checkpoint ``path``; nothing to say where it lies in no run's folder."""
    if not path.parent.is_dir():
        return ""
    other = path.with_name(PREVIOUS if path.name == LAST else LAST)
    epoch, best = _epoch_of(other), _epoch_of(path.with_name(BEST))
    if epoch is not None:
        return f"; {other.name} is whole: resume={other} goes on from epoch {epoch} (run={other} evaluates it)"
    kept = "" if best is None else f"; {BEST} still holds the weights of epoch {best}"
    return f"; no other checkpoint of it can be resumed{kept}"


def _epoch_of(path: Path) -> int | None:
    """The epoch of a checkpoint that can be read."""
    try:
        epoch = describe_checkpoint(path).get("epoch")
    except UnreadableCheckpoint:
        return None
    return epoch if isinstance(epoch, int) else None


def check_same_config(now: dict[str, Any], saved: Any, path: Path) -> None:
    """Raise RunFolderError, naming the keys, if the config differs from the saved one in what matters."""
    if not isinstance(saved, dict):
        raise RunFolderError(f"{path} holds no config: it is not the checkpoint of a run")
    ours, theirs = flatten(now), flatten(saved)
    keys = [key for key in sorted(ours.keys() | theirs.keys()) if not key.startswith(FREE_KEYS)]
    if any(theirs.get(f"optimizer.{name}") != "constant" for name in ("lr_schedule", "eta_schedule")):
        keys.append("trainer.epochs")  # a schedule ends with the last epoch: another end is another run
    different = [key for key in keys if ours.get(key, "absent") != theirs.get(key, "absent")]
    if different:
        listed = "; ".join(f"{key} was {_shown(theirs, key)}, is {_shown(ours, key)}" for key in different)
        raise RunFolderError(f"{path} is of a run with another config: {listed}. Start a new run for that, or undo it")


def _shown(flat: dict[str, Any], key: str) -> str:
    """A value for a message; the file may hold anything."""
    return ascii(str(flat.get(key, "absent")))[1:-1][:80]
