"""The study of a search, shared by all its processes: which settings are tried next, which are tried already.

Processes take turns in choosing (`alone`), so that no setting is tried twice. A trial that is being run is claimed by the
lock on its folder, which ends with its process: whoever finds a running trial that nobody holds goes on with it.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from qsnn.config.schema import Search
from qsnn.config.searching.journal import MALFORMED, alone, open_journal, unreadable
from qsnn.config.searching.space import Settings, Space, settings_name
from qsnn.training.folders.lock import InUseError, locked
from qsnn.training.folders.state import SUMMARY

JOURNAL, TRIALS = "journal.log", "trials"
LEFT_OUT, INFEASIBLE, FAILED, KILLED, RESULT = "left_out", "infeasible", "failed", "killed", "result"
"""Names of what is noted of a trial: why it is none, what makes its settings impossible, why it failed, what ended it from
outside ("" once it goes on), what it reached."""
ERROR = "error"
MAX_LISTED = 100_000
Point = tuple[int, ...]


class Claimed(NamedTuple):
    """A trial that this process runs: its number, its settings, and the name of its folder, which it holds."""

    number: int
    settings: Settings
    name: str


def sampler_of(search: Search, num_asked: int) -> BaseSampler:
    """Who chooses, after so many trials: a start that drew as the first one did would draw what is tried. With ``grid`` nobody
    is asked: the next combination is."""
    seed = search.sampler_seed + num_asked
    if search.sampler == "nsgaii":
        population = min(50, max(4, search.trials // 4))
        return NSGAIISampler(population_size=population, seed=seed)
    if search.sampler == "tpe":
        startup = min(10, max(4, search.trials // 4))
        return TPESampler(n_startup_trials=startup, seed=seed)
    return RandomSampler(seed=seed)


class Study:
    """``folder`` of the search; ``infeasible``: what makes settings impossible before anything is trained, or None."""

    def __init__(
        self, folder: Path, search: Search, space: Space, infeasible: Callable[[Settings], str | None]
    ) -> None:
        """Open it, or begin. Raises RunFolderError for a journal that is none."""
        self.folder, self.search, self.space, self._infeasible = folder, search, space, infeasible
        self._left: set[int] = set()
        self._places: dict[str, BaseDistribution] = {
            dimension.name: IntDistribution(0, len(dimension.values) - 1) for dimension in space.dimensions
        }
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with alone(folder), self._understood():
            self._study = optuna.create_study(
                storage=open_journal(folder / JOURNAL), study_name="search", load_if_exists=True,
                directions=["minimize"] * len(search.objectives),
            )  # fmt: skip
            for trial in self._all():
                self._check(trial)
            self._study.sampler = sampler_of(search, len(self._all()))
            self.unknown = self._unknown_folders()

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except MALFORMED as error:
            raise unreadable(self.folder / JOURNAL) from error

    def _check(self, trial: FrozenTrial) -> None:
        """Raise RunFolderError for a trial of another space, or with notes that are none of ours."""
        values = trial.params.items()
        wrong = [n for n, v in values if n not in self._places or not self._places[n]._contains(v)]
        notes = all(isinstance(trial.user_attrs.get(n, ""), str) for n in (LEFT_OUT, INFEASIBLE, FAILED, KILLED))
        if wrong or not notes or not isinstance(trial.user_attrs.get(RESULT, {}), dict):
            raise unreadable(self.folder / JOURNAL, f"trial {trial.number} is of another search")

    def _unknown_folders(self) -> list[str]:
        """Of trials that the journal does not have: it was cut, or is another one."""
        known = {self.name_of(trial) for trial in self._all() if self._is_whole(trial)}
        there = (path.parents[1].name for path in (self.folder / TRIALS).glob(f"*/*/{SUMMARY}"))
        return sorted(set(there) - known)

    def _all(self) -> list[FrozenTrial]:
        """As they are in the journal now."""
        with self._understood():
            return self._study.get_trials(deepcopy=False)

    def trials(self) -> list[FrozenTrial]:
        """All trials that are of different settings, in the order in which they were asked for."""
        return [trial for trial in self._all() if LEFT_OUT not in trial.user_attrs and self._is_whole(trial)]

    def _is_whole(self, trial: FrozenTrial) -> bool:
        return trial.params.keys() == self._places.keys() and trial.state != TrialState.WAITING

    def settings(self, trial: FrozenTrial) -> Settings:
        """What a trial tries."""
        return self.space.settings(trial.params)

    def name_of(self, trial: FrozenTrial) -> str:
        """That of its folder."""
        return settings_name(self.settings(trial))

    def next_batch(self, count: int, claims: contextlib.ExitStack) -> list[Claimed]:
        """At most ``count`` trials to run: first those that nobody goes on with, then new ones, while there are any to try.
        The claims on their folders end with ``claims``."""
        with alone(self.folder):
            found: list[Claimed] = []
            for left in self._interrupted():
                if len(found) < count and (claimed := self._claim(left, claims)):
                    found.append(claimed)
            while len(found) < count and self._num_tried() < self.search.trials:
                trial = self._new()
                if trial is None:
                    break
                claimed = self._claim(trial, claims)
                if claimed:
                    found.append(claimed)
            return found

    def running(self) -> int:
        """How many trials are being run, by anybody; without those that are left to another start."""
        return sum(trial.state == TrialState.RUNNING and trial.number not in self._left for trial in self.trials())

    def leave(self, number: int, reason: str) -> None:
        """Leave a trial that was ended from outside to other processes and other starts: it is not this one's any more."""
        with alone(self.folder):
            self._left.add(number)
            self._note(self._all()[number], KILLED, reason)

    def tell(self, number: int, values: Sequence[float] | None, notes: dict[str, Any], violation: float = 0.0) -> None:
        """The end of a trial: what is to be small, None of one that failed; `notes` on it; and by how much its error lies above
        the largest that is allowed, 0 or less if it does not."""
        with alone(self.folder):
            trial = self._all()[number]
            if values is not None:
                Trial(self._study, trial._trial_id).set_constraint(ERROR, violation)
            self._tell(trial, values, notes)

    def _tell(self, trial: FrozenTrial, values: Sequence[float] | None, notes: dict[str, Any]) -> None:
        for name, value in notes.items():
            self._note(trial, name, value)
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._study.tell(trial.number, values, state=state, skip_if_finished=True)

    def _note(self, trial: FrozenTrial, name: str, value: Any) -> None:
        Trial(self._study, trial._trial_id).set_user_attr(name, value)

    def _interrupted(self) -> list[FrozenTrial]:
        """Running trials that may have lost their process; those that were killed while they were being asked for end here."""
        running = [t for t in self._all() if t.state == TrialState.RUNNING]
        for trial in running:
            if not self._is_whole(trial):
                self._tell(trial, None, {LEFT_OUT: "its process was killed while it was asked for"})
        return [trial for trial in running if self._is_whole(trial) and trial.number not in self._left]

    def _num_tried(self) -> int:
        return sum(INFEASIBLE not in trial.user_attrs for trial in self.trials())

    def _claim(self, trial: FrozenTrial, claims: contextlib.ExitStack) -> Claimed | None:
        """Hold the trial's folder, unless another process does."""
        settings, name = self.settings(trial), self.name_of(trial)
        try:
            claims.enter_context(locked(self.folder / TRIALS / name))
        except InUseError:
            return None
        if trial.user_attrs.get(KILLED):
            self._note(trial, KILLED, "")
        return Claimed(trial.number, settings, name)

    def _new(self) -> FrozenTrial | None:
        """A trial of settings that are new and possible; None if there are none left."""
        tried = {self._point(trial) for trial in self.trials()}
        while len(tried) < self.space.size:
            trial = self._ask(tried)
            if trial is None:
                return None
            tried.add(self._point(trial))
            reason = self._infeasible(self.settings(trial))
            if reason is None:
                return trial
            self._tell(trial, None, {INFEASIBLE: reason})
        return None

    def _point(self, trial: FrozenTrial) -> Point:
        return tuple(trial.params[name] for name in self._places)

    def _ask(self, tried: set[Point]) -> FrozenTrial | None:
        """A trial of new settings: those that the sampler wants, or others if it wants what is tried already."""
        if self.search.sampler != "grid":
            asked = self._frozen(self._study.ask(self._places))
            if self._point(asked) not in tried:
                return asked
            self._tell(asked, None, {LEFT_OUT: "its settings were tried before"})
        point = self._untried(tried)
        if point is None:
            return None
        self._study.enqueue_trial(dict(zip(self._places, point, strict=True)))
        asked = self._frozen(self._study.ask(self._places))
        return asked if self._point(asked) not in tried else self._ask(tried)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._all()[trial.number]

    def _untried(self, tried: set[Point]) -> Point | None:
        """Of a grid the next; else any, by the seed of the search."""
        if self.search.sampler == "grid":
            return next((point for point in self.space.points() if point not in tried), None)
        generator = random.Random(f"{self.search.sampler_seed}/{len(tried)}")
        if self.space.size <= MAX_LISTED:
            left = [point for point in self.space.points() if point not in tried]
            return generator.choice(left) if left else None
        sizes = [len(dimension.values) for dimension in self.space.dimensions]
        drawn = (tuple(map(generator.randrange, sizes)) for _ in iter(int, 1))
        return next(point for point in drawn if point not in tried)
