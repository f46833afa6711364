"""What `qsnn.search` does: trials in batches, by the chosen launcher, until there are as many as wanted; then the answer.

The same command goes on: finished trials are kept, interrupted ones resumed. Several processes share one search.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from qsnn.command import EXIT_FAILED_RUNS
from qsnn.config.building.common import to_config
from qsnn.config.building.run import check_startable
from qsnn.config.composition import compose_config, without_hydra
from qsnn.config.paths import wrong_name
from qsnn.config.searching import table
from qsnn.config.searching.identity import FILE, IDENTITY, begin_or_go_on, identity_of
from qsnn.config.searching.journal import alone, check_journal
from qsnn.config.searching.reference import given_reference, reference_of
from qsnn.config.searching.space import Settings, Space, read_space
from qsnn.config.searching.study import FAILED, INFEASIBLE, JOURNAL, KILLED, RESULT, TRIALS, Claimed, Study
from qsnn.config.searching.table import (
    Found,
    Row,
    answer,
    console_table,
    error_text,
    infeasible_lines,
    plain,
    settings_text,
    write_tables,
)
from qsnn.config.searching.trials import Failure, Reached, reached, run_all, runs_of
from qsnn.config.searching.words import Words, read_words
from qsnn.errors import ConfigError
from qsnn.reporting.front_picture import Point, write_front
from qsnn.training.interrupt import Stopped
from qsnn.training.json_file import write_json

ROOT, PAUSE = Path("outputs/search"), 1.0
AGAIN = "the same command goes on with it"


def search(arguments: list[str]) -> None:
    """One search, or a part in one that several processes share. Raises QsnnError and OSError; exits with 1 where a trial
    failed."""
    words = read_words(arguments)
    config, space = words.config, read_space(words.config.search.over, words.config)
    check_startable(config)
    name = config.search.name or config.name
    if problems := [problem.replace("name=", "search.name=", 1) for problem in wrong_name(name)]:
        raise ConfigError(*problems)
    folder, known = ROOT / name, given_reference(config)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        check_journal(folder / JOURNAL)
        begin_or_go_on(folder, config)
    say(f"searching {space.size:,} settings of {', '.join(one.name for one in space.dimensions)}, in {folder}")
    with _told_how_to_go_on():
        reference = known or reference_of(words, folder)
        if reference is not None:
            say(f"full precision: error {error_text(reference)}")
        work = Search(words, space, folder, reference)
        work.run()
    sys.exit(EXIT_FAILED_RUNS if work.tell() else 0)


def say(line: str) -> None:
    """A line on the console."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """A line on the console, beside the answer."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def _told_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except Stopped as stop:
        stop.note = "the same command goes on with the search"
        raise


