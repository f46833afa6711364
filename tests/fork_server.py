"""A Python that has loaded what every command loads, and is forked into each process that `forking` starts.

It has loaded packages of others only, so that a process imports all of qsnn itself, by a search path of its own; and it has
no threads, so that a fork of it is a whole process. Requests come over the socket whose number is ``sys.argv[1]``.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import types
from typing import Any

LOADED = (
    "hydra._internal.hydra", "hydra._internal.utils", "hydra.core.override_parser.overrides_parser", "jinja2", "numba", "numpy",
    "omegaconf", "PIL.Image", "PIL.ImageDraw", "scipy.linalg", "tensorboard.summary",
    "torch", "torch.utils.tensorboard", "tqdm.auto", "tqdm.contrib.logging", "yaml",
)  # fmt: skip


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; what was asked for, in a fork, and None at the end."""
    running: dict[int, tuple[int, int]] = {}  # by pidfd: process, and where its end is told
    while True:
        ready, _, _ = select.select([requests, *running], [], [])
        for ended in set(ready) & set(running):
            process, told = running.pop(ended)
            os.write(told, f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}".encode())
            os.close(told)
            os.close(ended)
        if requests not in ready:
            continue
        message, given, _, _ = socket.recv_fds(requests, 2**20, 4)
        if not message:
            return None
        *streams, told = given
        process = os.fork()
        if process == 0:
            for number in (requests.detach(), told, *running, *(told for _, told in running.values())):
                os.close(number)
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
                os.close(stream)
            return json.loads(message)
        running[os.pidfd_open(process)] = process, told
        for stream in streams:
            os.close(stream)
        requests.send(str(process).encode())


def stream(number: int, **options: Any) -> io.TextIOWrapper:
    """A standard stream to what now has this number."""
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    return io.TextIOWrapper(open(number, "wb", 0 if at_once else -1, closefd=False), write_through=at_once, **options)


def become(request: dict[str, Any], base: list[str]) -> None:
    """Take over what a new process is given, as the interpreter does at its start."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for limit, value in request["limits"]:
        resource.setrlimit(limit, (value, value))
    sys.stdout = sys.__stdout__ = stream(1)
    sys.stderr = sys.__stderr__ = stream(2, errors="backslashreplace", line_buffering=True)
    kind, name, *arguments = request["words"]
    sys.argv = [name if kind == "script" else kind, *arguments]
    first = {"-m": os.getcwd(), "-c": "", "script": os.path.dirname(os.path.abspath(name))}[kind]
    beside = [] if os.environ.get("PYTHONSAFEPATH") else [first]
    sys.path[:] = [*beside, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *base]
    importlib.invalidate_caches()


def run(kind: str, name: str) -> None:
    """``python -m name``, ``python -c name`` or ``python name``."""
    if kind == "-m":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(name, "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        runpy.run_path(name, run_name="__main__")


if __name__ == "__main__":
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who sent the requests
    for package in LOADED:
        with contextlib.suppress(ModuleNotFoundError):  # a test may be of what happens without it
            importlib.import_module(package)
    gc.freeze()  # a collection in a fork would copy every page
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked as a whole"
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        signal.signal(signal.SIGINT, interrupt)
        become(asked, sys.path[1:])
        run(*asked["words"][:2])
