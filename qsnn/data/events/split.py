"""Splits of a prepared event data set into training, validation and test, without leakage.

Three kinds of data sets, told apart by `EventDataset.in_time` and its groups:

- split by time: the recordings of a group are consecutive pieces of one long recording. Folds and the validation part are
  runs of neighbouring pieces of each group;
- grouped: some group has several recordings, as a person has. A group lies on one side of every split, and the classes are
  spread as evenly as the groups allow;
- independent: each recording is its own group. Each class is split by itself.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.dataset import EventDataset
from qsnn.data.streams import random_stream
from qsnn.errors import DataError

Indices = NDArray[np.int64]


class Split(NamedTuple):
    """Recordings for each purpose: indices, ascending, each recording in at most one of them."""

    train: Indices
    validation: Indices
    test: Indices


def split(
    dataset: EventDataset, validation_share: float, seed: int, num_folds: int | None = None, fold: int = 0
) -> Split:
    """Split ``dataset``. The same arguments give the same split.

    Args:
        dataset: from `prepare_dataset`.
        validation_share: of what is not for testing, in [0, 1); 0: no validation.
        seed: integer >= 0, for what is drawn; the folds of one seed belong together.
        num_folds: None: the data set's own test recordings; else the number of folds, 2 or more, into which all
            recordings, its own test recordings too, are parted.
        fold: the one that is for testing, 0..num_folds - 1.

    Raises:
        DataError: too few recordings, groups or pieces for the split.
    """
    everything = np.arange(dataset.num_recordings)
    if num_folds is None:
        is_test = dataset.is_test
    else:
        parts = _parts(dataset, everything, [1 / num_folds] * num_folds, random_stream(seed, "folds"))
        is_test = parts == fold
        if len(np.unique(parts)) < num_folds:
            raise DataError(f"dataset.num_folds={num_folds} is too many for {dataset.name}: a fold would be empty")
    rest, test = everything[~is_test], everything[is_test]
    validation = _validation(dataset, rest, validation_share, seed)
    train = np.setdiff1d(rest, validation)
    if not len(train) or not len(test) or (validation_share > 0 and not len(validation)):
        raise DataError(
            f"{dataset.name} has too few recordings to split: {len(train)} for training, {len(validation)} for validation "
            f"and {len(test)} for testing; change dataset.validation_share or dataset.num_folds"
        )
    return Split(train, validation, test)


def _validation(dataset: EventDataset, rest: Indices, share: float, seed: int) -> Indices:
    if share == 0 or not len(rest):
        return rest[:0]
    if dataset.in_time:
        groups = dataset.groups[rest]
        return np.sort(np.concatenate([_end_of_longest_run(rest[groups == name], share) for name in np.unique(groups)]))
    parts = _parts(dataset, rest, [share, 1 - share], random_stream(seed, "validation"))
    return rest[parts == 0]


def _end_of_longest_run(pieces: Indices, share: float) -> Indices:
    """The last pieces of the longest run of neighbours: about ``share`` of all ``pieces``, but never the whole run."""
    runs = np.split(pieces, np.flatnonzero(np.diff(pieces) > 1) + 1)
    longest = max(runs, key=len)
    count = min(max(1, round(share * len(pieces))), len(longest) - 1)
    return longest[len(longest) - count :]


def _parts(dataset: EventDataset, indices: Indices, shares: list[float], rng: np.random.Generator) -> NDArray[np.int64]:
    """Which part each recording of ``indices`` goes to; part k gets about ``shares[k]`` of them."""
    groups, labels = dataset.groups[indices], dataset.labels[indices]
    names, group = np.unique(groups, return_inverse=True)
    if dataset.in_time:
        return _parts_in_time(group, shares)
    if len(names) == len(indices):
        return _parts_of_classes(labels, shares, rng)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (group, labels), 1)
    return parts_of_groups(counts, shares, rng)[group]


def _parts_in_time(group: Indices, shares: list[float]) -> Indices:
    """Each group's recordings, in their order, as consecutive parts."""
    parts = np.empty_like(group)
    for number in np.unique(group):
        own = np.flatnonzero(group == number)
        parts[own] = _consecutive(len(own), shares)
    return parts


def _consecutive(count: int, shares: list[float]) -> Indices:
    """[count]: part 0 for the first ``shares[0]`` of the places, and so on."""
    edges = np.round(np.cumsum(shares)[:-1] * count)
    return np.searchsorted(edges, np.arange(count), "right")


def _parts_of_classes(labels: NDArray[np.int64], shares: list[float], rng: np.random.Generator) -> Indices:
    """Each class's recordings, shuffled, as consecutive parts."""
    parts = np.empty_like(labels)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        # Which parts get the remainder differs from class to class; otherwise it would always be the same ones.
        turn = rng.permutation(len(shares)) if len(set(shares)) == 1 else np.arange(len(shares))
        parts[own] = turn[_consecutive(len(own), [shares[part] for part in turn])]
    return parts


def parts_of_groups(counts: NDArray[np.float64], shares: list[float], rng: np.random.Generator) -> Indices:
    """The part of each group; ``counts`` [groups, classes]: its recordings.

    Large groups first, each goes where the classes are then the least full, as shares of what is due, squared and summed.
    """
    due = np.outer(shares, np.maximum(counts.sum(axis=0), 1))
    filled = np.zeros_like(due)
    parts = np.empty(len(counts), dtype=np.int64)
    order = rng.permutation(len(counts))
    for group in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        best = int(np.argmin((((filled + counts[group]) / due) ** 2).sum(axis=1)))
        filled[best] += counts[group]
        parts[group] = best
    _fill_empty(parts, counts.sum(axis=1), len(shares))
    return parts


def _fill_empty(parts: Indices, sizes: NDArray[np.float64], num_parts: int) -> None:
    """Give each empty part the smallest group of those that are not alone: a share smaller than any group gets one."""
    for part in range(num_parts):
        members = np.bincount(parts, minlength=num_parts)
        spare = np.flatnonzero(members[parts] > 1)
        if members[part] == 0 and len(spare):
            parts[spare[np.argmin(sizes[spare])]] = part
