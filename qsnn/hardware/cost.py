"""What a net costs besides memory: energy with its counts, and other people's measures; for summary.json, cost.json, tables."""

from typing import Any, NamedTuple

from qsnn.hardware.counts.count import MULTIPLY
from qsnn.hardware.counts.net import NetCounts, counts_of
from qsnn.hardware.counts.rates import ASSUMED, RUN, UNTRAINED, Rates
from qsnn.hardware.energy import Energy, counted, energies, synaptic_operations
from qsnn.hardware.learning import Learning
from qsnn.hardware.memory import KINDS, Memory
from qsnn.hardware.published import chips, mac_ac_picojoule, neurobench, spikes_of
from qsnn.hardware.table import Hardware

TOLD = {RUN: "", UNTRAINED: ", spikes of an untrained net", ASSUMED: ", assumed spikes"}
PREFIXES = ((1e15, "kJ"), (1e12, "J"), (1e9, "mJ"), (1e6, "uJ"), (1e3, "nJ"), (1, "pJ"))


class Costs(NamedTuple):
    """``name``: what the table is called; ``readout``: MACs of a sample in a readout of local learning."""

    name: str
    hardware: Hardware
    counts: NetCounts
    rates: Rates
    inference: Energy
    training: Energy
    beside: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """For summary.json: ``energy``."""
        accumulates, products = synaptic_operations(self.counts.inference)
        operations, batch, step = accumulates + products, self.counts.batch_size, self.training.plain()
        return {
            "hardware": self.name, "measured": self.rates.measured,
            "inference": {**self.inference.plain(), "synaptic_operations": operations, "steps": self.rates.num_steps},
            "training_step": {**step, "batch_size": batch, "picojoule_of_a_sample": step["picojoule"] / batch},
            "mac_ac_model_picojoule": mac_ac_picojoule(accumulates, products),
            "published_chips_picojoule": chips(operations), **self.beside,
        }  # fmt: skip

    def counted(self) -> dict[str, Any]:
        """Every count, for cost.json."""
        return {
            "inference": counted(self.counts.inference, self.inference, self.hardware),
            "training_step": counted(self.counts.training, self.training, self.hardware),
        }


def costs_of(
    net: Any, inputs: tuple[int, ...], rates: Rates, learning: Learning, memory: Memory, burn_in: int,
    hardware: Hardware, name: str,
) -> Costs:  # fmt: skip
    """Those of a net that has ``rates`` and learns as ``learning`` says, by a table of that ``name``."""
    counts = counts_of(net, inputs, rates, learning, memory, burn_in)
    inference, training = energies(counts, memory, hardware)
    found = [done for layer in counts.inference.values() for done in layer]
    readout = sum(done.number for done in found if done.name == "readout" and done.kind == MULTIPLY)
    bits = memory.total("inference")[0]
    beside = {"neurobench": neurobench(net, rates, readout, bits), "spikes": spikes_of(net, rates)}
    return Costs(name, hardware, counts, rates, inference, training, beside)


def cost_scalars(memory: dict[str, Any], energy: dict[str, Any]) -> dict[str, float]:
    """`Memory.plain` and `Costs.plain` under TensorBoard's tags."""
    bits = {f"cost/memory_{kind}_bits": float(memory[kind]["bits"]) for kind in KINDS}
    return bits | {
        "cost/energy_inference_pj": energy["inference"]["picojoule"],
        "cost/energy_training_step_pj": energy["training_step"]["picojoule"],
        "cost/synaptic_operations": energy["inference"]["synaptic_operations"],
    }


def joule(picojoule: float) -> str:
    """With a prefix: ``12.3 nJ``."""
    factor, unit = next((pair for pair in PREFIXES if picojoule >= pair[0]), PREFIXES[-1])
    return f"{picojoule / factor:.3g} {unit}"


def many(number: float) -> str:
    """``12.3 k``."""
    factor, letter = next(
        (pair for pair in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")) if number >= pair[0]), (1, "")
    )
    return f"{number / factor:.3g}{letter}"


def energy_rows(energy: dict[str, Any]) -> list[tuple[str, str]]:
    """`Costs.plain` as rows of the table at the end of a run."""
    inference, step, batch = energy["inference"], energy["training_step"], energy["training_step"]["batch_size"]
    counted = TOLD[energy["measured"]]
    each = f" of {batch:,} samples; {joule(step['picojoule_of_a_sample'])} a sample" if batch > 1 else ""
    operations = f"{many(inference['synaptic_operations'])} synaptic operations"
    return [
        ("energy, inference", f"{_parts(inference)}, {energy['hardware']}{counted}; {operations}"),
        ("energy, training step", f"{_parts(step)}{each}"),
        ("spikes", _spikes(energy["spikes"])),
    ]


def _parts(energy: dict[str, float]) -> str:
    return f"{joule(energy['picojoule'])} (compute {joule(energy['compute'])}, memory {joule(energy['memory'])})"


def _spikes(spikes: dict[str, float]) -> str:
    rate, each = spikes["per_neuron_and_step"], spikes["per_neuron_and_sample"]
    even, even_each = spikes["break_even_per_neuron_and_step"], spikes["break_even_per_neuron_and_sample"]
    return (
        f"{rate:.2%} a neuron and step ({_side(rate, even)} the published break-even, {even:.1%} at 5 steps); {each:.3g} a "
        f"neuron and sample of {spikes['steps']} steps ({_side(each, even_each)} its {even_each:.3g})"
    )


def _side(value: float, border: float) -> str:
    return "below" if value < border else "above"
