"""The test part of a data set that comes without one: a share of each class's files, or of groups such as people."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.split import parts_of_groups
from qsnn.data.streams import random_stream
from qsnn.errors import DataError

_SEED = 0  # not the user's: another seed trains anew, but is tested on the same recordings


def hold_out_recordings(labels: Sequence[int], classes: Sequence[str], share: float) -> NDArray[np.bool_]:
    """[N]: whether each recording is for testing: ``share`` of each class, drawn, at least one, and never all.

    Raises DataError for a class of one recording.
    """
    is_test, label_of = np.zeros(len(labels), dtype=bool), np.asarray(labels)
    rng = random_stream(_SEED, "test")
    for label, name in enumerate(classes):
        own = np.flatnonzero(label_of == label)
        if len(own) < 2:
            raise DataError(
                f"class {name} has {len(own)} recording, which cannot be both for training and for testing: cut it into pieces "
                "(dataset.piece_duration=0.5 or dataset.piece_events=...), give more, or sort the files into Train and Test"
            )
        is_test[rng.permutation(own)[: min(max(1, round(share * len(own))), len(own) - 1)]] = True
    return is_test


def enough_recordings(labels: Sequence[int], num_classes: int, test_share: float, validation_share: float) -> bool:
    """Whether whole recordings, those of Test left out, can be split: every class has one for training and, with a
    ``test_share`` above 0, another for testing, and some class one for validation, if that has a share."""
    counts = np.bincount(labels, minlength=num_classes)
    if counts.min() < 1 + (test_share > 0):
        return False
    rest = counts - (np.clip(np.round(test_share * counts), 1, counts - 1) if test_share > 0 else 0)
    return validation_share == 0 or bool((np.round(validation_share * rest) >= 1).any())


def hold_out_groups(
    groups: Sequence[str], labels: Sequence[int], classes: Sequence[str], share: float
) -> NDArray[np.bool_]:
    """[N]: whether each recording is for testing: all or none of a group, about ``share`` of every class.

    Raises DataError where there is one group only, or a class would be left without training.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"dataset.group_by finds one group only, {names[0]}: two are needed, one of them for testing")
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (group, np.asarray(labels)), 1)
    is_test = parts_of_groups(counts, [share, 1 - share], random_stream(_SEED, "test"))[group] == 0
    trained = set(np.asarray(labels)[~is_test].tolist())
    missing = [name for label, name in enumerate(classes) if label not in trained]
    if missing:
        testing = ", ".join(np.unique(np.asarray(groups)[is_test])[:4])
        raise DataError(
            f"all recordings of {', '.join(missing[:4])} are of the groups that are for testing ({testing}): lower "
            "dataset.test_share, or sort the files into Train and Test"
        )
    return is_test
