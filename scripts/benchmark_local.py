"""Time of a local-learning layer's step against its convolutions alone, forward and weight gradient; medians, interleaved.

python scripts/benchmark_local.py [--threads 1] [--seconds 3] [--experiments nmnist_small icons_gesture] [--device cpu]

The convolutions are torch's in float32. A layer's step is all that training does with it in one time step: traces,
convolution, membrane, pooling, readout, errors, weight gradient, stochastic rounding, update and quantized weights. Spikes
are random, 5 % of the inputs. From the time of a step and the number of steps of the experiment's run on the full data set
follows the estimate for the whole run.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.config.schema import Config
from qsnn.data.events.windows import input_shape
from qsnn.dynamics.local_gradient import convolution_gradient
from qsnn.kernels.backend import Backend
from qsnn.layers.local_layer import LocalLayer
from qsnn.training.local_learning import dropout_streams, update_layer
from qsnn.training.run import Rates
from qsnn.training.settings import rounding_by_layer
from qsnn.training.state import TrainingState, new_training_state

SENSORS = {"nmnist": (34, 34), "synthetic_gesture": (128, 128), "dvs_gesture": (128, 128), "slow_poker": (128, 128)}
CLASSES = {"nmnist": 10, "synthetic_gesture": 11, "dvs_gesture": 11, "slow_poker": 4}
TRAINING_SET = {"nmnist_small": 600, "gesture_demo": 1584, "icons_gesture": 862, "icons_poker": 1000}
Step = Callable[[], object]


def layer_step(
    state: TrainingState, layer: LocalLayer, name: str, config: Config, backend: Backend
) -> tuple[Step, Step]:
    """One step of the layer with learning, and its convolutions alone."""
    rates, batch = Rates(rounding_by_layer(config, list(state.model.layers)), 1.0), config.trainer.batch_size
    device, shape = layer.weight.device, (batch, *layer.tau_mem.shape)
    spikes = (torch.rand(shape, device=device) < 0.05).float().contiguous(memory_format=torch.channels_last)
    constants, number = layer.constants(), len(layer.readout_weight)
    target = functional.one_hot(torch.arange(batch, device=device) % number, number).float()
    mask = torch.ones_like(target)
    memory = {"state": layer.initial_state(batch)}

    def step() -> None:
        done, memory["state"] = layer(spikes, memory["state"], layer.effective_weights(), constants)
        gradient = layer.gradient(done, layer.readout(done, constants), target, mask, constants)
        update_layer(state, layer, name, gradient, rates, 1, backend)

    step()
    weights, trace, padding = layer.effective_weights(), memory["state"].traces.membrane.clone(), layer.settings.padding
    error = torch.randn(batch, *layer.output_shape(), device=device).contiguous(memory_format=torch.channels_last)

    def convolutions() -> None:
        functional.conv2d(trace, *weights, padding=padding)
        convolution_gradient(error, trace, layer.weight, padding)

    return step, convolutions


def interleaved(steps: tuple[Step, ...], seconds: float, device: torch.device) -> list[float]:
    """Median milliseconds of each, taken in turns."""
    times: list[list[float]] = [[] for _ in steps]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for step, taken in zip(steps, times, strict=True):
            began = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(1000 * (time.perf_counter() - began))
    return [statistics.median(taken) for taken in times]


def measure(experiment: str, seconds: float, overrides: list[str]) -> list[str]:
    """Table rows of an experiment's layers, and the estimate of a run."""
    config = to_config(compose_config([f"experiment={experiment}", *overrides]))
    machine, dataset = build_machine(config), config.dataset.option
    windows, size = config.dataset.windows(config.neuron.dt, training=True), config.trainer.batch_size
    net = config.trainer.build_net(config, input_shape(SENSORS[dataset], windows), CLASSES[dataset], machine)
    state = new_training_state(net, config.optimizer.build(config.quantization.gradient_bits), 0, dropout_streams(net))
    rows, total, alone = [], 0.0, 0.0
    for name, layer in net.layers.items():
        steps = layer_step(state, layer, name, config, machine.backend)
        step, convolutions = interleaved(steps, seconds, machine.device)
        total, alone = total + step, alone + convolutions
        rows.append(f"| {experiment} | {name} | {step:.2f} | {convolutions:.2f} | {step / convolutions:.2f} |")
    batches = -(-TRAINING_SET[experiment] // size)
    steps = windows.num_steps * batches * config.trainer.epochs
    hours = total * steps / 3_600_000
    rows.append(f"| {experiment} | all, batch {size} | {total:.2f} | {alone:.2f} | {total / alone:.2f} |")
    rows.append(f"| {experiment} | {steps:,} training steps | {hours:.1f} h | | |")
    return rows


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", choices=TRAINING_SET, default=list(TRAINING_SET))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each layer")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    set_up()
    overrides = [f"threads={options.threads}", f"device={options.device}"]
    print("| experiment | layer | step, ms | convolutions, ms | step / convolutions |\n|---|---|---|---|---|")
    with torch.no_grad():
        for experiment in options.experiments:
            print("\n".join(measure(experiment, options.seconds, overrides)), flush=True)


if __name__ == "__main__":
    main()
