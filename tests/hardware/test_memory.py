"""Memory to the bit: small nets of every kind, worked out by hand."""

import pytest
from local_data import SMALL_NET

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import memory_of_config
from qsnn.config.command_line import compose_config
from qsnn.hardware.memory import KINDS, Memory, memory_rows

DENSE = ["experiment=quick", "kernels=eager", "dataset.num_inputs=5", "model.hidden=[3]", "dataset.num_outputs=2"]
DENSE += ["dataset.num_steps=7", "dataset.target=tree"]
RANDMAN = ["experiment=randman", "kernels=eager", "dataset.num_units=5", "model.hidden=[3]", "dataset.num_classes=2"]
CONV = ["experiment=gesture_bptt", "kernels=eager", "model=conv", "model.channels=[4]", "model.kernel_size=[3]"]
CONV += ["model.padding=[1]", "model.pooling=[3]"]
LOCAL = ["experiment=icons_gesture", "dataset=synthetic_gesture", "dataset.downsample=8", "kernels=eager", *SMALL_NET]


def memory(*words: str) -> Memory:
    return memory_of_config(to_config(compose_config(list(words))))


def bits(found: Memory, layer: str) -> dict[str, int]:
    """Of one sample."""
    return {term.name: term.bits for term in found.terms[layer]}


def test_dense_net_of_a_pattern_is_what_its_layers_add_up_to() -> None:
    found = memory(*DENSE, "optimizer=adam", "optimizer.eta=64", "neuron.threshold_mask=true")
    assert bits(found, "input") == {"history: input": 7 * 5}
    assert bits(found, "hidden") == {
        "weights": 5 * 3 * 2, "synapse": 3 * 8, "membrane": 3 * 8,
        "stored weights": 15 * 32, "gradients of weights": 15 * 8, "optimizer slots of weights": 15 * 2 * 32,
        "random state of weights": 128,
        "history: spikes": 7 * 3, "history: threshold codes": 7 * 3 * 8, "history: masks": 7 * 3 * 3,
        "errors": 7 * 3 * 8, "errors of states": 3 * 2 * 8,
    }  # fmt: skip
    assert found.total("weights") == ((15 + 6) * 2, (15 + 6) * 32)
    assert found.total("inference") == ((15 + 6) * 2 + (3 + 2) * 16, (15 + 6) * 32 + (3 + 2) * 64)
    assert found.total("training")[0] == sum(sum(bits(found, layer).values()) for layer in found.terms)
    assert found.terms["hidden"][0].formula == "inputs * neurons * weight_bits = 5 * 3 * 2"


def test_recurrent_net_with_a_membrane_readout_keeps_spikes_and_the_largest_step() -> None:
    words = ["model=recurrent", "model.hidden=[3]", "loss.logits=membrane", "quantization.integrator_bits=12"]
    hidden, output = (bits(memory(*RANDMAN, *words), layer) for layer in ("hidden", "output"))
    assert hidden["weights"] == 5 * 3 * 8
    assert hidden["recurrent weights"] == hidden["weights"] * 3 // 5
    assert hidden["last spikes"] == 3
    assert hidden["optimizer slots of recurrent weights"] == 9 * 2 * 32
    assert output == {
        "weights": 3 * 2 * 8, "synapse": 2 * 12, "membrane": 2 * 12,
        "stored weights": 6 * 32, "gradients of weights": 6 * 8, "optimizer slots of weights": 6 * 2 * 32,
        "random state of weights": 128, "history: masks": 100 * 2 * 2, "history: largest step": 2 * 7,
        "errors": 100 * 2 * 8, "errors of states": 2 * 2 * 8,
    }  # fmt: skip


