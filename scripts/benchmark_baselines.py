"""What the benchmark compares with: a plain autograd loop of the same arithmetic, and the dense products alone."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.dynamics.surrogate import surrogate_gradient
from qsnn.quantization import in_range, quantize, quantize_error, quantize_gradient, symmetric, uniform_codes
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Run

Step: Any = Callable[[], Any]


def pattern_task(run: Run) -> PatternTask:
    """What a run of a pattern learns, with the distance that it makes small."""
    return cast(PatternTask, run.task)


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
    first = run.state.model.layers["hidden"]
    p, linear = cast(LIFParameters, first.lif.dynamics), first.linear
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
    weights = [linear.weight.detach().clone().requires_grad_() for linear in run.state.model.weights().values()]
    pattern, loss = pattern_task(run).pattern, pattern_task(run).loss
    optimizer, streams = torch.optim.Adamax(weights, lr=1.0), list(run.state.streams.values())

    def step() -> float:
        optimizer.zero_grad()
        spikes = pattern.input
        for weight in weights:
            spikes = autograd_layer(spikes, weight, run)
        trace, squares = torch.zeros_like(spikes[0]), torch.zeros(())
        for t in range(len(spikes)):
            trace = loss.decay * trace + spikes[t] - pattern.target[t]
            squares = squares + trace.square().sum()
        distance = (squares / loss.tau).sqrt()
        distance.backward()
        for number, weight in enumerate(weights):
            assert weight.grad is not None
            codes, streams[number] = uniform_codes(streams[number], weight.shape, 16, "original")
            weight.grad = quantize_gradient(
                weight.grad, codes, eta=0.1, gradient_bits=8, rng_bits=16, rng_rule="original"
            )
        optimizer.step()
        for weight in weights:
            weight.data.clamp_(-0.5, 0.5)
        return distance.item()

    return step


def dense_products(run: Run) -> Step:
    """The five float products of the step: two forward, two weight gradients, one error."""
    x = pattern_task(run).pattern.input.flatten(0, 1)
    weights = [linear.weight.detach() for linear in run.state.model.weights().values()]
    hidden, output = torch.rand(len(x), weights[0].shape[1]), torch.rand(len(x), weights[1].shape[1])

    def step() -> list[Tensor]:
        return [x @ weights[0], hidden @ weights[1], hidden.T @ output, output @ weights[1].T, x.T @ hidden]

    return step
