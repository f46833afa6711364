"""A trained net in integers: ``python -m qsnn.export run=outputs/... [format=artefact] [out=...]``."""

from qsnn.command import run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.export run=outputs/<experiment>/<time> [format=artefact|c|mem|nir|onnx] [out=FOLDER]
                             [weights=best|last] [overwrite=true] [training=true]

Writes the net of a run for a machine without floats: a folder with model.json (layers, formats, shifts, multipliers,
constants, widths of accumulators) and the weights at their true width, each file with a checksum. format=c, mem, nir and onnx
write a folder of C99, of memory files and a Verilog layer, of a graph of NIR or ONNX (docs/exports.md), with golden vectors
of the integer engine and a program that compares itself with them. out= is <run>/<format> unless given; nothing is written
over without overwrite=true, and with it only an export that holds no file of another origin. The weights are the run's best,
or its last; run=.../checkpoints/<name>.pt names others. A net whose forward pass is not one of integers is refused, with the
keys that make it so. docs/integer.md says what every number means; python -m qsnn.verify run=... replays the run's test
samples in integers. With training=true it writes all that a machine needs to repeat the run's training, to
<run>/<format>_training: format=artefact adds training.json, format=c is a program that learns (docs/integer_training.md).
"""


def main() -> None:
    """Entry point of ``qsnn-export``."""
    run_and_leave(_export)


def _export(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE, of_a_run=True):
        return
    from qsnn.config.command_line import set_up
    from qsnn.config.deploying.export import export

    set_up()
    print(export(arguments))


if __name__ == "__main__":
    main()
