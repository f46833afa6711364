"""The spikes that gate a net's weights, of a run as it measured them: for the schemes of `qsnn.hardware.storage`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.config.schema import Config
from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.data.words import CLASSES
from qsnn.hardware.storage.nets import RECURRENT
from qsnn.hardware.storage.schemes import Rates
from qsnn.hardware.storage.synapses import Synapses
from qsnn.reporting.evaluation_files import RATES


def measured_rates(config: Config, folder: Path | None) -> dict[str, Any]:
    """Spikes an input and step, by the layer that they come from: of a pattern's ``input``, and what a run keeps of its layers.

    Raises DataError.
    """
    found: dict[str, Any] = {}
    if CLASSES not in config.dataset.gives:
        found["input"] = config.dataset.load()[0].float().mean(dim=(0, 1)).numpy()
    if folder is not None and (folder / RATES).is_file():
        file = NpzFile(folder / RATES, dict.fromkeys(npz_shapes(folder / RATES), "f"))
        found |= {name: file.read(name).ravel() for name in file.declared}
    return found


def rates_by_layer(
    layers: Mapping[str, Synapses], kept: Mapping[str, Any], assumed: Rates, local: bool
) -> tuple[dict[str, Rates], dict[str, str]]:
    """By layer, and what is said of them; ``assumed``: where nothing that fits was kept, as of pooled spikes.

    Traces of local learning fade slowly, and drive their neurons in every step.
    """
    rates, told, before = {}, {}, "input"
    for name, layer in layers.items():
        source = name.removesuffix(RECURRENT) if name.endswith(RECURRENT) else before
        spikes = kept.get(source)
        if local:
            rates[name], told[name] = assumed._replace(spikes=1.0), "every input's trace drives it in every step"
        elif spikes is not None and len(spikes) == layer.inputs:
            rates[name] = assumed._replace(spikes=np.asarray(spikes, dtype=np.float64))
            told[name] = f"{float(np.mean(spikes)):.4f} spikes an input and step, measured ({source})"
        else:
            rates[name], told[name] = assumed, f"{assumed.spikes:g} spikes an input and step, assumed"
        before = before if name.endswith(RECURRENT) else name
    return rates, told
