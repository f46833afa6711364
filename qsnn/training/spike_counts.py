"""What an evaluation counted, from which operations and accesses follow: spikes by the place at which they came in.

By ``<layer>.<way>``, over all samples and steps:

    input          spikes, or signed events, that came from the layer before, or from the data, (I)
    recurrent      spikes that came back to the layer a step later: those of all steps but the last, (N)
    trace          of local learning: membrane traces other than 0, which its synapses multiply, (I)
    voting_trace   the same in the steps after burn-in, in which it learns and votes

A run keeps them in spike_counts.npz, integers: ``size`` (samples, steps), ``arrived.<layer>.<way>``, ``spikes.<layer>``,
``live.<layer>.<way>`` and ``weights.<layer>.<way>`` (how many, how many of them 0).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.errors import DataError, RunFolderError
from qsnn.kernels.convolution import EXACT_SUM
from qsnn.models.connections import fan_outs, num_weights

COUNTS = "spike_counts.npz"
INPUT, RECURRENT, TRACE, VOTING_TRACE = "input", "recurrent", "trace", "voting_trace"
SYNAPTIC = {TRACE: INPUT, VOTING_TRACE: INPUT, RECURRENT: RECURRENT, INPUT: INPUT}
"""By what is counted: the way of whose connections it is."""


SHAPES: dict[str, tuple[int, ...]] = {"arrived": (-1,), "spikes": (), "live": (), "weights": (2,)}
"""Of the arrays that a run keeps of each part."""


class SpikeCounts(NamedTuple):
    """``samples`` of ``num_steps`` each; ``arrived``: as above, float64; ``spikes``: by layer, before pooling; ``live``: by
    what is in ``arrived``, how often one of these met a weight other than 0; ``weights``: by way, how many, and how many 0."""

    samples: int
    num_steps: int
    arrived: dict[str, Tensor]
    spikes: dict[str, int]
    live: dict[str, int]
    weights: dict[str, tuple[int, int]]


def arrivals(x: Tensor, activity: Mapping[str, Any], model: Any) -> dict[str, dict[str, Tensor]]:
    """By layer: ``input`` and, of recurrent layers, ``recurrent`` of a pass with input ``x`` (T, B, ...)."""
    found: dict[str, dict[str, Tensor]] = {}
    x = x.abs()  # of signed events
    for name, layer in activity.items():
        found[name] = {INPUT: by_place(x)}
        if "recurrent_weight" in model.layers[name].weights():
            found[name][RECURRENT] = by_place(layer.spikes[:-1])
        x = layer.output
    return found


def by_place(spikes: Tensor) -> Tensor:
    """Spikes (T, B, ...), 0 or 1, of all steps and samples at each place, (N) float64.

    Summed as float32, which takes an eighth of the time, as long as these count in ones.
    """
    steps = spikes.flatten(2).flatten(0, 1)
    kind = torch.float32 if len(steps) <= EXACT_SUM else torch.float64
    return steps.sum(0, dtype=kind).double()


def spike_counts(
    net: Any, inputs: tuple[int, ...], size: tuple[int, int], arrived: dict[str, Tensor], spikes: dict[str, int]
) -> SpikeCounts:
    """Those of ``size`` (samples, steps), which the ``net`` as it is has seen; ``inputs``: shape of its input in a step."""
    reach = fan_outs(net, inputs, live=True)
    live = {}
    for place, counts in arrived.items():
        layer, kind = place.rsplit(".", 1)
        live[place] = round(float(counts.detach().cpu() @ reach[f"{layer}.{SYNAPTIC[kind]}"]))
    return SpikeCounts(
        *size, {name: counts.detach().cpu() for name, counts in arrived.items()}, spikes, live, num_weights(net)
    )


def arrays_of(counts: SpikeCounts) -> dict[str, NDArray[np.int64]]:
    """The content of `COUNTS`."""
    parts = {"arrived": counts.arrived, "spikes": counts.spikes, "live": counts.live, "weights": counts.weights}
    named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}  # type: ignore[attr-defined]
    return {
        "size": np.array([counts.samples, counts.num_steps]),
        **{name: np.asarray(value).astype(np.int64) for name, value in named.items()},
    }


def read_counts(folder: Path) -> SpikeCounts:
    """Those of a run's folder. Raises RunFolderError if it has none, or damaged ones."""
    path = folder / COUNTS
    if not path.is_file():
        raise RunFolderError(
            f"{folder} has no {COUNTS}: it was not evaluated at its end, or by an earlier version; train it again, or give "
            "its overrides, without run=, for the counts of an untrained net"
        )
    try:
        file = NpzFile(path, dict.fromkeys(npz_shapes(path), "iu"))
        arrays = {name: file.read(name) for name in file.declared}
    except DataError as error:
        raise RunFolderError(str(error)) from error
    if any((array < 0).any() for array in arrays.values()):
        raise RunFolderError(f"{path} is damaged: a count is negative")
    parts: dict[str, dict[str, Any]] = {part: {} for part in SHAPES}
    for name, array in arrays.items():
        part, _, place = name.partition(".")
        if part in parts:
            if array.shape != (SHAPES[part] if part != "arrived" else (array.size,)):
                raise RunFolderError(f"{path} is damaged: {ascii(name)[:60]} has shape {list(array.shape)}")
            parts[part][place] = torch.from_numpy(array).double() if part == "arrived" else array.tolist()
    size = arrays.get("size", np.zeros(0)).ravel().tolist()
    if len(size) != 2 or min(size) < 1:
        raise RunFolderError(f"{path} is damaged: it does not say of how many samples and steps it is")
    return SpikeCounts(int(size[0]), int(size[1]), **parts)
