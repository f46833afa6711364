"""Recordings with classes as a task: batches of windows, validated every so many epochs and at the end, and tested."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from qsnn.data.events.batches import Batch, num_batches, test_batches, train_batches
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.split import Indices, Split
from qsnn.data.events.windows import WindowSettings, input_shape
from qsnn.kernels.workers import ONE, Workers
from qsnn.models.spike_counts import SpikeCounts, spike_counts
from qsnn.training.class_scores import LayerTally, Scores, add_up, epoch_record, names_of_sums
from qsnn.training.gradient_codes import code_bits_figures
from qsnn.training.run import Detail, Ending, Epoch, Look, Run
from qsnn.training.state import Best, TrainingState

log = logging.getLogger(__name__)


class ClassSettings(NamedTuple):
    """``validate_every``: epochs. ``train_sample``: training recordings that are scored when the net is validated; None: as
    many as validation has. ``seed``: of order, windows and jitter."""

    batch_size: int
    validate_every: int
    train_sample: int | None
    seed: int
    num_workers: int


def class_settings(trainer: Any, dataset: Any) -> ClassSettings:
    """From the options' keys."""
    return ClassSettings(
        trainer.batch_size, trainer.validate_every, trainer.train_sample, dataset.seed, dataset.num_workers
    )


class Voting(Protocol):
    """What a way to learn must be able to do, beside learning."""

    def tallies(self, lesson: Any, batch: Batch) -> dict[str, LayerTally]:
        """What a lesson measured, by layer."""

    def evaluate(
        self, model: Any, batch: Batch, keep_raster: bool = False, by_neuron: bool = False
    ) -> dict[str, LayerTally]:
        """Votes and spikes of a batch, without learning."""


