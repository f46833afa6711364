"""What groups and options there are: the registry that config files, checks, `--help`, docs and tests follow.

An option of a group (a neuron, a model, a data set, ...) is a dataclass, in the file of what it builds or beside it:

    @option("neuron", "cuba_lif")
    @dataclass
    class CubaLIF(Option):
        \"\"\"Current-based LIF neuron.\"\"\"                                          what `--help` says of it
        gives: ClassVar = frozenset({SPIKES})                                    what others can rely on
        tau_mem: float = key(0.01, "membrane time constant", "s", "tau_mem", above=0)

The bounds of its keys are checked for it; what needs two values it tells in `problems`. A package of somebody else registers
options the same way, in modules that its entry points ``qsnn.options`` name. Plain Python: neither Hydra nor torch.
"""

import copy
import functools
import importlib
import math
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import metadata
from typing import Any, ClassVar, TypeVar

from qsnn.errors import ConfigError

GROUPS = ("model", "quantization", "neuron", "dataset", "loss", "trainer", "optimizer")
ROOMS = (
    "qsnn.quantization", "qsnn.dynamics", "qsnn.data.sources", "qsnn.data.generators", "qsnn.models", "qsnn.losses",
    "qsnn.training.trainers",
)  # fmt: skip
ENTRY_POINTS = "qsnn.options"
MAX_FACTOR = 1e9  # squared and multiplied with each other, such factors stay finite in float32
T = TypeVar("T", bound=type)
_registry: dict[str, dict[str, type["Option"]]] = {group: {} for group in GROUPS}
_loaded: set[str] = set()


def key(
    default: Any,
    meaning: str,
    unit: str = "",
    original: str = "",
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = math.inf,
    below: float = math.inf,
    choices: tuple[Any, ...] = (),
) -> Any:
    """A dataclass field that documents and bounds itself; the bounds of a list are those of its entries.

    ``original``: the argument or constant of the original program.
    """
    metadata = {
        "meaning": meaning, "unit": unit, "original": original,
        "at_least": at_least, "above": above, "at_most": at_most, "below": below, "choices": choices,
    }  # fmt: skip
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Option:
    """Base of all options. ``gives`` and ``needs``: words; what one chosen option needs, another must give. ``lacks``: bit
    widths for which it has nothing, though the trainer's other nets may. ``stands_for_another``: it ``choose``s another
    option when all are known."""

    group: ClassVar[str]
    option: ClassVar[str]
    gives: ClassVar[frozenset[str]] = frozenset()
    lacks: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    stands_for_another: ClassVar[bool] = False

    def lacking(self) -> tuple[str, ...]:
        """``lacks``, where that depends on a key."""
        return self.lacks

    def problems(self) -> Iterator[str]:
        """What is wrong with its values beyond their bounds, one line each. What would only follow from a value out of
        its bounds is left out, see `in_bounds`."""
        yield from ()

    def wrong_types(self) -> Iterator[str]:
        """Those of the `problems` that are of type, where a key takes several: told as early as any other wrong type."""
        yield from ()

    def float_quantities(self, config: Any) -> Iterator[str]:
        """With ``quantization.arithmetic=integer``: what of it no integer machine could compute in the run of ``config``, one
        line each that names key, value and what to set."""
        yield from ()

    def in_bounds(self, *names: str) -> bool:
        """Whether the values of these keys lie in their bounds."""
        return not any(True for name in names for _ in _problems_of(getattr(self, name), name, self._metadata(name)))

    def _metadata(self, name: str) -> Any:
        return next(entry.metadata for entry in fields(self) if entry.name == name)


def impossible(name: str, value: Any, allowed: str) -> str:
    """The line that tells of a wrong value."""
    shown = str(value).replace("None", "null") if value is None or isinstance(value, list) else value
    return f"{name}={shown} is not possible: {allowed}"


def option(group: str, name: str) -> Callable[[T], T]:
    """Register a dataclass as ``group=name``. Raises ValueError for an unknown group, or a name that is taken."""

    def register(schema: T) -> T:
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            raise ValueError(f"{name!r} is no name of an option: letters, digits, _ and -, not a digit first")
        if not is_dataclass(schema) or not issubclass(schema, Option):
            raise ValueError(f"{group}={name} must be a dataclass, and an Option")
        if group not in _registry:
            raise ValueError(f"there is no group {group!r}; groups are {', '.join(GROUPS)}")
        known = _registry[group].get(name)
        if known is not None and known.__qualname__ != schema.__qualname__:
            raise ValueError(f"{group}={name} is there already: {known.__module__}.{known.__qualname__}")
        schema.group, schema.option = group, name
        _registry[group][name] = schema
        return schema

    return register


