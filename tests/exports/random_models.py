"""Models of integers at random, without torch: every kind of layer, width, decay and place that model.json can say."""

import numpy as np

from qsnn.deploy.arithmetic import highest_code
from qsnn.deploy.model import (
    CONV,
    COUNT,
    DENSE,
    INTEGRATOR,
    MAX,
    MEAN,
    RASTER,
    RECURRENT,
    VOTES,
    Decision,
    Input,
    LocalLayer,
    LocalMembrane,
    Model,
    Readout,
    Source,
    SpikingLayer,
    State,
    Traces,
    Weights,
    answers,
)

Shape = tuple[int, ...]
KINDS = (DENSE, RECURRENT, CONV, INTEGRATOR, "local")


def random_model(seed: int, kind: str, name: str = "net", events: bool = False) -> Model:
    """One to three layers, one of them of ``kind``; of events a net of classes."""
    rng = np.random.default_rng(seed)
    given = _input(rng, events)
    if kind == "local":
        layers, decision = _local_net(rng, given), VOTES
    else:
        layers, decision = _spiking_net(rng, given, kind), MAX if rng.integers(2) else MEAN
        decision = decision if kind == INTEGRATOR else COUNT if events or rng.integers(2) else RASTER
    model = Model(given, tuple(layers), Decision(decision, int(rng.integers(3)), ()), Source(name, "best", 3, "0.2"))
    classes = () if decision == RASTER else tuple(f"class {n}" for n in range(answers(layers[-1])))
    return model._replace(decision=model.decision._replace(classes=classes))


