"""Which of the processes that torchrun started this is, from the environment that it left. Imports nothing that takes time."""

import os
from typing import NamedTuple

LAUNCHED = "TORCHELASTIC_RUN_ID"
NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Place(NamedTuple):
    """Process ``rank`` of ``size`` that share a run."""

    rank: int
    size: int

    @property
    def shares(self) -> bool:
        """Whether there is another process."""
        return self.size > 1

    @property
    def follows(self) -> bool:
        """Whether another process writes and tells what all of them do."""
        return self.rank > 0


def is_torchruns() -> bool:
    """Whether the process that started this one is torchrun, and not a shell in which somebody has set what it sets."""
    return LAUNCHED in os.environ


def place() -> Place:
    """The only one, unless torchrun says otherwise."""
    given = [os.environ.get(name, "") for name in NAMES]
    if not all(given) or not (given[0].isdecimal() and given[1].isdecimal()):
        return Place(0, 1)
    return Place(int(given[0]), int(given[1]))
