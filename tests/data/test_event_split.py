"""Splits: disjoint, complete, stratified, groups together, pieces of one recording apart in time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.split import Split, split
from qsnn.errors import DataError


def make(rows: list[tuple[int, str, bool]], in_time: bool = False) -> EventDataset:
    """A data set of (label, group, is_test), without events: a split does not look at them."""
    labels, groups, is_test = (np.array(column) for column in zip(*rows, strict=True))
    nothing = np.zeros(0, np.uint32)
    return EventDataset(
        folder=Path(), fingerprint="", name="listed", classes=tuple("abcdefghijk"), sensor=(8, 8), in_time=in_time,
        labels=labels.astype(np.int64), groups=groups, names=np.arange(len(rows)).astype(str), is_test=is_test,
        durations=np.zeros(len(rows), np.int64), offsets=np.zeros(len(rows) + 1, np.int64), time=nothing, address=nothing,
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> EventDataset:
    """300 independent recordings, class k has 12 + 4 k."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 12 + 4 * np.arange(10)))
    rows = [(int(label), f"r{i}", i % 6 == 0) for i, label in enumerate(labels)]
    return make(rows)


@pytest.fixture(scope="module")
def people() -> EventDataset:
    """29 people with 1 to 4 times 11 gestures, the last 6 for testing."""
    rows = [
        (label, f"user{user:02}", user >= 23) for user in range(29) for _ in range(1 + user % 4) for label in range(11)
    ]
    return make(rows)


@pytest.fixture(scope="module")
def cards() -> EventDataset:
    """Four recordings of 50 to 80 pieces, the last 20 % for testing."""
    sizes = {"club": 50, "diamond": 61, "heart": 70, "spade": 80}
    rows = [
        (label, suit, piece >= 0.8 * size) for label, (suit, size) in enumerate(sizes.items()) for piece in range(size)
    ]
    return make(rows, in_time=True)


@pytest.fixture(params=["digits", "people", "cards"])
def dataset(request: pytest.FixtureRequest) -> EventDataset:
    """Each kind of data set."""
    return request.getfixturevalue(request.param)


def assert_partition(parts: Split, dataset: EventDataset) -> None:
    assert sorted(np.concatenate(parts).tolist()) == list(range(dataset.num_recordings))
    assert all((np.diff(part) > 0).all() for part in parts)


@pytest.mark.parametrize("seed", [0, 1])
def test_split_keeps_the_test_part_of_the_data_set(dataset: EventDataset, seed: int) -> None:
    parts = split(dataset, 0.2, seed)
    assert_partition(parts, dataset)
    assert np.array_equal(parts.test, np.flatnonzero(dataset.is_test))
    share = len(parts.validation) / (len(parts.validation) + len(parts.train))
    assert 0.15 < share < 0.25


def test_split_without_validation(dataset: EventDataset) -> None:
    parts = split(dataset, 0.0, 0)
    assert_partition(parts, dataset)
    assert len(parts.validation) == 0


@pytest.mark.parametrize("num_folds", [2, 3, 5])
def test_folds_test_every_recording_once(dataset: EventDataset, num_folds: int) -> None:
    folds = [split(dataset, 0.2, 4, num_folds, fold) for fold in range(num_folds)]
    for parts in folds:
        assert_partition(parts, dataset)
    tested = np.concatenate([parts.test for parts in folds])
    assert sorted(tested.tolist()) == list(range(dataset.num_recordings))


@pytest.mark.parametrize("num_folds", [None, 2, 5])
def test_split_of_independent_recordings_is_stratified(digits: EventDataset, num_folds: int | None) -> None:
    parts = split(digits, 0.2, 0, num_folds, 0)
    rest = np.concatenate([parts.train, parts.validation])
    for label in range(10):
        size = (digits.labels == label).sum()
        rest_size = (digits.labels[rest] == label).sum()
        assert abs((digits.labels[parts.validation] == label).sum() - 0.2 * rest_size) <= 0.5
        if num_folds:
            assert abs((digits.labels[parts.test] == label).sum() - size / num_folds) <= 1


