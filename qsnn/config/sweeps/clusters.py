"""The launchers that leave a sweep at the first job that failed: submitit's and ray's. Here each job is asked for its end."""

import logging
import subprocess
import time
from collections import Counter, deque
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import open_dict

from qsnn.config.sweeps.deaths import Memory, what_memory_says
from qsnn.config.sweeps.launchers import cpu_count
from qsnn.config.sweeps.planning import Planned
from qsnn.training.folders.state import write_death
from qsnn.training.interrupt import Stopped

SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher."
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
SHARED = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
)  # fmt: skip
"""What every executor of submitit's takes; other settings bear the executor's name."""
PAUSE, QUEUE_PAUSE = 0.1, 2.0
LOOKS = 2
"""How often a job may be missing from Slurm's queue before it is given up: its result takes a moment to be seen."""
log = logging.getLogger(__name__)


def run_by_submitit(launcher: Any, jobs: list[Planned]) -> None:
    """On Slurm as one array, which waits for its turn by itself (``array_parallelism``); on this machine as many at once as
    it has cores."""
    kind = launcher._EXECUTOR
    executor = _executor(launcher, kind)
    for number, job in enumerate(jobs):
        log.info("\t#%d : %s", number, " ".join(filter_overrides(job.overrides)))
    arguments = [
        (job.overrides, "hydra.sweep.dir", number, str(number), Singleton.get_state())
        for number, job in enumerate(jobs)
    ]
    if kind == "local":
        _in_turns(executor, launcher, jobs, arguments)
        return
    started = executor.map_array(launcher, *zip(*arguments, strict=True))
    try:
        _wait_in_queue(list(zip(jobs, started, strict=True)))
    except Stopped as stop:
        array = str(started[0].job_id).partition("_")[0]
        stop.note = f"its jobs go on in Slurm; scancel {array} ends them, and each can be resumed"
        raise


def _executor(launcher: Any, kind: str) -> Any:
    import submitit

    settings = dict(launcher.params)
    first = {f"{kind}_max_num_timeout": settings.pop("max_num_timeout")} if "max_num_timeout" in settings else {}
    executor = submitit.AutoExecutor(folder=settings.pop("submitit_folder"), cluster=kind, **first)
    executor.update_parameters(**{name if name in SHARED else f"{kind}_{name}": settings[name] for name in settings})
    return executor


def _in_turns(executor: Any, launcher: Any, jobs: list[Planned], arguments: list[tuple[Any, ...]]) -> None:
    waiting, running = deque(zip(jobs, arguments, strict=True)), list[tuple[Planned, Any, Memory]]()
    while waiting or running:
        while waiting and len(running) < cpu_count():
            job, words = waiting.popleft()
            running.append((job, executor.submit(launcher, *words), Memory.now()))
        time.sleep(PAUSE)
        for entry in list(running):
            if entry[1].done():
                running.remove(entry)
                _record(*entry)


def _wait_in_queue(running: list[tuple[Planned, Any]]) -> None:
    """Until each has a result or has left the queue without one, as a killed job does where there is no accounting (`sacct`)
    to tell of it."""
    missed = Counter[str]()
    while running:
        time.sleep(QUEUE_PAUSE)
        queued = _queued()
        for job, handle in list(running):
            name = str(handle.job_id)
            missed[name] += queued is not None and name not in queued
            if handle.paths.result_pickle.exists():
                _record(job, handle)
            elif missed[name] > LOOKS:
                _died(job, f"slurm: job {name} left the queue without a result{_last_words(handle)}", killed=True)
            else:
                continue
            running.remove((job, handle))


def _queued() -> set[str] | None:
    """Numbers of the user's jobs that wait or run; None if Slurm does not answer."""
    try:
        answer = subprocess.run(
            ["squeue", "--me", "-h", "-r", "-o", "%i"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return set(answer.stdout.split())


def _last_words(handle: Any) -> str:
    """What Slurm wrote into the job's log about its end, such as that it exceeded its memory or time."""
    said = [
        line for line in (handle.stderr() or "").splitlines() if "slurmstepd: error" in line or "srun: error" in line
    ]
    return "".join(f": {' '.join(line.split())}" for line in said[:1])


def _record(job: Planned, handle: Any, before: Memory | None = None) -> None:
    """Wait for the end of a job; if it had no chance to say why it failed, say so."""
    error = handle.exception()
    if error is None:
        _returned(job, handle.results()[0])
    elif isinstance(error, submitit_error()):
        memory = "" if before is None else f" ({what_memory_says(before)})"
        _died(job, f"submitit: job {handle.job_id} ended without a result: it was killed{memory}", killed=True)
    else:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _died(job, f"submitit: {lines[-1] if lines else type(error).__name__}")


def submitit_error() -> type[Exception]:
    """What submitit makes of a process that left no result."""
    from submitit.core.utils import UncompletedJobError

    found: type[Exception] = UncompletedJobError
    return found


def run_by_ray(launcher: Any, jobs: list[Planned]) -> None:
    """On the cluster that ``hydra.launcher.ray.init.address`` names, or on one that is started for it on this machine; as many
    at once as it has cores."""
    import ray
    from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray

    setup_globals()
    configure_log(launcher.config.hydra.hydra_logging, launcher.config.hydra.verbose)
    launcher.ray_cfg.init.setdefault("object_store_memory", 78643200)  # the least that it takes: jobs share files
    start_ray(launcher.ray_cfg.init)
    handles = []
    for number, job in enumerate(jobs):
        log.info("\t#%d : %s", number, " ".join(filter_overrides(job.overrides)))
        cfg = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, job.overrides)
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = number
        remote, state = launcher.ray_cfg.remote, Singleton.get_state()
        handles.append(launch_job_on_ray(launcher.hydra_context, remote, cfg, launcher.task_function, state))
    for job, handle in zip(jobs, handles, strict=True):
        try:
            _returned(job, ray.get(handle))
        except ray.exceptions.RayError as error:
            raised = isinstance(error, ray.exceptions.RayTaskError)
            _died(job, f"ray: {' '.join(str(error).split())[:300]}", killed=not raised)


def run_by_plugin(launcher: Launcher, jobs: list[Planned]) -> None:
    """By a launcher of Hydra's plugin interface. What it raises for a job that failed is its own affair."""
    name = f"{type(launcher).__module__}.{type(launcher).__name__}"
    if name.startswith(SUBMITIT):
        run_by_submitit(launcher, jobs)
    elif name == RAY:
        run_by_ray(launcher, jobs)
    else:
        for job, result in zip(jobs, launcher.launch([job.overrides for job in jobs], 0), strict=True):
            _returned(job, result)


def _returned(job: Planned, result: JobReturn) -> None:
    """Note an error that nothing in a job has explained."""
    if result.status == JobStatus.FAILED:
        error = result._return_value
        _died(job, " ".join(f"{type(error).__name__}: {error}".split()))


def _died(job: Planned, reason: str, killed: bool = False) -> None:
    write_death(job.folder, reason, killed)
    log.error("error: %s", reason)
