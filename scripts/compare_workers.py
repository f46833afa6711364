"""Random small nets, learning in several processes and in one: every bit of what they come to must be the same.

    python scripts/compare_workers.py [--nets 40] [--processes 2 3 4] [--seed 0] [--skip 0]

Both ways to learn; dense, recurrent and convolutional nets, spikes and membranes that are read out, floats between codes and
integers, plain torch and kernels, batches that the processes cannot share evenly and some without a sample for each. Compared
are weights, slots, streams, sums, best weights, the figures of every epoch and, where there are any, of health. Exit code 1 if
anything differs. The processes are forked once and stay for all nets.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from kill_and_resume import differences

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.config.sharing.group import begin_alike
from qsnn.kernels.process_group import PATIENCE, ProcessGroup
from qsnn.kernels.workers import ONE, Workers
from qsnn.reporting.health.observe import observe
from qsnn.training.run import Ending, Epoch, Run

RANDMAN = [
    "experiment=randman", "dataset.num_classes=3", "dataset.samples_per_class=20", "dataset.num_units=9",
    "dataset.window_train=0.03", "dataset.window_test=0.03", "dataset.num_steps=15",
]  # fmt: skip
GESTURES = [
    "dataset.num_users=3", "dataset.num_test_users=1", "dataset.lights=[led]", "dataset.duration=0.1",
    "dataset.validation_share=0.5", "dataset.downsample=8", "dataset.window_train=0.06", "dataset.window_test=0.06",
]  # fmt: skip
CONV = ["model.channels=[5,6]", "model.kernel_size=[3,3]", "model.padding=[1,1]", "model.pooling=[2,1]"]
LOCAL = ["experiment=gesture_demo", *GESTURES, *CONV, "trainer.burn_in=0.01", "trainer.weight_mult=[1e-3,4e-4]"]
Self = TypeVar("Self")


class Notes:
    """A reporter that keeps the figures of every epoch, and of health."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""

    def flush(self) -> None:
        """Nothing is written."""

    def wants_health(self, epoch: int) -> bool:
        """In every second epoch."""
        return epoch % 2 == 0

    def wants_figures(self, epoch: int) -> bool:
        """Always."""
        return True

    def after_batch(self, headline: str) -> None:
        """Nothing."""

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        """Keep them; the first process looks at health."""
        health = {}
        if run.workers.leads and self.wants_health(run.state.epoch):
            health = observe(run.learner, run, lesson, True).health
        self.epochs.append({**(epoch.figures or {}), **health})

    def finish(self, run: Run, ending: Ending) -> None:
        """Nothing."""


def random_case(draw: random.Random) -> list[str]:
    """Overrides of a net, its data and how it learns."""
    kind = draw.choice(("dense", "recurrent", "membranes", "conv", "integer", "local", "local_integer"))
    words = {
        "dense": [*RANDMAN, f"model.hidden=[{draw.randint(1, 24)},{draw.randint(1, 9)}]", "loss.logits=count"],
        "recurrent": [
            *RANDMAN, "model=recurrent", f"model.hidden=[{draw.randint(1, 16)}]", f"neuron={draw.choice(('lif', 'randman'))}",
        ],
        "membranes": [*RANDMAN, f"model.hidden=[{draw.randint(1, 16)}]", f"loss.over_time={draw.choice(('max', 'mean'))}"],
        "conv": ["experiment=gesture_bptt", "model=conv", *GESTURES, *CONV, "model.stride=[1,1]"],
        "integer": ["experiment=randman_integer", *RANDMAN[1:], f"model.hidden=[{draw.randint(1, 16)}]"],
        "local": LOCAL,
        "local_integer": [*LOCAL, "neuron=traces_30ms_integer", "quantization=icons_integer", "optimizer=local_nmnist_integer"],
    }[kind]  # fmt: skip
    words = [
        *words,
        f"trainer.batch_size={draw.choice((3, 5, 8, 16, 23))}",
        f"kernels={draw.choice(('eager', 'numba'))}",
    ]
    if "integer" not in kind:
        bits = draw.choice((2, 4, 8))
        words += [f"quantization.weight_bits={bits}", f"quantization.error_bits={draw.choice((4, 6, 8, 12))}"]
        words += [f"optimizer={draw.choice(('adam', 'sgd'))}"]
    if kind == "local":  # readouts whose sums float32 may round
        words += draw.choice(([], ["quantization.readout_weight_bits=12", "quantization.sigmoid_bits=12"]))
    return [
        *words,
        f"seed={draw.randint(0, 99)}",
        "trainer.epochs=2",
        "trainer.validate_every=1",
        "logging.progress=false",
    ]


def learned(words: list[str], cache: str, workers: Workers) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The state after all epochs, and the figures of each."""
    run = build_run(to_config(compose_config([*words, f"dataset.cache={cache}"])), Path(cache), workers)
    if workers.size > 1:
        begin_alike(run)
    notes = Notes()
    while not run.finished():
        run.advance(notes)
    return run.state.state_dict(), notes.epochs


def case_differences(words: list[str], cache: str, workers: Workers) -> list[str]:
    """What several processes come to beside one; nothing is compared in those that follow."""
    shared = learned(words, cache, workers)
    if not workers.leads:
        return []
    alone = learned(words, cache, ONE)
    return differences({"state": shared[0], "figures": shared[1]}, {"state": alone[0], "figures": alone[1]})


def work(rank: int, size: int, meeting: str, cache: str, cases: list[list[str]], results: Any) -> None:
    """One process: all cases; the first puts what differs into ``results``."""
    try:
        set_up()
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=PATIENCE)
        workers = ProcessGroup()
        for words in cases:
            found = case_differences(words, cache, workers)
            if rank == 0:
                results.put((words, found))
    except BaseException:
        results.put(([], [f"process {rank}: {traceback.format_exc()}"]))
        raise


def compare(size: int, cases: list[list[str]], folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Each case and what differs, from ``size`` processes that are forked for it."""
    context = multiprocessing.get_context("fork")
    results, meeting = context.Queue(), folder / f"meeting{size}"
    arguments = size, str(meeting), str(folder / "cache"), cases, results
    processes = [context.Process(target=work, args=(rank, *arguments), daemon=True) for rank in range(size)]
    for process in processes:
        process.start()
    try:
        for _ in cases:
            yield results.get(timeout=600)
    finally:
        for process in processes:
            process.join(20)
            process.terminate()


def main() -> int:
    """Draw nets, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=40, help="for each number of processes")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="leave out so many")
    options = parser.parse_args()
    draw, wrong = random.Random(options.seed), 0
    set_up()
    with tempfile.TemporaryDirectory() as temporary:
        for size in options.processes:
            folder = Path(temporary) / str(size)
            (folder / "cache").mkdir(parents=True)
            cases = [random_case(draw) for _ in range(options.nets)][options.skip :]
            for words in cases:  # a mistake shows here, and data are prepared once
                to_config(compose_config([*words, f"dataset.cache={folder / 'cache'}"])).dataset.prepare(False)
            for words, found in compare(size, cases, folder):
                wrong += bool(found)
                print(f"{size} processes, {'DIFFERENT' if found else 'same bits'}: {' '.join(words)}", flush=True)
                for line in found[:10]:
                    print(f"    {line}")
                if not words:
                    return 1
    print(f"{wrong} of {len(options.processes) * options.nets} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
