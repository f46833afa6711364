"""What an integer machine needs to learn, beside `qsnn.deploy.model`: plain data; no floats. Equations:
docs/integer_training.md.

A tensor that learns has a name ``<layer>.<part>``, such as ``hidden.weight``; so has its stream of random numbers.
"""

from typing import NamedTuple

from qsnn.deploy.arithmetic import Whole, highest_code
from qsnn.deploy.model import Model, Weights


class Stored(NamedTuple):
    """A tensor that learns: codes worth 2^-point, kept within +-limit, of which the layer computes with the nearest codes of
    ``weight_bits``. ``start``: before the first batch. Its gradient is rounded to multiples of 2^-(gradient_bits-1) by
    numbers of ``rng_bits`` from the stream ``key``."""

    name: str
    start: Whole
    point: int
    limit: int
    weight_bits: int
    gradient_bits: int
    rng_bits: int
    key: int

    def step(self) -> int:
        """log2 of the codes that a gradient's 1 is: the stored codes may be finer."""
        return self.point - (self.gradient_bits - 1)


class SpikingRule(NamedTuple):
    """How errors pass a layer that learns by backpropagation. ``surrogate``: for every code of the membrane, from the lowest,
    what a spike's gradient is multiplied by, integers of ``surrogate_bits`` + 1 bits; ``mask``: whether membranes below the
    layer's mask constant stop errors."""

    error_bits: int
    surrogate: Whole
    surrogate_bits: int
    mask: bool


class LocalRule(NamedTuple):
    """How a layer learns locally. ``feedback``: codes (K, F), features in the order C, H, W; ``slope``: the sigmoid's
    derivative for every code of the membrane; ``l1`` and ``l2`` before they are divided by the count; a readout is kept where a
    number of 24 bits from the stream ``key`` is at least ``dropout``."""

    error_bits: int
    feedback: Weights
    slope: Whole
    l1: int
    l2: int
    dropout: int
    key: int


class VanRossum(NamedTuple):
    """The distance of output and target spikes, filtered: ``u' = trunc(multiplier 2^-shift u) + 2^filter_bits x``."""

    multiplier: int
    shift: int
    filter_bits: int


class SpikeCount(NamedTuple):
    """Output spikes that are wanted of the label's neuron, and of the others."""

    true: int
    false: int


class Softmax(NamedTuple):
    """Cross-entropy of spike counts: ``table[d] = rint(2^bits exp(-temperature d))`` for counts d below the largest."""

    table: Whole
    bits: int


Loss = VanRossum | SpikeCount | Softmax | None
"""None: each layer that learns locally has its own."""


class Update(NamedTuple):
    """``b' = trunc(momentum 2^-momentum_shift b) + G``, momentum 0: there is no b. The largest gradient becomes about
    2^log_eta; in batch ``halvings[n]``, counted from 0, and after it that is halved for the (n + 1)th time."""

    momentum: int
    momentum_shift: int
    log_eta: int
    halvings: tuple[int, ...]

    def log_eta_at(self, batch: int) -> int:
        """Of a batch, counted from 0."""
        return self.log_eta - sum(begin <= batch for begin in self.halvings)


class Extent(NamedTuple):
    """``steps`` of a sample, ``samples`` of a batch at most, ``batches`` of an epoch, ``epochs`` of the run."""

    steps: int
    samples: int
    batches: int
    epochs: int


class Raster(NamedTuple):
    """A pattern, the same in every batch: 0 and 1, (T, 1, I) and (T, 1, N)."""

    input: Whole
    target: Whole


class Recipe(NamedTuple):
    """How a `Model` learns: ``rules`` of its layers, input first; ``stored`` by name; ``pattern``: what there is to learn from,
    None of recordings."""

    rules: tuple[SpikingRule | LocalRule, ...]
    stored: dict[str, Stored]
    loss: Loss
    update: Update
    extent: Extent
    pattern: Raster | None = None


DROPOUT_BITS = 24
SLOPE_FRACTION = 8
"""Errors have so many bits below their code where l1 is added."""


def surrogate_places(membrane_bits: int) -> int:
    """How many entries a table over a membrane's codes has."""
    return 2 * highest_code(membrane_bits) + 1


def streams_of(model: Model, recipe: Recipe) -> dict[str, int]:
    """The key of every stream, by name: of tensors, and ``<layer>/dropout``."""
    found = {name: stored.key for name, stored in recipe.stored.items()}
    rules = zip(model.layers, recipe.rules, strict=True)
    return found | {f"{layer.name}/dropout": rule.key for layer, rule in rules if isinstance(rule, LocalRule)}
