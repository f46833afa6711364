"""The local-learning layer of the golden files decolle_layer_*.npz, and every number in them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional

from qsnn.dynamics.refractory_lif import refractory_parameters
from qsnn.kernels.local_backend import LocalBackend
from qsnn.layers.local_layer import LocalLayer, LocalLayerSettings

NAMES = {
    "wb": "weight_bits", "qb": "synapse_trace_bits", "pb": "membrane_trace_bits", "rfb": "refractory_bits",
    "sb": "readout_weight_bits", "gb": "gradient_bits", "eb": "error_bits", "ub": "membrane_bits", "ab": "readout_bits",
    "sig": "sigmoid_bits",
}  # fmt: skip


def read_golden(path: Path) -> SimpleNamespace:
    """A decolle_layer_*.npz as tensors, its bit widths by name."""
    with np.load(path, allow_pickle=False) as file:
        raw = {key: file[key] for key in file.files}
    bits = dict.fromkeys(NAMES.values()) | {
        NAMES[k]: int(v) for k, v in (str(entry).split("=") for entry in raw.pop("bits"))
    }
    membrane_shape = (raw["x_shape"][0], *raw["U"].shape[1:])
    rasters = {
        name: torch.from_numpy(np.unpackbits(raw.pop(name))[: np.prod(shape)].reshape(shape).astype(np.float32))
        for name, shape in (("x", raw["x_shape"]), ("S", membrane_shape))
    }
    tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in raw.items()}
    return SimpleNamespace(**{**tensors, **rasters}, bits=bits)


def build(vectors: SimpleNamespace, backend: LocalBackend) -> LocalLayer:
    """The golden layer."""
    bits = {name: value for name, value in vectors.bits.items() if name not in ("refractory_bits", "gradient_bits")}
    dt, mult = vectors.dt.item(), vectors.weight_mult.item()
    membrane_bits = bits.pop("membrane_bits")
    refractory = refractory_parameters(vectors.tau_ref.item(), dt, vectors.bits["refractory_bits"], membrane_bits)
    refractory = refractory._replace(scale=vectors.scale.item(), pooling=vectors.pool.item())
    del bits["readout_weight_bits"]
    settings = LocalLayerSettings(
        padding=vectors.padding.item(), readout_scale=float(vectors.readout_scale), weight_mult=mult, dt=dt, trace_cap=1.0,
        refractory=refractory, decay_bits=None, l1=vectors.l1.item(), l2=vectors.l2.item(), **bits,
    )  # fmt: skip
    tensors = {
        "weight": vectors.W / mult, "bias": vectors.b / mult, "tau_mem": vectors.tau_mem, "tau_syn": vectors.tau_syn,
        "readout_weight": vectors.G, "readout_feedback": vectors.G_feedback,
    }  # fmt: skip
    return LocalLayer(tensors, settings, backend)


def assert_agrees(ours: torch.Tensor, theirs: torch.Tensor, exact: bool, name: str) -> None:
    """Equal on grids; within 1e-5 of the largest value where floats are summed."""
    deviation = (ours.cpu() - theirs).abs().max().item()
    allowed = 0.0 if exact else 1e-5 * theirs.abs().max().item()
    assert deviation <= allowed, f"{name}: {deviation} > {allowed}"


def assert_equals_the_original(vectors: SimpleNamespace, backend: LocalBackend, device: torch.device) -> None:
    """Forty steps of the layer on ``device`` give the original program's numbers."""
    layer = build(vectors, backend).to(device)
    exact = vectors.bits["weight_bits"] is not None
    state, weights, constants = layer.initial_state(3), layer.effective_weights(), layer.constants()
    assert_agrees(weights[0], vectors.W, exact, "weights on their grid")
    kept = {int(step): index for index, step in enumerate(vectors.steps_kept)}
    target, masks = vectors.y.to(device), vectors.mask.to(device)
    for time, spikes in enumerate(vectors.x.to(device)):
        step, state = layer(spikes, state, weights, constants)
        readout = layer.readout(step, constants)
        gradient = layer.gradient(step, readout, target, masks[time], constants)
        assert torch.equal((step.membrane.membrane >= 0).float().cpu(), vectors.S[time]), f"spikes of step {time}"
        assert_agrees(readout, vectors.pre[time], exact, f"readout of step {time}")
        assert_agrees(gradient.loss, vectors.loss[time], False, f"loss of step {time}")
        if time in kept:
            ours = {
                "P": step.trace, "Q": state.traces.synapse, "R": state.refractory, "U": step.membrane.membrane,
                "err_U": gradient.error.dense(), "gb": gradient.bias,
            }  # fmt: skip
            for key, value in ours.items():
                assert_agrees(value, getattr(vectors, key)[kept[time]], exact, f"{key} of step {time}")
            # A sum of products with P, which is no dyadic grid: floats, whose last bit depends on the order.
            assert_agrees(gradient.weight, vectors.gw[kept[time]], False, f"gw of step {time}")
            pooled = functional.max_pool2d(vectors.S[time], layer.settings.refractory.pooling)
            assert torch.equal(step.activation.spikes.cpu(), pooled)