class Search:
    """The search in ``folder``, as this process does it."""

    def __init__(self, words: Words, space: Space, folder: Path, reference: Reached | None) -> None:
        self.words, self.space, self.folder, self.reference = words, space, folder, reference
        self.settings = words.config.search
        self.study = Study(folder, self.settings, space, self._infeasible)
        self._tell_unknown()

    def _tell_unknown(self) -> None:
        """What lies in trials/ and is not in the journal, which was cut or taken away."""
        unknown = self.study.unknown
        if unknown:
            warn(
                f"{self.folder / JOURNAL} does not know {len(unknown)} trials whose folders are there ({unknown[0]}"
                f"{', ...' if len(unknown) > 1 else ''}): they count once their settings are chosen again, without training"
            )

    def _infeasible(self, settings: Settings) -> str | None:
        """What makes settings impossible, such as a state that cannot reach the threshold."""
        try:
            to_config(without_hydra(compose_config(self.words.having(self.space.overrides(settings)))))
        except ConfigError as error:
            return "; ".join(map(str, error.args))
        return None

    def run(self) -> None:
        """Trials, until none are left to do, here or in another process: one that dies there goes on here."""
        waiting = False
        while True:
            with ExitStack() as claims:
                batch = self.study.next_batch(self.settings.batch, claims)
                if batch:
                    waiting = False
                    self._run(batch)
            if batch:
                self.write()
                continue
            if not self.study.running():
                break
            if not waiting:
                say(f"waiting for {self.study.running()} trials of other processes")
            waiting = True
            time.sleep(PAUSE)
        self.write()

    def _run(self, batch: list[Claimed]) -> None:
        """Run the trials of a batch, and tell what became of each."""
        first = self.words.config.seed
        seeds = range(first, first + self.settings.seeds)
        runs = [
            runs_of(self.words.having(self.space.overrides(one.settings)), f"{TRIALS}/{one.name}", seeds)
            for one in batch
        ]
        refused = run_all(runs, self.folder, self.words.hydra)
        for claimed, one in zip(batch, runs, strict=True):
            self._tell(claimed, reached(one, self.folder, refused))

    def _tell(self, claimed: Claimed, found: Reached | Failure) -> None:
        told = f"trial {claimed.number}: {settings_text(claimed.settings)}"
        if isinstance(found, Failure):
            say(f"{told}: {table.KILLED if found.killed else table.FAILED}: {found.reason}")
            if found.killed:
                self.study.leave(claimed.number, found.reason)
            else:
                self.study.tell(claimed.number, None, {FAILED: found.reason})
            return
        say(f"{told}: error {error_text(found)}, {found.bits['inference']:,} bits")
        limit = self.found().limit
        violation = 0.0 if limit is None else found.error - limit
        self.study.tell(
            claimed.number,
            [found.value(name) for name in self.settings.objectives],
            {RESULT: found._asdict()},
            violation,
        )

    def found(self) -> Found:
        """All of the search so far, of every process."""
        rows = [self._row(trial) for trial in self.study.trials()]
        return Found(self.settings.objectives, rows, self.reference, self.settings.within)

    def _row(self, trial: FrozenTrial) -> Row:
        settings, notes = self.study.settings(trial), trial.user_attrs
        folder = str(self.folder / TRIALS / self.study.name_of(trial))
        if INFEASIBLE in notes:
            return Row(trial.number, settings, "", table.INFEASIBLE, notes[INFEASIBLE])
        result = Reached.of_notes(notes.get(RESULT, {})) if trial.state == TrialState.COMPLETE else None
        if result is not None:
            return Row(trial.number, settings, folder, table.COMPLETE, "", result)
        if trial.state in (TrialState.FAIL, TrialState.COMPLETE):
            return Row(trial.number, settings, folder, table.FAILED, notes.get(FAILED, ""))
        killed = notes.get(KILLED, "")
        return Row(trial.number, settings, folder, table.KILLED if killed else table.RUNNING, killed)

    def write(self) -> None:
        """search.json, front.csv, front.md and pareto.png. Raises OSError."""
        with alone(self.folder):
            found = self.found()
            names = [dimension.name for dimension in self.space.dimensions]
            write_json(self.folder / FILE, {IDENTITY: identity_of(self.words.config), **plain(found)})
            write_tables(self.folder, found, names)
            front, kind = found.front(), found.memory
            points = [
                Point(one.bits[kind], one.error, one.standard_error, row.number in front)
                for row, one in found.complete()
            ]
            if points:
                write_front(
                    self.folder / "pareto.png", points, kind, found.reference and found.reference.error, found.limit
                )

    def tell(self) -> bool:
        """Print the front and the answer; whether any trial failed, each of which is named, or none finished."""
        found = self.found()
        failed, killed, infeasible = (
            [row for row in found.rows if row.status == status]
            for status in (table.FAILED, table.KILLED, table.INFEASIBLE)
        )
        finished = f"{len(found.complete())} of {self.space.size:,} settings finished"
        counts = f"{finished}, {len(infeasible)} infeasible, {len(failed)} failed{f', {len(killed)} killed' if killed else ''}"
        say(f"\n{counts}; the front:\n\n{console_table(found)}\n\n{answer(found)}")
        say(f"\n  wrote {self.folder}/  {FILE}  front.csv  front.md" + ("  pareto.png" if found.complete() else ""))
        for line in infeasible_lines(found):
            warn(line)
        best = found.best()
        if best is not None and not Path(best[0].folder).is_dir():
            warn(f"the folder of the answer is gone, and its weights with it: {best[0].folder}")
        for row in failed:
            warn(f"error: trial {row.number} ({settings_text(row.settings)}): {row.reason}")
        for row in killed:
            warn(f"error: trial {row.number} ({settings_text(row.settings)}): {row.reason}; {AGAIN}")
        return bool(failed or killed or not found.complete())
