"""What `qsnn.verify` does: test samples of a run through its net and through the engine, compared code by code."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.config.building.run import build_run
from qsnn.config.deploying.request import DATA, MACHINE, Words
from qsnn.config.deploying.saved import Exported, exported
from qsnn.config.paths import split_checkpoint
from qsnn.data.events.batches import Batch
from qsnn.deploy.artefact import read_artefact, write_artefact
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import Model
from qsnn.deploy.replay import Comparison, compare
from qsnn.errors import ConfigError
from qsnn.training.bptt import MOST_VALUES
from qsnn.training.class_scores import predictions

KEYS = ("run", "weights", "samples", "artefact")
DEFAULT_SAMPLES = 32


class Verified(NamedTuple):
    """``text`` for people; ``exact``: whether all codes and answers agree."""

    text: str
    exact: bool


def verify(arguments: list[str]) -> Verified:
    """Replay. Raises QsnnError and OSError."""
    words = Words("verify", arguments, KEYS, (*MACHINE, *DATA))
    samples, folder = words.count("samples", DEFAULT_SAMPLES), words.path("artefact")
    run = exported(words)
    engine = IntegerEngine(_through_a_folder(run.model) if folder is None else _of_the_same_net(folder, run.model))
    found, same = Comparison(), 0
    for batch in _batches(run, split_checkpoint(words.run())[0], samples):
        answer = compare(engine, run.saved.net, batch[0].to(torch.int8), found)
        if run.saved.classes:
            same += int((_trained_answers(run, batch) == torch.from_numpy(answer.classes)).sum())
    exact = found.exact() and (not run.saved.classes or same == found.samples)
    return Verified(told(run.model, found, same if run.saved.classes else None), exact)


def _through_a_folder(model: Model) -> Model:
    """The model as an artefact has it."""
    with tempfile.TemporaryDirectory(prefix="qsnn-verify-") as folder:
        write_artefact(model, Path(folder) / "artefact")
        return read_artefact(Path(folder) / "artefact")


def _of_the_same_net(folder: Path, model: Model) -> Model:
    """The artefact in ``folder``. Raises ConfigError unless its layers are those of the run's net."""
    found = read_artefact(folder)
    shapes = [[(layer.name, layer.kind, layer.neurons) for layer in one.layers] for one in (found, model)]
    if shapes[0] != shapes[1] or found.input.shape != model.input.shape:
        raise ConfigError(f"artefact={folder} is of another net: its layers are not those of the run")
    return found


def _batches(run: Exported, folder: Path, samples: int) -> Iterator[Any]:
    """The pattern, or the first test recordings of the run."""
    task: Any = build_run(run.saved.config, folder).task
    if not run.saved.classes:
        yield task.pattern
        return
    neurons = sum(layer.num_neurons for layer in run.saved.net.layers.values()) if hasattr(run.learner, "loss") else 1
    for batch in task.test_batches(task.split.test[:samples]):
        at_once = max(1, MOST_VALUES // max(1, len(batch.input) * neurons))
        parts = (part.split(at_once, dim) for part, dim in zip(batch, (1, 0, 0), strict=True))
        yield from (Batch(*part) for part in zip(*parts, strict=True))


def _trained_answers(run: Exported, batch: Batch) -> Tensor:
    """The classes that the run's net says, (B)."""
    tallies = run.learner.evaluate(run.saved.net, batch)
    return predictions([tally.votes for tally in tallies.values() if tally.votes is not None][-1]).cpu()


def told(model: Model, found: Comparison, same: int | None) -> str:
    """A line for each tensor, and the sum of them."""
    source = model.source
    lines = [f"{source.name}, {source.weights} weights after {source.epoch} epochs, {found.samples} samples"]
    for (layer, tensor), total in found.total.items():
        lines.append(f"{layer:<12} {tensor:<10} {found.agreed[layer, tensor]:>15,} of {total:>15,} codes agree")
    agreed, total = sum(found.agreed.values()), sum(found.total.values())
    lines.append(f"{'all':<23} {agreed:>15,} of {total:>15,} codes agree")
    if same is not None:
        lines.append(f"answers: {same} of {found.samples} the same")
    if found.first is not None:
        lines.append(f"the first that does not: {found.first}")
    return "\n".join(lines)
