#!/usr/bin/env python3
"""Time a training step of the nets of scripts/benchmark_nets.py in another library, with that library's interpreter.

    python scripts/peer_nets.py --lib snntorch --net digits --data batch.npz --threads 1

Float nets of the same sizes on the same spikes: current-based LIF, reset by subtraction, SuperSpike or the nearest that the
library has, cross-entropy of spike counts, Adam; forward, backward and update. ``brevitas``: snnTorch whose layers are
Brevitas' QuantLinear with 8-bit weights. The products are taken over all time steps at once; with ``-step`` in the loop over
time, as in snnTorch's tutorials. Prints a line of JSON: ``ms`` (median of a step) and ``cpu_ms`` (processor time), ``version``,
firing rates. The file of ``--data`` holds ``x`` (T, B, I) of 0 and 1 and ``labels`` (B,). Needs nothing of qsnn.

Install each into an environment of its own: ``pip install snntorch brevitas`` (torch), ``pip install spyx`` (JAX).
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np

ALPHA, BETA, SLOPE, TEMPERATURE, RATE = math.exp(-1 / 2), math.exp(-1 / 4), 25.0, 0.5, 1e-6
NETS: dict[str, tuple[list[int], bool]] = {
    "digits": ([578, 256, 10], False),
    "deep": ([700, 256, 256, 20], False),
    "recurrent": ([700, 256, 20], True),
}
"""Sizes, and whether the hidden layers are recurrent. The small learning rate lets firing rates stay while steps are timed."""
LIBRARIES = ["snntorch", "snntorch-step", "brevitas", "brevitas-step", "spyx"]
Steps = tuple[Callable[[], Any], Callable[[], list[float]]]
"""A step, and the firing rates by layer."""


def weights(sizes: list[int], density: float) -> list[np.ndarray]:
    """(outputs, inputs), so large that a few per cent of the neurons fire."""
    rng, made = np.random.default_rng(1), []
    for inputs, outputs in pairwise(sizes):
        made.append((rng.standard_normal((outputs, inputs)) * 0.25 / math.sqrt(density * inputs)).astype(np.float32))
        density = 0.05
    return made


def torch_steps(x: np.ndarray, labels: np.ndarray, sizes: list[int], threads: int, linear: Any, in_loop: bool) -> Steps:
    """snnTorch's `Synaptic`, layers made by ``linear``; ``in_loop``: their products step by step."""
    import snntorch
    import torch
    from snntorch import surrogate

    torch.set_num_threads(threads)
    layers = [linear(torch.from_numpy(w)) for w in weights(sizes, float(x.mean()))]
    spike = surrogate.fast_sigmoid(slope=SLOPE)
    cells = [snntorch.Synaptic(ALPHA, BETA, reset_mechanism="subtract", spike_grad=spike) for _ in layers]
    spikes, target = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)
    optimizer, rates = torch.optim.Adam([layer.weight for layer in layers], lr=RATE), list[float]()

    def run(layer: Any, cell: Any, x: Any) -> Any:
        syn, mem = cell.reset_mem()
        out = []
        for given in (x if in_loop else layer(x)).unbind(0):
            spk, syn, mem = cell(layer(given) if in_loop else given, syn, mem)
            out.append(spk)
        return torch.stack(out)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        out, rates[:] = spikes, []
        for layer, cell in zip(layers, cells, strict=True):
            out = run(layer, cell, out)
            rates.append(float(out.detach().mean()))
        loss = torch.nn.functional.cross_entropy(TEMPERATURE * out.sum(0), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step, lambda: rates


def _plain(weight: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return layer


def _brevitas(weight: Any) -> Any:
    import brevitas.nn

    layer = brevitas.nn.QuantLinear(weight.shape[1], weight.shape[0], bias=False, weight_bit_width=8)
    layer.weight.data.copy_(weight)
    return layer


def _spyx_net(sizes: list[int], density: float, recurrent: bool) -> Any:
    """Dense layers and current-based cells, of which all but the last are ``recurrent``."""
    import spyx
    from flax import nnx

    rngs, made = nnx.Rngs(0), []
    for number, weight in enumerate(weights(sizes, density)):
        layer = nnx.Linear(weight.shape[1], weight.shape[0], use_bias=False, rngs=rngs)
        layer.kernel[...] = weight.T
        kind = spyx.nn.RCuBaLIF if recurrent and number < len(sizes) - 2 else spyx.nn.CuBaLIF
        cell = kind((len(weight),), alpha=ALPHA, beta=BETA, rngs=rngs, activation=spyx.axn.superspike(SLOPE))
        if hasattr(cell, "recurrent_w"):
            cell.recurrent_w[...] = np.asarray(cell.recurrent_w[...]) * 0.25 / math.sqrt(0.05 * len(weight))
        made += [layer, cell]
    return spyx.nn.Sequential(*made)


def spyx_steps(x: np.ndarray, labels: np.ndarray, sizes: list[int], recurrent: bool) -> Steps:
    """spyx' cells by `spyx.nn.run`, the products over all time steps at once, one jitted step."""
    import jax.numpy as jnp
    import optax
    import spyx
    from flax import nnx

    model = _spyx_net(sizes, float(x.mean()), recurrent)
    trained = nnx.All(nnx.Param, nnx.Any(nnx.PathContains("kernel"), nnx.PathContains("recurrent_w")))
    optimizer = nnx.Optimizer(model, optax.adam(RATE), wrt=trained)
    spikes, target, rates = jnp.asarray(x.astype(np.float32)), jnp.asarray(labels), list[float]()

    def loss_of(model: Any, spikes: Any, target: Any) -> Any:
        out, means = spikes, []
        for layer, cell in zip(model.layers[::2], model.layers[1::2], strict=True):
            out, _ = spyx.nn.run(cell, layer(out))
            means.append(out.mean())
        logits = TEMPERATURE * out.sum(0)
        return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean(), means

    @nnx.jit
    def update(model: Any, optimizer: Any, spikes: Any, target: Any) -> Any:
        found = nnx.value_and_grad(loss_of, argnums=nnx.DiffState(0, trained), has_aux=True)
        (loss, means), grads = found(model, spikes, target)
        optimizer.update(model, grads)
        return loss, means

    def step() -> float:
        loss, means = update(model, optimizer, spikes, target)
        rates[:] = means
        return float(loss)

    return step, lambda: [float(rate) for rate in rates]


def main() -> int:
    """Time one library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", choices=LIBRARIES, required=True)
    parser.add_argument("--net", choices=list(NETS), required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if options.lib == "spyx":  # read when JAX starts
        flags = "" if options.threads > 1 else "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = flags
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    data, (sizes, recurrent) = np.load(options.data), NETS[options.net]
    x, labels = data["x"], data["labels"]
    if options.lib == "spyx":
        step, rates = spyx_steps(x, labels, sizes, recurrent)
    elif recurrent:
        parser.error("snnTorch's recurrent cells take a step at a time, outside this comparison")
    else:
        linear = _brevitas if options.lib.startswith("brevitas") else _plain
        step, rates = torch_steps(x, labels, sizes, options.threads, linear, options.lib.endswith("-step"))
    for _ in range(3):
        step()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(times) < 5:
        began, used = time.perf_counter(), time.process_time()
        step()
        times.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used)))
    ms, cpu_ms = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        json.dumps(
            {"ms": ms, "cpu_ms": cpu_ms, "version": version(options.lib.removesuffix("-step")), "rates": rates()}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
