"""A run of local learning: batch by batch over the recordings, validated every so many epochs and at the end."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from qsnn.data.events.batches import Batch, num_batches, test_batches, train_batches
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.split import Indices, Split
from qsnn.data.events.windows import WindowSettings
from qsnn.dynamics import schedule_factor
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.training.gradient_codes import gradient_code_bits
from qsnn.training.local_learning import LayerTally, evaluate_batch, train_batch
from qsnn.training.local_scores import Scores, add_up, empty_scores, epoch_record, names_of_sums
from qsnn.training.local_state import BestEpoch, LocalTrainingState
from qsnn.training.loop import Reporter

FULL_PRECISION_DIVISOR = 5.0
log = logging.getLogger(__name__)


class LocalSettings(NamedTuple):
    """``burn_in``: time steps without learning and without votes. ``lr_div``: in every epoch, counted from 1, that is a
    multiple of it, eta halves, and the learning rate on unquantized gradients falls to a fifth; None: never. ``validate_every``
    and ``checkpoint_every``: epochs. ``train_sample``: training recordings that are scored when the net is validated; None: as
    many as validation has. Schedules as in `qsnn.dynamics.schedules`, on top of ``lr_div``."""

    epochs: int
    batch_size: int
    burn_in: int
    dropout: float
    lr_div: int | None
    validate_every: int
    train_sample: int | None
    checkpoint_every: int
    rounding: GradientRounding
    backend: Backend
    lr_schedule: str
    eta_schedule: str
    num_halvings: int
    seed: int
    num_workers: int

    def lr_factor(self, epoch: int) -> float:
        """What multiplies the learning rate in ``epoch``."""
        factor = schedule_factor(self.lr_schedule, epoch, self.epochs, self.num_halvings)
        return (
            factor
            if self.rounding.gradient_bits is not None
            else factor / FULL_PRECISION_DIVISOR ** self._divisions(epoch)
        )

    def rounding_in(self, epoch: int) -> GradientRounding:
        """Gradient rounding with the eta of ``epoch``."""
        factor = schedule_factor(self.eta_schedule, epoch, self.epochs, self.num_halvings) / 2.0 ** self._divisions(
            epoch
        )
        return self.rounding._replace(eta=self.rounding.eta * factor)

    def _divisions(self, epoch: int) -> int:
        return 0 if self.lr_div is None else epoch // self.lr_div


class LocalReporter(Reporter, Protocol):
    """What a run of local learning tells."""

    def after_batch(self, sums: dict[str, float]) -> None:
        """``sums``: what the epoch so far adds up to, see `qsnn.training.local_scores.add_up`."""

    def after_epoch(self, run: "LocalRun", record: dict[str, float], validation: Scores | None) -> None:
        """An epoch has ended, with its figures and, where it was validated, scores."""

    def finish(self, run: "LocalRun", final: Scores, best: Scores | None) -> None:
        """Test scores of the last and of the best weights."""


class LocalRun(NamedTuple):
    """Everything that the loop works on. ``facts``: plain values that every checkpoint carries, such as the config."""

    state: LocalTrainingState
    dataset: EventDataset
    split: Split
    train_windows: WindowSettings
    test_windows: WindowSettings
    settings: LocalSettings
    folder: Path
    facts: dict[str, Any]
    under_way: dict[str, Iterator[Batch]]
    """the epoch's batches, so that workers can prepare them ahead; rebuilt from the state when a run is resumed"""
    validated: dict[tuple[int, int], Scores]
    """the last validation by (epoch, batch), so that the end needs no second one; not saved"""

    def batches_per_epoch(self) -> int:
        """How many pieces `advance` makes of an epoch."""
        return num_batches(len(self.split.train), self.settings.batch_size)

    def started(self) -> bool:
        """Whether a batch is done."""
        return self.state.epoch > 0 or self.state.batch > 0

    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.state.epoch >= self.settings.epochs

    def advance(self, reporter: LocalReporter) -> bool:
        """Train one batch; at the end of an epoch validate and report it. Whether a checkpoint is due."""
        state, settings = self.state, self.settings
        batch = self._next_batch()
        epoch = state.epoch + 1
        tallies = train_batch(
            state, batch, settings.burn_in, settings.dropout, settings.rounding_in(epoch), settings.lr_factor(epoch),
            settings.backend,
        )  # fmt: skip
        add_up(state.sums, tallies, batch.labels)
        state.batch += 1
        reporter.after_batch(state.sums)
        if state.batch < self.batches_per_epoch():
            return False
        self.under_way.clear()
        state.epoch, state.batch = epoch, 0
        self._end_of_epoch(reporter)
        return epoch % settings.checkpoint_every == 0

    def _next_batch(self) -> Batch:
        state, settings = self.state, self.settings
        if "epoch" not in self.under_way:
            self.under_way["epoch"] = train_batches(
                self.dataset, self.split.train, self.train_windows, settings.batch_size, settings.seed,
                state.epoch + 1, state.batch, settings.num_workers,
            )  # fmt: skip
        return next(self.under_way["epoch"])

    def _end_of_epoch(self, reporter: LocalReporter) -> None:
        # Not the last epoch as such: a run that is resumed to go on further must do what a longer run would have done.
        state, due = self.state, self.state.epoch % self.settings.validate_every == 0
        validation = self.validate() if due else None
        if validation is not None:
            state.best = self._better(validation.accuracy())
        sample = self.train_sample()
        training = self.evaluate(sample) if due and len(sample) else None
        record, state.sums = epoch_record(state.sums, validation, training), {}
        widths = gradient_code_bits(state.largest_codes, self.settings.rounding)
        record |= {f"gradient_code_bits_{name}": bits for name, bits in widths.items()}
        reporter.after_epoch(self, record, validation)

    def validate(self) -> Scores | None:
        """Scores of the net as it is on the validation part; None if there is none."""
        place = (self.state.epoch, self.state.batch)
        if not len(self.split.validation):
            return None
        if place not in self.validated:
            scores = self.evaluate(self.split.validation)
            self.validated.clear()
            self.validated[place] = scores
        return self.validated[place]

    def train_sample(self) -> Indices:
        """The training recordings that the net, as it is, is scored on: always the same, evenly spread over all of them."""
        wanted = self.settings.train_sample
        return self._spread(len(self.split.validation) if wanted is None else wanted)

    def _spread(self, count: int) -> Indices:
        train, count = self.split.train, min(len(self.split.train), count)
        return train[np.arange(count) * len(train) // max(1, count)]

    def _better(self, accuracy: float) -> BestEpoch:
        """The best epoch so far or, if their validation ``accuracy`` is higher, a copy of the weights of now."""
        state = self.state
        if state.best is not None and accuracy <= state.best.accuracy:
            return state.best
        return BestEpoch(state.epoch, accuracy, self._weights())

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.state.model.state_dict().items()}

    def evaluate(self, indices: Indices) -> Scores:
        """Accuracy, votes and spikes of the net as it is on recordings ``indices``."""
        scores = empty_scores(self.state.model)
        for batch in self.test_batches(indices):
            scores.add(evaluate_batch(self.state.model, batch, self.settings.burn_in), batch.labels)
        return scores

    def test_batches(self, indices: Indices) -> Iterator[Batch]:
        """Recordings from their start."""
        return test_batches(
            self.dataset, indices, self.test_windows, self.settings.batch_size, self.settings.num_workers
        )

    def training_batch(self) -> Batch:
        """Always the same training recordings, as many as a batch, each presented from its start."""
        chosen = self._spread(self.settings.batch_size)
        return next(test_batches(self.dataset, chosen, self.train_windows, len(chosen)))

    def example(self) -> tuple[Batch, dict[str, LayerTally]]:
        """The first test recording and what the net does with it, for rasters."""
        batch = next(self.test_batches(self.split.test[:1]))
        return batch, evaluate_batch(self.state.model, batch, self.settings.burn_in, keep_raster=True)

    def layout(self) -> dict[str, Any]:
        """What a checkpoint of this run looks like, beside `facts`."""
        return self.state.layout(self.batches_per_epoch(), names_of_sums(self.state.model))

    def best_so_far(self) -> BestEpoch | None:
        """The best weights among those that were validated."""
        return self.state.best

    def best_at_the_end(self) -> BestEpoch | None:
        """The same with the weights of now among them: they are validated, even if no validation is due."""
        if not self.started() or not len(self.split.validation):
            return self.state.best
        if (self.state.epoch, self.state.batch) not in self.validated:
            log.info("validating the last weights, so that they count among the best; the checkpoint is written")
        scores = self.validate()
        return self.state.best if scores is None else self._better(scores.accuracy())

    def conclude(
        self, reporter: LocalReporter, stopped: bool, best: BestEpoch | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scores of the last weights and of ``best`` in validation and test; raster.png and the confusion matrix.

        A run that was stopped is not tested: `qsnn.evaluate` does that. Without a validation part nothing is best.
        """
        validation = self.validate() if self.started() else None
        last = {} if validation is None else {"validation_accuracy": validation.accuracy()}
        reached = {} if best is None else {"epoch": best.epoch, "validation_accuracy": best.accuracy}
        if stopped:
            return last, reached
        final, chosen = self.evaluate(self.split.test), None
        if best is not None:
            chosen = self.test_of(best.weights)
            reached |= chosen.summary("test")
        reporter.finish(self, final, chosen)
        return {**last, **final.summary("test")}, reached

    def test_of(self, weights: dict[str, Tensor]) -> Scores:
        """Test scores of other weights; those of the net are put back."""
        model, now = self.state.model, self._weights()
        model.load_state_dict(weights)
        scores = self.evaluate(self.split.test)
        model.load_state_dict(now)
        return scores