@pytest.mark.parametrize("num_folds", [None, 2, 5, 29])
def test_split_keeps_people_together(people: EventDataset, num_folds: int | None) -> None:
    parts = split(people, 0.2, 0, num_folds, 1 if num_folds else 0)
    seen = [set(people.groups[part].tolist()) for part in parts]
    assert all(seen)
    assert sum(len(part) for part in seen) == 29
    assert len(set.union(*seen)) == 29
    for part in parts:
        assert np.ptp(np.bincount(people.labels[part], minlength=11)) == 0  # everyone made every gesture


def test_folds_of_people_are_of_similar_size(people: EventDataset) -> None:
    sizes = [len(split(people, 0.2, 0, 5, fold).test) for fold in range(5)]
    assert max(sizes) - min(sizes) <= 2 * 11


@pytest.mark.parametrize(("num_folds", "fold"), [(None, 0), (5, 0), (5, 2), (5, 4), (2, 1)])
def test_split_in_time_takes_neighbouring_pieces(cards: EventDataset, num_folds: int | None, fold: int) -> None:
    parts = split(cards, 0.2, 0, num_folds, fold)
    for suit in np.unique(cards.groups):
        own = np.flatnonzero(cards.groups == suit)
        for part in (parts.validation, parts.test):
            pieces = part[cards.groups[part] == suit]
            assert len(pieces) > 0
            assert (np.diff(pieces) == 1).all()
        train = parts.train[cards.groups[parts.train] == suit]
        borders = (np.diff(train) > 1).sum()
        assert borders <= 2
        if num_folds is None:
            assert train.max() < parts.validation[cards.groups[parts.validation] == suit].min()
            assert borders == 0
        assert len(own) == sum((cards.groups[part] == suit).sum() for part in parts)


def test_split_depends_on_the_seed_alone(people: EventDataset, digits: EventDataset) -> None:
    for dataset in (people, digits):
        splits = [split(dataset, 0.2, seed).validation.tolist() for seed in (0, 1, 2, 0)]
        assert splits[0] == splits[3]
        assert len({tuple(validation) for validation in splits}) == 3


def test_validation_of_one_fold_never_meets_its_test_part_of_another_seed(digits: EventDataset) -> None:
    tests = [split(digits, share, 0, 3, 1).test.tolist() for share in (0.0, 0.1, 0.5)]
    assert tests[0] == tests[1] == tests[2]  # the folds do not depend on the validation share


@pytest.mark.parametrize(
    ("rows", "share", "num_folds"),
    [
        ([(0, "a", False), (1, "b", False)], 0.2, None),  # nothing to test on
        ([(0, "a", False), (0, "b", True)], 0.2, None),  # nothing to validate on
        ([(0, "a", True), (0, "b", True)], 0.0, None),  # nothing to train on
        ([(0, "a", False), (0, "a", False), (1, "b", False)], 0.0, 3),  # two groups, three folds
    ],
)
def test_split_refuses_too_few_recordings(
    rows: list[tuple[int, str, bool]], share: float, num_folds: int | None
) -> None:
    with pytest.raises(DataError, match=r"listed.*(too few recordings|a fold would be empty)"):
        split(make(rows), share, 0, num_folds)


ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdefgh"), st.booleans()), min_size=1, max_size=60)


@given(ROWS, st.just(0.0) | st.floats(0.001, 0.9), st.integers(0, 3), st.sampled_from([None, 2, 3, 5]), st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_split_is_disjoint_and_never_divides_a_group(
    rows: list[tuple[int, str, bool]],
    share: float,
    seed: int,
    num_folds: int | None,
    in_time: bool,
) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    dataset = make(rows, in_time)
    try:
        parts = split(dataset, share, seed, num_folds)
    except DataError:
        return
    assert_partition(parts, dataset)
    assert len(parts.train) > 0
    if not in_time:
        divided = [set(dataset.groups[part].tolist()) for part in parts]
        assert not divided[0] & divided[1]
        assert num_folds is None or not (divided[0] | divided[1]) & divided[2]
