"""Learning in integers: what a run begins with as files, and its updates repeated beside it (``training=true``)."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from qsnn.config.building.run import build_run
from qsnn.config.deploying.request import DATA, MACHINE, Words
from qsnn.config.deploying.saved import Exported, exported, reached
from qsnn.config.paths import split_checkpoint
from qsnn.config.resume import restore
from qsnn.config.start_from import begin_with_source
from qsnn.deploy.from_net.model_of import model_of
from qsnn.deploy.model import Model
from qsnn.deploy.training.files import read_training, write_training
from qsnn.deploy.training.formats import TrainingFormat
from qsnn.deploy.training.from_run import learning_of
from qsnn.deploy.training.recipe import Recipe
from qsnn.deploy.training.replay import Repetition, agreement_with, repeat
from qsnn.deploy.training.trainer import IntegerTrainer, TrainerState
from qsnn.training.run import Run

KEYS = ("run", "training", "epochs")
USUAL_UPDATES = 100


class Verified(NamedTuple):
    """``text`` for people; ``exact``: whether all codes agree."""

    text: str
    exact: bool


def begun(run: Exported, folder: Path) -> Run:
    """The run as it began: its seed's start weights, or those of the run that it started from."""
    made = build_run(run.saved.config, folder)
    if run.saved.config.start_from is not None:
        begin_with_source(made, run.saved.config)
    return made


def learning(run: Exported, folder: Path) -> tuple[Run, Model, Recipe]:
    """The run as it began, its net as it is now, with all readouts, and how that learned. Raises ConfigError, with the run's
    name, for training that is not of integers."""
    made = begun(run, folder)
    start, recipe = learning_of(made, run.model.source, run.saved.config.neuron.dt)
    now = model_of(run.saved.net, start.input, run.saved.classes, run.learner, run.model.source, all_readouts=True)
    return made, now, recipe


def export_training(words: Words, form: TrainingFormat, out: Path, overwrite: bool) -> str:
    """Write what can learn as the run did; what it is and the widths of its sums, as text."""
    run = exported(words)
    _, model, recipe = learning(run, split_checkpoint(words.run())[0])
    form.write(model, recipe, out, overwrite)
    source = model.source
    told = (
        f"{source.name}, {source.weights} weights, {reached(run, words)}\n{widths_told(IntegerTrainer(model, recipe))}"
    )
    return f"{told}\nwrote {out}"


def verify_training(arguments: list[str]) -> Verified:
    """Repeat a run from its start, with what an artefact holds of it. Raises QsnnError and OSError."""
    words = Words("verify", arguments, KEYS, (*MACHINE, *DATA))
    folder = split_checkpoint(words.run())[0]
    run, model, recipe = learning(exported(words), folder)
    usual = min(recipe.extent.epochs, -(-USUAL_UPDATES // recipe.extent.batches))
    epochs = min(words.count("epochs", max(1, usual)), max(1, recipe.extent.epochs))
    trainer = IntegerTrainer(*_through_a_folder(model, recipe))
    found, state = repeat(run, trainer, epochs)
    lines = told(run, found)  # before the checkpoint takes the run's place
    checkpoint, same = _with_checkpoint(run, folder, trainer, state)
    return Verified("\n".join([*lines, checkpoint, widths_told(trainer)]), found.exact() and same)


def _through_a_folder(model: Model, recipe: Recipe) -> tuple[Model, Recipe]:
    """Both as an artefact has them."""
    with tempfile.TemporaryDirectory(prefix="qsnn-verify-") as folder:
        write_training(model, recipe, Path(folder) / "artefact")
        return read_training(Path(folder) / "artefact")


def _with_checkpoint(run: Run, folder: Path, trainer: IntegerTrainer, state: TrainerState) -> tuple[str, bool]:
    """What there is to say of the run's last checkpoint, and whether it holds the same codes, if it is of this epoch."""
    reached = run.state.epoch
    restore(run, folder)
    saved = run.state
    if (saved.epoch, saved.batch) != (reached, 0):
        return f"last.pt is of epoch {saved.epoch}: not compared, {reached} epochs were repeated", True
    same, total = agreement_with(trainer.recipe, state, saved.model.trained_tensors())
    return f"last.pt of epoch {saved.epoch}: {same:,} of {total:,} codes agree", same == total


def told(run: Run, found: Repetition) -> list[str]:
    """A line for each tensor, and the sum of them."""
    epochs, of = run.state.epoch, run.settings.epochs
    lines = [f"repeated from its start: {epochs} of {of} epochs, {found.updates} updates, compared after each"]
    for name, total in found.total.items():
        lines.append(f"{name:<28} {found.agreed[name]:>15,} of {total:>15,} codes agree")
    lines.append(f"{'all':<28} {sum(found.agreed.values()):>15,} of {sum(found.total.values()):>15,} codes agree")
    if not found.streams:
        lines.append("as many random numbers are not gone from the streams")
    if found.first is not None:
        lines.append(f"the first that does not: {found.first}")
    return lines


def widths_told(trainer: IntegerTrainer) -> str:
    """Signed bits of every sum of learning, a line for each layer."""
    lines = (
        f"{layer}: accumulators of learning: {', '.join(f'{name} {bits}' for name, bits in found.items())} bits"
        for layer, found in trainer.widths.items()
    )
    return "\n".join(lines)
