"""Processes as `subprocess` starts them, without the two seconds of imports that each of them begins with.

A process is a fork of `fork_server`: it has a number, a folder, an environment, streams and signals of its own, and an exit
code. Whatever is about the imports, or about what the interpreter reads at its start, needs `subprocess` itself.
"""

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

SERVER = Path(__file__).with_name("fork_server.py")
READ_ONCE = ("CUDA_", "LC_", "LANG", "LD_", "MKL_", "NUMBA_", "OMP_", "OPENBLAS_", "PYTHON", "TORCH_")
READ_ANEW = ("PYTHONPATH", "PYTHONSAFEPATH")


@functools.cache
def server(process: int) -> tuple[socket.socket, "subprocess.Popen[bytes]", dict[str, str]]:
    """The server of this process, which ends with it, and the environment that it was started with."""
    ours, theirs = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if name not in READ_ANEW}
    with theirs:
        words = [sys.executable, str(SERVER), str(theirs.fileno())]
        alone = {**environment, "OPENBLAS_NUM_THREADS": "1"}  # numpy's threads start with its import
        started = subprocess.Popen(words, env=alone, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours, started, environment


class Forked:
    """A running process, with the part of `subprocess.Popen` that tests use; text streams."""

    def __init__(
        self, words: list[str], cwd: Path | None = None, env: Mapping[str, str] | None = None, stdout: Any = None,
        stderr: Any = None, limits: Mapping[int, int] | None = None,
    ) -> None:  # fmt: skip
        assert words[0] == sys.executable
        kind = words[1:] if words[1] in ("-m", "-c") else ["script", *words[1:]]
        requests, _, known = server(os.getpid())
        environment = dict(os.environ if env is None else env)
        changed = {name for name, value in {*environment.items()} ^ {*known.items()} if name not in READ_ANEW}
        assert not [name for name in changed if name.startswith(READ_ONCE)], "read at the start: use subprocess"
        with open(os.devnull) as nothing:
            out, self.stdout = _stream(stdout, sys.__stdout__)
            errors, self.stderr = (out, None) if stderr == subprocess.STDOUT else _stream(stderr, sys.__stderr__)
            self._end, told = os.pipe()
            asked = {"words": kind, "folder": str(cwd or Path.cwd()), "environment": environment,
                     "limits": [*(limits or {}).items()]}  # fmt: skip
            message = json.dumps(asked).encode()
            requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            socket.send_fds(requests, [message], [nothing.fileno(), out, errors, told])
        for number in {told, *((out,) if self.stdout else ()), *((errors,) if self.stderr else ())}:
            os.close(number)
        self.args, self.pid, self.returncode = words, int(requests.recv(100)), None

    returncode: int | None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; TimeoutExpired if that takes too long."""
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(os.read(self._end, 100))
            os.close(self._end)
        return self.returncode

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it prints until its end; it is killed, and TimeoutExpired raised, if that takes too long."""
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(stream.read) for stream in (self.stdout, self.stderr) if stream]
            try:
                self.wait(timeout)
            finally:
                self.kill()
        found = iter([text.result() for text in texts])
        for stream in filter(None, (self.stdout, self.stderr)):
            stream.close()
        return next(found) if self.stdout else "", next(found) if self.stderr else ""


def _stream(wanted: Any, inherited: Any) -> tuple[int, IO[str] | None]:
    """The number that the process writes to and, of a pipe, the end that is read."""
    if wanted == subprocess.PIPE:
        reader, writer = os.pipe()
        return writer, os.fdopen(reader)
    if wanted == subprocess.DEVNULL:
        return _nowhere(), None
    return wanted.fileno() if wanted is not None else inherited.fileno(), None


@functools.cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def run(words: list[str], timeout: float = 180, **options: Any) -> "subprocess.CompletedProcess[str]":
    """What `subprocess.run` gives, with the output captured as text."""
    process = Forked(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    output, errors = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def forked(module: str, *arguments: str, folder: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """`helpers.command` by a fork."""
    return run([sys.executable, "-m", f"qsnn.{module}", *arguments], cwd=folder, **options)
