"""Nanoseconds a synaptic operation: the integer engine in numpy beside the C that `qsnn.export format=c` writes.

    python scripts/benchmark_engine.py [--artefacts FOLDER ...] [--steps 100] [--repeats 5] [--rate 0.05] [--cc gcc]
                                       [--flags=-O3]

A synaptic operation is a weight that meets an input that is not 0, counted in the run itself; in C and numpy the time of all
else (states, thresholds, zeros that a convolution multiplies) is in it too. Without artefacts: random nets of the shapes of
N-MNIST. The engines take turns in one process and the least of the repeats counts.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.deploy.accumulate import Accumulators
from qsnn.deploy.arithmetic import WORD_BITS, Whole, highest_code
from qsnn.deploy.artefact import read_artefact
from qsnn.deploy.c.program import program_of
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.local import LocalState
from qsnn.deploy.model import (
    CONV,
    COUNT,
    DENSE,
    RECURRENT,
    Decision,
    Input,
    Model,
    Source,
    SpikingLayer,
    State,
    Weights,
    size,
)
from qsnn.deploy.spiking import convolved

BATCH = 32
MAIN = """#include "NAME.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static NAME_state state;
static NAME_output output[1 << 20];
int main(int count, char **words)
{
    const long steps = atol(words[2]), inputs = atol(words[3]);
    int8_t *x = malloc(steps * inputs);
    FILE *file = fopen(words[1], "rb");
    struct timespec a, b;
    long t;
    if (count != 4 || !x || !file || fread(x, 1, steps * inputs, file) != (size_t)(steps * inputs))
        return 1;
    NAME_reset(&state);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (t = 0; t < steps; t++)
        NAME_step(&state, x + t * inputs, output);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.0f %d\\n", 1e9 * (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec), output[0]);
    return 0;
}
"""


def random_net(kind: str, bits: int) -> Model:
    """2 x 34 x 34 inputs, a hidden layer of 512 neurons, or 16 maps of 5 x 5 and 32 more, and 10 outputs."""
    rng = np.random.default_rng(0)

    def layer(
        name: str, what: str, inputs: tuple[int, ...], neurons: tuple[int, ...], pooling: int = 1
    ) -> SpikingLayer:
        shape = (neurons[0], inputs[0], 5, 5) if what == CONV else (size(inputs), neurons[0])
        outputs = (neurons[0], neurons[1] // pooling, neurons[2] // pooling) if what == CONV else neurons
        back = _weights(rng, (neurons[0], neurons[0]), bits) if what == RECURRENT else None
        held = State(8, 7, 3, 2), State(8, 7, 7, 3)
        given = inputs if what == CONV else (size(inputs),)
        places = 1, 2 if what == CONV else 0, pooling
        return SpikingLayer(
            name, what, given, neurons, outputs, _weights(rng, shape, bits), back, *places, *held, 60, -60
        )  # fmt: skip

    maps = (2, 34, 34)
    if kind == CONV:
        first = layer("first", CONV, maps, (16, 34, 34), 2)
        second = layer("second", CONV, first.outputs, (32, 17, 17), 2)
        layers = [first, second, layer("output", DENSE, second.outputs, (10,))]
    else:
        layers = [layer("hidden", kind, maps, (512,)), layer("output", DENSE, (512,), (10,))]
    classes = tuple(map(str, range(10)))
    return Model(Input(maps, False, 5000, 60), tuple(layers), Decision(COUNT, 0, classes), Source(kind, "last", 0, "0"))


def _weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> Weights:
    highest = highest_code(bits)
    return Weights(rng.integers(-highest, highest + 1, shape), bits, bits + 1)


def operations(model: Model, inputs: Whole) -> int:
    """Weights that met an input that was not 0, over the steps (T, I)."""
    engine, found = IntegerEngine(model), 0
    states = engine.steps(inputs[:, None])
    before: dict[str, Any] = engine.initial_state().layers
    for x, (state, _) in zip(inputs, states, strict=True):
        arriving = x[None].astype(np.int64)
        for layer in model.layers:
            now = state.layers[layer.name]
            met = now.p.astype(np.int64) if isinstance(now, LocalState) else arriving
            found += _met(layer, (met != 0).astype(np.int64))
            if isinstance(layer, SpikingLayer) and layer.recurrent is not None:
                found += int(np.count_nonzero(before[layer.name].spikes)) * len(layer.recurrent.codes)
            arriving = now.spikes.astype(np.int64)
            if layer.pooling > 1:
                channels, height, width = layer.outputs
                side, spikes = layer.pooling, arriving.reshape(1, *layer.neurons)
                cut = spikes[:, :, : height * side, : width * side].reshape(1, channels, height, side, width, side)
                arriving = cut.max((3, 5)).reshape(1, -1)
        before = state.layers
    return found


def _met(layer: Any, busy: Whole) -> int:
    if layer.weight.codes.ndim == 2:
        return int(busy.sum()) * layer.weight.codes.shape[1]
    ones = np.ones_like(layer.weight.codes[:1])
    stride = getattr(layer, "stride", 1)
    sums = Accumulators({"met": WORD_BITS})
    met = convolved(busy.reshape(1, *layer.inputs), ones, stride, layer.padding, sums, {}, "met")
    return int(met.sum()) * layer.neurons[0]


def built(model: Model, folder: Path, compiler: str, flags: list[str]) -> Path:
    """The C, compiled with a program that times it."""
    program = program_of(model)
    (folder / f"{program.name}.h").write_text(program.header)
    (folder / f"{program.name}.c").write_text(program.source)
    (folder / "main.c").write_text(MAIN.replace("NAME", program.name))
    command = [compiler, "-std=gnu99", *flags, f"{program.name}.c", "main.c", "-o", "timed"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "timed"


def numpy_seconds(model: Model, inputs: Whole, batch: int) -> float:
    """Of all steps."""
    given = np.repeat(inputs[:, None], batch, 1)
    begun = time.perf_counter()
    IntegerEngine(model).run(given)
    return time.perf_counter() - begun


def timed(name: str, model: Model, words: argparse.Namespace) -> None:
    """A line of the table."""
    rng = np.random.default_rng(1)
    inputs = (rng.integers(0, 1000, (words.steps, size(model.input.shape))) < 1000 * words.rate).astype(np.int8)
    count = operations(model, inputs)
    found: dict[str, list[float]] = {"numpy": [], "batch": [], "c": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        program = built(model, folder, words.cc, words.flags.split())
        inputs.tofile(folder / "inputs")
        command: list[str | Path] = [program, "inputs", str(len(inputs)), str(inputs.shape[1])]
        for _ in range(words.repeats):
            found["numpy"].append(numpy_seconds(model, inputs, 1))
            found["batch"].append(numpy_seconds(model, inputs, BATCH) / BATCH)
            said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
            found["c"].append(float(said.split()[0]) / 1e9)
    each = {key: 1e9 * min(times) / count for key, times in found.items()}
    print(
        f"{name:<14} {count / len(inputs):>12,.0f} {each['numpy']:>9.2f} {each['batch']:>12.2f} {each['c']:>7.3f} "
        f"{each['numpy'] / each['c']:>8.0f} {1e6 * min(found['c']) / len(inputs):>11.1f}"
    )


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artefacts", nargs="*", type=Path, default=[])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--flags", default="-O3")
    words = parser.parse_args()
    print(f"nanoseconds a synaptic operation; {words.cc} {words.flags}; {words.rate:.0%} of the inputs spike")
    print(
        f"{'net':<14} {'ops a step':>12} {'numpy':>9} {f'numpy B={BATCH}':>12} {'C':>7} {'numpy/C':>8} {'C us/step':>11}"
    )
    for folder in words.artefacts:
        timed(folder.name, read_artefact(folder), words)
    if not words.artefacts:
        for kind in (DENSE, RECURRENT, CONV):
            for bits in (8, 2, 1):
                timed(f"{kind} {bits} bits", random_net(kind, bits), words)


if __name__ == "__main__":
    main()
