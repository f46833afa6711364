"""What it costs to share a run: seconds of a training batch in 1, 2 and 4 processes, and what they tell each other.

    python scripts/benchmark_workers.py [--batches 5] [--rounds 5] [--nets randman ...] [--processes 1 2 4]

Each net learns from the same batches of one size, whatever the number of processes, which take turns: the median over rounds of
``--batches`` batches each. "in steps" is one process on the path of those that share a batch, which asks after every time step
and so cannot take the kernels of whole sequences; "told": exchanges of a batch, and kilobytes that a process hands over;
"waits": share of the time of the first process in exchanges, where it also waits for slower ones. Kernels are compiled before.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.config.sharing.group import begin_alike
from qsnn.kernels.process_group import PATIENCE, ProcessGroup
from qsnn.kernels.workers import ONE, Workers
from qsnn.quantization.reductions import Reductions
from qsnn.training.run import Run

GESTURES = ["dataset.num_users=6", "dataset.num_test_users=2", "logging.progress=false"]
NETS = {
    "randman": ["experiment=randman", "dataset.samples_per_class=200", "trainer.batch_size=240", "logging.progress=false"],
    "recurrent": [
        "experiment=randman", "model=recurrent", "model.hidden=[128]", "dataset.samples_per_class=200",
        "trainer.batch_size=240", "logging.progress=false",
    ],
    "gesture_bptt": ["experiment=gesture_bptt", *GESTURES, "trainer.batch_size=48"],
    "conv": [
        "experiment=gesture_bptt", "model=conv", "model.channels=[16,32]", "model.kernel_size=[5,5]", "model.padding=[2,2]",
        "model.pooling=[2,2]", "model.stride=[1,1]", *GESTURES, "trainer.batch_size=48",
    ],
    "gesture_demo": ["experiment=gesture_demo", *GESTURES, "trainer.batch_size=48"],
    "gesture_integer": [
        "experiment=gesture_demo", "neuron=traces_30ms_integer", "quantization=icons_integer",
        "optimizer=local_nmnist_integer", *GESTURES, "trainer.batch_size=48",
    ],
}  # fmt: skip
IN_STEPS = "in steps"


class Told:
    """What was exchanged: how often, how many bytes were handed over, seconds."""

    def __init__(self) -> None:
        self.times, self.size, self.seconds = 0, 0, 0.0


class CountingGroup(ProcessGroup):
    """A process group that counts."""

    def __init__(self, group: Any, told: Told) -> None:
        super().__init__(group)
        self.told_of = told

    def _count(self, tensor: Tensor, began: float) -> None:
        self.told_of.times += 1
        self.told_of.size += tensor.numel() * tensor.element_size()
        self.told_of.seconds += time.perf_counter() - began

    def _reduce(self, tensor: Tensor, how: Any) -> None:
        began = time.perf_counter()
        super()._reduce(tensor, how)
        self._count(tensor, began)

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        began = time.perf_counter()
        parts = super()._gathered(tensor)
        self._count(tensor, began)
        return parts


class InSteps(Workers):
    """One process on the path of several."""

    @property
    def over(self) -> Reductions:
        """What a group of one would give, and another object than `ALONE`."""
        return Reductions(lambda own: own, lambda own: own)


class Found(NamedTuple):
    """Median seconds of a batch; exchanges, bytes, and share of the time in exchanges."""

    seconds: float
    times: float = 0.0
    size: float = 0.0
    waits: float = 0.0


def timed(run: Run, batches: int) -> float:
    """Seconds of so many batches."""
    began = time.perf_counter()
    for _ in range(batches):
        run.learn_batch()
    return time.perf_counter() - began


def build(words: list[str], cache: str, workers: Workers) -> Run:
    """A run that never ends an epoch with a validation: nothing but batches is timed."""
    run = build_run(to_config(compose_config([*words, f"dataset.cache={cache}"])), Path(cache), workers)
    if workers.size > 1:
        begin_alike(run)
    run.learn_batch()  # compiles
    return run


def measure(words: list[str], cache: str, sizes: list[int], groups: dict[int, Any], options: Any) -> dict[Any, Found]:
    """In every process; what the first one finds."""
    rank, told = dist.get_rank(), {size: Told() for size in sizes}
    runs: dict[Any, Run] = {}
    for size in sizes:
        if rank < size:
            runs[size] = build(words, cache, CountingGroup(groups[size], told[size]) if size > 1 else ONE)
    if rank == 0:
        runs[IN_STEPS] = build(words, cache, InSteps())
    seconds: dict[Any, list[float]] = {kind: [] for kind in (*sizes, IN_STEPS)}
    for counts in told.values():
        counts.__init__()  # type: ignore[misc]
    for _ in range(options.rounds):
        for kind in seconds:
            dist.barrier()
            if kind in runs:
                seconds[kind].append(timed(runs[kind], options.batches))
    return {kind: _found(values, told.get(kind), options) for kind, values in seconds.items() if values}


def _found(values: list[float], told: Told | None, options: Any) -> Found:
    median, number = statistics.median(values) / options.batches, options.rounds * options.batches
    if told is None or not told.times:
        return Found(median)
    return Found(median, told.times / number, told.size / number, told.seconds / sum(values))


def work(rank: int, meeting: str, cache: str, options: Any) -> None:
    """One process: all nets; the first prints."""
    set_up()
    torch.set_num_threads(1)
    sizes: list[int] = options.processes
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=max(sizes), timeout=PATIENCE)
    groups = {size: dist.new_group(list(range(size)), backend="gloo") for size in sizes}
    for name in options.nets:
        found = measure(NETS[name], cache, sizes, groups, options)
        if rank == 0:
            alone = found[sizes[0]].seconds
            cells = [name, f"{1000 * alone:.1f}", f"{found[IN_STEPS].seconds / alone:.2f}"]
            for size in sizes[1:]:
                f = found[size]
                cells.append(f"{f.seconds / alone:.2f} ({f.waits:.0%})")
            cells += [f"{found[sizes[-1]].times:.0f}", f"{found[sizes[-1]].size / 1000:.0f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Prepare data, fork, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    set_up()
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.nets:
            to_config(compose_config([*NETS[name], f"dataset.cache={temporary}"])).dataset.prepare(False)
        heads = [f"{size} processes (waits)" for size in options.processes[1:]]
        print("| net | one process, ms a batch | in steps | " + " | ".join(heads) + " | told, times a batch | kB |")
        print("|---" * (5 + len(heads)) + "|", flush=True)
        context, meeting = multiprocessing.get_context("fork"), f"{temporary}/meeting"
        ranks = range(max(options.processes))
        workers = [context.Process(target=work, args=(rank, meeting, temporary, options)) for rank in ranks]
        for process in workers:
            process.start()
        for process in workers:
            process.join()


if __name__ == "__main__":
    main()
