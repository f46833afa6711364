"""The words of `qsnn.export` and `qsnn.verify`: keys of their own, and where to compute and to find the data."""

from pathlib import Path

from qsnn.config.command_line import take_path
from qsnn.config.paths import split_checkpoint
from qsnn.config.search_path import note_search_path
from qsnn.errors import ConfigError

MACHINE = ("device", "kernels", "threads")
DATA = ("dataset.root", "dataset.file", "dataset.cache")
WEIGHTS = ("best", "last")
TRUTHS = {"true": True, "false": False}


class Words:
    """A command line: every word is taken by its key. Raises ConfigError for what is left, and for what is not possible."""

    def __init__(self, command: str, arguments: list[str], keys: tuple[str, ...], passed_on: tuple[str, ...]) -> None:
        self._left = note_search_path(arguments)
        known = (*keys, *passed_on)
        for word in self._left:
            name, equals, _ = word.partition("=")
            if not equals or name not in known:
                raise ConfigError(f"{word!r} is no word of {command}: allowed are {'=, '.join(known)}=")
        self.overrides = [word for word in self._left if word.partition("=")[0] in passed_on]

    def path(self, name: str) -> Path | None:
        """A path as it was typed."""
        return take_path(self._left, name)[0]

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of ``choices``."""
        found = str(self.path(name) or default)
        if found not in choices:
            raise ConfigError(f"{name}={found} is not possible: allowed are {', '.join(choices)}")
        return found

    def truth(self, name: str) -> bool:
        """true or false, false unless it is given."""
        return TRUTHS[self.choice(name, tuple(TRUTHS), "false")]

    def count(self, name: str, default: int) -> int:
        """A whole number above 0."""
        found = str(self.path(name) or default)
        if not found.isdecimal() or not 0 < int(found) <= 10**9:
            raise ConfigError(f"{name}={found} is not possible: it is a whole number from 1 on")
        return int(found)

    def run(self) -> Path:
        """The folder of a run, or one of its checkpoints."""
        found = self.path("run")
        if found is None:
            raise ConfigError("run= names no folder: give a run's, such as run=outputs/<experiment>/<time>")
        return found

    def checkpoint(self) -> Path:
        """What ``run=`` and ``weights=`` name together: the folder, of which the best
        weights are taken if it has some, or a checkpoint."""
        run, given = self.run(), self.path("weights")
        if given is None:
            return run
        name = self.choice("weights", WEIGHTS, "best")
        folder, _ = split_checkpoint(run)
        if folder != run:
            raise ConfigError(
                f"weights={name} and run={run}, a checkpoint, say two things: give the run's folder, or no weights="
            )
        found = run / "checkpoints" / f"{name}.pt"
        if name == "best" and run.is_dir() and not found.exists():
            raise ConfigError(
                f"weights=best: {run} has no best weights, nothing validated them; weights=last takes the last"
            )
        return found
