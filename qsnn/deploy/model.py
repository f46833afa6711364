"""What a net is to an integer machine: layers of codes, shifts, multipliers and constants. Plain data; no floats.

A *point* says what a code is worth: ``value = code * 2^-point``. Arrays are of integers; shapes are those of one sample:
(N,), or (C, H, W). Equations are in docs/integer.md, `qsnn.deploy.spiking` and `qsnn.deploy.local`.
"""

import math
from typing import NamedTuple

from qsnn.deploy.arithmetic import Whole

DENSE, RECURRENT, CONV, INTEGRATOR, LOCAL = "dense", "recurrent", "conv", "integrator", "local"
RASTER, COUNT, MAX, MEAN, VOTES = "raster", "count", "max", "mean", "votes"
DECISIONS = (RASTER, COUNT, MAX, MEAN, VOTES)
EVENTS = "events"
HALF_EVEN, HALF_UP = "half_even", "half_up behind multipliers, half_even in the readout"
Shape = tuple[int, ...]


class Weights(NamedTuple):
    """``codes``: (I, N), or (O, C, k, k) of a convolution, (K, F) of a readout, features in the order C, H, W. ``bits`` of
    each; a code stands for ``code * 2^-point``, attenuation included."""

    codes: Whole
    bits: int
    point: int


class State(NamedTuple):
    """Synapse or membrane: codes of ``bits``, worth 2^-point; a step multiplies by ``multiplier * 2^-shift``, the decay."""

    bits: int
    point: int
    multiplier: int
    shift: int


class SpikingLayer(NamedTuple):
    """A layer that learned by backpropagation through time. ``kind``: dense, recurrent, conv or integrator (a membrane
    readout).

    ``inputs``, ``neurons``, ``outputs``: shapes of a sample; outputs are pooled. ``recurrent``: weights of its own spikes.
    ``synapse``: None of a neuron without one. ``spike``: the first membrane code that spikes; ``mask``: the first that lets
    errors pass, which only training uses; both None of an integrator."""

    name: str
    kind: str
    inputs: Shape
    neurons: Shape
    outputs: Shape
    weight: Weights
    recurrent: Weights | None
    stride: int
    padding: int
    pooling: int
    synapse: State | None
    membrane: State
    spike: int | None
    mask: int | None


class Traces(NamedTuple):
    """P and Q: ``p' = (p1 p + p2 q + half) >> shift``, ``q' = (q1 q + q2 x + half) >> shift``; multipliers (C, H, W), widths
    of p and q, unsigned."""

    p1: Whole
    p2: Whole
    q1: Whole
    q2: Whole
    shift: int
    p_bits: int
    q_bits: int


class LocalMembrane(NamedTuple):
    """``u = (u1 a - (subtracted[r] << (u2 - 8)) + half) >> u2``; ``after``: of (spike, r) the next r; widths of u and r;
    biases are taken to the accumulator's grid by ``(b1 b + half) >> b2``."""

    u1: int
    u2: int
    b1: int
    b2: int
    subtracted: Whole
    after: Whole
    u_bits: int
    r_bits: int


class Readout(NamedTuple):
    """``z = activation[u + highest]``, ``c = code(rint(z G 2^-shift))``; the class with the largest c has the step's vote."""

    weight: Weights
    shift: int
    activation: Whole
    z_bits: int
    bits: int


class LocalLayer(NamedTuple):
    """A layer that learned locally; shapes (C, H, W). ``bias``: codes (O). ``readout``: None where nobody asks it."""

    name: str
    inputs: Shape
    neurons: Shape
    outputs: Shape
    weight: Weights
    bias: Whole
    padding: int
    pooling: int
    traces: Traces
    membrane: LocalMembrane
    readout: Readout | None

    @property
    def kind(self) -> str:
        """``local``."""
        return LOCAL


Layer = SpikingLayer | LocalLayer


class Input(NamedTuple):
    """What the first layer is fed. ``shape`` of a step; ``signed``: codes -1, 0, 1, else 0 and 1. ``step_us``: length of a
    step in microseconds, 0 where there is no time in its data (a raster); ``steps``: of a test window, 0: any number. Of
    events: ``sensor`` (height, width), ``mode`` as dataset.input_mode, ``downsample``; else (), 0 and 0."""

    shape: Shape
    signed: bool
    step_us: int
    steps: int
    sensor: Shape = ()
    mode: int = 0
    downsample: int = 0


class Decision(NamedTuple):
    """What is said after the steps. ``rule``: raster (the output spikes themselves), count (of output spikes), max or mean (of
    the readout's membrane over time), votes (of the last layer, from step ``burn_in`` on). The largest wins, of equals the
    first class. ``classes``: names, none of a raster."""

    rule: str
    burn_in: int
    classes: tuple[str, ...]


class Source(NamedTuple):
    """Where a net comes from, for people: ``name`` of the experiment, ``weights`` (best or last), after ``epoch`` epochs, and
    the ``version`` of qsnn that exported it."""

    name: str
    weights: str
    epoch: int
    version: str


class Model(NamedTuple):
    """A whole net, ``layers`` input first."""

    input: Input
    layers: tuple[Layer, ...]
    decision: Decision
    source: Source


def size(shape: Shape) -> int:
    """How many there are."""
    return math.prod(shape)


def answers(layer: Layer) -> int:
    """K of the last layer."""
    if isinstance(layer, LocalLayer):
        return 0 if layer.readout is None else len(layer.readout.weight.codes)
    return math.prod(layer.outputs)
