"""Time one training step of the default net side by side: backends, a plain autograd loop, the dense products alone.

    python scripts/benchmark.py [--batches 1 16 64] [--seconds 20] [--threads 2] [--growth]

Repetitions are interleaved, so that what disturbs the machine disturbs all; medians, and ratios to the five dense
products of the step. The autograd loop computes the same quantized arithmetic with a graph per time step, as one would
write it without a hand-written backward pass. ``--growth`` doubles T, N and B of the numba backend one at a time.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qsnn.config.builders import build_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.data import Pattern, load_pattern
from qsnn.dynamics.lif import surrogate_gradient
from qsnn.quantization import in_range, quantize, quantize_error, quantize_gradient, symmetric, uniform_codes
from qsnn.training.loop import Run, train_epoch

Step = Callable[[], Any]


def make_run(kernels: str, batch: int, overrides: list[str]) -> Run:
    """The default run with ``batch`` different patterns."""
    config = to_config(compose_config([f"kernels={kernels}", "trainer.epochs=1000000", *overrides]))
    run = build_run(config, Path())
    sizes = {"num_inputs": config.model.num_inputs, "num_outputs": config.model.num_outputs}
    settings = {**vars(config.dataset), **sizes}
    patterns = [load_pattern(**{**settings, "seed": seed}) for seed in range(batch)]
    return run._replace(pattern=Pattern(*(torch.cat(part, dim=1) for part in zip(*patterns, strict=True))))


class _Quantize(torch.autograd.Function):
    """Q with E as its backward: one autograd node for each state in each time step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, error_bits: int) -> Tensor:
        ctx.save_for_backward(in_range(x, symmetric(bits)))
        ctx.error_bits = error_bits
        return quantize(x, symmetric(bits))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return quantize_error(grads[0], ctx.error_bits) * ctx.saved_tensors[0], None, None


class _QuantizeError(torch.autograd.Function):
    """The identity, with quantize_error over the whole sequence as its backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, error_bits: int) -> Tensor:
        ctx.error_bits = error_bits
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return quantize_error(grads[0], ctx.error_bits), None


class _Spike(torch.autograd.Function):
    """Spike with the SuperSpike surrogate."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] / surrogate_gradient(ctx.saved_tensors[0], 100.0)


def autograd_layer(x: Tensor, weight: Tensor, run: Run) -> Tensor:
    """A layer as a loop of autograd operations."""
    p, linear = run.state.model.hidden.lif.dynamics, run.state.model.hidden.linear
    bits, errors = p.membrane_bits or 8, p.error_bits or 8
    scaled = weight + (quantize(weight, symmetric(linear.weight_bits)) / linear.attenuation - weight).detach()
    current = _QuantizeError.apply(x @ scaled, errors)
    synapse = membrane = torch.zeros_like(current[0])
    spikes = []
    for t in range(len(current)):
        spike = _Spike.apply(_Quantize.apply(membrane - p.threshold, bits, errors))
        raw = p.membrane_decay * membrane + synapse - spike.detach()
        synapse = _Quantize.apply(p.synapse_decay * synapse + current[t], bits, errors)
        membrane = _Quantize.apply(raw, bits, errors)
        spikes.append(spike)
    return torch.stack(spikes)


def autograd_step(run: Run) -> Step:
    """Forward, van Rossum loss, backward, rounding and Adamax, all in plain torch operations."""
    weights = [linear.weight.detach().clone().requires_grad_() for linear in run.state.model.linears().values()]
    optimizer, streams = torch.optim.Adamax(weights, lr=1.0), list(run.state.streams.values())

    def step() -> float:
        optimizer.zero_grad()
        spikes = run.pattern.input
        for weight in weights:
            spikes = autograd_layer(spikes, weight, run)
        trace, squares = torch.zeros_like(spikes[0]), torch.zeros(())
        for t in range(len(spikes)):
            trace = run.loss.decay * trace + spikes[t] - run.pattern.target[t]
            squares = squares + trace.square().sum()
        distance = (squares / run.loss.tau).sqrt()
        distance.backward()
        for number, weight in enumerate(weights):
            assert weight.grad is not None
            codes, streams[number] = uniform_codes(streams[number], weight.shape, 16)
            weight.grad = quantize_gradient(weight.grad, codes, eta=0.1, gradient_bits=8, rng_bits=16)
        optimizer.step()
        for weight in weights:
            weight.data.clamp_(-0.5, 0.5)
        return distance.item()

    return step


def dense_products(run: Run) -> Step:
    """The five float products of the step: two forward, two weight gradients, one error."""
    x = run.pattern.input.flatten(0, 1)
    weights = [linear.weight.detach() for linear in run.state.model.linears().values()]
    hidden, output = torch.rand(len(x), weights[0].shape[1]), torch.rand(len(x), weights[1].shape[1])

    def step() -> list[Tensor]:
        return [x @ weights[0], hidden @ weights[1], hidden.T @ output, output @ weights[1].T, x.T @ hidden]

    return step


def medians(steps: dict[str, Step], seconds: float) -> dict[str, float]:
    """Milliseconds of each step: median over interleaved repetitions, as many as fit, five at least."""
    for step in steps.values():
        step()
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def train(run: Run) -> Step:
    """One epoch of ``run``."""
    return lambda: train_epoch(run)


def compare(batches: list[int], seconds: float, overrides: list[str]) -> None:
    """The table of backends."""
    print(
        "| batch | what | ms a step | to the dense products | speed-up over the autograd loop |\n|---|---|---|---|---|"
    )
    for batch in batches:
        runs = {kernels: make_run(kernels, batch, overrides) for kernels in ("numba", "eager")}
        steps = {f"qsnn, {kernels}": train(run) for kernels, run in runs.items()}
        steps |= {"autograd loop": autograd_step(runs["eager"]), "dense products": dense_products(runs["eager"])}
        result = medians(steps, seconds)
        for name, value in result.items():
            dense, loop = value / result["dense products"], result["autograd loop"] / value
            print(f"| {batch} | {name} | {value:.2f} | {dense:.2f} | {loop:.1f} |", flush=True)


def growth(seconds: float, overrides: list[str]) -> None:
    """The table of growth: one size doubled at a time, numba backend."""
    doubled = {
        "default": (1, []),
        "T doubled": (1, ["dataset.num_steps=500"]),
        "N doubled": (1, ["model.num_inputs=1400", "model.num_hidden=800", "model.num_outputs=500"]),
        "B 1 to 2": (2, []),
        "B 16": (16, []),
        "B 16 to 32": (32, []),
    }
    steps = {name: train(make_run("numba", batch, [*more, *overrides])) for name, (batch, more) in doubled.items()}
    result = medians(steps, seconds)
    print("| size | ms a step | to the default |\n|---|---|---|")
    for name, value in result.items():
        print(f"| {name} | {value:.2f} | {value / result['default']:.2f} |")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring a table's batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    set_up()
    overrides = [f"threads={options.threads}"]
    if options.growth:
        growth(options.seconds, overrides)
    else:
        compare(options.batches, options.seconds, overrides)
    return 0


if __name__ == "__main__":
    sys.exit(main())
