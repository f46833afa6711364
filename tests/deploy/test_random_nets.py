"""Random nets of every kind: each spike and state code of the engine is that of the forward pass of training."""

from collections import Counter
from pathlib import Path

import pytest
from scripts_module import load_script

from qsnn.deploy import IntegerEngine
from qsnn.deploy.accumulate import WRAP, Accumulators
from qsnn.deploy.widths import widths_of
from qsnn.kernels.numba.runtime.threads import single_threaded

compare_engine = load_script("compare_engine")
KINDS, NETS = compare_engine.KINDS, 40


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_engine_has_every_code_of_training_for_random_nets(kind: int, tmp_path: Path) -> None:
    codes, refused = 0, Counter()
    for number in range(kind, NETS * len(KINDS), len(KINDS)):
        with single_threaded(True):  # torch's threads would spin after every small operation
            case = compare_engine.draw(number, "eager", refused)
            found = compare_engine.compared(case, None if number % 35 else tmp_path / "artefact")
        assert found.first is None, f"net {number}: {found.first}"
        codes += sum(found.total.values())
    assert codes > 10_000


def test_no_sum_of_a_random_net_leaves_the_width_that_is_stated() -> None:
    checked = 0
    for number in range(3 * len(KINDS)):
        with single_threaded(True):
            case = compare_engine.draw(number, "eager", Counter())
        for layer, found in widths_of(case.model).items():
            for name, width in found.items():
                engine = IntegerEngine(case.model)
                # This sum alone gets no more than it states, and is told to need more, so that it is looked at.
                needs = {**dict.fromkeys(found, 0), name: 64}
                engine._sums[layer] = Accumulators(needs, width.bits, WRAP)
                *_, (state, _) = engine.steps(case.x.numpy(), case.x.shape[1])
                assert state.overflows[layer].get(name, 0) == 0, (number, layer, name)
                checked += 1
    assert checked > 60


def test_replay_finds_the_first_code_that_differs() -> None:
    case = compare_engine.draw(0, "eager", Counter())
    layer = case.model.layers[0]
    wrong = layer._replace(spike=layer.spike + 1, weight=layer.weight._replace(codes=-layer.weight.codes))
    found = compare_engine.compared(case._replace(model=case.model._replace(layers=(wrong, *case.model.layers[1:]))))
    assert not found.exact()
    assert found.first is not None
    assert found.first.layer == layer.name
    agreed, total = (sum(counts.values()) for counts in (found.agreed, found.total))
    assert 0 < agreed < total
    assert f"layer {layer.name}, step {found.first.step}, sample {found.first.sample}" in str(found.first)
