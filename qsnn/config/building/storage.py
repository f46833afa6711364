"""The spikes that gate a net's weights, of a run as it measured them: for the schemes of `qsnn.hardware.storage`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.config.schema import Config
from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.data.words import CLASSES
from qsnn.hardware.counts.traces import trace_shares
from qsnn.hardware.storage.nets import RECURRENT
from qsnn.hardware.storage.schemes import Rates
from qsnn.hardware.storage.synapses import Synapses
from qsnn.models.local_net import LocalNet
from qsnn.models.spike_counts import TRACE
from qsnn.reporting.evaluation_files import RATES
from qsnn.training.folders.spike_counts import COUNTS, again, read_counts


def measured_rates(config: Config, folder: Path | None) -> dict[str, Any]:
    """Spikes an input and step, by the layer that they come from: of a pattern's ``input``, and what a run keeps of its layers;
    of local learning traces other than 0, by ``<layer>.trace``.

    Raises DataError and RunFolderError.
    """
    found: dict[str, Any] = {}
    if CLASSES not in config.dataset.gives:
        found["input"] = config.dataset.load()[0].float().mean(dim=(0, 1)).numpy()
    if folder is not None and (folder / RATES).is_file():
        advice = again(folder)
        file = NpzFile(folder / RATES, dict.fromkeys(npz_shapes(folder / RATES, advice), "f"), advice)
        found |= {name: file.read(name).ravel() for name in file.declared}
    if folder is not None and (folder / COUNTS).is_file():
        counts = read_counts(folder)
        every = counts.samples * counts.num_steps
        found |= {place: n.numpy() / every for place, n in counts.arrived.items() if place.endswith(f".{TRACE}")}
    return found


def assumed_traces(config: Config, net: LocalNet, rate: float) -> dict[str, Any]:
    """By ``<layer>.trace``: share of a test's steps in which the trace of each input is other than 0, where spikes come at
    ``rate``."""
    steps, burn_in = config.dataset.windows(config.neuron.dt, training=False).num_steps, config.trainer.burn_in
    skipped = round(burn_in / config.neuron.dt)
    return {
        f"{name}.{TRACE}": trace_shares(layer, rate, steps, skipped)[0].numpy() for name, layer in net.layers.items()
    }


def rates_by_layer(
    layers: Mapping[str, Synapses], kept: Mapping[str, Any], assumed: Rates, traces: Mapping[str, Any] | None = None
) -> tuple[dict[str, Rates], dict[str, str]]:
    """By layer, and what is said of them; ``assumed``: where nothing that fits was kept, as of pooled spikes. ``traces``: of
    local learning, whose synapses they drive, `assumed_traces`."""
    rates, told, before = {}, {}, "input"
    for name, layer in layers.items():
        source = name.removesuffix(RECURRENT) if name.endswith(RECURRENT) else before
        if traces is not None:
            source, what = f"{name}.{TRACE}", "traces other than 0"
        else:
            what = "spikes"
        driven = kept.get(source)
        if driven is not None and len(driven) == layer.inputs:
            rates[name] = assumed._replace(spikes=np.asarray(driven, dtype=np.float64))
            told[name] = f"{float(np.mean(driven)):.4f} {what} an input and step, measured ({source})"
        elif traces is not None:
            rates[name] = assumed._replace(spikes=traces[source])
            share = float(np.mean(traces[source]))
            told[name] = f"{share:.4f} {what} an input and step, of {assumed.spikes:g} spikes assumed"
        else:
            rates[name], told[name] = assumed, f"{assumed.spikes:g} {what} an input and step, assumed"
        before = before if name.endswith(RECURRENT) else name
    return rates, told
