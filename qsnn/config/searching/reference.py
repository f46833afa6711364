"""What a search compares with: the same task in full precision, trained first, or a run that there is already."""

import time
from pathlib import Path

from qsnn.config.building.common import flatten
from qsnn.config.resume import FREE_KEYS
from qsnn.config.run import settled_config
from qsnn.config.schema import Config, Search
from qsnn.config.searching.trials import Failure, Reached, of_jobs, reached, run_all, runs_of
from qsnn.config.searching.words import Words
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.folders.lock import InUseError, locked
from qsnn.training.folders.state import FINISHED
from qsnn.training.runs import Job, read_job

FOLDER, PAUSE = "reference", 1.0


def given_reference(config: Config) -> Reached | None:
    """That of ``search.reference``, which is looked at before anything is written. Raises ConfigError and RunFolderError."""
    search: Search = config.search
    if search.reference is None:
        return None
    if search.within is None:
        raise ConfigError(
            "search.reference says nothing where search.within=null allows any error: leave out one of them"
        )
    return _known(Path(search.reference), config)


def reference_of(words: Words, folder: Path) -> Reached | None:
    """The run in full precision of the search in ``folder``, now trained; None where any error is allowed.

    Raises RunFolderError if it does not end.
    """
    search = words.config.search
    if search.within is None:
        return None
    first = words.config.seed
    runs = runs_of(words.full_precision, FOLDER, range(first, first + search.seeds))
    while True:
        try:
            with locked(folder / FOLDER):  # only one of several processes trains it
                refused = run_all([runs], folder, words.hydra)
        except InUseError:
            time.sleep(PAUSE)
            continue
        found = reached(runs, folder, refused)
        if not isinstance(found, Failure):
            return found
        if found.killed:
            raise RunFolderError(
                f"the run in full precision was ended: {found.reason}; the same command goes on with it"
            )
        raise RunFolderError(
            f"the run in full precision failed: {found.reason}; give search.reference=<folder> or search.within=null"
        )


def _known(folder: Path, config: Config) -> Reached:
    """What a finished run reached, if it is of the same data. Raises ConfigError and RunFolderError."""
    if not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "is not there"
        raise RunFolderError(f"search.reference={folder} {wrong}: name the folder of a finished run")
    job = read_job(folder)
    if job.status != FINISHED:
        raise RunFolderError(f"search.reference={folder} is not the folder of a finished run: {_told(job)}")
    different = _different_data(job, config)
    if different:
        raise ConfigError(
            f"search.reference={folder} is of other data: {', '.join(different)} there is not what it is here"
        )
    found = of_jobs([job])
    if isinstance(found, str):
        raise RunFolderError(f"search.reference={folder}: {found}")
    return found


def _told(job: Job) -> str:
    return f"{job.status}: {job.reason()}" if job.reason() else job.status


def _different_data(job: Job, config: Config) -> list[str]:
    """The keys of the data set that the run has otherwise."""
    saved = job.summary.get("config")
    there = saved.get("dataset") if isinstance(saved, dict) else None
    ours = flatten({"dataset": settled_config(config)["dataset"]})
    theirs = flatten({"dataset": there}) if isinstance(there, dict) else {}
    return [key for key in ours if not key.startswith(FREE_KEYS) and theirs.get(key, "absent") != ours[key]]
