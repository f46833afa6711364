"""What every event-camera reader and generator yields: events, and recordings of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Events(NamedTuple):
    """Events of one sensor in the order of time, arrays of one length.

    ``t``: microseconds, int64, not decreasing; ``x`` to the right and ``y`` downward: pixels, int16; ``polarity``: bool,
    True where the light grew (ON).
    """

    t: NDArray[np.int64]
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    polarity: NDArray[np.bool_]


class Recording(NamedTuple):
    """One labelled piece of a data set.

    ``label`` counts classes from 0. ``group`` names what must not lie on both sides of a split: a user, a recording.
    ``is_test`` tells the data set's own split. ``remarks``: what was skipped, sorted or joined in its file, counts by words
    as in `qsnn.data.formats.clock.Reading`; of the recordings that are cut from one file only the first one has them.
    """

    name: str
    label: int
    group: str
    is_test: bool
    events: Events
    remarks: Mapping[str, int] = MappingProxyType({})
