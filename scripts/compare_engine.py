"""The integer engine beside the nets that it is exported from: random nets of every kind and width, and shipped experiments.

    python scripts/compare_engine.py --nets 10000 [--first 0] [--kernels eager|numba]
    python scripts/compare_engine.py --experiments pattern_w2 randman_integer [--root <N-MNIST folder>] [--epochs 1] [--samples
    32]

Random nets: dense, recurrent, convolutional (stride, padding, pooling), with membrane readout, and local ones; 1 to 4 layers,
any width of 1 to 16 bits for weights and states, layer by layer, dyadic and rounded decays, thresholds, ranges, signed inputs.
One in seven goes through an artefact's files. A net whose float sums could be rounded, which the exporter refuses, is drawn
again and counted.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.deploy.artefact import write_artefact
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.from_net.local_layers import local_layers
from qsnn.deploy.from_net.spiking_layers import spiking_layers
from qsnn.deploy.model import COUNT, MAX, MEAN, VOTES, Decision, Input, Model, Source
from qsnn.deploy.replay import Comparison, compare
from qsnn.dynamics.cuba_lif import STATE_RANGES, CubaLIF
from qsnn.dynamics.integrate_and_fire import IF
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.dynamics.lif import LIF
from qsnn.dynamics.trace_lif import TraceLIF
from qsnn.errors import ConfigError
from qsnn.kernels.dispatch import select_backend, select_integer_local_backend, select_local_backend
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.geometry import Geometry
from qsnn.models.local_net import LocalInit, build_local_net
from qsnn.models.recurrent import Recurrent
from qsnn.quantization.bit_widths import INTEGER, BitWidths

STEPS, BATCH, CLASSES = 8, 2, 4
BY_FILE = 7
"""Every so many nets one goes through an artefact's files; waiting for the disk takes longer than all else."""
KINDS = ("dense", "recurrent", "conv", "readout", "local")
ORIGIN = Source("random", "last", 0, "0")


class Case(NamedTuple):
    """A net, the same as a model, and inputs (T, B, ...)."""

    kind: str
    net: Any
    model: Model
    x: Tensor


def widths(rng: np.random.Generator, layers: int, *names: str) -> dict[str, list[int]]:
    """One of 1 to 16 bits for each layer; few bits as often as many."""
    return {name: rng.choice([1, 2, 3, 4, 6, 8, 8, 11, 16], layers).tolist() for name in names}


def neuron_of(rng: np.random.Generator) -> Any:
    """Any neuron with decays that are exact."""
    threshold, slow = float(rng.choice([0.3, 0.6, 0.9, 1.0])), float(rng.choice([0.003, 0.01, 0.05]))
    decays: dict[str, Any] = {"tau_mem": slow}
    if rng.random() < 0.5:
        decays |= {"decay": "exponential", "decay_bits": int(rng.integers(1, 13))}
    kind = rng.integers(4)
    if kind == 0:
        return IF(threshold=threshold)
    if kind == 1:
        return LIF(threshold=threshold, **decays)
    return CubaLIF(threshold=threshold, tau_syn=0.005, state_range=float(rng.choice(STATE_RANGES)), **decays)


def spiking_case(kind: str, rng: np.random.Generator, seed: int, kernels: str) -> Case:
    """A net of layers that learn by backpropagation. Raises ConfigError for one that float32 would round."""
    maps, layers = (int(rng.integers(1, 4)), int(rng.integers(4, 8)), int(rng.integers(4, 8))), int(rng.integers(1, 4))
    sizes = rng.integers(1, 12, layers - 1 if kind in ("dense", "readout") else layers).tolist()
    model: Any = Feedforward(hidden=sizes)
    if kind == "recurrent":
        model = Recurrent(hidden=sizes)
    if kind == "conv":
        sizes = sizes[:2]
        model = Conv(
            channels=sizes, kernel_size=rng.integers(1, 4, len(sizes)).tolist(),
            padding=rng.integers(0, 2, len(sizes)).tolist(),
            pooling=rng.integers(1, 3, len(sizes)).tolist(), stride=rng.integers(1, 3, len(sizes)).tolist(),
        )  # fmt: skip
    given: dict[str, Any] = widths(rng, model.num_layers(True), "weight_bits", "membrane_bits", "synapse_bits")
    bits, signed = BitWidths(**given), bool(rng.random() < 0.3)
    backend, readout = select_backend(kernels, "cpu"), None
    if kind == "readout":
        alpha, beta = rng.choice([0.5, 0.75, 0.875, 0.984375], 2).tolist()
        readout = IntegratorParameters(alpha, beta, int(rng.integers(1, 17)), 8)
    net = model.build_spiking(maps, CLASSES, neuron_of(rng), bits, readout, seed, backend)
    rule = str(rng.choice([MAX, MEAN])) if kind == "readout" else COUNT
    layers_of = spiking_layers(net, maps, signed)
    return Case(kind, net, _model(maps, signed, layers_of, rule, 0), inputs_of(rng, maps, signed))


