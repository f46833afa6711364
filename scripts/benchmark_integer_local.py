"""Time of a local-learning layer's step in integers against the same in floats, and against the float convolutions alone.

python scripts/benchmark_integer_local.py [--threads 1] [--seconds 6] [--experiments nmnist_small icons_gesture]

Both nets have the experiment's settings; that in integers also quantization=icons_integer, decay_bits=16 and constant rates.
Steps are those of `benchmark_local`, in turns; milliseconds of wall time, medians.
"""

import argparse
from typing import Any

import torch
from benchmark_local import CLASSES, SENSORS, TRAINING_SET, interleaved, layer_step

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.data.events.windows import input_shape
from qsnn.training.local_learning import dropout_streams
from qsnn.training.state import new_training_state

IN_INTEGERS = [
    "quantization=icons_integer", "neuron.decay_bits=16", "optimizer.eta_schedule=constant", "optimizer.lr_schedule=constant",
]  # fmt: skip


def layer_steps(experiment: str, overrides: list[str]) -> dict[str, Any]:
    """A training step of each layer, and its convolutions alone."""
    config = to_config(compose_config([f"experiment={experiment}", *overrides]))
    machine, dataset = build_machine(config), config.dataset.option
    windows = config.dataset.windows(config.neuron.dt, training=True)
    net = config.trainer.build_net(config, input_shape(SENSORS[dataset], windows), CLASSES[dataset], machine)
    state = new_training_state(net, config.optimizer.build(config.quantization.gradient_bits), 0, dropout_streams(net))
    return {name: layer_step(state, layer, name, config, machine.backend) for name, layer in net.layers.items()}


def measure(experiment: str, threads: int, seconds: float) -> list[str]:
    """Table rows of an experiment's layers."""
    rows, word = [], f"threads={threads}"
    floats, integers = layer_steps(experiment, [word]), layer_steps(experiment, [word, *IN_INTEGERS])
    for name, (step, convolutions) in floats.items():
        times = interleaved((integers[name][0], step, convolutions), seconds, torch.device("cpu"))
        shown = " | ".join(f"{time:.2f}" for time in times)
        rows.append(f"| {experiment} | {name} | {shown} | {times[0] / times[1]:.2f} | {times[0] / times[2]:.2f} |")
    return rows


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--experiments", nargs="+", choices=TRAINING_SET, default=["nmnist_small", "gesture_demo", "icons_gesture"]
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each layer")
    options = parser.parse_args()
    set_up()
    print("| experiment | layer | integers, ms | floats, ms | convolutions, ms | of floats | of convolutions |")
    print("|---|---|---|---|---|---|---|")
    with torch.no_grad():
        for experiment in options.experiments:
            print("\n".join(measure(experiment, options.threads, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
