"""The engine by itself: steps, votes, narrow accumulators, and what it refuses."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from engine_models import small_model, spikes

from qsnn.deploy import IntegerEngine
from qsnn.deploy.accumulate import SATURATE, WRAP
from qsnn.errors import ConfigError, DataError


def everything(engine: IntegerEngine, x: np.ndarray) -> list[np.ndarray]:
    return [part for state, _ in engine.steps(x, x.shape[1]) for layer in state.layers.values() for part in layer]


def test_engine_needs_no_torch() -> None:
    program = "import qsnn.deploy.recordings, sys; sys.exit(any(n in sys.modules for n in ('torch', 'numba', 'hydra')))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_steps_are_those_by_hand() -> None:
    engine = IntegerEngine(small_model())
    state = engine.initial_state()
    for x, synapse, membrane, spikes_of_step in [
        ([1, 1, 0], [127, -80, 32, 96], [0, 0, 0, 0], [0, 0, 0, 0]),  # sums 12, -5, 2, 6 times 2^4
        ([0, 0, 0], [95, -60, 24, 72], [127, -80, 32, 96], [0, 0, 0, 0]),  # three quarters, half to even
        ([0, 0, 0], [71, -45, 18, 54], [78, -127, 52, 28], [1, 0, 0, 1]),  # 128 less where there was a spike
    ]:
        state, _ = engine.step(state, np.array([x]))
        hidden = state.layers["hidden"]
        assert [part[0].tolist() for part in hidden] == [synapse, membrane, spikes_of_step]
    assert state.layers["output"].synapse.tolist() == [[127, -127]]


def test_step_leaves_the_state_that_it_was_given() -> None:
    engine, x = IntegerEngine(small_model()), spikes(6, 2, 3)
    states = [engine.initial_state(2)]
    kept = []
    for step in x:
        kept.append([part.copy() for layer in states[-1].layers.values() for part in layer])
        states.append(engine.step(states[-1], step)[0])
    for state, before in zip(states, kept, strict=False):
        now = [part for layer in state.layers.values() for part in layer]
        assert all((one == other).all() for one, other in zip(now, before, strict=True))
    assert all(part.dtype.kind == "i" for layer in states[-1].layers.values() for part in layer)
    assert all(part.itemsize == 1 for layer in states[-1].layers.values() for part in layer)  # 8 bits and less


def test_samples_side_by_side_do_not_influence_one_another() -> None:
    engine, x = IntegerEngine(small_model(("a", "b"))), spikes(9, 4, 3)
    whole, alone = engine.run(x), [engine.run(x[:, n : n + 1]) for n in range(4)]
    assert (whole.votes == np.concatenate([one.votes for one in alone])).all()
    assert whole.votes.any()
    assert (whole.classes == whole.votes.argmax(1)).all()


@pytest.mark.parametrize("overflow", [SATURATE, WRAP])
def test_accumulators_of_the_stated_width_change_nothing(overflow: str) -> None:
    exact, x = IntegerEngine(small_model()), spikes(12, 3, 3)
    enough = IntegerEngine(small_model(), accumulator_bits=16, overflow=overflow)
    assert all((a == b).all() for a, b in zip(everything(exact, x), everything(enough, x), strict=True))
    assert enough.run(x).state.overflows == {"hidden": {}, "output": {}}


def test_narrow_accumulators_overflow_and_are_counted() -> None:
    exact, x = everything(IntegerEngine(small_model()), spikes(12, 3, 3)), spikes(12, 3, 3)
    found = {}
    for overflow in (SATURATE, WRAP):
        engine = IntegerEngine(small_model(), accumulator_bits=8, overflow=overflow)
        found[overflow] = everything(engine, x)
        counts = engine.run(x).state.overflows
        assert counts["hidden"]["raw_synapse"] > 0
        assert "current" not in counts["hidden"]  # it takes 5 bits
        assert any((a != b).any() for a, b in zip(exact, found[overflow], strict=True))
    assert any((a != b).any() for a, b in zip(found[SATURATE], found[WRAP], strict=True))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (np.zeros((1, 3)), "inputs are float64, the engine takes whole numbers"),
        (np.zeros((1, 4), np.int8), r"inputs of a step are \[1, 4\], the net takes \[1, 3\]"),
        (np.zeros((2, 3), np.int8), r"the net takes \[1, 3\]"),
        (np.array([[0, 2, 0]]), "inputs reach from 0 to 2, the net takes 0 to 1"),
        (np.array([[0, -1, 0]]), "inputs reach from -1 to 0"),
    ],
)
def test_inputs_that_are_none_are_refused(inputs: np.ndarray, found: str) -> None:
    engine = IntegerEngine(small_model())
    with pytest.raises(DataError, match=found):
        engine.step(engine.initial_state(), inputs)


def test_widths_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"accumulator_bits=64 is not possible: allowed are 2\.\.63"):
        IntegerEngine(small_model(), accumulator_bits=64)
    with pytest.raises(ConfigError, match="overflow=clip is not possible: allowed are saturate, wrap"):
        IntegerEngine(small_model(), overflow="clip")


@pytest.mark.parametrize("bits", [12.5, {"current": 8}, True, "12", 1])
def test_accumulators_that_cannot_be_are_refused_at_once(bits: Any) -> None:
    with pytest.raises(ConfigError, match=r"accumulator_bits=.* is not possible: allowed are 2\.\.63, a whole number"):
        IntegerEngine(small_model(), bits)


@pytest.mark.parametrize("samples", [0, -1, 1.5, True])
def test_no_samples_are_refused_at_once(samples: Any) -> None:
    with pytest.raises(ConfigError, match=r"samples=.* is not possible: it is a whole number from 1 on"):
        IntegerEngine(small_model()).initial_state(samples)
