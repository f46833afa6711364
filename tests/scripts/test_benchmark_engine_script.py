"""The benchmark of the integer engine counts the weights that meet an input, at borders, strides and recurrence too."""

import numpy as np
import pytest
from exports.random_models import random_model
from scripts_module import load_script

from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import CONV, SpikingLayer, size


def met_one_by_one(layer: SpikingLayer, x: np.ndarray, last: np.ndarray) -> int:
    """Weights of a step's inputs that are not 0, each by itself."""
    recurrent = 0 if layer.recurrent is None else int(np.count_nonzero(last)) * size(layer.neurons)
    if layer.kind != CONV:
        return int(np.count_nonzero(x)) * size(layer.neurons) + recurrent
    maps, side, found = x.reshape(layer.inputs), layer.weight.codes.shape[2], 0
    _, height, width = layer.neurons
    for _, y, column in zip(*np.nonzero(maps), strict=True):
        for dy, dx in np.ndindex(side, side):
            row, place = y + layer.padding - dy, column + layer.padding - dx
            inside = row % layer.stride == 0 and place % layer.stride == 0
            found += inside and 0 <= row // layer.stride < height and 0 <= place // layer.stride < width
    return found * layer.neurons[0]


@pytest.mark.parametrize("kind", ["dense", "recurrent", "conv"])
def test_operations_are_the_weights_that_meet_an_input(kind: str) -> None:
    script = load_script("benchmark_engine")
    model = random_model(3, kind)
    model = model._replace(layers=model.layers[:1])
    layer = model.layers[0]
    assert isinstance(layer, SpikingLayer)
    inputs = np.random.default_rng(1).integers(0, 2, (5, size(model.input.shape))).astype(np.int8)
    engine, expected = IntegerEngine(model), 0
    last = np.zeros(size(layer.neurons), np.int64)
    for x, (state, _) in zip(inputs, engine.steps(inputs[:, None]), strict=True):
        expected += met_one_by_one(layer, x, last)
        last = state.layers[layer.name].spikes[0]
    assert script.operations(model, inputs) == expected > 0
