"""The tables that `qsnn.cost` prints."""

from qsnn.config.costing.nets import Costing
from qsnn.hardware.cost import Costs, energy_rows, joule, many
from qsnn.hardware.counts.rates import ASSUMED, Rates
from qsnn.hardware.counts.traces import FORMULA
from qsnn.hardware.icons import accountings, icons_layers
from qsnn.hardware.memory import Memory, memory_rows
from qsnn.hardware.published import CHIPS
from qsnn.models.conv import Conv
from qsnn.models.geometry import Shape
from qsnn.models.spike_counts import INPUT, TRACE
from qsnn.quantization.bit_widths import BitWidths
from qsnn.reporting.summary import Rows, table

ICONS_INPUTS: Shape = (2, 32, 32)


def icons_table(bits: BitWidths) -> str:
    """Bits, bits at 32 bits, and what is saved, of each accounting of the net of [ICONS]."""
    found = accountings(icons_layers(ICONS_INPUTS, Conv().geometries()), bits)
    return table(
        [(name, f"{one.bits:>13,} of {one.at_32_bits:>13,}  {one.saved:.2%} less") for name, one in found.items()]
    )


def memory_table(memory: Memory) -> str:
    """Every term, of one sample."""
    return table(
        [
            (f"{layer:<8} {term.name}", f"{term.bits:>13,} of {term.at_32_bits:>13,}  {term.formula}")
            for layer, terms in memory.terms.items()
            for term in terms
        ]
    )


def counts_table(costs: Costs) -> str:
    """Every operation and access, of a sample in inference and of a training step."""
    rows: Rows = []
    for phase, layers in costs.counted().items():
        for layer, found in layers.items():
            for one in found:
                what = f"{layer:<8} {one['name']}"
                place = f" {one['memory']}" if "memory" in one else ""
                how = f"{one['kind']} {'x'.join(map(str, one['bits']))} bits{place}"
                cost = f"{one['number']:>13,.6g}  {joule(one['picojoule']):>8}  {how:<26} {one['formula']}"
                rows.append((f"{phase.replace('_', ' '):<13} {what}", cost))
    return table(rows)


def energy_table(found: Costing) -> str:
    """By layer, the totals, and what others measure."""
    energy = found.costs.plain()
    rows: Rows = []
    for phase in ("inference", "training_step"):
        for layer, part in energy[phase]["layers"].items():
            told = f"{joule(part['picojoule'])}, compute {joule(part['compute'])}, memory {joule(part['memory'])}"
            rows.append((f"{phase.replace('_', ' ')}, {layer}", told))
        places = ", ".join(f"{kind} in {place}" for kind, place in energy[phase]["memories"].items())
        rows.append((f"{phase.replace('_', ' ')}, memories", places))
    rows += _traces(found.costs.rates)
    totals = [*memory_rows(found.memory.plain()), *energy_rows(energy)]
    return "\n\n".join([table(rows), table([*totals, *_published(found)])])


def _traces(rates: Rates) -> Rows:
    """Of local learning: how many of its connections have a trace to multiply, and how that is known."""
    shares = [
        f"{name} {layer.arrivals[TRACE].reached / max(1, rates.links[f'{name}.{INPUT}']):.1%}"
        for name, layer in rates.layers.items()
        if TRACE in layer.arrivals
    ]
    known = f", assumed: {FORMULA}" if rates.measured == ASSUMED else ""
    return [("traces other than 0", f"{', '.join(shares)} of connections times steps{known}")] if shares else []


def _published(found: Costing) -> Rows:
    energy = found.costs.plain()
    bench, operations = energy["neurobench"], energy["inference"]["synaptic_operations"]
    columns = ", ".join(
        f"{name} {joule(cost)} ({CHIPS[name][0]:g})" for name, cost in energy["published_chips_picojoule"].items()
    )
    return [
        ("4.6/0.9 pJ model", f"{joule(energy['mac_ac_model_picojoule'])}: MACs and ACs of 32-bit floats, no memory"),
        (
            "NeuroBench",
            f"{many(bench['effective_acs'])} ACs, {many(bench['effective_macs'])} MACs, dense {many(bench['dense'])} a sample; "
            f"sparsity of activations {bench['activation_sparsity']:.2%}, of connections {bench['connection_sparsity']:.2%}; "
            f"footprint {bench['footprint_bytes']:,.0f} bytes",
        ),
        ("published pJ an operation", f"times {many(operations)} synaptic operations: {columns}"),
    ]
