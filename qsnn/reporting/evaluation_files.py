"""What a run keeps of its last evaluation, for those who compare runs: rates.npz, test_predictions.npz, spike_counts.npz.

All are of the best weights where validation chose some, else of the last ones; of classes on the test recordings, of a
pattern on the pattern, whose weights are the last ones.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.files import write_atomically
from qsnn.training.folders.spike_counts import COUNTS, arrays_of
from qsnn.training.run import Detail

RATES, PREDICTIONS = "rates.npz", "test_predictions.npz"


def write_detail(folder: Path, detail: Detail) -> None:
    """rates.npz: by layer, spikes per time step of each neuron, float32; test_predictions.npz, where there are classes:
    ``index`` (the recording's number in its data set), ``label`` and ``prediction``, one a test recording, int32;
    spike_counts.npz: `qsnn.training.folders.spike_counts`."""
    _write(folder / RATES, {name: rates.cpu().numpy().astype(np.float32) for name, rates in detail.rates.items()})
    if detail.predicted is not None:
        index, label, prediction = detail.predicted.cpu().numpy().astype(np.int32)
        _write(folder / PREDICTIONS, {"index": index, "label": label, "prediction": prediction})
    if detail.counts is not None:
        _write(folder / COUNTS, arrays_of(detail.counts))


def _write(path: Path, arrays: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
