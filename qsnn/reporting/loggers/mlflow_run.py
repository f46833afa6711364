"""A run of MLflow, in ``outputs/mlflow.db`` (with pictures in ``outputs/mlflow``) unless MLFLOW_TRACKING_URI says otherwise."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from torch import Tensor

from qsnn.quantization import Format
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.loggers.names import FAILED, FINISHED, MLFLOW, STOPPED
from qsnn.reporting.loggers.place import read_id, write_id
from qsnn.reporting.pictures import Picture

ERRORS: tuple[type[Exception], ...] = (MlflowException, OSError)
OUTPUTS, EPOCH, AT_ONCE = Path("outputs"), "epoch", 100
STATUS = {FINISHED: "FINISHED", STOPPED: "KILLED", FAILED: "FAILED"}


class MlflowLog:
    """The sweep, or of a single run the experiment, is MLflow's experiment; the epoch is the step. A resumed run goes on in the
    same run, and an epoch that is there already is not written again."""

    shows_pictures, shows_histograms = True, False

    def __init__(self, run: RunIdentity) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        with _one_at_a_time(OUTPUTS if uri is None else None):
            self._client = MlflowClient(uri or f"sqlite:///{OUTPUTS.absolute() / 'mlflow.db'}")
            self._run = read_id(run.folder, MLFLOW) or self._begin(run, local=uri is None)
        self._client.update_run(self._run, status="RUNNING")
        write_id(run.folder, MLFLOW, self._run)
        self._there = {point.step for point in self._client.get_metric_history(self._run, EPOCH)}

    def _begin(self, run: RunIdentity, local: bool) -> str:
        name = run.sweep or run.name or "qsnn"
        tags = {"experiment": run.name, "sweep": run.sweep or "", "folder": str(run.folder)}
        begun = self._client.create_run(self._experiment(name, local), run_name=run.folder.name, tags=tags)
        identity: str = begun.info.run_id
        pairs = [Param(key, str(value)[:500]) for key, value in run.hyperparameters.items()]
        for first in range(0, len(pairs), AT_ONCE):
            self._client.log_batch(identity, params=pairs[first : first + AT_ONCE])
        self._client.log_text(identity, run.config_text, "config.yaml")
        return identity

    def _experiment(self, name: str, local: bool) -> str:
        """Its number; jobs of a sweep may ask for it at the same time."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = (OUTPUTS.absolute() / "mlflow").as_uri() if local else None
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """See `Logger`."""
        if epoch not in self._there:
            self._there.add(epoch)
            self._write({**values, EPOCH: epoch}, epoch)

    def _write(self, values: dict[str, float], epoch: int) -> None:
        now = time.time_ns() // 1_000_000
        self._client.log_batch(self._run, [Metric(tag, float(value), now, epoch) for tag, value in values.items()])

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """See `Logger`: a file of its own, written over if it is there."""
        self._client.log_image(self._run, picture.convert("RGB"), artifact_file=f"{tag}_{epoch:06d}.png")

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """Nothing: MLflow has none."""

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """See `Logger`."""
        self._write(values, epoch)

    def flush(self) -> None:
        """Nothing: every epoch is written."""

    def close(self, end: str) -> None:
        """See `Logger`."""
        self._client.set_terminated(self._run, STATUS[end])


@contextlib.contextmanager
def _one_at_a_time(folder: Path | None) -> Iterator[None]:
    """Hold ``folder`` while its data base is made: jobs of a sweep begin at the same time."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".mlflow.lock", "a", encoding="utf-8") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
