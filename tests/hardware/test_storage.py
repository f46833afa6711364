"""Schemes of storage: formulas against weights that are packed for real, and against counting by hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from local_data import SMALL_NET
from PIL import Image

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import net_of_config
from qsnn.config.building.storage import measured_rates, rates_by_layer
from qsnn.config.command_line import compose_config
from qsnn.config.costing.command import cost
from qsnn.errors import QsnnError
from qsnn.hardware.storage.crossover import PAIRS, crossover, most_nonzero
from qsnn.hardware.storage.nets import synapses_of_net
from qsnn.hardware.storage.packing import pack, row
from qsnn.hardware.storage.picture import write_storage_picture
from qsnn.hardware.storage.published import BITMAP_2, CROSSBAR_2, CROSSBAR_5, RATIO, bitmap_lines, functional_lines
from qsnn.hardware.storage.schemes import SIGNS, Access, Rates, accesses, schemes_of, storage_bits
from qsnn.hardware.storage.synapses import Sliding, convolution, dense, evenly_sparse, unrolled
from qsnn.hardware.storage.table import storage_rows, storage_table, totals

MATRIX = np.array(
    [[1, 0, -1, 0], [0, 0, 0, 0], [1, 1, -1, 1]]
)  # 3 inputs, 4 neurons, 2 bits, 6 codes that are not zero


def random_codes(shape: tuple[int, ...], bits: int, nonzero: int, seed: int) -> np.ndarray:
    """Codes of symmetric(bits), ``nonzero`` of them not 0, at random places."""
    generator = np.random.default_rng(seed)
    codes = np.zeros(int(np.prod(shape)), dtype=np.int64)
    largest = max(1, 2 ** (bits - 1) - 1)
    values = generator.integers(1, largest + 1, nonzero) * generator.choice([-1, 1], nonzero)
    codes[generator.permutation(codes.size)[:nonzero]] = values
    return codes.reshape(shape)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(2, 8), st.floats(0, 1), st.integers(0, 99))
def test_storage_bits_are_those_of_packed_weights_that_read_back(
    inputs: int, neurons: int, bits: int, density: float, seed: int
) -> None:
    codes = random_codes((inputs, neurons), bits, round(density * inputs * neurons), seed)
    layer = dense(codes, bits)
    for scheme in schemes_of(layer):
        if scheme != "functional":
            packed = pack(codes, bits, scheme)
            assert packed.num_bits == storage_bits(layer, scheme)
            assert all(np.array_equal(row(packed, number), codes[number]) for number in range(inputs))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([*PAIRS, (SIGNS, "crossbar")]), st.integers(1, 30), st.integers(2, 40), st.integers(1, 8))
def test_crossover_is_where_packed_weights_begin_to_take_fewer_bits(
    pair: tuple[str, str], inputs: int, neurons: int, bits: int
) -> None:
    bits = 2 if SIGNS in pair else bits
    most = most_nonzero(pair, inputs, neurons, bits)
    counts = (-1 if most is None else most) + np.arange(2)  # the last with which it takes fewer bits, and the next
    for number, count in enumerate(counts):
        if 0 <= count <= inputs * neurons:
            codes = random_codes((inputs, neurons), bits, int(count), 0)
            small, large = (pack(codes, bits, scheme).num_bits for scheme in pair)
            assert (small < large) == (number == 0)


def test_crossover_is_none_where_no_zeros_help() -> None:
    assert crossover(("pb_bmp", "crossbar"), 700, 400, 1) is None
    assert crossover(("pb_bmp", "crossbar"), 700, 400, 2) == pytest.approx(1 / 2 + 18 / 800, abs=1e-5)


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, 0, 3), (2, 1, 3), (1, 2, 5), (3, 2, 2)])
def test_convolution_has_the_synapses_of_its_unrolled_matrix(stride: int, padding: int, size: int) -> None:
    sliding = Sliding((2, 7, 6), size, stride, padding)
    kernels = random_codes((3, 2, size, size), 4, 3 * size * size, 1)
    matrix = unrolled(kernels, sliding)
    eye = torch.eye(2 * 7 * 6, dtype=torch.float64).view(-1, 2, 7, 6)
    by_torch = torch.nn.functional.conv2d(eye, torch.from_numpy(kernels).double(), stride=stride, padding=padding)
    assert np.array_equal(matrix, by_torch.flatten(1).numpy())
    layer = convolution(kernels, 4, sliding)
    assert np.array_equal(layer.nonzero, np.count_nonzero(matrix, axis=1))
    assert np.array_equal(layer.connected, np.count_nonzero(unrolled(np.ones_like(kernels), sliding), axis=1))
    assert (layer.inputs, layer.neurons) == matrix.shape
    for scheme in ("crossbar", "pb_bmp", "pb_csr"):
        assert storage_bits(layer, scheme) == pack(matrix, 4, scheme).num_bits
    assert storage_bits(layer, "functional") == kernels.size * 4


def test_accesses_of_a_dense_layer_are_those_counted_by_hand() -> None:
    layer, rates = dense(MATRIX, 2), Rates(np.array([1.0, 0.0, 0.5]), errors=0.5, word_bits=3)
    pointer, index = 3, 2  # 6 codes; 4 columns
    found = {(scheme, kind): accesses(layer, scheme, kind, rates) for scheme in schemes_of(layer) for kind in (
        "forward", "backward", "update", "repack"
    )}  # fmt: skip
    # 1.5 rows a step; the first has 2 codes that are not zero, the third 4: 4 a step. A bitmap of 4 is 2 words of 3.
    assert found["crossbar", "forward"] == Access(1.5 * 4, 1.5 * 4 * 2)
    assert found["pb_bmp", "forward"] == Access(1.5 * (1 + 2) + 4, 1.5 * (pointer + 4) + 4 * 2)
    assert found[SIGNS, "forward"] == Access(1.5 * (1 + 2) + 4, 1.5 * (pointer + 4) + 4)
    assert found["pb_csr", "forward"] == Access(1.5 * 2 + 4, 1.5 * 2 * pointer + 4 * (index + 2))
    assert found["crossbar", "backward"] == Access(0.5 * 12, 0.5 * 12 * 2)
    assert found["pb_bmp", "backward"] == Access(3 * 2 + 0.5 * 6, 3 * 4 + 0.5 * 6 * 2)
    assert found["pb_csr", "backward"] == Access(4 + 6, 4 * pointer + 6 * index + 0.5 * 6 * 2)
    assert found["crossbar", "update"] == Access(2 * 1.5 * 4, 2 * 1.5 * 4 * 2)
    assert found["pb_bmp", "update"] == Access(1.5 * (1 + 2) + 2 * 4, 1.5 * (pointer + 4) + 2 * 4 * 2)
    assert found["pb_csr", "update"] == Access(1.5 * 2 + 2 * 4, 1.5 * 2 * pointer + 4 * (index + 2 * 2))
    assert found["crossbar", "repack"] == Access(0, 0)
    assert found["pb_bmp", "repack"] == Access(2 * (3 + 3 * 2 + 6), 2 * (3 * pointer + 12 + 6 * 2))
    assert all(found["functional", kind] == found["crossbar", kind] for kind in ("forward", "backward", "update"))
    assert accesses(layer._replace(carries_errors=False), "crossbar", "backward", rates) == Access(0, 0)


def test_accesses_of_a_convolution_update_each_kernel_once_in_functional_storage() -> None:
    layer = convolution(np.ones((2, 1, 2, 2), dtype=np.int8), 8, Sliding((1, 3, 3), 2))
    assert (layer.num, layer.neurons) == (2 * 4 * 4, 8)
    assert accesses(layer, "functional", "forward", Rates(0.5)) == Access(16, 16 * 8)
    assert accesses(layer, "functional", "backward", Rates()) == Access(32, 32 * 8)
    assert accesses(layer, "functional", "update", Rates(0.5)) == Access(2 * 8, 2 * 8 * 8)
    assert accesses(layer, "crossbar", "update", Rates(0.5)) == Access(2 * 72, 2 * 72 * 8)


def test_evenly_sparse_layer_has_the_zeros_asked_for() -> None:
    layer = evenly_sparse(dense(np.ones((7, 11)), 4), 0.37)
    assert layer.num_nonzero == round(77 * 0.63)
    assert layer.nonzero.max() - layer.nonzero.min() <= 1


def net_of(*words: str) -> tuple[Any, tuple[int, ...]]:
    return net_of_config(to_config(compose_config([*words, "kernels=eager"])))


def test_synapses_of_nets_have_the_codes_that_products_read() -> None:
    net, inputs = net_of("experiment=randman", "model=recurrent", "dataset.num_units=5", "model.hidden=[3]")
    layers = synapses_of_net(net, inputs)
    assert list(layers) == ["hidden", "hidden recurrent", "output"]
    hidden = net.layers["hidden"].weights()["weight"]
    assert layers["hidden"].num_nonzero == int((hidden.quantized_weight() != 0).sum())
    assert [layer.carries_errors for layer in layers.values()] == [False, True, True]
    net, inputs = net_of("experiment=gesture_bptt", "model=conv", "model.channels=[4]", "model.kernel_size=[3]",
                         "model.padding=[1]", "model.pooling=[3]")  # fmt: skip
    first = next(iter(synapses_of_net(net, inputs).values()))
    assert (first.inputs, first.neurons) == (np.prod(inputs), next(iter(net.layers.values())).num_neurons)
    local, inputs = net_of("experiment=icons_gesture", "dataset=synthetic_gesture", "dataset.downsample=8", *SMALL_NET)
    found = synapses_of_net(local, inputs)
    assert not any(layer.carries_errors for layer in found.values())
    assert [layer.kernels for layer in found.values()] == [layer.weight.numel() for layer in local.layers.values()]


def test_table_and_picture_show_each_layer_and_their_sum(tmp_path: Path) -> None:
    layers = {"hidden": dense(MATRIX, 2), "output": dense(MATRIX.T, 2)}
    rates = dict.fromkeys(layers, Rates(0.5))
    rows = storage_rows(layers, rates)
    assert [row.bits for row in totals(rows)] == [
        sum(row.bits for row in rows if row.scheme == scheme) for scheme in schemes_of(layers["hidden"])
    ]
    told = storage_table(layers, rates, dict.fromkeys(layers, "half of the inputs spike"))
    assert "hidden: 3 inputs, 4 neurons, 12 synapses of 2 bits; 50.0% of codes are zero" in told
    assert "all layers" in told
    assert rows[0].plain()["forward"] == {"accesses": 6.0, "bits": 12.0}
    write_storage_picture(tmp_path / "storage.png", layers["hidden"], [2, 8], layers)
    assert Image.open(tmp_path / "storage.png").size[0] > 400


def test_published_ratio_is_that_of_a_wider_crossbar() -> None:
    assert round(CROSSBAR_5 / BITMAP_2, 2) == RATIO
    assert CROSSBAR_2 / BITMAP_2 < 1.21
    lines = dict(bitmap_lines())
    assert lines["ours at 35.3% zeros, crossbar of 2 bits / pb_bmp of 2"].startswith("0.853x bits stored")
    assert "65.3% fewer bits moved" in dict(functional_lines())["ours, backward"]


def test_rates_are_those_kept_where_they_fit_and_assumed_elsewhere(tmp_path: Path) -> None:
    layers = {
        "hidden": dense(MATRIX, 2),
        "hidden recurrent": dense(np.ones((4, 4)), 2),
        "output": dense(np.ones((5, 2)), 2),
    }
    np.savez(tmp_path / "rates.npz", hidden=np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))
    config = to_config(compose_config(["experiment=quick", "dataset.num_inputs=3"]))
    kept = measured_rates(config, tmp_path)
    rates, told = rates_by_layer(layers, kept, Rates(0.25, errors=0.5))
    assert np.allclose(rates["hidden"].spikes, kept["input"])
    assert rates["hidden recurrent"].spikes.mean() == pytest.approx(0.25)
    assert rates["output"] == Rates(0.25, errors=0.5)
    assert [text.rpartition(", ")[2] for text in told.values()] == ["measured (input)", "measured (hidden)", "assumed"]
    traces = {f"{name}.trace": np.ones(layer.inputs) for name, layer in layers.items()}
    measured = {"output.trace": np.linspace(0, 1, 5)}
    rates, told = rates_by_layer(layers, measured, Rates(0.25), traces)
    assert (rates["hidden"].spikes == 1).all()
    assert np.array_equal(rates["output"].spikes, measured["output.trace"])
    assert told["output"] == "0.5000 traces other than 0 an input and step, measured (output.trace)"


@pytest.mark.parametrize(("word", "told"), [
    ("sparsity=1.5", "sparsity=1.5 is no number from 0 to 1"),
    ("rate=often", "rate=often is no number from 0 to 1"),
    ("widths=2,x", "widths=2,x"),
    ("wait=3", "wait"),
    ("run=nowhere", "nowhere"),
])  # fmt: skip
def test_storage_refuses_what_it_cannot_use_in_one_line(word: str, told: str, tmp_path: Path) -> None:
    others = ["experiment=quick", f"picture={tmp_path / 'x.png'}"] if "run=" not in word else []
    with pytest.raises(QsnnError, match=re.escape(told)) as error:
        cost(["storage=true", *others, word])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "x.png").exists()


def test_cost_prints_the_schemes_of_a_configs_net() -> None:
    told = cost(["storage=true", "experiment=quick", "sparsity=0.5"])
    assert told.startswith("50.0% zeros given")
    assert "pb_bmp" in told
    assert "1.369x" in cost(["storage=true", "paper=true"])
