"""Accuracy by votes, spikes and updates per layer: of an epoch under way, and of recordings that a net is tested on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class LayerTally:
    """Of one layer over a batch: ``votes`` (B, K), how often each class was the readout's largest after burn-in; sums of
    loss, spikes (before pooling) and moved weights; ``neuron_steps`` and ``weight_steps`` count their chances.
    ``raster``: pooled spikes of the first sample, one (F) a step, where they are asked for."""

    votes: Tensor
    loss: float = 0.0
    spikes: int = 0
    updates: int = 0
    neuron_steps: int = 0
    weight_steps: int = 0
    raster: list[Tensor] | None = None


def predictions(votes: Tensor) -> Tensor:
    """The class that was the readout's largest most often, (B, K) to (B); the first of equals."""
    return votes.argmax(1)


@dataclass
class Scores:
    """``confusion``: by layer, (K, K) counts of recordings, true class by row, predicted class by column; ``spikes`` and
    ``chances``: by layer, spikes and how many neurons times steps could have spiked."""

    confusion: dict[str, Tensor]
    spikes: dict[str, int]
    chances: dict[str, int]

    def add(self, tallies: dict[str, LayerTally], labels: Tensor) -> None:
        """Count a batch."""
        for name, tally in tallies.items():
            confusion = self.confusion[name]
            cells = labels * len(confusion) + predictions(tally.votes).cpu()
            confusion += torch.bincount(cells, minlength=confusion.numel()).view_as(confusion)
            self.spikes[name] += tally.spikes
            self.chances[name] += tally.neuron_steps

    def accuracies(self) -> dict[str, float]:
        """Share of recordings whose class was predicted, by layer."""
        return {name: (c.diagonal().sum() / c.sum().clamp(min=1)).item() for name, c in self.confusion.items()}

    def accuracy(self) -> float:
        """That of the last layer, which is the net's."""
        return list(self.accuracies().values())[-1]

    def rates(self) -> dict[str, float]:
        """Spikes per neuron and time step, by layer."""
        return {name: self.spikes[name] / max(1, self.chances[name]) for name in self.spikes}

    def last_confusion(self) -> Tensor:
        """That of the last layer."""
        return list(self.confusion.values())[-1]

    def summary(self, part: str) -> dict[str, Any]:
        """Plain values: ``<part>_accuracy`` of the net and of each layer, rates, and the last layer's confusion matrix."""
        layers = {f"{part}_accuracy_{name}": value for name, value in self.accuracies().items()}
        rates = {f"rate_{name}": value for name, value in self.rates().items()}
        spikes = {f"spikes_{name}": value for name, value in self.spikes.items()}
        return {
            f"{part}_accuracy": self.accuracy(),
            **layers,
            **rates,
            **spikes,
            "confusion": self.last_confusion().tolist(),
        }


def empty_scores(names: list[str], num_classes: int) -> Scores:
    """Nothing counted yet, of layers ``names``."""
    K = num_classes
    confusion = {name: torch.zeros(K, K, dtype=torch.int64) for name in names}
    return Scores(confusion, dict.fromkeys(names, 0), dict.fromkeys(names, 0))


SUMS = ("correct", "samples", "loss", "steps", "spikes", "chances", "updates", "weights")


def names_of_sums(names: Iterable[str]) -> frozenset[str]:
    """The keys of an epoch's sums for layers ``names``."""
    return frozenset(f"{name}/{key}" for name in names for key in SUMS)


def add_up(sums: dict[str, float], tallies: dict[str, LayerTally], labels: Tensor) -> None:
    """Add a training batch to the epoch's ``sums``, plain numbers that a checkpoint can carry."""
    for name, tally in tallies.items():
        correct = (predictions(tally.votes).cpu() == labels).sum().item()
        values = (
            correct, len(labels), tally.loss, tally.votes.sum().item(), tally.spikes, tally.neuron_steps, tally.updates,
            tally.weight_steps,
        )  # fmt: skip
        for key, value in zip(SUMS, values, strict=True):
            sums[f"{name}/{key}"] = sums.get(f"{name}/{key}", 0) + value


def epoch_record(sums: dict[str, float], validation: Scores | None, training: Scores | None) -> dict[str, float]:
    """What an epoch is remembered by, ``<figure>_<layer>``: loss per sample and step, spikes and weight updates, and the share
    of neurons times steps, or weights times steps, that these are; and three accuracies.

    ``online_accuracy``: of the votes that were given while the weights learned from the very recording voted on, which
    says little about what the net can do. ``train_accuracy`` and ``validation_accuracy``: of the net as it then is, frozen.
    """
    record = {}
    for name in dict.fromkeys(key.split("/")[0] for key in sums):

        def total(key: str, name: str = name) -> float:
            return sums[f"{name}/{key}"]

        record[f"online_accuracy_{name}"] = total("correct") / total("samples")
        record[f"loss_{name}"] = total("loss") / max(1, total("steps"))
        record[f"spikes_{name}"], record[f"rate_{name}"] = total("spikes"), total("spikes") / total("chances")
        record[f"updates_{name}"], record[f"update_share_{name}"] = (
            total("updates"),
            total("updates") / max(1, total("weights")),
        )
    for part, scores in (("train", training), ("validation", validation)):
        if scores is not None:
            record |= {f"{part}_accuracy_{name}": value for name, value in scores.accuracies().items()}
    return record
