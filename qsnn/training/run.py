"""A run: a net that learns a task, batch by batch, in one of the ways to learn. Whatever these are, this is all of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from qsnn.dynamics import schedule_factor
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.workers import ONE, Workers
from qsnn.models.spike_counts import SpikeCounts
from qsnn.training.state import Best, TrainingState

FULL_PRECISION_DIVISOR = 5.0
Self = TypeVar("Self")


class Rates(NamedTuple):
    """How far a batch moves the weights: how gradients are rounded, by layer, and what multiplies the rule's learning rate."""

    rounding: dict[str, GradientRounding]
    lr_factor: float


class RunSettings(NamedTuple):
    """``epochs`` in all, ``checkpoint_every`` so many of them (and at the end, and when the run is stopped).

    ``rounding``: of gradients, by layer. Schedules (`qsnn.dynamics.schedules`) depend on the epoch alone or, ``by_update``,
    on the batch, so that a resumed run follows them. ``lr_div``, on top of them: in every epoch, counted from 1, that is a
    multiple of it, eta halves, and the learning rate on unquantized gradients falls to a fifth; None: never.
    """

    epochs: int
    checkpoint_every: int
    rounding: dict[str, GradientRounding]
    lr_schedule: str
    eta_schedule: str
    num_halvings: int
    lr_div: int | None = None
    by_update: bool = False

    def rates_at(self, epoch: int, batch: int, batches_per_epoch: int) -> Rates:
        """Those of a batch, counted from 0, of ``epoch``, counted from 1."""
        divisions = 0 if self.lr_div is None else epoch // self.lr_div
        place, whole = epoch, self.epochs
        if self.by_update:
            place, whole = (epoch - 1) * batches_per_epoch + batch + 1, self.epochs * batches_per_epoch
        eta_factor = schedule_factor(self.eta_schedule, place, whole, self.num_halvings) / 2.0**divisions
        rounding = {name: layer._replace(eta=layer.eta * eta_factor) for name, layer in self.rounding.items()}
        lr_factor = schedule_factor(self.lr_schedule, place, whole, self.num_halvings)
        if all(layer.gradient_bits is None for layer in self.rounding.values()):
            lr_factor /= FULL_PRECISION_DIVISOR**divisions
        return Rates(rounding, lr_factor)


class Order(NamedTuple):
    """What `Learner.learn` is told beside the state."""

    batch: Any
    rates: Rates
    keep: bool
    before_update: Callable[[float], None]


class Learner(Protocol):
    """A way to learn."""

    @property
    def backend_name(self) -> str:
        """The kernels it computes with."""

    def learn(
        self, state: TrainingState, batch: Any, rates: Rates, keep: bool, before_update: Callable[[float], None]
    ) -> Any:
        """Change the weights by a batch; what was measured (a lesson). ``keep``: also what health is told from.

        ``before_update`` is told the loss of the weights as they were, if all of the batch is presented before they move.
        """


class Look(NamedTuple):
    """Spikes to be drawn, (T, B, N) by name; ``target``: the raster that ``output`` should be."""

    title: str
    rasters: dict[str, Tensor]
    target: Tensor | None = None


class Detail(NamedTuple):
    """What is kept of the evaluation that a run ends with. ``rates``: by layer, spikes per time step of each neuron, (N);
    ``predicted``, (3, n) integers: number, label and predicted class of each test recording, None where there are no classes;
    ``counts``: what operations and accesses follow from."""

    rates: dict[str, Tensor]
    predicted: Tensor | None = None
    counts: SpikeCounts | None = None


class Ending(NamedTuple):
    """What a run ends with, beside its scores: those for TensorBoard's table, spikes, a confusion matrix (K, K), true class
    by row, with the classes' names, and what is kept of the evaluation."""

    scores: dict[str, float]
    look: Look
    confusion: Tensor | None = None
    detail: Detail | None = None


class Epoch(NamedTuple):
    """What an epoch was like. ``figures``: None if nothing asked for them; ``headline``: of them, for the progress bar;
    ``confusion``: of validation, where it was validated; ``look``: makes what there is to draw."""

    figures: dict[str, float] | None
    headline: str
    confusion: Tensor | None
    look: Callable[[], Look]


class Task(Protocol):
    """What is to be learned: it gives batches, and measures the net. Of scores it alone knows which is better."""

    @property
    def batches_per_epoch(self) -> int:
        """How many pieces `Run.advance` makes of an epoch."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, if there are any."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Shape of a sample's input in a step: (N,) or (C, H, W)."""

    @property
    def num_outputs(self) -> int:
        """How many outputs a net needs."""

    @property
    def num_steps(self) -> int:
        """T of a sample in training."""

    def batches(self, epoch: int, first: int) -> Iterator[Any]:
        """The batches of an epoch, counted from 1, from number ``first`` on."""

    def example_batch(self) -> Any:
        """Always the same batch, as for training."""

    def facts(self) -> dict[str, Any]:
        """What summary.json says of it."""

    def shapes(self) -> dict[str, Any]:
        """What a net can be built from without the data: ``inputs``, ``num_outputs``, ``classes``, ``sensor``; plain values."""

    def names_of_sums(self, run: "Run") -> frozenset[str]:
        """The keys of ``state.sums``."""

    def before_update(self, state: TrainingState, loss: float) -> None:
        """See `Learner.learn`."""

    def add_up(self, state: TrainingState, batch: Any, lesson: Any) -> str:
        """Take a lesson into ``state.sums``; a headline for the progress bar, empty for none."""

    def end_epoch(self, run: "Run", lesson: Any, figures_wanted: bool) -> Epoch:
        """Measure what is due; ``state.sums`` is empty after it."""

    def best_so_far(self, run: "Run") -> Best | None:
        """For a checkpoint under way; None if nothing is measured yet. Changes nothing of the state."""

    def best_at_the_end(self, run: "Run") -> Best | None:
        """In the end: the weights of after the last update compete. They do not enter the state, so that a run that goes on
        from its last checkpoint does what it would have done without ending here."""

    def conclude(
        self, run: "Run", stopped: bool, best: Best | None
    ) -> tuple[dict[str, Any], dict[str, Any], Ending | None]:
        """Scores of the last weights and of ``best`` (empty if there are none), and what is to be shown."""

    def counts_of_example(self, run: "Run") -> SpikeCounts | None:
        """Of the net as it is, with a batch."""

    def scores_now(self, run: "Run") -> tuple[dict[str, Any], Ending | None]:
        """Scores of the weights as they are, measured anew."""


