"""A GPU, simulated: the CPU computes, but tensors know where they are said to be, and rules of CUDA hold that a CPU lacks.

Tensors of two devices do not mix, numpy cannot see a GPU's memory, a division by a plain number is a multiplication with
its reciprocal, and powers of two come from no ``ldexp``. This finds code that a GPU would refuse or compute otherwise; it
says nothing of the kernels of CUDA themselves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
# Copies, places named by a CPU's index, and what only looks at a tensor may take tensors of several devices.
MIXES = {"copy_", "__getitem__", "__setitem__", "data.__set__", "grad.__set__", "_has_compatible_shallow_copy_type"}
HOST_ONLY = {"numpy", "__array__", "data_ptr"}
INEXACT = {"ldexp", "exp2", "float_power"}
PLACES = {"device.__get__": lambda place: place, "is_cuda.__get__": lambda place: place == CUDA}
PLACES["is_cpu.__get__"] = lambda place: place == CPU
Arguments = tuple[Any, ...]
Named = dict[str, Any]


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


def place(tensor: Tensor) -> torch.device:
    """Where a tensor is said to be."""
    return getattr(tensor, "simulated_device", CPU)


def put(value: Any, device: torch.device) -> Any:
    """The same tensors, said to be on ``device``."""
    for tensor in tensors(value):
        tensor.simulated_device = device  # type: ignore[attr-defined]
    return value


def is_device(value: Any) -> bool:
    """Whether an argument names a device."""
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"))


def on_cpu(args: Arguments, kwargs: Named) -> tuple[torch.device | None, Arguments, Named]:
    """The device that a call names, if it does, and its arguments with the CPU in that place."""
    found = [torch.device(value) for value in (*args, *kwargs.values()) if is_device(value)]
    args = tuple(CPU if is_device(value) else value for value in args)
    kwargs = {key: CPU if is_device(value) else value for key, value in kwargs.items()}
    return (None if not found else CPU if found[0].type == "cpu" else CUDA), args, kwargs


def check(name: str, places: set[torch.device]) -> None:
    """Raise what torch would, of a call on a GPU's tensors."""
    if name in HOST_ONLY:
        raise TypeError(f"{name}: can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
    if name in INEXACT:
        raise ArithmeticError(f"{name}: may miss the power of two on a GPU")
    if len(places) > 1 and name not in MIXES:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found cuda:0 and cpu")


def compute(name: str, function: Callable[..., Any], args: Arguments, kwargs: Named) -> Any:
    """The function's result as a GPU would have it."""
    if name in ("div", "true_divide", "__truediv__") and not isinstance(args[1], Tensor) and not kwargs:
        return args[0] * args[0].new_full((), args[1]).reciprocal()
    return function(*args, **kwargs)


class SimulatedCuda(TorchFunctionMode):
    """While it is on, ``device="cuda"`` is a place for tensors. ``calls`` counts the calls on tensors that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Arguments = (), kwargs: Named | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = (resolve_name(function) or function.__name__).removeprefix("torch.").removeprefix("Tensor.")
        if function is torch.device or name == "_parse_to":
            return function(*args, **kwargs)
        if name in PLACES:
            return PLACES[name](place(args[0]))
        if name == "__reduce_ex__":  # a file does not say where a simulated tensor was
            device = vars(args[0]).pop("simulated_device", CPU)
            saved = function(*args, **kwargs)
            put(args[0], device)
            return saved
        return self.call(name, function, args, kwargs)

    def call(self, name: str, function: Callable[..., Any], args: Arguments, kwargs: Named) -> Any:
        """Check the call, compute, and say where the result is."""
        given = list(tensors((args, kwargs)))
        places = {place(tensor) for tensor in given if tensor.dim() > 0 or place(tensor) == CUDA}
        wanted, args, kwargs = on_cpu(args, kwargs)
        if CUDA not in places:
            result = function(*args, **kwargs)
        else:
            check(name, places)
            self.calls += 1
            result = compute(name, function, args, kwargs)
        if name == "data.__set__":
            put(args[0], place(args[1]))
        if name == "cpu":
            wanted = CPU
        if name == "to" and len(given) > 1:
            wanted = place(given[1])
        where = wanted or (place(given[0]) if name in MIXES and given else CUDA if CUDA in places else CPU)
        if any(result is tensor and place(tensor) != where for tensor in given):  # .to found nothing to do
            result = result.clone()
        return put(result, where)