def load_options() -> None:
    """Import the rooms in which options stand, and what other packages have announced. Once a process."""
    for room in ROOMS:
        if room not in _loaded:
            _loaded.add(room)
            for module in pkgutil.iter_modules(importlib.import_module(room).__path__):
                importlib.import_module(f"{room}.{module.name}")
    for point in _announced(tuple(sys.path)):
        if point.value not in _loaded:
            _load(point)
            _loaded.add(point.value)


def _load(point: metadata.EntryPoint) -> None:
    """Import options of another package. Raises ConfigError, which names it: whatever goes wrong there is no fault of a run."""
    try:
        point.load()
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else "a package"
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        raise ConfigError(
            f"{package} announces options in {point.value} ({ENTRY_POINTS}), which cannot be imported ({reason}): "
            f"repair it, or pip uninstall {package}"
        ) from error


@functools.cache
def _announced(search_path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """The modules with options that packages on the search path announce; to look takes milliseconds, too long to repeat."""
    return tuple(metadata.entry_points(group=ENTRY_POINTS))


def package_of(option: type[Option]) -> str | None:
    """Name and version of the package that brought an option by its entry point, such as ``flashes 0.1``; None of qsnn's own,
    and of those that no package announces."""
    for point in _announced(tuple(sys.path)):
        if point.dist is not None and option.__module__.split(".")[0] == point.module.split(".")[0]:
            return f"{point.dist.name} {point.dist.version}"
    return None


def options_of(group: str) -> dict[str, type[Option]]:
    """The options of a group by name."""
    load_options()
    return dict(sorted(_registry[group].items()))


def value_problems(node: Any, prefix: str) -> Iterator[str]:
    """What is out of the bounds that the fields of a dataclass declare; ``prefix``: such as ``neuron.``."""
    for entry in fields(node):
        yield from _problems_of(getattr(node, entry.name), prefix + entry.name, entry.metadata)


def _problems_of(value: Any, name: str, bounds: Any) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _bound_problem(f"{name}[{index}]", item, bounds)
    else:
        yield from _bound_problem(name, value, bounds)


def _bound_problem(name: str, value: Any, bounds: Any) -> Iterator[str]:
    choices = bounds.get("choices", ())
    if choices and value not in choices:
        yield impossible(name, value, f"allowed are {', '.join('null' if c is None else str(c) for c in choices)}")
    low, above = bounds.get("at_least"), bounds.get("above")
    high, below = bounds.get("at_most", math.inf), bounds.get("below", math.inf)
    if value is None or isinstance(value, bool | str) or (low is None and above is None):
        return
    if not isinstance(value, int | float):
        yield impossible(name, value, "it must be a number")
        return
    inside = math.isfinite(value) and value <= high and value < below
    if not (inside and (value >= low if above is None else value > above)):
        yield impossible(name, value, f"it must be {bounds_text(bounds)}")


def bounds_text(bounds: Any) -> str:
    """``at least 0 and at most 1``; "" without a lower bound."""
    low, above = bounds.get("at_least"), bounds.get("above")
    high, below = bounds.get("at_most", math.inf), bounds.get("below", math.inf)
    if low is None and above is None:
        return ""
    lower = f"at least {_number(low)}" if above is None else f"above {_number(above)}"
    upper = f" and at most {_number(high)}" if high < math.inf else ""
    return f"{lower}{upper}" + (f" and below {_number(below)}" if below < math.inf else "")


def _number(bound: Any) -> str:
    """Short, but not 1 for 0.999999999."""
    return f"{bound:g}" if math.isclose(float(f"{bound:g}"), bound, rel_tol=1e-12) else str(bound)


def misfits(chosen: list[Option]) -> Iterator[str]:
    """One line for each thing that a chosen option needs and no chosen one gives, with the options that would."""
    given = frozenset().union(*(one.gives for one in chosen))
    for one in chosen:
        for need in sorted(one.needs - given):
            helpers = [
                f"{group}={name}"
                for group in GROUPS
                for name, other in options_of(group).items()
                if need in other.gives
            ]
            others = sorted({helper.split("=")[0] for helper in helpers})
            instead = ", ".join(f"{other.group}={other.option}" for other in chosen if other.group in others)
            yield (
                f"{one.group}={one.option} needs {need}, which "
                f"{f'{instead} does not give' if instead else 'nothing that is chosen gives'}; "
                f"{' or '.join(helpers) or 'no option'} does"
            )
