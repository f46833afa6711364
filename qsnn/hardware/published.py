"""Other people's measures of the same net, each named as what it is.

`mac_ac`: 4.6 pJ a multiply-accumulate and 0.9 pJ an accumulate of 32-bit floats in 45 nm, the figures of Horowitz that most
papers on spiking nets multiply their operations by. It knows neither memory nor widths: 32 bits and 2 bits cost the same.

`NeuroBench` (Yik et al., Nature Communications 2025): synaptic operations of a sample: ``dense``, all connections in all steps;
effective ones meet an activation other than 0 with a weight other than 0, as accumulates (ACs) where activations are -1, 0, 1,
else as multiply-accumulates (MACs). Activation sparsity: the share of neurons times steps without a spike; connection sparsity:
that of weights that are 0; footprint: bytes of all that inference holds, here of true bits.

`CHIPS`: pJ a synaptic operation as published, collected in Tang et al., Frontiers in Neuroscience 17 (2023), table 3; times
the net's it is a column estimate, whatever else the chip does.

`BREAK_EVEN` (Yan et al. 2024): below 5.7 % spikes a neuron and step at T = 5 steps a spiking net needs less energy than the
quantized net without spikes that it was made of. That is 0.285 spikes a neuron and sample.
"""

from typing import Any

from qsnn.hardware.counts.rates import Rates, neurons_of, spikes_at_all
from qsnn.models.spike_counts import INPUT, RECURRENT, TRACE

MAC, AC = 4.6, 0.9
CHIPS = {
    "ODIN": (12.7, "Frenkel et al. 2018"),
    "ReckOn": (5.3, "Frenkel & Indiveri 2022"),
    "Loihi": (23.6, "Davies et al. 2018"),
    "SpiNNaker2": (10.0, "Hoeppner et al. 2021"),
    "TrueNorth": (2.5, "Akopyan et al. 2015"),
    "SENECA": (2.8, "Tang et al. 2023"),
}
"""pJ a synaptic operation, and where it is from."""
BREAK_EVEN, BREAK_EVEN_STEPS = 0.057, 5


def mac_ac_picojoule(accumulates: float, products: float) -> float:
    """Of so many ACs and MACs."""
    return AC * accumulates + MAC * products


def chips(operations: float) -> dict[str, float]:
    """Picojoule by chip."""
    return {name: cost * operations for name, (cost, _) in CHIPS.items()}


def neurobench(net: Any, rates: Rates, readout: float, inference_bits: int) -> dict[str, float]:
    """``readout``: multiply-accumulates of a sample in the readout of local learning."""
    accumulates = products = dense = 0.0
    for name, layer in rates.layers.items():
        local = TRACE in layer.arrivals
        for way in (TRACE,) if local else (INPUT, RECURRENT):
            if way in layer.arrivals:
                live = layer.arrivals[way].live * rates.num_steps
                accumulates, products = accumulates + live * (not local), products + live * local
                dense += rates.links[f"{name}.{INPUT if local else way}"] * rates.num_steps
    zero, weights = sum(zero for _, zero in rates.weights.values()), sum(count for count, _ in rates.weights.values())
    return {
        "effective_macs": products + readout, "effective_acs": accumulates, "dense": dense + readout,
        "activation_sparsity": 1 - spikes_of(net, rates)["per_neuron_and_step"],
        "connection_sparsity": zero / max(1, weights), "footprint_bytes": inference_bits / 8,
    }  # fmt: skip


def spikes_of(net: Any, rates: Rates) -> dict[str, Any]:
    """Of all neurons that spike, beside the break-even."""
    neurons = sum(neurons_of(layer) for layer in net.layers.values() if spikes_at_all(layer))
    rate = sum(layer.spikes for layer in rates.layers.values()) / max(1, neurons)
    return {
        "per_neuron_and_step": rate, "steps": rates.num_steps, "per_neuron_and_sample": rate * rates.num_steps,
        "break_even_per_neuron_and_step": BREAK_EVEN, "break_even_per_neuron_and_sample": BREAK_EVEN * BREAK_EVEN_STEPS,
    }  # fmt: skip
