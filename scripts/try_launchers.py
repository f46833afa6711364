"""A sweep of 2 x 4 jobs by each launcher, with everything that can happen to a job: one raises, one is killed by SIGKILL while
it trains, one runs out of memory. The others have to finish, every failure has to be told, and the same command has to finish
the rest.

    python scripts/try_launchers.py                          # what is installed
    python scripts/try_launchers.py basic joblib             # these

The memory limit is a cgroup's where one can be made (root; the kernel kills the job), else RLIMIT_AS (allocating fails).
"""

import argparse
import contextlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

LAUNCHERS = {
    "basic": ("hydra/launcher=basic",),
    "processes": ("hydra/launcher=processes", "hydra.launcher.n_jobs=2"),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
    "ray": ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false"),
    "slurm": (
        "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10", "hydra.launcher.mem_gb=2",
        "hydra.launcher.array_parallelism=2", "hydra.launcher.cpus_per_task=1",
    ),
}  # fmt: skip
NEEDED = {"submitit_local": "hydra_plugins.hydra_submitit_launcher", "ray": "hydra_plugins.hydra_ray_launcher"}
SEEDS, WIDTHS = (0, 1), (2, 4, 6, 8)
RAISES, KILLED, TOO_BIG = (0, 4), (1, 2), (1, 6)
"""Seed and weight bits of the jobs to which something happens."""
SIZES = {"INPUTS": 1_000_000, "STEPS": 2_000}  # a raster of 8 GB
LIMIT = 4 << 30
CGROUPS = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))


class Trial(NamedTuple):
    """What became of a sweep."""

    status: dict[str, str]
    errors: list[str]
    code: int
    seconds: float


def words_of(launcher: str) -> list[str]:
    """The command. Two keys are another's for one job, as long as an environment variable says so."""
    cell = "${seed}_${quantization.weight_bits}"
    return [
        sys.executable, "-m", "qsnn.train", "-m", f"sweep.name={launcher}", "experiment=quick", "trainer.epochs=1500",
        "trainer.checkpoint_every=50", "logging.progress=false", "logging.to=[]",
        f"seed={','.join(map(str, SEEDS))}", f"quantization.weight_bits={','.join(map(str, WIDTHS))}",
        f"dataset.target='${{oc.env:TRY_TARGET_{cell},smile}}'", f"dataset.num_inputs='${{oc.env:TRY_INPUTS_{cell},100}}'",
        f"dataset.num_steps='${{oc.env:TRY_STEPS_{cell},60}}'", *LAUNCHERS[launcher],
    ]  # fmt: skip


Limit = tuple[str, Callable[[], None] | None]


@contextlib.contextmanager
def memory_limit(launcher: str) -> Iterator[Limit]:
    """What limits memory, and what a new process does to be limited."""
    group = next(filter(None, (make_group(Path(root), file) for root, file in CGROUPS)), None)
    if group is not None:
        yield f"cgroup of {LIMIT >> 30} GB", partial(enter, group)
        with contextlib.suppress(OSError):  # somebody is still in it
            group.rmdir()
    elif launcher == "ray":
        yield "none: ray itself asks for more addresses than RLIMIT_AS allows", None
    else:
        yield f"RLIMIT_AS of {LIMIT >> 30} GB", partial(resource.setrlimit, resource.RLIMIT_AS, (LIMIT, LIMIT))


def make_group(root: Path, file: str) -> Path | None:
    """A cgroup with the limit, if this user can make one."""
    group = root / f"try_launchers_{os.getpid()}"
    try:
        group.mkdir()
        (group / file).write_text(str(LIMIT))
    except OSError:
        return None
    return group


def enter(group: Path) -> None:
    """Put this process, and those that it starts, under the limit."""
    (group / "cgroup.procs").write_text(str(os.getpid()))


def is_of(summary: dict[str, Any], cell: tuple[int, int]) -> bool:
    """Whether a summary is of that job."""
    words = summary.get("overrides", [])
    return f"seed={cell[0]}" in words and f"quantization.weight_bits={cell[1]}" in words


