"""What `qsnn.export` does: a run's net, in integers, to a folder or file."""

from qsnn.config.deploying.request import DATA, MACHINE, Words
from qsnn.config.deploying.saved import exported, reached
from qsnn.config.deploying.training import export_training
from qsnn.config.paths import split_checkpoint
from qsnn.deploy.formats import FORMATS
from qsnn.deploy.model import Model
from qsnn.deploy.training.formats import TRAINING_FORMATS
from qsnn.deploy.widths import widths_of

KEYS = ("run", "format", "out", "overwrite", "weights", "training")


def export(arguments: list[str]) -> str:
    """Write the export; what it is, as text. Raises QsnnError and OSError."""
    words = Words("export", arguments, KEYS, (*MACHINE, *DATA))
    training = words.truth("training")
    known = tuple(TRAINING_FORMATS if training else FORMATS)
    name, overwrite = words.choice("format", known, "artefact"), words.truth("overwrite")
    out = words.path("out") or split_checkpoint(words.run())[0] / (f"{name}_training" if training else name)
    if split_checkpoint(words.run())[0].is_dir():
        (TRAINING_FORMATS[name] if training else FORMATS[name]).check(out, overwrite)
    if training:
        return export_training(words, TRAINING_FORMATS[name], out, overwrite)
    run = exported(words)
    FORMATS[name].write(run.model, out, overwrite)
    return f"{described(run.model, reached(run, words))}\nwrote {out}"


def described(model: Model, epochs: str) -> str:
    """A line for the net, of so many ``epochs``, and one for each layer."""
    source, widths = model.source, widths_of(model)
    lines = [f"{source.name}, {source.weights} weights, {epochs}"]
    for layer in model.layers:
        sums = ", ".join(f"{name} {width.bits}" for name, width in widths[layer.name].items())
        sizes = " x ".join(map(str, layer.neurons))
        lines.append(
            f"{layer.name}: {layer.kind}, {sizes} neurons, {layer.weight.bits}-bit weights; accumulators: {sums} bits"
        )
    return "\n".join(lines)
