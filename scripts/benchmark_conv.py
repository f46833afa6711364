"""A training step of a convolutional net against torch's float convolutions alone, medians, interleaved, on real N-MNIST.

    python scripts/benchmark_conv.py --root <N-MNIST folder> [--threads 1 2] [--rounds 7] [--learned 45] [--profile]

The net: 2 x 34 x 34 pixels, 16 and 32 channels of 5 x 5 with padding 2, pooling 2, 10 outputs; batches of 32 recordings, 60
steps of 5 ms, loss=spike_count, optimizer=adam. A step is `train_step`: forward, loss, backward, gradient rounding, update. The
convolutions are those of the same net in float32 (torch.conv2d): both forward, the second layer's input gradient, both weight
gradients. Densities are those of the batch that is timed: of input spikes, spikes, pooled spikes, and errors that are not 0.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.training.bptt import train_step
from qsnn.training.run import Run

NET = (
    "experiment=nmnist_bptt", "model=conv", "model.channels=[16,32]", "model.kernel_size=[5]", "model.pooling=[2]",
    "dataset.downsample=1", "loss=spike_count", "trainer.batch_size=32",
)  # fmt: skip
WIDTHS = {"8 bits": ("quantization=bits8",), "2-bit weights": ("quantization=bits8", "quantization.weight_bits=2")}
Work = Callable[[], Any]


def prepared_run(options: argparse.Namespace, threads: int, widths: tuple[str, ...]) -> tuple[Run, Tensor, Tensor]:
    """A run that has learned from some batches, and the next batch."""
    words = [*NET, *widths, f"dataset.root={options.root}", f"threads={threads}", f"kernels={options.kernels}"]
    run = build_run(to_config(compose_config(words)), Path("unused"))
    batches = (batch for epoch in itertools.count() for batch in run.task.batches(epoch, 0))
    for batch in itertools.islice(batches, options.learned):
        learn(run, batch[0].float(), batch[1])
    x, labels, *_ = next(batches)
    return run, x.float(), labels


def learn(run: Run, x: Tensor, labels: Tensor, keep: bool = False) -> Any:
    """One training step."""
    learner: Any = run.learner
    return train_step(run.state, x, labels, learner.loss, run.settings.rates_at(0, 0, 1), keep)


def float_convolutions(run: Run, x: Tensor) -> Work:
    """The convolutions of the same net in float32, spikes and errors of any values."""
    jobs, maps = [], x.flatten(0, 1)
    for number, layer in enumerate(list(run.state.model.layers.values())[:-1]):
        convolution = layer.convolution
        weight, place = convolution.quantized_weight(), {"stride": convolution.stride, "padding": convolution.padding}
        error = torch.randn(len(maps), *layer.maps)
        jobs.append((number, maps, weight, error, place))
        maps = (torch.rand(len(maps), *layer.output_shape) < 0.1).float()

    def convolve() -> None:
        for number, spikes, weight, error, place in jobs:
            functional.conv2d(spikes, weight, **place)
            if number:
                conv2d_input(spikes.shape, weight, error, **place)
            conv2d_weight(spikes, weight.shape, error, **place)

    return convolve


def interleaved(works: tuple[Work, ...], rounds: int) -> list[float]:
    """Median milliseconds of each, taken in turns; the first round is not counted."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, taken in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            taken.append(1000 * (time.perf_counter() - began))
    return [statistics.median(taken[1:]) for taken in times]


def densities(run: Run, x: Tensor, labels: Tensor) -> str:
    """Shares of ones, and of errors that are not 0, in percent."""
    activity = learn(run, x, labels, keep=True).activity
    parts = [f"input {share(x)}"]
    for name, layer in list(activity.items())[:-1]:
        error = layer.current.grad
        assert error is not None
        parts.append(f"{name} {share(layer.spikes)}, pooled {share(layer.output)}, errors {share(error)}")
    return "; ".join(parts)


def share(tensor: Tensor) -> str:
    """Of what is not 0."""
    return f"{100 * int(tensor.count_nonzero()) / tensor.numel():.1f}"


def profile(work: Work) -> None:
    """What a step spends its time on."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        work()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=60))


def measure(name: str, prepared: tuple[Run, Tensor, Tensor], threads: int, options: argparse.Namespace) -> None:
    """Print a row of the table."""
    run, x, labels = prepared
    torch.set_num_threads(threads)

    def step() -> None:
        learn(run, x, labels)

    if options.profile:
        profile(step)
        return
    ours, convolutions = interleaved((step, float_convolutions(run, x)), options.rounds)
    row = f"{ours:.0f} | {convolutions:.0f} | {ours / convolutions:.2f} | {densities(run, x, labels)}"
    print(f"| {name} | {threads} | {row} |", flush=True)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the N-MNIST folder")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--learned", type=int, default=45, help="batches that the net has learned from before")
    parser.add_argument("--kernels", default="numba")
    parser.add_argument("--profile", action="store_true", help="torch's profile of a step in place of the table")
    options = parser.parse_args()
    set_up()
    print("| widths | threads | step, ms | float convolutions, ms | step / convolutions | densities, % |")
    print("|---|--:|--:|--:|--:|---|")
    for name, widths in WIDTHS.items():
        for threads in options.threads:
            measure(name, prepared_run(options, threads, widths), threads, options)


if __name__ == "__main__":
    main()
