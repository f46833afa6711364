"""What `qsnn.export` does: a run's net, in integers, to a folder or file."""

from qsnn.config.deploying.request import MACHINE, Words
from qsnn.config.deploying.saved import exported
from qsnn.config.paths import split_checkpoint
from qsnn.deploy.formats import FORMATS
from qsnn.deploy.model import Model
from qsnn.deploy.widths import widths_of

KEYS = ("run", "format", "out", "overwrite", "weights")


def export(arguments: list[str]) -> str:
    """Write the export; what it is, as text. Raises QsnnError and OSError."""
    words = Words("export", arguments, KEYS, MACHINE)
    form, overwrite = FORMATS[words.choice("format", tuple(FORMATS), "artefact")], words.truth("overwrite")
    out = words.path("out") or split_checkpoint(words.run())[0] / words.choice("format", tuple(FORMATS), "artefact")
    if split_checkpoint(words.run())[0].is_dir():
        form.check(out, overwrite)
    model = exported(words).model
    form.write(model, out, overwrite)
    return f"{described(model)}\nwrote {out}"


def described(model: Model) -> str:
    """A line for the net and one for each layer."""
    source, widths = model.source, widths_of(model)
    lines = [f"{source.name}, {source.weights} weights, after {source.epoch} epochs"]
    for layer in model.layers:
        sums = ", ".join(f"{name} {width.bits}" for name, width in widths[layer.name].items())
        sizes = " x ".join(map(str, layer.neurons))
        lines.append(
            f"{layer.name}: {layer.kind}, {sizes} neurons, {layer.weight.bits}-bit weights; accumulators: {sums} bits"
        )
    return "\n".join(lines)
