"""How the kernels are compiled: at their first call, for the types given beforehand, and kept on disk."""

import functools
import logging
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from qsnn.kernels.compile_time import compiling
from qsnn.kernels.numba.runtime.cache import seal_cache

log = logging.getLogger(__name__)

# No fastmath: it would let LLVM reorder sums and contract a*b + c, and the bits would differ from plain torch.
OPTIONS = {"nogil": True, "error_model": "numpy"}
ROW, MATRIX = "float32[::1]", "float32[:,::1]"
GRID = "Tuple((float32, float32, b1))"  # see `scalars`
GRIDS = {2: "UniTuple(float32, 2)", 3: GRID}

# The disk cache of a kernel does not notice a change in another file, so its name carries a hash of all that it may use.
_SOURCES = sorted(Path(__file__).parents[1].rglob("*.py"))
_STAMP = f"{zlib.crc32(b''.join(source.read_bytes() for source in _SOURCES)):08x}"


class Kernel:
    """A function that is compiled for its ``signature`` when it is first called.

    Float arguments are converted to those of the signature, so that it never computes in double by mistake.
    """

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self._function, self._signature, self._lock = function, signature, threading.Lock()
        self._dispatcher: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """The result of the compiled function; TypeError for arguments that the signature is not made for."""
        if self._dispatcher is None:
            self.compile()
        return self._dispatcher(*arguments)

    def compile(self) -> None:
        """Compile now, unless it has been done."""
        with self._lock:
            if self._dispatcher is None:  # no other thread has done so meanwhile
                with compiling():
                    self._dispatcher = _dispatcher(self._function, self._signature)
                _tell(self._dispatcher)

    @functools.cached_property
    def jitted(self) -> Any:
        """The same function as a part of other kernels, which compile it for the types that they hand to it."""
        return numba.njit(**OPTIONS)(self._function)

    @property
    def stats(self) -> Any:
        """Where the compiled code is kept, and whether it was found there."""
        return self._dispatcher.stats


@functools.cache
def _tell_once() -> None:
    log.info("compiling kernels ... (half a minute, once: later runs find them on disk)")


def _tell(dispatcher: Any) -> None:
    """Say why a first run starts slowly, as soon as the first kernel was not found on disk."""
    if dispatcher.stats.cache_misses:
        _tell_once()


def _dispatcher(function: Callable[..., Any], signature: str) -> Any:
    """numba's, with a cache on disk where there is a folder for it."""
    dispatcher = numba.njit(**OPTIONS)(function)
    try:
        dispatcher.enable_caching()
        seal_cache(dispatcher)
    except RuntimeError as error:  # "cannot cache function ...: no locator available"
        if "cannot cache" not in str(error):
            raise
        log.warning("%s; set NUMBA_CACHE_DIR to a folder that can be written", error)
    dispatcher.compile(signature)
    dispatcher.disable_compile()  # for no other types, as with a signature given at once
    return dispatcher


def compiled(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile for ``signature``, or load the machine code that an earlier process left on disk.

    numba keeps it in ``__pycache__`` beside the source or, where that cannot be written, in the user's cache folder;
    ``NUMBA_CACHE_DIR`` overrides both. Where no folder can be written the code is compiled anew in every process.
    Kernels call only what the modules of `qsnn.kernels.numba` define.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        if not function.__qualname__.endswith(_STAMP):
            function.__qualname__ += _STAMP
        return Kernel(function, signature)

    return decorate


def compiled_for(signature: str, *types: str) -> Callable[[Callable[..., Any]], dict[Any, Kernel]]:
    """A kernel for each of the integer ``types`` that fill the places ``{0}`` of the signature, by numpy dtype."""
    return lambda function: {np.dtype(kind): compiled(signature.format(kind))(function) for kind in types}