def read(path: Path) -> dict[str, Any]:
    """A summary; empty while it is being written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def kill_one(folder: Path) -> bool:
    """SIGKILL to the process that trains the job to be killed, once it has a checkpoint."""
    for path in folder.glob("*/summary.json"):
        summary = read(path)
        trains = summary.get("status") == "running" and (path.parent / "checkpoints" / "previous.pt").exists()
        if trains and is_of(summary, KILLED):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(summary["pid"]), signal.SIGKILL)
            return True
    return False


def sweep(launcher: str, place: Path, harm: bool, limited: Callable[[], None] | None) -> Trial:
    """The command once; with ``harm`` things happen to three of its jobs."""
    folder, environment = place / "outputs" / "multirun" / "quick" / launcher, dict(os.environ)
    if harm:
        environment[f"TRY_TARGET_{RAISES[0]}_{RAISES[1]}"] = "nowhere.png"
        environment |= {f"TRY_{name}_{TOO_BIG[0]}_{TOO_BIG[1]}": str(size) for name, size in SIZES.items()}
    began, killed = time.monotonic(), not harm
    with (place / f"{launcher}.log").open("a") as log, (place / f"{launcher}.errors").open("w+") as errors:
        process = subprocess.Popen(
            words_of(launcher), cwd=place, stdout=log, stderr=errors, env=environment, preexec_fn=limited
        )
        while process.poll() is None:
            killed = killed or kill_one(folder)
            time.sleep(0.01)
        errors.seek(0)
        told = [line.rstrip() for line in errors if line.startswith("error: ")]
    status = {
        " ".join(word for word in read(path)["overrides"] if word.startswith(("seed", "quantization"))): read(path)[
            "status"
        ]
        for path in folder.glob("*/summary.json")
    }
    return Trial(status, told, process.returncode, time.monotonic() - began)


def count(trial: Trial) -> str:
    """How many jobs ended how."""
    found = list(trial.status.values())
    return ", ".join(f"{found.count(name)} {name}" for name in sorted(set(found), key=found.count, reverse=True))


def is_right(first: Trial, second: Trial, launcher: str) -> bool:
    """All that could finish did; each failure was told; the same command finished the rest."""
    failed = sum(status != "finished" for status in first.status.values())
    enough = len(first.status) == len(SEEDS) * len(WIDTHS) and 2 <= failed <= 3
    told = len(first.errors) >= failed and first.code != 0
    return enough and told and set(second.status.values()) == {"finished"} and second.code == 0


def installed(launcher: str) -> bool:
    """Whether it can be tried here."""
    if launcher == "slurm":
        return shutil.which("sbatch") is not None and installed("submitit_local")
    if launcher not in NEEDED:
        return True
    try:
        return importlib.util.find_spec(NEEDED[launcher]) is not None
    except ModuleNotFoundError:
        return False


def main() -> int:
    """Try each, print a table; 0 if all did what they have to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("launchers", nargs="*", choices=[*LAUNCHERS, []])
    parser.add_argument("--keep", type=Path, help="a folder for runs and logs, which is kept")
    arguments = parser.parse_args()
    chosen = arguments.launchers or [name for name in LAUNCHERS if installed(name)]
    place = (arguments.keep or Path(tempfile.mkdtemp(prefix="try_launchers_"))).resolve()
    place.mkdir(parents=True, exist_ok=True)
    right, limits = True, set()
    print("| launcher | first command | code | s | what it tells of the others | same command again | code | s |")
    print("|---|---|---|---|---|---|---|---|")
    for launcher in chosen:
        with memory_limit(launcher) as (limit, limited):
            first, second = (sweep(launcher, place, harm, limited) for harm in (True, False))
        limits.add(limit)
        reasons = "; ".join(line.removeprefix("error: ").split(" [")[0][:160] for line in first.errors)
        cells = (launcher, count(first), first.code, f"{first.seconds:.0f}", reasons)
        print("|", " | ".join(map(str, (*cells, count(second), second.code, f"{second.seconds:.0f}"))), "|", flush=True)
        right &= is_right(first, second, launcher)
    print(f"\nmemory limit: {'; '.join(sorted(limits))}")
    if arguments.keep is None and right:
        shutil.rmtree(place)
    else:
        print(f"runs and logs: {place}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