def local_case(rng: np.random.Generator, seed: int, kernels: str) -> Case:
    """A net that learns locally in integers. Raises ConfigError for one whose sums leave what computes them."""
    maps, number = (int(rng.integers(1, 3)), int(rng.integers(4, 8)), int(rng.integers(4, 8))), int(rng.integers(1, 4))
    names = [
        "weight_bits", "membrane_bits", "synapse_trace_bits", "membrane_trace_bits", "refractory_bits", "readout_weight_bits",
        "readout_bits", "sigmoid_bits", "error_bits", "gradient_bits",
    ]  # fmt: skip
    given: dict[str, Any] = widths(rng, number, *names)
    bits = [BitWidths(arithmetic=INTEGER, **{name: value[n] for name, value in given.items()}) for n in range(number)]
    neuron = TraceLIF(tau_syn_upper=0.02, decay_bits=int(rng.integers(1, 21)), trace_cap=float(rng.choice([0.3, 1.0])))
    shapes = [
        Geometry(int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(0, 2)), 1 + (n == 0))
        for n in range(number)
    ]
    multipliers = (10.0 ** rng.uniform(-4, -1, number)).tolist()
    init = LocalInit(multipliers, None, 1.5, 1.0, 4.0, 0.0, 0.0)
    net = build_local_net(
        maps,
        shapes,
        CLASSES,
        neuron,
        bits,
        init,
        seed,
        select_local_backend(kernels),
        select_integer_local_backend(kernels),
    )
    signed = bool(rng.random() < 0.3)
    return Case("local", net, _model(maps, signed, local_layers(net), VOTES, 2), inputs_of(rng, maps, signed))


def _model(maps: tuple[int, ...], signed: bool, layers: Any, rule: str, burn_in: int) -> Model:
    classes = tuple(str(number) for number in range(CLASSES))
    return Model(Input(maps, signed, 1000, 0), layers, Decision(rule, burn_in, classes), ORIGIN)


def inputs_of(rng: np.random.Generator, maps: tuple[int, ...], signed: bool) -> Tensor:
    """(T, B, C, H, W), int8, some silent and some crowded."""
    x = (rng.random((STEPS, BATCH, *maps)) < rng.choice([0.05, 0.3, 0.8])).astype(np.int8)
    return torch.from_numpy(x * rng.choice([-1, 1], x.shape).astype(np.int8) if signed else x)


def draw(number: int, kernels: str, tries: Counter[str]) -> Case:
    """Net ``number``; those that are refused before it are counted in ``tries``."""
    for attempt in range(1000):
        rng = np.random.default_rng([number, attempt])
        kind = KINDS[number % len(KINDS)]
        try:
            return local_case(rng, number, kernels) if kind == "local" else spiking_case(kind, rng, number, kernels)
        except ConfigError:
            tries[kind] += 1
    raise RuntimeError(f"no net {number} of kind {kind} in 1,000 tries")


def compared(case: Case, folder: Path | None = None) -> Comparison:
    """The engine beside the net, by way of an artefact in ``folder`` if there is one."""
    engine = IntegerEngine(case.model)
    if folder is not None:
        write_artefact(case.model, folder, overwrite=True)
        engine = IntegerEngine.from_artefact(folder)
    found = Comparison()
    compare(engine, case.net, case.x, found)
    return found


def random_nets(first: int, count: int, kernels: str) -> bool:
    """Compare them; whether all agree."""
    tries: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    wrong, begun = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            case = draw(number, kernels, tries)
            found = compared(case, None if number % BY_FILE else Path(folder) / "artefact")
            codes[case.kind] += sum(found.total.values())
            if not found.exact():
                wrong += 1
                print(f"net {number}, {case.kind}: {found.first}")
    for kind in KINDS:
        print(f"{kind:<10} {codes[kind]:>13,} codes; {tries[kind]:,} nets drawn again")
    took = time.perf_counter() - begun
    agree = f"{count - wrong:,} of {count:,} random nets agree"
    print(f"{agree} in all {sum(codes.values()):,} codes; {took:.0f} s, kernels {kernels}")
    return not wrong


def experiment(name: str, epochs: int, samples: int, more: list[str], folder: Path) -> bool:
    """Train for some epochs and replay; whether all agree."""
    from qsnn.config.deploying.verify import verify
    from qsnn.config.python import run

    words = [
        f"experiment={name}",
        f"trainer.epochs={epochs}",
        f"hydra.run.dir={folder / name}",
        "logging.progress=false",
        *more,
    ]
    try:
        run(words)
        found = verify([f"run={folder / name}", f"samples={samples}"])
    except ConfigError as error:
        print(f"{name}: refused: {error}")
        return True
    print(f"{found.text}\n")
    return found.exact


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kernels", default="eager", choices=("eager", "numba"))
    parser.add_argument("--experiments", nargs="*", default=[])
    parser.add_argument("--root")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--samples", type=int, default=32)
    words = parser.parse_args()
    torch.set_num_threads(1)
    exact = random_nets(words.first, words.nets, words.kernels) if words.nets else True
    with tempfile.TemporaryDirectory() as folder:
        for name in words.experiments:
            more = [f"dataset.root={words.root}"] if words.root and name.startswith("nmnist") else []
            exact &= experiment(name, words.epochs, words.samples, more, Path(folder))
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
