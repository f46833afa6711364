"""Time a whole training step of nets of classes beside other libraries: forward, loss, backward, rounding, update.

    python scripts/benchmark_nets.py [--nets digits deep recurrent] [--threads 1] [--seconds 10] [--nmnist FOLDER]
        [--peers snntorch=INTERPRETER brevitas=INTERPRETER spyx=INTERPRETER]

| net | layers | steps | batch | built from |
|---|---|---|---|---|
| digits | 578-256-10 | 60 | 50 | experiment=nmnist_bptt, all 8 bits |
| deep | 700-256-256-20 | 250 | 64 | experiment=shd as a feedforward net, all 8 bits |
| recurrent | 700-256-20, the hidden layer recurrent | 250 | 64 | experiment=shd, all 8 bits |

Ours is built by the config and takes steps as training does, with a learning rate of nearly 0, so that firing rates, which
are printed, stay as they are; ``--gain`` multiplies the initial weights and with them the rates. Input: a batch of N-MNIST
recordings (``--nmnist``: its folder) for digits, else random spikes of the same density. Each other library computes a float
net of the same size on the same spikes in a process of its own (scripts/peer_nets.py, which says how to install them), between
two measurements of ours, of whose mean its ratio is. Medians; the machine's load is printed with them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.data.events.batches import Batch
from qsnn.training.run import Rates
from qsnn.training.settings import rounding_by_layer
from qsnn.training.state import new_training_state

DIGITS = ["experiment=nmnist_bptt", "quantization=bits8", "model.hidden=[256]", "trainer.batch_size=50"]
SPOKEN = ["experiment=shd", "dataset=synthetic_gesture"]  # the data set's own spikes are not used
NETS: dict[str, tuple[list[str], int, int, tuple[int, int, int], float]] = {
    "digits": (DIGITS, 578, 10, (60, 50, 0), 0.056),
    "deep": ([*SPOKEN, "model=feedforward", "model.hidden=[256,256]"], 700, 20, (250, 64, 0), 0.02),
    "recurrent": ([*SPOKEN, "model=recurrent", "model.hidden=[256]"], 700, 20, (250, 64, 0), 0.02),
}
"""Words of the config, inputs, outputs, (steps, batch, seed), share of ones in the input."""
PEERS = {
    "digits": ("snntorch", "snntorch-step", "brevitas", "brevitas-step"),
    "deep": ("spyx",),
    "recurrent": ("spyx",),
}
GAINS = {"digits": 1.0, "deep": 1.0, "recurrent": 0.6}
STILL = 1e-6  # factor on the learning rate


def random_batch(name: str) -> tuple[Tensor, Tensor]:
    """Spikes (T, B, I) and labels (B,)."""
    _, inputs, outputs, (steps, batch, seed), density = NETS[name]
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(steps, batch, inputs, generator=generator) < density).to(torch.uint8)
    return x, torch.randint(outputs, (batch,), generator=generator)


def digits_batch(folder: Path) -> tuple[Tensor, Tensor]:
    """The first batch of training with N-MNIST."""
    config = to_config(compose_config([*DIGITS, f"dataset.root={folder}"]))
    run = config.trainer.build_run(config, build_machine(config), Path(), {})
    batch = next(iter(run.task.batches(1, 0)))
    return batch.input.flatten(2), batch.labels


class Ours:
    """A net that takes training steps on one batch."""

    def __init__(self, name: str, threads: int, gain: float, x: Tensor, labels: Tensor) -> None:
        base, inputs, outputs, _, _ = NETS[name]
        config = to_config(compose_config([*base, "kernels=numba", f"threads={threads}"]))
        machine = build_machine(config)
        net = config.trainer.build_net(config, (inputs,), outputs, machine)
        for tensor in net.trained_tensors().values():
            tensor.data *= gain
        rule = config.optimizer.build(config.quantization.gradient_bits)
        self.learner = config.trainer.build_learner(config, machine)
        self.state = new_training_state(net, rule._replace(lr=rule.lr * STILL), config.seed)
        self.rounding, self.batch = (
            rounding_by_layer(config, list(net.layers)),
            Batch(x, labels, torch.arange(len(labels))),
        )

    def step(self) -> Any:
        """One, with a batch that has just been made."""
        batch = self.batch._replace(input=self.batch.input.clone())
        return self.learner.learn(self.state, batch, Rates(self.rounding, 1.0), False, lambda loss: None)

    def rates(self) -> list[float]:
        """Spikes a neuron and step, by layer."""
        return [float(layer.output.mean()) for layer in self.step().activity.values()]


def median_ms(step: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Of single steps, and the processor's time, of which other processes take less."""
    for _ in range(5):
        step()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        began, used = time.perf_counter(), time.process_time()
        step()
        times.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used)))
    ms, cpu_ms = (statistics.median(column) for column in zip(*times, strict=True))
    return ms, cpu_ms


def time_peer(name: str, library: str, python: str, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What scripts/peer_nets.py prints; an ``error`` if it does not work."""
    script = Path(__file__).with_name("peer_nets.py")
    words = [python, str(script), "--lib", library, "--net", name, "--data", str(data)]
    words += ["--threads", str(options.threads), "--seconds", str(options.seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(lines[-1])


def compare(name: str, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for ours, and for each other library one beside ours once more."""
    real = name == "digits" and options.nmnist
    x, labels = digits_batch(options.nmnist) if real else random_batch(name)
    ours, data = Ours(name, options.threads, options.gain or GAINS[name], x, labels), folder / f"{name}.npz"
    np.savez(data, x=x.numpy(), labels=labels.numpy())
    common = {"net": name, "threads": options.threads, "input": float(x.float().mean())}
    pythons = dict(entry.split("=", 1) for entry in options.peers)
    rows = [{**common, "what": "qsnn", **_of_ours(ours, options), "rates": ours.rates()}]
    for library in PEERS[name]:
        python = pythons.get(library.removesuffix("-step"))
        if python is not None:
            before = _of_ours(ours, options)
            found = time_peer(name, library, python, data, options)
            after = _of_ours(ours, options)
            if "ms" in found:
                ratios = {f"{key} to ours": 2 * found[key] / (before[key] + after[key]) for key in before}
                found |= {"ours": (before["ms"] + after["ms"]) / 2, **ratios}
            rows.append({**common, "what": library, **found})
    return [{**row, "load": os.getloadavg()[0]} for row in rows]


def _of_ours(ours: Ours, options: argparse.Namespace) -> dict[str, float]:
    return dict(zip(("ms", "cpu_ms"), median_ms(ours.step, options.seconds), strict=True))


def main() -> int:
    """Measure what is asked for, and print a line of JSON for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--nmnist", type=Path, help="folder of N-MNIST, for digits")
    parser.add_argument("--gain", type=float, help="factor on the initial weights, by which nets spike more or less")
    parser.add_argument("--peers", nargs="+", default=[], metavar="NAME=INTERPRETER")
    options = parser.parse_args()
    set_up()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.nets:
            for row in compare(name, options, Path(folder)):
                print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
