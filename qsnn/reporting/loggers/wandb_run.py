"""A run of Weights & Biases. Offline unless WANDB_MODE says otherwise: in ``wandb/`` of the run's folder, for `wandb sync`."""

import os
import uuid
from typing import Any

import numpy as np
import wandb
from torch import Tensor

from qsnn.quantization import Format, nearest_codes
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.loggers.names import FAILED, WANDB
from qsnn.reporting.loggers.place import read_id, write_id
from qsnn.reporting.metrics_file import read_metrics
from qsnn.reporting.pictures import Picture
from qsnn.reporting.tags import tags_of

ERRORS: tuple[type[Exception], ...] = (wandb.Error, OSError)
OFFLINE, PROJECT, MAX_BINS = "offline", "qsnn", 256


class WandbLog:
    """Project ``qsnn`` (WANDB_PROJECT), the experiment as job type, the sweep as group. The epoch is the step; a resumed run
    has the same id, and what its server has of a step already stays as it is."""

    shows_pictures = shows_histograms = True

    def __init__(self, run: RunIdentity) -> None:
        mode = os.environ.get("WANDB_MODE") or OFFLINE
        if mode == OFFLINE:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
        known = read_id(run.folder, WANDB)
        name = known or uuid.uuid4().hex[:12]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), id=name, name=run.folder.name, group=run.sweep,
            job_type=run.name or None, dir=os.environ.get("WANDB_DIR", str(run.folder)), mode=mode,
            resume="allow" if known and mode != OFFLINE else None, reinit="create_new",
            config={"hyperparameters": run.hyperparameters, "yaml": run.config_text},
            settings=wandb.Settings(console="off", silent=True, save_code=False),
        )  # fmt: skip
        write_id(run.folder, WANDB, name)
        self._over = int(self._run.step) - 1  # that of a server may know steps that the run's checkpoint is behind
        self._epoch, self._waiting = 0, dict[str, Any]()
        if known and mode == OFFLINE:
            self._again(run)

    def _again(self, run: RunIdentity) -> None:
        """The scalars so far: an offline file is written every quarter of a minute, and what a killed process had not written
        is lost with it. Steps below the last one are ignored where both files meet."""
        for row in read_metrics(run.folder / "metrics.jsonl"):
            if row["epoch"] <= run.epoch:
                self.scalars(tags_of({key: of for key, of in row.items() if key != "epoch"}, run.layers), row["epoch"])

    def _add(self, values: dict[str, Any], epoch: int) -> None:
        """A step that is handed over is over: its values wait for each other, until the next epoch or a checkpoint."""
        if epoch != self._epoch:
            self.flush()
        if epoch > self._over:
            self._epoch = epoch
            self._waiting |= values

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """See `Logger`."""
        self._add({**values, "epoch": epoch}, epoch)

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """See `Logger`; what is drawn in the end, behind the last step, is in the run's summary."""
        shown = {tag: wandb.Image(picture.convert("RGB"))}
        if epoch == self._over:
            self._run.summary.update(shown)
        self._add(shown, epoch)

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """See `Logger`."""
        if fmt is None:
            self._add({f"value_{tag}": wandb.Histogram(values.detach().cpu().flatten().tolist())}, epoch)
            return
        count = min(MAX_BINS, fmt.high - fmt.low + 1)
        found = np.histogram(
            nearest_codes(values, fmt).cpu().numpy(), np.linspace(fmt.low - 0.5, fmt.high + 0.5, count + 1)
        )
        self._add({f"code_{tag}": wandb.Histogram(np_histogram=found)}, epoch)

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """In the run's summary."""
        self._run.summary.update(values)

    def flush(self) -> None:
        """Hand over what waits."""
        if self._waiting:
            self._run.log(self._waiting, step=self._epoch, commit=True)
            self._over, self._waiting = self._epoch, {}

    def close(self, end: str) -> None:
        """See `Logger`."""
        self.flush()
        self._run.summary["status"] = end
        self._run.finish(exit_code=int(end == FAILED))
