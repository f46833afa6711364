"""How the kernels are compiled: ahead of the first call, for one set of types each, and kept on disk."""

import logging
from collections.abc import Callable
from typing import Any

import numba

log = logging.getLogger(__name__)

# No fastmath: it would let LLVM reorder sums and contract a*b + c, and the bits would differ from plain torch.
OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(*signatures: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile for ``signatures``, or load the machine code that an earlier process left on disk.

    numba keeps it in ``__pycache__`` beside the source or, where that cannot be written, in the user's cache folder;
    ``NUMBA_CACHE_DIR`` overrides both. Where no folder can be written the code is compiled anew in every process.
    The disk cache does not notice a change in another file: kernels call only helpers of their own module.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(list(signatures), cache=True, **OPTIONS)(function)
        except RuntimeError as error:  # "cannot cache function ...: no locator available"
            if "cannot cache" not in str(error):
                raise
            log.warning("%s; set NUMBA_CACHE_DIR to a folder that can be written", error)
            return numba.njit(list(signatures), **OPTIONS)(function)

    return decorate
