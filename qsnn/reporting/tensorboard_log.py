"""What a run writes for `tensorboard --logdir outputs`: scalars, pictures, code histograms, config, hyperparameters."""

import io
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from qsnn.errors import naming
from qsnn.files import write_atomically
from qsnn.quantization import Format, nearest_codes
from qsnn.reporting.identity import HParam
from qsnn.reporting.pictures import Picture, png

MAX_BINS = 256
HPARAMS_FILE = "events.out.tfevents.0.hparams"
FLUSH_SECS = 5
"""Its thread sleeps so long at most: a signal that comes while an event is handed to it can take its wake-up away."""


def write_hparams(folder: Path, hyperparameters: dict[str, HParam]) -> Any:
    """Write the start of a session with ``hyperparameters`` into a file of its own; the summary that ends the session.

    TensorBoard takes a run's hyperparameters from the first place where it finds some, and reads files in the order of their
    names. So this file, which comes first, is written anew when a run is resumed, with what now holds.
    """
    # Only the start and end of session summaries: one row a run in the table, no sub-runs, and no later point hidden from
    # readers, as SummaryWriter.add_hparams would.
    _, start, end = hparams(hyperparameters, {})
    content = io.BytesIO()
    records, now = RecordWriter(content), time.time()
    for event in (Event(wall_time=now, file_version="brain.Event:2"), Event(wall_time=now, summary=start)):
        records.write(event.SerializeToString())
    write_atomically(folder / HPARAMS_FILE, lambda file: file.write(content.getvalue()))
    return end


class TensorBoardLog:
    """Writes into a run's folder. A resumed run passes its epoch: points after it, of the killed run, are hidden.

    Every method raises OSError, with the file's name, if something could not be written, also by an earlier call: a thread
    writes.
    """

    shows_pictures = shows_histograms = True

    def __init__(self, folder: Path, epoch: int, config_text: str, hyperparameters: dict[str, HParam]) -> None:
        self._folder, self._excepthook = folder, threading.excepthook
        # The thread keeps its error for the next call, which raises it; printing a traceback besides says nothing new.
        threading.excepthook = _without_system_errors(self._excepthook)
        with self._naming():
            self._writer = SummaryWriter(str(folder), purge_step=epoch + 1 if epoch else None, flush_secs=FLUSH_SECS)
            if epoch == 0:
                self._writer.add_text("config", f"```yaml\n{config_text}\n```", 0)
        self._session_end = write_hparams(folder, hyperparameters)

    def _naming(self) -> AbstractContextManager[None]:
        return naming(self._folder / "events.out.tfevents.*")

    def _add(self, *values: Summary.Value, epoch: int) -> None:
        with self._naming():
            self._file_writer.add_summary(Summary(value=values), epoch)

    @property
    def _file_writer(self) -> Any:
        return self._writer._get_file_writer()

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """One point for each tag, all in one event: a quarter of the time of ``add_scalar`` for each."""
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._add(*points, epoch=epoch)

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """A picture as the PNG file of `png`: ``add_image`` would take several times as long for a raster."""
        image = Summary.Image(width=picture.width, height=picture.height, encoded_image_string=png(picture))
        self._add(Summary.Value(tag=tag, image=image), epoch=epoch)

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """Codes of ``values`` after quantization to ``fmt``, under ``code_<tag>``; the values themselves for None."""
        if fmt is None:
            with self._naming():
                self._writer.add_histogram(f"value_{tag}", values, epoch)
            return
        codes = nearest_codes(values, fmt).cpu().numpy()
        count = min(MAX_BINS, fmt.high - fmt.low + 1)
        edges = np.linspace(fmt.low - 0.5, fmt.high + 0.5, count + 1)
        with self._naming():
            self._writer.add_histogram(f"code_{tag}", codes, epoch, bins=edges)

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """Scalars, for the HParams table."""
        self.scalars(values, epoch)

    def flush(self) -> None:
        """Put everything so far on the disk."""
        with self._naming():
            self._writer.flush()

    def close(self, end: str = "finished") -> None:
        """End the session, so that the HParams table shows the run as finished, whatever its ``end``."""
        try:
            with self._naming():
                self._file_writer.add_summary(self._session_end)
                self._writer.close()
        finally:
            threading.excepthook = self._excepthook


def _without_system_errors(
    hook: Callable[[threading.ExceptHookArgs], object],
) -> Callable[[threading.ExceptHookArgs], object]:
    def report(arguments: threading.ExceptHookArgs) -> None:
        if not issubclass(arguments.exc_type, OSError):
            hook(arguments)

    return report
