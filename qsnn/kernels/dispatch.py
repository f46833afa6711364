"""Which backend computes: the config's ``kernels``, checked against what this machine has."""

import importlib.util
import logging

import torch

from qsnn.errors import ConfigError
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER, IntegerLocalBackend
from qsnn.kernels.local_backend import LOCAL_EAGER, LocalBackend

NAMES = ("auto", "eager", "numba", "triton")
log = logging.getLogger(__name__)


def _numba_backend() -> Backend:
    """Imported only when selected: it takes numba and its compiled kernels with it, most of a second."""
    from qsnn.kernels.numba.backend import NUMBA

    return NUMBA


def _automatic(device: torch.device) -> Backend:
    """numba on a CPU where it works, plain torch elsewhere."""
    if device.type != "cpu":
        return EAGER
    try:
        return _numba_backend()
    except ImportError as error:
        log.warning("kernels=auto: numba cannot be imported (%s); plain torch is many times slower", error)
        return EAGER


def select_backend(name: str, device: str) -> Backend:
    """The backend called ``name`` (auto, eager, numba or triton) for tensors on ``device``.

    ConfigError if it is not one of these, or cannot run here.
    """
    if name not in NAMES:
        raise ConfigError(f"kernels={name}: unknown; allowed: {', '.join(NAMES)}")
    kind = torch.device(device)
    if name == "triton":
        raise ConfigError("kernels=triton: there is no Triton backend, it needs a GPU to be built; use kernels=auto")
    if name == "numba" and kind.type != "cpu":
        raise ConfigError(
            f"kernels=numba: runs on the CPU only, not on device={device}; use kernels=auto or device=cpu"
        )
    if name == "numba":
        if importlib.util.find_spec("numba") is None:
            raise ConfigError("kernels=numba: numba is not installed; pip install numba, or use kernels=auto")
        backend = _numba_backend()
    else:
        backend = EAGER if name == "eager" else _automatic(kind)
    log.info("kernels=%s: computing with the %s backend on %s", name, backend.name, device)
    return backend


def select_local_backend(name: str) -> LocalBackend:
    """The operations that belong to the backend that `select_backend` has chosen: "eager" or "numba"."""
    if name == "eager":
        return LOCAL_EAGER
    from qsnn.kernels.numba.local.backend import LOCAL_NUMBA  # takes numba with it, most of a second

    return LOCAL_NUMBA


def select_integer_local_backend(name: str) -> IntegerLocalBackend:
    """The same for local learning in integers."""
    if name == "eager":
        return INTEGER_LOCAL_EAGER
    from qsnn.kernels.numba.integer_local.backend import INTEGER_LOCAL_NUMBA

    return INTEGER_LOCAL_NUMBA
