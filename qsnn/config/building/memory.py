"""A net that does not fit into memory, told with the keys that make it smaller."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from qsnn.config.building.common import flatten, plain_config
from qsnn.config.schema import Config
from qsnn.errors import ConfigError

SIZES = (
    "dataset.num_inputs", "model.hidden", "dataset.num_outputs", "dataset.num_steps", "model.channels", "trainer.batch_size",
    "dataset.window_train", "dataset.window_test",
)  # fmt: skip
# torch has no error of its own for it on a CPU; on a GPU it has, a RuntimeError too.
TORCH_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def memory_explained(config: Config) -> Iterator[None]:
    """Turn the errors of Python, numpy and torch that there is no memory into a ConfigError."""
    try:
        yield
    except MemoryError as error:
        raise ConfigError(_message(config, str(error))) from error
    except RuntimeError as error:
        if not any(text in str(error) for text in TORCH_MESSAGES):
            raise
        raise ConfigError(_message(config, str(error))) from error


def _message(config: Config, reason: str) -> str:
    flat = flatten(plain_config(config))
    sizes = ", ".join(f"{key}={flat[key]}" for key in SIZES if key in flat)
    wanted = re.search(r"allocate ([\d.]+ \w+)", reason)
    more = f" ({wanted[1]} more were asked for)" if wanted else ""
    return f"the net with its activity does not fit into memory{more}: make one of these smaller: {sizes}"
