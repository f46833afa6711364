"""The words of a command that torchrun started: what is typed is of one process, what a run's folder says is of all of them.

N processes with ``trainer.batch_size=B`` are the run of one with ``trainer.batch_size=N*B``, and its folder says so: any number
of processes, or one, goes on with it, scores it or asks it.
"""

from pathlib import Path

from qsnn.config.command_line import CommandLine, read_command_line, take_path
from qsnn.config.paths import AUTO
from qsnn.errors import ConfigError

BATCH_SIZE = "trainer.batch_size"


def read_shared(arguments: list[str], size: int) -> CommandLine:
    """`read_command_line` of the run that ``size`` processes share. Raises ConfigError for what is no single run."""
    if any(text in ("-m", "--multirun") for text in arguments):
        raise ConfigError(
            f"{size} processes share one run, and -m asks for several: leave out -m, or sweep without torchrun, whose jobs can "
            "run side by side"
        )
    path, rest = take_path(arguments, "resume")
    typed = [text for text in rest if _key(text) == BATCH_SIZE]
    if path is not None and path != Path(AUTO):
        own = typed[-1].partition("=")[2] if typed else ""
        return read_command_line(_with(arguments, size * int(own)) if own.isdecimal() else arguments)
    found = read_command_line(arguments)
    if found.sweep is not None or (found.cfg is None and not _only_asks(arguments)):
        raise ConfigError(f"{size} processes share one run: hydra.mode=MULTIRUN asks for several")
    if found.cfg is None:
        return found
    return read_command_line(_with(arguments, size * int(found.cfg.trainer.batch_size)))


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+")


def _only_asks(arguments: list[str]) -> bool:
    """Whether there is a flag, such as ``--help`` or ``--cfg``, by which nothing is run."""
    return any(text.startswith("-") for text in arguments)


def _with(arguments: list[str], batch_size: int) -> list[str]:
    return [*(text for text in arguments if _key(text) != BATCH_SIZE), f"{BATCH_SIZE}={batch_size}"]
