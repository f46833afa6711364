"""What a net costs: ``python -m qsnn.cost run=outputs/...``, or of a config alone; memory to the bit, energy by counts."""

from qsnn.command import run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.cost run=outputs/<experiment>/<time> [hardware=...] [out=FILE] [counts=true]
       python -m qsnn.cost [experiment=<name>] [key=value ...] [rate=0.05] [hardware=...] [out=FILE] [counts=true]
       python -m qsnn.cost storage=true [run=...|experiment=<name> key=value ...] [sparsity=S] [picture=FILE.png]
       python -m qsnn.cost icons=true

Memory to the bit in inference and in training, and the energy of an inference and of a training step: operations and accesses,
counted from spikes, times a table (hardware=horowitz_45nm). Beside them what others measure: the 4.6/0.9 pJ model, NeuroBench's
synaptic operations and sparsities, published pJ an operation of chips, break-even spike rate. docs/cost.md has every formula.

run=       a finished run: its own spikes, those of its test, or of its pattern. Writes cost.json into its folder
           without run=, an untrained net of the config is shown one batch; nothing is trained, and nothing written without out=
rate=      spikes a neuron (and input) and step that are assumed instead, for which no data are needed
hardware=  a table: horowitz_45nm, a file of your own in <folder>/hardware/ with --config-dir <folder>, or single figures,
           such as hardware.access_bits=32 hardware.sram_kib='[64]' hardware.sram_access='[25]'
counts=    true: every operation and access with its formula; they are in the JSON file in any case
out=       where the JSON file is written
storage=   true: how weights can be stored, in bits and accesses of a step (docs/storage.md); its own words:
           sparsity= share of zero codes, not the net's   error_rate=1 share of neurons with an error   word_bits=64 of a bitmap
           picture= FILE.png, of widths=2,3,4,8 bits   paper=true: beside the figures of [ISCAS]
icons=     true (or --icons): the published memory accounting of [ICONS], and the corrected ones

  python -m qsnn.cost experiment=randman quantization.weight_bits=2 rate=0.05
"""


def main() -> None:
    """Entry point of ``qsnn-cost``."""
    run_and_leave(_cost)


def _cost(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE):
        return
    from qsnn.config.command_line import set_up
    from qsnn.config.costing.command import cost

    set_up()
    print(cost(arguments))


if __name__ == "__main__":
    main()
