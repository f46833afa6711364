"""Processes that share a run: what each has of a batch, and that all of them come to what one comes to, bit for bit."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts_module import load_script

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.sharing.checks import check_shareable
from qsnn.dynamics.local_readout import sigmoid
from qsnn.errors import ConfigError
from qsnn.kernels.workers import part_of
from qsnn.quantization import quantize_error
from qsnn.quantization.reductions import Reductions

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def comparing() -> object:
    """scripts/compare_workers.py."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return load_script("compare_workers")
    finally:
        sys.path.remove(str(SCRIPTS))


def small_cases(module: object) -> list[list[str]]:
    """Both ways to learn, in floats between codes and in integers; batches that no two processes share evenly."""
    randman, gestures, local = module.RANDMAN, module.GESTURES, module.LOCAL  # type: ignore[attr-defined]
    end = ["trainer.epochs=1", "trainer.batch_size=7", "logging.progress=false"]
    conv = ["experiment=gesture_bptt", "model=conv", *gestures, *module.CONV, "model.stride=[1,1]"]  # type: ignore[attr-defined]
    return [
        [*randman, "model=recurrent", "model.hidden=[6]", "loss.over_time=mean", "kernels=numba", *end],
        ["experiment=randman_integer", *randman[1:], "model.hidden=[6]", "kernels=eager", *end],
        [*conv, "kernels=numba", *end],
        [*local, "kernels=numba", *end],
        [*local, "neuron=traces_30ms_integer", "quantization=icons_integer", "optimizer=local_nmnist_integer", *end],
    ]


@pytest.mark.parametrize("size", [2, 4])
def test_processes_equal_one_to_the_last_bit(size: int, comparing: object, tmp_path: Path) -> None:
    cases = small_cases(comparing)
    cases = cases[:1] + cases[3:4] if size == 4 else cases
    (tmp_path / "cache").mkdir()
    for words in cases:
        to_config(compose_config([*words, f"dataset.cache={tmp_path / 'cache'}"])).dataset.prepare(False)
    found = list(comparing.compare(size, cases, tmp_path))  # type: ignore[attr-defined]
    assert [words for words, _ in found] == cases
    assert [differences for _, differences in found] == [[]] * len(cases)


@given(whole=st.integers(0, 1000), size=st.integers(1, 9))
def test_parts_of_a_batch_are_all_of_it_in_order_and_even(whole: int, size: int) -> None:
    parts = [part_of(whole, rank, size) for rank in range(size)]
    assert [n for part in parts for n in range(whole)[part]] == list(range(whole))
    lengths = [len(range(whole)[part]) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 7), bits=st.integers(1, 16), seed=st.integers(0, 99))
def test_errors_of_parts_are_those_of_the_whole(cut: int, bits: int, seed: int) -> None:
    whole = torch.randn(7, 3, generator=torch.Generator().manual_seed(seed))
    over = Reductions(lambda own: torch.maximum(own, whole.abs().max().double()[None]), lambda own: own)
    parts = [quantize_error(part, bits, over) for part in (whole[:cut], whole[cut:])]
    assert torch.equal(torch.cat(parts), quantize_error(whole, bits))


@pytest.mark.parametrize("threads", [1, 2])
def test_sigmoid_does_not_depend_on_where_a_value_lies(threads: int) -> None:
    maps = 8 * torch.rand(3, 5, 64, 37, generator=torch.Generator().manual_seed(1)) - 4
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        whole = sigmoid(maps)
        parts = [sigmoid(maps[n : n + 1, :, :, :w]) for n in range(3) for w in (1, 36)]
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(whole, maps.sigmoid())
    places = [whole[n : n + 1, :, :, :w] for n in range(3) for w in (1, 36)]
    assert all(torch.equal(part, place) for part, place in zip(parts, places, strict=True))


REFUSED = [
    (["experiment=quick"], 2, "dataset=pattern"),
    (["experiment=randman", "quantization.error_bits=null"], 2, "quantization.error_bits=null"),
    (["experiment=gesture_demo", "quantization.sigmoid_bits=null"], 2, "quantization.sigmoid_bits=null"),
    (["experiment=randman", "trainer.batch_size=3"], 4, "trainer.batch_size=3 of all 4 processes"),
    (["experiment=randman", "device=cuda"], 2, "device=cuda"),
]


@pytest.mark.parametrize(("words", "size", "told"), REFUSED, ids=[case[2] for case in REFUSED])
def test_what_processes_cannot_share_is_refused_in_one_line(words: list[str], size: int, told: str) -> None:
    config = to_config(compose_config(words))
    with pytest.raises(ConfigError) as error:
        check_shareable(config, size)
    assert len(error.value.args) == 1
    assert error.value.args[0].startswith(told)
