"""Counts of small nets, by hand from given spikes; and that energy is their product with the table."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from costed_nets import CONV, DENSE, LOCAL, RANDMAN, counted

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import assumed, costed_config, costs_by, measured_rates
from qsnn.config.command_line import compose_config
from qsnn.config.paths import config_folder
from qsnn.data.events.batches import Batch
from qsnn.hardware.cost import Costs
from qsnn.hardware.counts.count import ADD, MULTIPLY, READ, WRITE, Count
from qsnn.hardware.energy import energy_of
from qsnn.hardware.table import Hardware
from qsnn.models.spike_counts import SpikeCounts, spike_counts
from qsnn.training.local_learning import evaluate_batch


def number(counts: list[Count], name: str, kind: str) -> float:
    (found,) = [count for count in counts if (count.name, count.kind) == (name, kind)]
    return found.number


@functools.cache
def dense() -> tuple[Costs, dict[str, Any], SpikeCounts]:
    return counted(DENSE, SPIKES)


SPIKES = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.float32)[:, None]


def test_dense_net_with_given_spikes_is_counted_as_by_hand() -> None:
    costs, activity, _ = dense()
    hidden, output = (costs.counts.inference[name] for name in ("hidden", "output"))
    arrived, fired = 6, int(activity["hidden"].spikes.sum())
    assert number(hidden, "synaptic accumulates", ADD) == pytest.approx(arrived * 2)
    assert number(hidden, "weights", READ) == pytest.approx(arrived * 2)
    assert number(hidden, "spikes in", READ) == pytest.approx(arrived)
    assert number(output, "synaptic accumulates", ADD) == pytest.approx(fired * 1)
    neurons = {"synapse decay": ADD, "synapse sum": ADD, "membrane sum": ADD, "comparison with the threshold": ADD}
    for name, kind in neurons.items():  # 1 - 2^-k: a shift and an addition
        assert number(hidden, name, kind) == 4 * 2
    for kind in (READ, WRITE):
        assert number(hidden, "membrane", kind) == 4 * 2
    assert number(hidden, "reset", ADD) == pytest.approx(fired)
    names = {count.name: count.bits for count in hidden}
    assert names["synaptic accumulates"] == (2 + 2,)  # weight_bits + ceil(log2(3))
    assert names["weights"] == (2,)
    assert names["spikes in"] == (2,)


def test_training_step_of_a_dense_net_adds_history_errors_gradients_and_an_update() -> None:
    costs, activity, _ = dense()
    hidden, output = (costs.counts.training[name] for name in ("hidden", "output"))
    assert number(costs.counts.training["input"], "history: input", WRITE) == 4 * 3
    assert number(hidden, "history: threshold codes", READ) == 4 * 2 * 8
    assert number(hidden, "errors through the surrogate", MULTIPLY) == 4 * 2
    assert number(hidden, "errors of states", WRITE) == 4 * 2 * 2
    assert number(hidden, "errors", WRITE) == 4 * 2
    assert number(hidden, "gradient accumulates", ADD) == pytest.approx(6 * 2)
    fired = int(activity["hidden"].spikes.sum())
    assert number(output, "gradient accumulates", ADD) == pytest.approx(fired)
    assert number(output, "errors of the layer before", MULTIPLY) == 4 * 2 * 1
    assert "errors of the layer before" not in {count.name for count in hidden}  # nothing learns before it
    assert number(hidden, "stored weights", READ) == number(hidden, "stored weights", WRITE) == 6
    assert number(hidden, "random numbers for weights", ADD) == 6
    assert number(hidden, "update of weights", ADD) == 6
    assert "eta times gradients of weights" not in {count.name for count in hidden}  # a power of two


def test_energy_is_counts_times_the_table() -> None:
    table = Hardware(
        name="mine", add_int8=8.0, add_int32=32.0, add_fp16=0.0, add_fp32=0.5, multiply_int8=64.0, multiply_int32=1024.0,
        multiply_fp16=0.0, multiply_fp32=2.0, sram_kib=[1.0], sram_access=[32.0], dram_access=640.0, access_bits=32,
    )  # fmt: skip
    counts = [
        Count("a", ADD, 3, (4,), ""), Count("b", MULTIPLY, 2, (2, 8), ""), Count("c", ADD, 2, (None,), ""),
        Count("d", READ, 5, (2,), "", "weights"), Count("e", WRITE, 7, (None,), "", "states"),
    ]  # fmt: skip
    energy = energy_of({"layer": counts}, {"weights": 8 * 1024, "states": 8 * 1024 + 1, "history": 0}, table)
    assert energy.places == {"weights": "1 KiB", "states": "DRAM"}
    assert energy.whole.compute == 3 * 4 + 2 * 16 + 2 * 0.5
    assert energy.whole.memory == 5 * 2 + 7 * 640
    assert energy.whole == energy.layers["layer"]


def test_widths_between_the_tables_own_are_straight_in_bits_and_in_the_product_of_bits() -> None:
    figures = yaml.safe_load((Path(config_folder()) / "hardware" / "horowitz_45nm.yaml").read_text())
    table = Hardware(**{name: value for name, value in figures.items() if name != "defaults"})
    assert [table.add(bits) for bits in (8, 32, 4, 64)] == pytest.approx([0.03, 0.1, 0.015, 0.2])
    assert table.add(20) == pytest.approx((0.03 + 0.1) / 2)
    assert [table.multiply(8, 8), table.multiply(32, 32)] == pytest.approx([0.2, 3.1])
    assert table.multiply(2, 8) == pytest.approx(0.2 / 4)
    assert table.multiply(16, 16) == pytest.approx(0.2 + 2.9 * (256 - 64) / (1024 - 64))
    assert (table.add(None), table.multiply(None, 8)) == (0.9, 3.7)


def test_convolution_reaches_fewer_neurons_from_a_border() -> None:
    x = torch.zeros(5, 1, 2, 16, 16)
    x[0, 0, 0, 0, 0] = x[1, 0, 1, 0, 5] = x[2, 0, 0, 7, 7] = 1  # a corner, an edge, the middle
    costs, activity, counts = counted([*CONV, "dataset.downsample=8", "neuron.threshold=0.05"], x)
    hidden = costs.counts.inference["hidden"]
    assert number(hidden, "synaptic accumulates", ADD) == pytest.approx(4 * (4 + 6 + 9))
    assert costs.rates.links["hidden.input"] == 4 * 2 * (14 * 14 * 9 + 4 * 14 * 6 + 4 * 4)
    handed = int((activity["hidden"].output != 0).sum())
    assert handed > 0
    assert number(hidden, "spikes out", WRITE) == pytest.approx(handed)
    assert number(costs.counts.inference["output"], "synaptic accumulates", ADD) == pytest.approx(handed * 11)
    assert counts.live["hidden.input"] <= 4 * (4 + 6 + 9)
    training = costs.counts.training["hidden"]
    assert number(training, "winners of windows", ADD) == costs.counts.batch_size * 500 * 4 * 64 * 3


def test_recurrent_spikes_of_the_last_step_reach_nobody_and_a_readout_has_no_threshold() -> None:
    torch.manual_seed(0)
    x = (torch.rand(9, 4, 5) < 0.6).float()
    words = [*RANDMAN, "model=recurrent", "model.hidden=[3]", "loss.logits=membrane", "quantization.integrator_bits=12"]
    costs, activity, _ = counted([*words, "neuron.threshold=0.1"], x)
    hidden, output = (costs.counts.inference[name] for name in ("hidden", "output"))
    back = float(activity["hidden"].spikes[:-1].sum())
    assert back > 0
    assert number(hidden, "recurrent synaptic accumulates", ADD) == pytest.approx(back * 3 / 4)
    names = {count.name for count in output}
    assert "membrane" in names
    assert {"reset", "spikes out", "comparison with the threshold"}.isdisjoint(names)
    assert costs.counts.batch_size == 64
    assert number(costs.counts.training["hidden"], "errors a step back", MULTIPLY) == 64 * 99 * 9


def test_local_net_multiplies_traces_and_learns_in_every_step_after_burn_in() -> None:
    words = [*LOCAL, "trainer.batch_size=2"]
    config = to_config(compose_config(words))
    costed = costed_config(config)
    torch.manual_seed(1)
    x = torch.zeros(60, 2, 2, 16, 16)
    x[0, :, 0, 8, 8] = 1  # from step 1 on the trace of one pixel is there
    tallies = evaluate_batch(
        costed.net, Batch(x, torch.zeros(2, dtype=torch.long), torch.arange(2)), 51, by_neuron=True
    )
    arrived = {f"{name}.{way}": n for name, tally in tallies.items() for way, n in tally.arrived.items()}
    spikes = {name: tally.spikes for name, tally in tallies.items()}
    counts = spike_counts(costed.net, costed.inputs, (2, 60), arrived, spikes)
    there = counts.arrived["layer1.trace"].sum()
    costs = costs_by(config, costed, measured_rates(costed, counts))
    first, last = (costs.counts.inference[name] for name in ("layer1", "layer2"))
    fan_out = 4 * 25
    assert number(first, "synaptic products", MULTIPLY) == pytest.approx(float(there) / 2 * fan_out)
    assert number(first, "spikes in", READ) == pytest.approx(1)
    assert number(first, "membrane trace", MULTIPLY) == 60 * 512 * 2
    assert number(first, "refractory state", READ) == 60 * 4 * 16 * 16
    assert "readout" not in {count.name for count in first}  # the last layer answers
    assert number(last, "readout", READ) == (60 - 51) * 11 * 6 * 8 * 8
    step = costs.counts.training["layer1"]
    learned = costed.learning.num_steps - 51
    assert number(step, "stored weights", WRITE) == learned * 200
    assert number(step, "feedback", READ) == 2 * learned * 11 * 4 * 8 * 8
    voting = float(counts.arrived["layer1.voting_trace"].sum()) / (2 * 9) * fan_out
    assert number(step, "gradient products", MULTIPLY) == pytest.approx(2 * learned * voting / 4)


@pytest.mark.parametrize(
    "words", [DENSE, [*RANDMAN, "model=recurrent"], CONV, LOCAL], ids=["dense", "rec", "conv", "local"]
)
def test_assumed_rate_is_that_of_every_place(words: list[str]) -> None:
    config = to_config(compose_config([*words]))
    costed = costed_config(config)
    rates = assumed(config, costed, 0.25)
    first = next(iter(rates.layers))
    assert rates.layers[first].arrivals["input"].reached == pytest.approx(0.25 * rates.links[f"{first}.input"])
    plain = costs_by(config, costed, rates, ["hardware.add_int8=1", "seed=3"]).plain()
    assert (plain["measured"], plain["hardware"]) == ("assumed", "horowitz_45nm with hardware.add_int8=1")
    assert plain["spikes"]["per_neuron_and_step"] == pytest.approx(0.25)
    assert plain["neurobench"]["activation_sparsity"] == pytest.approx(0.75)
    for phase in ("inference", "training_step"):
        parts = plain[phase]["layers"].values()
        assert sum(part["picojoule"] for part in parts) == pytest.approx(plain[phase]["picojoule"])
        assert plain[phase]["compute"] + plain[phase]["memory"] == pytest.approx(plain[phase]["picojoule"])
    json.dumps(plain, allow_nan=False)


def test_full_precision_takes_the_figures_of_floats() -> None:
    costs, *_ = counted([*DENSE, "quantization=full_precision"], SPIKES)
    assert {bits for layer in costs.counts.inference.values() for count in layer for bits in count.bits} == {None, 1, 2}
    hidden = {count.name: count for count in costs.counts.inference["hidden"]}
    assert hidden["synapse decay"].kind == MULTIPLY
    places = costs.inference.places
    assert hidden["synaptic accumulates"].picojoule(costs.hardware, places) == pytest.approx(12 * 0.9)
    assert hidden["weights"].picojoule(costs.hardware, places) == pytest.approx(12 * 32 / 64 * 10)


def test_net_with_a_layer_of_another_package_is_not_counted() -> None:
    net = costed_config(to_config(compose_config(DENSE))).net
    net.hidden.__class__ = type("Foreign", (type(net.hidden),), {})
    assert spike_counts(net, (3,), (1, 4), {}, {}) is None
