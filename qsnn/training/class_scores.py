"""Accuracy by votes, spikes and updates per layer: of an epoch under way, and of recordings that a net is tested on."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from qsnn.kernels.workers import Workers


@dataclass
class LayerTally:
    """Of one layer over a batch: ``votes`` (B, K), how much speaks for each class (counts of the steps after burn-in in
    which the readout was largest, or logits), None from a layer that is not asked; sums of loss, spikes (before pooling) and
    moved weights; ``steps`` that the loss is a sum over, samples counted; ``neuron_steps`` and ``weight_steps`` count
    chances of spikes and moves. ``raster``: spikes that the first sample hands on, one (F) a step, and ``course``: its
    votes, one (K) after each step, and ``by_neuron``, spikes (N) of each neuron over all samples and steps, and ``arrived``,
    what came in at each place (`qsnn.models.spike_counts`), where these are asked for."""

    votes: Tensor | None
    loss: float = 0.0
    steps: int = 0
    spikes: int = 0
    updates: int = 0
    neuron_steps: int = 0
    weight_steps: int = 0
    raster: list[Tensor] | None = None
    course: list[Tensor] | None = None
    by_neuron: Tensor | None = None
    arrived: dict[str, Tensor] = field(default_factory=dict)


def joined(parts: list[LayerTally]) -> LayerTally:
    """A batch's tally from those of its samples, in order; raster and course of the first."""
    if len(parts) == 1:
        return parts[0]
    votes = [part.votes for part in parts if part.votes is not None]
    counts = {name: sum(getattr(part, name) for part in parts) for name in ("steps", "spikes", "neuron_steps")}
    first, neurons = parts[0], [part.by_neuron for part in parts if part.by_neuron is not None]
    by_neuron = torch.stack(neurons).sum(0) if neurons else None
    voted = torch.cat(votes) if votes else None
    arrived = {way: torch.stack([part.arrived[way] for part in parts]).sum(0) for way in first.arrived}
    return LayerTally(voted, raster=first.raster, course=first.course, by_neuron=by_neuron, arrived=arrived, **counts)


def count_of_all(tallies: dict[str, LayerTally], workers: Workers) -> None:
    """Make spikes, and chances of them, those of a batch of which each of several processes has a part."""
    if workers.size > 1:
        own = torch.tensor([[tally.spikes, tally.neuron_steps] for tally in tallies.values()])
        for tally, (spikes, chances) in zip(tallies.values(), workers.over.total(own).tolist(), strict=True):
            tally.spikes, tally.neuron_steps = spikes, chances


def predictions(votes: Tensor) -> Tensor:
    """The class with the largest vote, (B, K) to (B); the first of equals."""
    return votes.argmax(1)


def tied(votes: Tensor) -> int:
    """How many samples have more than one largest vote."""
    return int(((votes == votes.amax(1, keepdim=True)).sum(1) > 1).sum())


