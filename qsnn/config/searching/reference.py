"""What a search compares with: the same task in full precision, trained first, or a run that there is already."""

import time
from pathlib import Path

from qsnn.config.building.common import flatten
from qsnn.config.resume import FREE_KEYS
from qsnn.config.run import settled_config
from qsnn.config.schema import Config
from qsnn.config.searching.trials import Reached, of_jobs, reached, run_all, runs_of
from qsnn.config.searching.words import Words
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.folders.lock import InUseError, locked
from qsnn.training.folders.state import FINISHED
from qsnn.training.runs import Job, read_job

FOLDER, PAUSE = "reference", 1.0


def reference_of(words: Words, folder: Path) -> Reached | None:
    """The reference of the search in ``folder``; None where any error is allowed.

    Raises ConfigError and RunFolderError if there can be none.
    """
    search = words.config.search
    if search.within is None:
        return None
    if search.reference is not None:
        return _known(Path(search.reference), words.config)
    first = words.config.seed
    runs = runs_of(words.full_precision, FOLDER, range(first, first + search.seeds))
    while True:
        try:
            with locked(folder / FOLDER):  # only one of several processes trains it
                run_all([runs], folder, words.hydra)
        except InUseError:
            time.sleep(PAUSE)
            continue
        found = reached(runs, folder)
        if isinstance(found, str):
            raise RunFolderError(
                f"the run in full precision failed: {found}; give search.reference=<folder> or search.within=null"
            )
        return found


def _known(folder: Path, config: Config) -> Reached:
    """What a finished run reached, if it is of the same data. Raises ConfigError and RunFolderError."""
    job = read_job(folder)
    if job.status != FINISHED:
        raise RunFolderError(f"search.reference={folder} is not the folder of a finished run: {job.status}")
    different = _different_data(job, config)
    if different:
        raise ConfigError(
            f"search.reference={folder} is of other data: {', '.join(different)} there is not what it is here"
        )
    found = of_jobs([job])
    if isinstance(found, str):
        raise RunFolderError(f"search.reference={folder}: {found}")
    return found


def _different_data(job: Job, config: Config) -> list[str]:
    """The keys of the data set that the run has otherwise."""
    saved = job.summary.get("config")
    there = saved.get("dataset") if isinstance(saved, dict) else None
    ours = flatten({"dataset": settled_config(config)["dataset"]})
    theirs = flatten({"dataset": there}) if isinstance(there, dict) else {}
    return [key for key in ours if not key.startswith(FREE_KEYS) and theirs.get(key, "absent") != ours[key]]
