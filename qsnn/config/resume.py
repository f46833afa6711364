"""Going on with a run from its last checkpoint, if what is asked for is still the same run."""

from pathlib import Path
from typing import Any

from qsnn.config.common_builders import flatten, plain_config
from qsnn.config.schema import Config
from qsnn.errors import RunFolderError
from qsnn.training.checkpoint import LAST, load_checkpoint, remove_leftovers
from qsnn.training.loop import Run

# What may differ between a run and its continuation: how long, where, how fast and how much is told.
FREE_KEYS = (
    "resume", "trainer.epochs", "trainer.checkpoint_every", "device", "kernels", "threads", "logging.", "dataset.root",
    "dataset.cache", "dataset.num_workers",
)  # fmt: skip


def checkpoint_path(folder: Path) -> Path:
    """Where the checkpoint to go on from is."""
    return folder / "checkpoints" / LAST


def restore(run: Run[Any], folder: Path) -> None:
    """Load the last checkpoint of ``folder`` into ``run``. Raises RunFolderError if it is of another run."""
    path = checkpoint_path(folder)
    saved = load_checkpoint(path)
    try:
        check_same_config(run.facts["config"], saved["config"], path)
        if run.facts["data"] != saved["data"]:
            raise RunFolderError(f"{path} was trained on other data: the files of dataset.* have changed since")
        run.state.load_state_dict(saved)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        first_line = str(error).splitlines()[0] if str(error) else ""
        raise RunFolderError(f"{path} does not fit this run ({type(error).__name__}: {first_line})") from error
    remove_leftovers(path.parent)


def check_resumable(folder: Path, config: Config) -> None:
    """Raise RunFolderError if ``folder`` has no checkpoint of a run with ``config``. Before anything is written."""
    path = checkpoint_path(folder)
    check_same_config(plain_config(config), load_checkpoint(path).get("config"), path)


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
        listed = "; ".join(f"{key} was {theirs.get(key, 'absent')}, is {ours.get(key, 'absent')}" for key in different)
        raise RunFolderError(f"{path} is of a run with another config: {listed}. Start a new run for that, or undo it")