@dataclass
class Scores:
    """``confusion``: by layer, (K, K) counts of recordings, true class by row, predicted class by column; ``spikes`` and
    ``chances``: by layer, spikes and how many neurons times steps could have spiked; ``ties``: of the last layer that votes.
    ``by_neuron``: by layer, spikes (N) of each neuron, and ``predicted``, (3, B) a batch: number, label and predicted class
    of each recording, and ``arrived``, by ``<layer>.<way>``, where these are asked for."""

    num_classes: int
    confusion: dict[str, Tensor] = field(default_factory=dict)
    spikes: dict[str, int] = field(default_factory=dict)
    chances: dict[str, int] = field(default_factory=dict)
    ties: int = 0
    by_neuron: dict[str, Tensor] = field(default_factory=dict)
    predicted: list[Tensor] = field(default_factory=list)
    arrived: dict[str, Tensor] = field(default_factory=dict)

    def add(self, tallies: dict[str, LayerTally], labels: Tensor) -> None:
        """Count a batch."""
        K, ties = self.num_classes, 0
        for name, tally in tallies.items():
            if tally.votes is not None:
                cells = labels * K + predictions(tally.votes).cpu()
                counted = torch.bincount(cells, minlength=K * K).view(K, K)
                self.confusion[name] = self.confusion.get(name, 0) + counted
                ties = tied(tally.votes)
            if tally.neuron_steps:
                self.spikes[name] = self.spikes.get(name, 0) + tally.spikes
                self.chances[name] = self.chances.get(name, 0) + tally.neuron_steps
        self.ties += ties

    def keep(self, tallies: dict[str, LayerTally], labels: Tensor, index: Tensor) -> None:
        """Keep a batch's spikes by neuron, and what the last layer that votes said of recordings ``index`` (B)."""
        for name, tally in tallies.items():
            if tally.by_neuron is not None and tally.neuron_steps:
                self.by_neuron[name] = self.by_neuron.get(name, 0) + tally.by_neuron.cpu()
            for way, counts in tally.arrived.items():
                self.arrived[f"{name}.{way}"] = self.arrived.get(f"{name}.{way}", 0) + counts.cpu()
        votes = next(tally.votes for tally in reversed(tallies.values()) if tally.votes is not None)
        self.predicted.append(torch.stack([index, labels, predictions(votes).cpu()]))

    def of_all(self, workers: Workers) -> "Scores":
        """Those of all processes, each of which has scored some batches in turn; process 0 the first of them."""
        if workers.size == 1:
            return self
        parts = [Scores._read(self.num_classes, content) for content in workers.exchanged(self._written())]
        whole = Scores(self.num_classes, ties=sum(part.ties for part in parts))
        for part in parts:
            for name in ("confusion", "spikes", "chances", "by_neuron", "arrived"):
                sums = getattr(whole, name)
                for layer, counts in getattr(part, name).items():
                    sums[layer] = sums.get(layer, 0) + counts
        turns = zip_longest(*(part.predicted for part in parts))
        whole.predicted = [batch for turn in turns for batch in turn if batch is not None]
        return whole

    def _written(self) -> bytes:
        """For another process: counts, which float64 and so JSON keep exactly."""
        named = ("confusion", "by_neuron", "arrived")
        tensors = {name: {k: v.tolist() for k, v in getattr(self, name).items()} for name in named}
        numbers = {"spikes": self.spikes, "chances": self.chances, "ties": self.ties}
        return json.dumps({**tensors, **numbers, "predicted": [batch.tolist() for batch in self.predicted]}).encode()

    @staticmethod
    def _read(num_classes: int, content: bytes) -> "Scores":
        """What `_written` gave."""
        found = json.loads(content)
        found["confusion"] = {name: torch.tensor(counts) for name, counts in found["confusion"].items()}
        for kind in ("by_neuron", "arrived"):
            found[kind] = {name: torch.tensor(n, dtype=torch.float64) for name, n in found[kind].items()}
        found["predicted"] = [torch.tensor(batch) for batch in found["predicted"]]
        return Scores(num_classes, **found)

    def accuracies(self) -> dict[str, float]:
        """Share of recordings whose class was predicted, by layer."""
        return {name: (c.diagonal().sum() / c.sum().clamp(min=1)).item() for name, c in self.confusion.items()}

    def accuracy(self) -> float:
        """That of the last layer, which is the net's."""
        return list(self.accuracies().values())[-1]

    def rates(self) -> dict[str, float]:
        """Spikes per neuron and time step, by layer."""
        return {name: self.spikes[name] / max(1, self.chances[name]) for name in self.spikes}

    def rates_by_neuron(self) -> dict[str, Tensor]:
        """Spikes per time step of each neuron (N), by layer, as far as they were kept."""
        return {
            name: spikes.double() * len(spikes) / max(1, self.chances[name]) for name, spikes in self.by_neuron.items()
        }

    def last_confusion(self) -> Tensor:
        """That of the last layer."""
        return list(self.confusion.values())[-1]

    def summary(self, part: str) -> dict[str, Any]:
        """Plain values: ``<part>_accuracy`` of the net and of each layer, share of ties, rates, and the last layer's
        confusion matrix."""
        layers = {f"{part}_accuracy_{name}": value for name, value in self.accuracies().items()}
        rates = {f"rate_{name}": value for name, value in self.rates().items()}
        spikes = {f"spikes_{name}": value for name, value in self.spikes.items()}
        return {
            f"{part}_accuracy": self.accuracy(),
            f"{part}_ties": self.ties / max(1, int(self.last_confusion().sum())),
            **layers,
            **rates,
            **spikes,
            "confusion": self.last_confusion().tolist(),
        }


SUMS = ("correct", "samples", "loss", "steps", "spikes", "chances", "updates", "weights")


def names_of_sums(names: Iterable[str]) -> frozenset[str]:
    """The keys of an epoch's sums for layers ``names``."""
    return frozenset(f"{name}/{key}" for name in names for key in SUMS)


def add_up(sums: dict[str, float], tallies: dict[str, LayerTally], labels: Tensor) -> None:
    """Add a training batch to the epoch's ``sums``, plain numbers that a checkpoint can carry."""
    for name, tally in tallies.items():
        correct = samples = 0
        if tally.votes is not None:
            correct, samples = int((predictions(tally.votes).cpu() == labels).sum()), len(labels)
        values = (
            correct, samples, tally.loss, tally.steps, tally.spikes, tally.neuron_steps, tally.updates, tally.weight_steps,
        )  # fmt: skip
        for key, value in zip(SUMS, values, strict=True):
            sums[f"{name}/{key}"] = sums.get(f"{name}/{key}", 0) + value


def epoch_record(sums: dict[str, float], validation: Scores | None, training: Scores | None) -> dict[str, float]:
    """What an epoch is remembered by, ``<figure>_<layer>``: loss (per sample, and per step in local learning), spikes and
    weight updates, and the share of neurons times steps, or weights times steps, that these are; and three accuracies.

    ``online_accuracy``: of the net as it was when each batch came. In local learning its weights moved while it voted, which
    says little about what the net can do. ``train_accuracy`` and ``validation_accuracy``: of the net as it then is, frozen.
    """
    record = {}
    for name in dict.fromkeys(key.split("/")[0] for key in sums):
        of = {key: sums[f"{name}/{key}"] for key in SUMS}
        if of["samples"]:
            record[f"online_accuracy_{name}"] = of["correct"] / of["samples"]
            record[f"loss_{name}"] = of["loss"] / max(1, of["steps"])
        if of["chances"]:
            record[f"spikes_{name}"], record[f"rate_{name}"] = of["spikes"], of["spikes"] / of["chances"]
        if of["weights"]:
            record[f"updates_{name}"], record[f"update_share_{name}"] = of["updates"], of["updates"] / of["weights"]
    for part, scores in (("train", training), ("validation", validation)):
        if scores is not None:
            record |= {f"{part}_accuracy_{name}": value for name, value in scores.accuracies().items()}
    return record
