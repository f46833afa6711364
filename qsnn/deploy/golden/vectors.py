"""Golden vectors: inputs, and what the integer engine holds after each step of them, for exports to compare themselves with."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import Model, size

MOST_CODES, MOST_STEPS, LEAST_STEPS = 300_000, 20, 3
RATES = (1 / 2, 1 / 8)
"""Of inputs that are not 0, a sample each."""
SEED = 19


class Golden(NamedTuple):
    """``inputs`` (S, T, I) and the codes of every tensor after each step, by layer and tensor, (S, T, n); ``outputs`` (S, T,
    O); ``votes`` (S, T, K), K of 0 of a net that decides nothing."""

    inputs: Whole
    codes: dict[tuple[str, str], NDArray[Any]]
    outputs: Whole
    votes: Whole


def random_inputs(model: Model, steps: int, samples: int = len(RATES)) -> Whole:
    """(S, T, I): spikes, of either sign where the net takes them."""
    rng = np.random.default_rng(SEED)
    shape = (samples, steps, size(model.input.shape))
    rates = np.resize(np.array([round(rate * 256) for rate in RATES]), samples)
    fired = rng.integers(0, 256, shape) < rates[:, None, None]
    sign = rng.integers(0, 2, shape) * 2 - 1 if model.input.signed else np.ones(shape, np.int64)
    return fired * sign


def steps_for(model: Model) -> int:
    """As many as make a file of some megabytes at most."""
    state = IntegerEngine(model).initial_state()
    codes = sum(part.size for layer in state.layers.values() for part in layer) * len(RATES)
    return max(LEAST_STEPS, min(MOST_STEPS, MOST_CODES // max(1, codes)))


def golden(model: Model, inputs: Whole) -> Golden:
    """Of the engine on ``inputs`` (S, T, I)."""
    engine = IntegerEngine(model)
    codes: dict[tuple[str, str], list[NDArray[Any]]] = {}
    outputs, votes = [], []
    for state, output in engine.steps(inputs.swapaxes(0, 1), len(inputs)):
        for layer, parts in state.layers.items():
            for tensor, found in parts._asdict().items():
                codes.setdefault((layer, tensor), []).append(found)
        outputs.append(output)
        votes.append(state.votes)
    kept = {key: np.stack(found, 1) for key, found in codes.items() if found[0].size}
    return Golden(inputs, kept, np.stack(outputs, 1), np.stack(votes, 1))
