"""Random streams: one seed, one independent generator for each purpose."""

import zlib

import numpy as np


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Return the numpy generator of the stream `name` under `seed` (an integer >= 0).

    Streams of different names are independent, so that drawing more or less from one never changes another. The same
    seed and name give the same numbers in every process (Python's own `hash` would not: it is salted).
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