class Reporter(Protocol):
    """Whoever tells of a run (`qsnn.reporting`): a context manager around training."""

    def __enter__(self: Self) -> Self:
        """Open what is written to."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""

    def wants_health(self, epoch: int) -> bool:
        """Whether `after_epoch` will ask for what a lesson keeps for health."""

    def wants_figures(self, epoch: int) -> bool:
        """Whether `after_epoch` will write the figures of ``epoch``."""

    def after_batch(self, headline: str) -> None:
        """One piece further."""

    def after_epoch(self, run: "Run", lesson: Any, epoch: Epoch) -> None:
        """``lesson``: the epoch's last."""

    def finish(self, run: "Run", ending: Ending) -> None:
        """The run has ended."""


@dataclass
class Run:
    """Everything that the loop works on. ``facts``: plain values that every checkpoint carries, such as the config;
    ``workers``: the processes that share the run."""

    state: TrainingState
    learner: Learner
    task: Task
    settings: RunSettings
    folder: Path
    facts: dict[str, Any]
    workers: Workers = ONE
    _under_way: Iterator[Any] | None = field(default=None, repr=False)
    """the epoch's batches, so that workers can prepare them ahead; made again from the state when a run is resumed"""

    def started(self) -> bool:
        """Whether a batch is done."""
        return self.state.epoch > 0 or self.state.batch > 0

    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.state.epoch >= self.settings.epochs

    def advance(self, reporter: Reporter, batch: Any = None) -> bool:
        """Learn one batch (``batch``: if it is known already), and report it; whether a checkpoint is due. Between two of these
        a run can stop."""
        order = self.order(self.keeps(reporter), batch)
        return self.take(order, self.learner.learn(self.state, *order), reporter)

    def keeps(self, reporter: Reporter) -> bool:
        """Whether the next lesson must keep what health is told from."""
        last = self.ends_epoch()  # then the processes agree: the one that writes wants it
        return last and bool(self.workers.agreed(reporter.wants_health(self.state.epoch + 1)))

    def ends_epoch(self) -> bool:
        """Whether the next batch is the last of its epoch."""
        return self.state.batch + 1 == self.task.batches_per_epoch

    def take(self, order: Order, lesson: Any, reporter: Reporter) -> bool:
        """Go on by a lesson and report it; whether a checkpoint is due."""
        reporter.after_batch(self.count(order.batch, lesson))
        if self.state.batch:
            return False
        epoch = self.state.epoch
        reporter.after_epoch(self, lesson, self.task.end_epoch(self, lesson, reporter.wants_figures(epoch)))
        return epoch % self.settings.checkpoint_every == 0

    def learn_batch(self, keep: bool = False) -> tuple[Any, str]:
        """Learn the next batch: the lesson (see `Learner.learn`) and a headline. At the end of an epoch nothing is measured."""
        order = self.order(keep)
        lesson = self.learner.learn(self.state, *order)
        return lesson, self.count(order.batch, lesson)

    def order(self, keep: bool, batch: Any = None, rates: Rates | None = None) -> Order:
        """What is to be learned next, and how. ``batch`` and ``rates``: the next ones, if they are known already."""
        state, task, epoch = self.state, self.task, self.state.epoch + 1
        if batch is None:
            batch = self._next_batch(epoch)
        else:
            self._under_way = None  # it stays behind
        if rates is None:
            rates = self.settings.rates_at(epoch, state.batch, task.batches_per_epoch)
        return Order(batch, rates, keep, lambda loss: task.before_update(state, loss))

    def count(self, batch: Any, lesson: Any) -> str:
        """Take a lesson into the state; a headline."""
        state, task = self.state, self.task
        headline = task.add_up(state, batch, lesson)
        state.batch += 1
        if state.batch == task.batches_per_epoch:
            self._under_way, state.epoch, state.batch = None, state.epoch + 1, 0
        return headline

    def _next_batch(self, epoch: int) -> Any:
        if self._under_way is None:
            self._under_way = self.task.batches(epoch, self.state.batch)
        return next(self._under_way)

    def layout(self) -> dict[str, Any]:
        """What a checkpoint of this run looks like, beside `facts` (`qsnn.training.checkpoint_layout`)."""
        return self.state.layout(self.task.batches_per_epoch, self.task.names_of_sums(self))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the net's."""
        return {name: tensor.detach().clone() for name, tensor in self.state.model.state_dict().items()}
