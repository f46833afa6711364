"""The loop of several runs at once: what `qsnn.training.loop.train` does for one, a batch of each at a time."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from qsnn.errors import QsnnError
from qsnn.training.clock import Clock
from qsnn.training.interrupt import StopRequest
from qsnn.training.loop import TOLD_FROM, Outcome, save_best, write
from qsnn.training.run import Order, Rates, Reporter, Run
from qsnn.training.state import Best
from qsnn.training.together.batches import SharedBatches, draw_alike
from qsnn.training.together.stacked import StackedRuns, stack_runs

log = logging.getLogger(__name__)
MOST_WRITERS = 16
Failure = QsnnError | OSError
"""What ends one run, and not the others."""
Ended = Callable[[int, Outcome | Failure], None]
"""Is told of each run's end, by its number."""


@dataclass
class _Member:
    """A run among others; ``reporter``, ``clock``: once training begins. ``ended``: it has failed, by ``error``, or its outcome
    is told."""

    number: int
    run: Run
    make_reporter: Callable[[], Reporter]
    reporter: Reporter | None = None
    error: Failure | None = None
    clock: Clock | None = None
    ended: bool = False
    written: tuple[int, float] | None = None
    """epoch and score of the best weights that best.pt holds, as far as this process has written it"""

    def trains(self) -> bool:
        """Whether there is more for it to learn."""
        return not self.ended and not self.run.finished()

    def told(self) -> Reporter:
        """The reporter, which is there."""
        assert self.reporter is not None
        return self.reporter


def _mark(best: Best | None) -> tuple[int, float] | None:
    return None if best is None else (best.epoch, best.score)


def _news(member: _Member, best: Best | None) -> Best | None:
    """The best weights, unless best.pt holds them."""
    return None if _mark(best) == member.written else best


def _course(run: Run) -> tuple[Any, ...]:
    """What rates follow from, beside the place."""
    return run.settings, run.task.batches_per_epoch