def test_convolution_keeps_the_winners_of_its_windows_and_a_batch_its_samples() -> None:
    found = memory(*CONV, "neuron=lif", "quantization=bits8", "quantization.weight_bits=[2,8]", "trainer.batch_size=10")
    hidden = bits(found, "hidden")
    steps, neurons = 500, 4 * 16 * 16
    assert hidden["weights"] == 4 * 2 * 9 * 2
    assert "synapse" not in hidden
    assert hidden["membrane"] == neurons * 8
    assert hidden["history: winners"] == steps * 4 * 5 * 5 * 4
    assert hidden["history: masks"] == steps * neurons
    assert bits(found, "output")["weights"] == 4 * 5 * 5 * 11 * 8
    per_sample = sum(term.bits for layer in found.terms.values() for term in layer if term.per_sample)
    assert found.total("training")[0] == found.total("training", 1)[0] + 9 * per_sample
    assert found.total("inference") == found._replace(batch_size=1).total("inference")


def test_local_net_has_no_history_but_readouts() -> None:
    found = memory(*LOCAL, "optimizer.eta=1")
    first, last = bits(found, "layer1"), bits(found, "layer2")
    neurons, pooled = 4 * 16 * 16, 4 * 8 * 8
    assert first == {
        "weights": 4 * 2 * 25 * 8, "biases": 4 * 8, "membrane trace": 512 * 12, "synapse trace": 512 * 10,
        "refractory state": neurons * 2, "membrane": neurons * 6,
        "readout": 11 * pooled * 6, "readout activation": 11 * 6,
        "stored weights": 200 * 10, "gradients of weights": 200 * 3, "random state of weights": 128,
        "stored biases": 4 * 10, "gradients of biases": 4 * 3, "random state of biases": 128,
        "feedback": 11 * pooled * 6, "sigmoid outputs": pooled * 6, "errors": (11 + pooled) * 6,
        "random state of dropout": 128,
    }  # fmt: skip
    inference = {term.name for term in found.terms["layer2"] if term.inference}
    assert {"readout", "readout activation"} <= inference
    assert last["readout"] == 11 * 6 * 8 * 8 * 6
    assert {"readout", "sigmoid outputs"}.isdisjoint(term.name for term in found.terms["layer1"] if term.inference)


@pytest.mark.parametrize(
    ("words", "width"),
    [
        (["quantization.gradient_bits=10", "quantization.state_bits=9"], 10),
        (["quantization.gradient_bits=6", "quantization.state_bits=9"], 9),
        (["quantization.weight_bits=1"], 9),  # +1 beside the codes of 8 bits
        (["optimizer.lr=0.5"], 32),
        (["optimizer.lr_schedule=cosine"], 32),
        (["optimizer.momentum=0.5"], 32),
        (["quantization.gradient_bits=null"], 32),
        (["quantization.state_bits=null"], 32),
    ],
)
def test_sgd_keeps_stored_weights_on_the_finer_grid_or_in_floats(words: list[str], width: int) -> None:
    assert bits(memory(*DENSE, "optimizer=sgd", *words), "hidden")["stored weights"] == 15 * width


def test_integers_store_weights_at_gradient_bits_and_a_momentum_of_their_own_width() -> None:
    words = ["experiment=randman_integer", "kernels=eager", "quantization.gradient_bits=11", "optimizer.eta=16"]
    found = bits(memory(*words, "optimizer.momentum=0.875"), "hidden")
    weights = 20 * 128
    assert found["stored weights"] == weights * 11
    assert found["gradients of weights"] == weights * 6  # 16 * sqrt(2), rounded up: 23
    assert found["optimizer slots of weights"] == weights * 9  # 23 / (1 - 7/8) = 184


@pytest.mark.parametrize(
    "words", [DENSE, [*RANDMAN, "model=recurrent"], CONV, LOCAL], ids=["dense", "recurrent", "conv", "local"]
)
def test_full_precision_takes_what_the_column_of_32_bits_says(words: list[str]) -> None:
    quantized, full = memory(*words), memory(*words, "quantization=full_precision")
    for kind in KINDS:
        assert full.total(kind) == (quantized.total(kind)[1],) * 2


def test_rows_of_the_table_tell_the_share_of_32_bits() -> None:
    inference, training = (text for _, text in memory_rows(memory(*DENSE).plain()))
    assert inference == "weights 42 + all else 80 = 122 bits, 12.3% of the 992 at 32 bits"
    assert training.endswith(" at 32 bits")
    assert "64 samples at once; " in memory_rows(memory(*RANDMAN, "trainer.batch_size=64").plain())[1][1]
