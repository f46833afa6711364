"""The process group: how processes that torchrun started find each other, wait for the first, and begin alike."""

import functools
import io
import time

import torch
import torch.distributed as dist

from qsnn.command import describe
from qsnn.errors import ConfigError, QsnnError
from qsnn.kernels.process_group import PATIENCE, ProcessGroup
from qsnn.kernels.workers import ONE, Workers
from qsnn.processes import place
from qsnn.training.checkpoint_file import to_storable
from qsnn.training.run import Run

READY = "qsnn/ready"
LOOK = 0.05  # seconds between two looks


@functools.cache
def joined_workers() -> Workers:
    """This process among those that torchrun started, which have all arrived then; alone without torchrun.

    Once a process, as torch's process group is. Raises ConfigError where the others cannot be reached.
    """
    if not place().shares:
        return ONE
    try:
        dist.init_process_group("gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"the processes of this run do not find each other: {str(error).splitlines()[0]}") from error
    return ProcessGroup()


def begin_together(run: Run) -> None:
    """By the first process, whose ``run`` is ready, new or resumed: let the others build theirs, and begin alike."""
    if run.workers.size > 1:
        dist.distributed_c10d._get_default_store().set(READY, "1")
        agree_on_failures(run.workers, None)
        begin_alike(run)


def wait_for_the_first() -> None:
    """Until `begin_together` of the first, however long preparing takes. Looks again and again, so that a signal is heard."""
    store = dist.distributed_c10d._get_default_store()
    try:
        while not store.check([READY]):
            time.sleep(LOOK)
    except RuntimeError as error:
        raise QsnnError("the first process of this run has ended") from error


def begin_alike(run: Run) -> None:
    """Give every process the state of the first one's run, new or resumed."""
    workers = run.workers
    buffer = io.BytesIO()
    if workers.leads:
        torch.save(to_storable(run.state.state_dict()), buffer)
    content = workers.told(buffer.getvalue())
    if not workers.leads:
        run.state.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))


def agree_on_failures(workers: Workers, error: QsnnError | OSError | None) -> None:
    """Raise in every process what one of them could not do: its own ``error``, or by its number another's."""
    told = workers.exchanged(b"" if error is None else describe(error).encode())
    if error is not None:
        raise error
    for rank, text in enumerate(told):
        if text:
            raise QsnnError(f"process {rank} of this run: {text.decode()}")