@dataclass
class ClassTask:
    """An epoch is every training recording once. The best weights are those of the highest validation accuracy of the last
    layer, of equals the earlier ones."""

    dataset: EventDataset
    split: Split
    train_windows: WindowSettings
    test_windows: WindowSettings
    settings: ClassSettings
    learner: Voting
    workers: Workers = ONE
    _validated: dict[tuple[int, int], Scores] = field(default_factory=dict, repr=False)
    """the last validation by (epoch, batch), so that the end needs no second one; not saved"""
    _headline: str = ""

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return num_batches(len(self.split.train), self.settings.batch_size)

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.dataset.classes)

    @property
    def inputs(self) -> tuple[int, int, int]:
        """(C, H, W) of the rasters."""
        return input_shape(self.dataset.sensor, self.train_windows)

    @property
    def num_steps(self) -> int:
        """T of a window in training."""
        return self.train_windows.num_steps

    @property
    def num_outputs(self) -> int:
        """As many as there are classes."""
        return len(self.classes)

    def facts(self) -> dict[str, Any]:
        """How many recordings each part has."""
        return {"recordings": {name: len(part) for name, part in self.split._asdict().items()}}

    def shapes(self) -> dict[str, Any]:
        """Sizes of input and output, names of the classes, height and width of the sensor."""
        sensor = [int(side) for side in self.dataset.sensor]
        return {
            "inputs": list(self.inputs), "num_outputs": self.num_outputs, "classes": list(self.classes), "sensor": sensor,
        }  # fmt: skip

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """`train_batches`."""
        settings = self.settings
        return train_batches(
            self.dataset, self.split.train, self.train_windows, settings.batch_size, settings.seed, epoch, first,
            settings.num_workers, self.workers,
        )  # fmt: skip

    def names_of_sums(self, run: Run) -> frozenset[str]:
        """`class_scores.names_of_sums`."""
        return names_of_sums(run.state.model.layers)

    def before_update(self, state: TrainingState, loss: float) -> None:
        """Nothing: the best weights are chosen by validation."""

    def add_up(self, state: TrainingState, batch: Batch, lesson: Any) -> str:
        """`class_scores.add_up`; the headline is of the last layer, in the epoch so far."""
        add_up(state.sums, self.learner.tallies(lesson, batch), batch.labels)
        sums, last = state.sums, list(state.sums)[-1].split("/")[0]
        share = sums[f"{last}/correct"] / sums[f"{last}/samples"]
        loss = sums[f"{last}/loss"] / max(1, sums[f"{last}/steps"])
        return f"online={share:.1%}, loss={loss:.3f}{self._headline}"

    def end_epoch(self, run: Run, lesson: Any, figures_wanted: bool) -> Epoch:
        """Validate, if it is due, and score the training sample; figures of both and of the epoch."""
        # Not the last epoch as such: a run that is resumed to go on further must do what a longer run would have done.
        state, due = run.state, run.state.epoch % self.settings.validate_every == 0
        validation = self.validate(run) if due else None
        if validation is not None:
            state.best = self._better(run, validation.accuracy())
            self._headline = f", validation={validation.accuracy():.1%}"
        sample = self.train_sample()
        training = self.evaluate(run, sample) if due and len(sample) else None
        figures, state.sums = epoch_record(state.sums, validation, training), {}
        figures |= code_bits_figures(state.largest_codes, run.settings.rounding)
        confusion = None if validation is None else validation.last_confusion()
        return Epoch(
            figures if figures_wanted or validation is not None else None, "", confusion, lambda: self.look(run)
        )

    def validate(self, run: Run) -> Scores | None:
        """Scores of the net as it is on the validation part; None if there is none."""
        place = (run.state.epoch, run.state.batch)
        if not len(self.split.validation):
            return None
        if place not in self._validated:
            self._validated = {place: self.evaluate(run, self.split.validation)}
        return self._validated[place]

    def train_sample(self) -> Indices:
        """The training recordings that the net, as it is, is scored on: always the same, evenly spread over all of them."""
        wanted = self.settings.train_sample
        return self._spread(len(self.split.validation) if wanted is None else wanted)

    def _spread(self, count: int) -> Indices:
        train, count = self.split.train, min(len(self.split.train), count)
        return train[np.arange(count) * len(train) // max(1, count)]

    def _better(self, run: Run, accuracy: float) -> Best:
        """The best epoch so far or, if their validation ``accuracy`` is higher, a copy of the weights of now."""
        best = run.state.best
        if best is not None and accuracy <= best.score:
            return best
        return Best(run.state.epoch, accuracy, run.weights())

    def evaluate(self, run: Run, indices: Indices, keep: bool = False) -> Scores:
        """Accuracy, votes and spikes of the net as it is on recordings ``indices``, whose batches all processes share;
        ``keep``: by neuron and recording too."""
        scores = Scores(len(self.classes))
        for batch in self.test_batches(indices, self.workers):
            tallies = self.learner.evaluate(run.state.model, batch, by_neuron=keep)
            scores.add(tallies, batch.labels)
            if keep:
                scores.keep(tallies, batch.labels, batch.index)
        return scores.of_all(self.workers)

    def _counts(self, run: Run, scores: Scores) -> SpikeCounts | None:
        """Those of the test recordings, which ``scores`` kept, met by the net's weights of now."""
        size = len(self.split.test), self.test_windows.num_steps
        return spike_counts(run.state.model, self.inputs, size, scores.arrived, scores.spikes)

    def test_batches(self, indices: Indices, sharing: Workers = ONE) -> Iterator[Batch]:
        """Recordings from their start; of several processes each has some of the batches."""
        settings = self.settings
        return test_batches(
            self.dataset, indices, self.test_windows, settings.batch_size, settings.num_workers, sharing
        )

    def example_batch(self) -> Batch:
        """Always the same training recordings, as many as a batch, each presented from its start."""
        chosen = self._spread(self.settings.batch_size)
        return next(test_batches(self.dataset, chosen, self.train_windows, len(chosen)))

    def counts_of_example(self, run: Run) -> SpikeCounts | None:
        """Of a batch of training recordings, presented as in a test to the net as it is."""
        batch = next(self.test_batches(self._spread(self.settings.batch_size)))
        scores, samples = Scores(len(self.classes)), len(batch.labels)
        tallies = self.learner.evaluate(run.state.model, batch, by_neuron=True)
        scores.add(tallies, batch.labels)
        scores.keep(tallies, batch.labels, batch.index)
        return spike_counts(run.state.model, self.inputs, (samples, len(batch.input)), scores.arrived, scores.spikes)

    def look(self, run: Run) -> Look:
        """Events of the first test recording, and the spikes that each layer hands on."""
        batch = next(self.test_batches(self.split.test[:1]))
        tallies = self.learner.evaluate(run.state.model, batch, keep_raster=True)
        events: Tensor = batch.input[:, :1].flatten(2)
        rasters = {"input": (events != 0).to(torch.float32)}
        rasters |= {name: torch.stack(tally.raster)[:, None] for name, tally in tallies.items() if tally.raster}
        title = f"epoch {run.state.epoch}, first test recording; time to the right, pooled neurons downward"
        return Look(title, rasters)

    def best_so_far(self, run: Run) -> Best | None:
        """The best weights among those that were validated."""
        return run.state.best

    def best_at_the_end(self, run: Run) -> Best | None:
        """The same with the weights of now among them: they are validated, even if no validation is due."""
        if not run.started() or not len(self.split.validation):
            return run.state.best
        if (run.state.epoch, run.state.batch) not in self._validated:
            log.info("validating the last weights, so that they count among the best; the checkpoint is written")
        scores = self.validate(run)
        return run.state.best if scores is None else self._better(run, scores.accuracy())

    def conclude(
        self, run: Run, stopped: bool, best: Best | None
    ) -> tuple[dict[str, Any], dict[str, Any], Ending | None]:
        """Scores of the last and of the best weights.

        A run that was stopped is not tested: `qsnn.evaluate` does that. Without a validation part nothing is best.
        """
        validation = self.validate(run) if run.started() or run.finished() else None
        last = {} if validation is None else {"validation_accuracy": validation.accuracy()}
        reached = {} if best is None else {"epoch": best.epoch, "validation_accuracy": best.score}
        if stopped:
            return last, reached, None
        final = shown = self.evaluate(run, self.split.test, keep=best is None)
        scores = {"final/test_accuracy": final.accuracy()}
        if best is None:
            counts = self._counts(run, final)
        else:
            shown, counts = self._test_of(run, best.weights)
            reached |= shown.summary("test")
            scores["best/test_accuracy"] = shown.accuracy()
        predicted = torch.cat(shown.predicted, 1) if shown.predicted else None
        detail = Detail(shown.rates_by_neuron(), predicted, counts)
        ending = Ending(scores, self.look(run), shown.last_confusion(), detail)
        return {**last, **final.summary("test")}, reached, ending

    def _test_of(self, run: Run, weights: dict[str, Tensor]) -> tuple[Scores, SpikeCounts | None]:
        """Test scores of other weights, and what was counted; those of the net are put back."""
        model, now = run.state.model, run.weights()
        model.load_state_dict(weights)
        scores = self.evaluate(run, self.split.test, keep=True)
        counts = self._counts(run, scores)
        model.load_state_dict(now)
        return scores, counts

    def scores_now(self, run: Run) -> tuple[dict[str, Any], Ending | None]:
        """Accuracies, rates and confusion matrix of the weights as they are."""
        self._validated = {}
        validation = self.validate(run)
        known = {} if validation is None else {"validation_accuracy": validation.accuracy()}
        return {**known, **self.evaluate(run, self.split.test).summary("test")}, None