class _Together:
    """All members. ``turn`` is told whose turn it is, so that what is logged can be kept apart; None: everybody's."""

    def __init__(self, members: list[_Member], turn: Callable[[int | None], None], ended: Ended) -> None:
        self.members, self._turn, self._ended = members, turn, ended
        self._writers = ThreadPoolExecutor(min(MOST_WRITERS, len(members)), thread_name_prefix="checkpoint")
        self._stack: StackedRuns | None = None
        self._batches: SharedBatches | None = None
        first = members[0].run
        self._same_course = all(_course(member.run) == _course(first) for member in members)

    @contextlib.contextmanager
    def alone(self, member: _Member) -> Iterator[None]:
        """What goes wrong within is this member's end, and nobody else's."""
        self._turn(member.number)
        try:
            yield
        except (QsnnError, OSError) as error:
            self._fail(member, error)
        finally:
            self._turn(None)

    def _fail(self, member: _Member, error: Failure) -> None:
        member.ended, member.error = True, error
        self._ended(member.number, error)

    def begin(self) -> None:
        """A checkpoint of each that has none, so that there is always one, and its reporter; how they will learn."""
        self._save([member for member in self.members if not member.run.started()])
        for member in self._present():
            with self.alone(member):
                member.reporter = member.make_reporter()
                member.reporter.__enter__()
        runs = [member.run for member in self.members]
        self._stack = stack_runs(runs)
        if self._stack is not None:
            log.info("%d runs as one batch of nets", len(runs))
            return
        log.info(
            "%d runs in one process, each batch in turn: one batch of nets is made of fully connected spiking layers with "
            "quantized weights and errors of at most 8 bits that learn a raster, by the numba kernels", len(runs),
        )  # fmt: skip
        self._batches = SharedBatches() if all(draw_alike(runs[0], run) for run in runs) else None

    def _present(self) -> list[_Member]:
        return [member for member in self.members if not member.ended]

    def train(self) -> int:
        """Each to its last epoch, or all until a signal; checkpoints when they are due and at the end. The signal, or 0."""
        for member in self.members:
            member.clock = Clock(member.run.state)
        if any(member.trains() for member in self.members):
            compiled = self._advance()  # may compile for a minute: until here a signal ends the command at once
            if compiled >= TOLD_FROM:
                log.info("kernels are ready: %.1f s to compile them or to load them from disk", compiled)
        with StopRequest() as stop:
            while not stop.signal_number and any(member.trains() for member in self.members):
                self._advance()
            self._save(self._present())
        return stop.signal_number

    def _advance(self) -> float:
        """A batch of each that is not at its end, and the checkpoints that are due. The seconds spent on compiling so far."""
        learning, compiled = [member for member in self.members if member.trains()], 0.0
        due = self._side_by_side(learning) if self._stack is not None else self._in_turn(learning)
        for member in learning:
            if member.clock is not None:
                compiled = max(compiled, member.clock.read(member.run.state))
        if due:
            self._save([member for member in due if member.trains()])
        return compiled

    def _side_by_side(self, learning: Sequence[_Member]) -> list[_Member]:
        """One step of the stack; those whose checkpoint is due."""
        assert self._stack is not None
        orders: dict[int, Order] = {}
        rates: dict[tuple[int, int], Rates] = {}
        for member in learning:
            run, place = member.run, (member.run.state.epoch, member.run.state.batch)
            known = rates.get(place) if self._same_course else None
            order = orders[member.number] = run.order(run.keeps(member.told()), rates=known)
            rates[place] = order.rates
        lessons = self._stack.learn(orders)
        return [member for member in learning if self._take(member, orders[member.number], lessons[member.number])]

    def _in_turn(self, learning: Sequence[_Member]) -> list[_Member]:
        """The same, one after the other, so that no more than one net's activity is in memory."""
        due = []
        for member in learning:
            with self.alone(member):
                run, order = member.run, self._order(member)
                if run.take(order, run.learner.learn(run.state, *order), member.told()):
                    due.append(member)
        return due

    def _order(self, member: _Member) -> Order:
        """What it learns next, with the batch that another has drawn, if it is the same."""
        run, batches = member.run, self._batches
        order = run.order(run.keeps(member.told()), None if batches is None else batches.at(run))
        if batches is not None:
            batches.note(run, order.batch)
        return order

    def _take(self, member: _Member, order: Order, lesson: Any) -> bool:
        """Go on by a lesson, or end by what went wrong in it; whether a checkpoint is due."""
        due = False
        with self.alone(member):
            if isinstance(lesson, QsnnError):
                raise lesson
            due = member.run.take(order, lesson, member.told())
        return due

    def _save(self, members: Sequence[_Member]) -> None:
        """Checkpoints, each written by a thread of its own: what takes time is the disk's answer."""
        ready: list[tuple[_Member, Best | None]] = []
        for member in members:
            with self.alone(member):
                if member.reporter is not None:
                    member.reporter.flush()
                ready.append((member, member.run.task.best_so_far(member.run)))
        writing = [
            (member, best, self._writers.submit(write, member.run, _news(member, best))) for member, best in ready
        ]
        for member, best, written in writing:
            with self.alone(member):
                written.result()
                member.written = _mark(best)

    def conclude(self, signal_number: int) -> None:
        """The scores of each, and its last words."""
        for member in self._present():
            with self.alone(member):
                run, state = member.run, member.run.state
                winner = run.task.best_at_the_end(run)  # after a checkpoint: it may take a while
                save_best(run, winner)
                number = 0 if run.finished() else signal_number
                final, best, ending = run.task.conclude(run, bool(number), winner)
                if ending is not None:
                    member.told().finish(run, ending)
                self._close(member)
                status = "stopped" if number else "finished"
                outcome = Outcome(status, number, final, best, state.seconds, state.seconds_start)
                member.ended = True
                self._ended(member.number, outcome)

    def _close(self, member: _Member) -> None:
        reporter, member.reporter = member.reporter, None
        if reporter is not None:
            reporter.__exit__(None if member.error is None else type(member.error), member.error, None)

    def close(self) -> None:
        """Close what is still open."""
        self._writers.shutdown()
        for member in self.members:
            with contextlib.suppress(OSError):  # it has ended already: by this error, or with all the others
                self._close(member)


def train_together(
    runs: Sequence[tuple[Run, Callable[[], Reporter]]], ended: Ended, turn: Callable[[int | None], None]
) -> int:
    """Train all runs to their ends, or until Ctrl-C or SIGTERM (the signal is returned, else 0), and write the pictures.

    ``ended`` is told of each one's outcome, or of what ended it: that is no end of the others. ``turn``: see `_Together`.
    Raises Stopped for a signal in the first batch, which loses nothing, or after the end of training, when all is saved.
    """
    members = [_Member(number, run, make) for number, (run, make) in enumerate(runs)]
    together = _Together(members, turn, ended)
    try:
        together.begin()
        signal_number = together.train()
        together.conclude(signal_number)
    finally:
        together.close()
    return signal_number