def _input(rng: np.random.Generator, events: bool) -> Input:
    mode, step = int(rng.integers(4)), int(rng.integers(1, 9)) * 1000
    maps = 1 if mode in (1, 2) else 2
    if not events:
        return Input((maps, *map(int, rng.integers(3, 8, 2))), mode > 1, step, 0)
    sensor, downsample = tuple(map(int, rng.integers(8, 15, 2))), int(rng.integers(1, 4))
    steps = int(rng.integers(0, 2) * rng.integers(3, 9))
    return Input((maps, *(-(-side // downsample) for side in sensor)), mode > 1, step, steps, sensor, mode, downsample)


def weights(rng: np.random.Generator, shape: Shape, bits: int, point: int | None = None) -> Weights:
    highest = highest_code(bits)
    codes = rng.integers(-highest, highest + 1, shape)
    codes = np.where(codes == 0, 1, codes) if bits == 1 else codes
    return Weights(codes, bits, bits - 1 + int(rng.integers(0, 5)) if point is None else point)


def state(rng: np.random.Generator) -> State:
    bits, shift = int(rng.integers(1, 13)), int(rng.integers(0, 9))
    return State(bits, bits - 1 - int(rng.integers(0, 3)), int(rng.integers(0, 2**shift + 1)), shift)


def spiking_layer(rng: np.random.Generator, name: str, kind: str, inputs: Shape) -> SpikingLayer:
    bits = int(rng.integers(1, 13))
    stride, padding, pooling, side = 1, 0, 1, 0
    if kind == CONV:
        side, stride, padding = (int(rng.integers(low, 4)) for low in (1, 1, 0))
        side = min(side, min(inputs[1:]) + 2 * padding)
        rows, columns = ((size + 2 * padding - side) // stride + 1 for size in inputs[1:])
        pooling = int(rng.integers(1, min(rows, columns, 3) + 1))
        neurons = (int(rng.integers(1, 4)), rows, columns)
        outputs = (neurons[0], rows // pooling, columns // pooling)
        shape: Shape = (neurons[0], inputs[0], side, side)
    else:
        inputs = (int(np.prod(inputs)),)
        neurons = outputs = (int(rng.integers(1, 10)),)
        shape = (inputs[0], neurons[0])
    membrane = state(rng)
    highest = highest_code(membrane.bits)
    ends = (-highest - 1, -highest, 0, highest, highest + 1)
    spike = int(rng.choice(ends)) if rng.integers(8) == 0 else int(rng.integers(-1, highest // 3 + 2))
    spike = None if kind == INTEGRATOR else spike
    recurrent = weights(rng, (neurons[0], neurons[0]), int(rng.integers(1, 9))) if kind == RECURRENT else None
    synapse = state(rng) if kind == INTEGRATOR or rng.integers(3) else None
    return SpikingLayer(
        name, kind, inputs, neurons, outputs, weights(rng, shape, bits), recurrent, stride, padding, pooling, synapse,
        membrane, spike, None if spike is None else spike - 1,
    )  # fmt: skip


def _spiking_net(rng: np.random.Generator, given: Input, kind: str) -> list[SpikingLayer]:
    kinds = [kind, *[(DENSE, RECURRENT)[n] for n in rng.integers(0, 2, int(rng.integers(0, 2)))]]
    kinds = [*kinds[1:], kind] if kind == INTEGRATOR else [CONV, *kinds] if rng.integers(3) == 0 else kinds
    layers: list[SpikingLayer] = []
    for number, part in enumerate(kinds):
        layers.append(spiking_layer(rng, f"layer{number}", part, layers[-1].outputs if layers else given.shape))
    return layers


def _local_net(rng: np.random.Generator, given: Input) -> list[LocalLayer]:
    layers: list[LocalLayer] = []
    for number in range(int(rng.integers(1, 3))):
        inputs = layers[-1].outputs if layers else given.shape
        layers.append(local_layer(rng, f"conv{number}", inputs, readout=True))
    return [*[layer._replace(readout=None) for layer in layers[:-1]], layers[-1]]


def local_layer(rng: np.random.Generator, name: str, inputs: Shape, readout: bool) -> LocalLayer:
    padding = int(rng.integers(0, 3))
    side = min(int(rng.integers(1, 5)), min(inputs[1:]) + 2 * padding)
    rows, columns = (size + 2 * padding - side + 1 for size in inputs[1:])
    pooling = int(rng.integers(1, min(rows, columns, 3) + 1))
    neurons, bits = (int(rng.integers(1, 5)), rows, columns), int(rng.integers(1, 10))
    outputs = (neurons[0], rows // pooling, columns // pooling)
    weight = weights(rng, (neurons[0], inputs[0], side, side), bits, bits - 1)
    bias = weights(rng, (neurons[0],), bits).codes
    membrane = local_membrane(rng)
    found = _readout(rng, int(np.prod(outputs)), membrane.u_bits) if readout else None
    return LocalLayer(
        name, inputs, neurons, outputs, weight, bias, padding, pooling, _traces(rng, inputs), membrane, found
    )


def _traces(rng: np.random.Generator, inputs: Shape) -> Traces:
    shift, (p_bits, q_bits) = int(rng.integers(0, 15)), map(int, rng.integers(1, 14, 2))
    tables = [rng.integers(0, 2**shift + 1, inputs) for _ in range(3)]
    gain = rng.integers(0, 2 ** (shift + q_bits - 1), inputs)
    return Traces(tables[0], tables[1], tables[2], gain, shift, p_bits, q_bits)


def local_membrane(rng: np.random.Generator) -> LocalMembrane:
    u_bits, r_bits, u2 = int(rng.integers(1, 9)), int(rng.integers(1, 5)), int(rng.integers(8, 23))
    after = rng.integers(0, 2**r_bits, (2, 2**r_bits))
    b1, b2 = int(rng.integers(0, 200)), int(rng.integers(0, 6))
    return LocalMembrane(
        int(rng.integers(1, 2**14)), u2, b1, b2, rng.integers(0, 900, 2**r_bits), after, u_bits, r_bits
    )


def _readout(rng: np.random.Generator, features: int, u_bits: int) -> Readout:
    z_bits, bits = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    entries = rng.integers(0, 2**z_bits, 2 * highest_code(u_bits) + 1)
    return Readout(
        weights(rng, (3, features), int(rng.integers(1, 9))), int(rng.integers(-2, 8)), entries, z_bits, bits
    )


def leaky_model(seed: int, kind: str) -> Model:
    """As `random_model`, of what NIR can say: no recurrence, decays between 0 and 1, no state of one bit, no neuron that
    spikes at rest or never."""
    model = random_model(seed, kind)
    layers = []
    for layer in model.layers:
        assert isinstance(layer, SpikingLayer)
        held = [None if s is None else _leaky(s) for s in (layer.synapse, layer.membrane)]
        assert held[1] is not None
        spike = None if layer.spike is None else min(max(1, layer.spike), highest_code(held[1].bits))
        plain = DENSE if layer.kind == RECURRENT else layer.kind
        layers.append(layer._replace(kind=plain, recurrent=None, synapse=held[0], membrane=held[1], spike=spike))
    return model._replace(layers=tuple(layers))


def _leaky(state: State) -> State:
    shift = max(1, state.shift)
    return state._replace(bits=max(2, state.bits), shift=shift, multiplier=min(max(1, state.multiplier), 2**shift - 1))
