"""What a run writes for `tensorboard --logdir outputs`: scalars, rasters, code histograms, config, hyperparameters."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from qsnn.models import PatternNet, PatternNetActivity
from qsnn.quantization import symmetric, to_codes
from qsnn.quantization.formats import quantize
from qsnn.training.pictures import rasters

MAX_BINS = 256
HParam = int | float | str | bool


class TensorBoardLog:
    """Writes into a run's folder. A resumed run passes its epoch: points after it, of the killed run, are hidden."""

    def __init__(self, folder: Path, epoch: int, config_text: str, hyperparameters: dict[str, HParam]) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=epoch + 1 if epoch else None)
        if epoch == 0:
            self._writer.add_text("config", f"```yaml\n{config_text}\n```", 0)
        # Only the start and end of session summaries, through the run's own writer: one row a run in the table, no
        # sub-runs, and no later point hidden from readers, as SummaryWriter.add_hparams would.
        _, start, self._session_end = hparams(hyperparameters, {"loss/final_distance": 0.0, "loss/best_distance": 0.0})
        self._file_writer.add_summary(start)

    @property
    def _file_writer(self) -> Any:
        return self._writer._get_file_writer()

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """One point for each tag."""
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, epoch)

    def rasters(self, activity: PatternNetActivity, input_spikes: Tensor, target: Tensor, epoch: int) -> None:
        """Pictures of input, hidden, output, target, and output against target in colour."""
        for name, picture in rasters(activity, input_spikes, target).items():
            layout = "HWC" if picture.ndim == 3 else "HW"
            self._writer.add_image(f"raster/{name}", picture, epoch, dataformats=layout)

    def histograms(self, model: PatternNet, activity: PatternNetActivity, epoch: int) -> None:
        """Codes of weights and membranes (values, in full precision)."""
        for name, linear in model.linears().items():
            self._histogram(f"weight/{name}", linear.weight.detach(), linear.weight_bits, epoch)
            bits = getattr(model, name).lif.dynamics.membrane_bits
            self._histogram(f"membrane/{name}", getattr(activity, name).membrane.detach(), bits, epoch)

    def _histogram(self, tag: str, values: Tensor, bits: int | None, epoch: int) -> None:
        fmt = symmetric(bits)
        if fmt is None:
            self._writer.add_histogram(f"value_{tag}", values, epoch)
            return
        codes = to_codes(quantize(values, fmt), fmt).cpu().numpy()
        count = min(MAX_BINS, fmt.high - fmt.low + 1)
        edges = np.linspace(fmt.low - 0.5, fmt.high + 0.5, count + 1)
        self._writer.add_histogram(f"code_{tag}", codes, epoch, bins=edges)

    def flush(self) -> None:
        """Put everything so far on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """End the session, so that the HParams table shows the run as finished."""
        self._file_writer.add_summary(self._session_end)
        self._writer.close()
