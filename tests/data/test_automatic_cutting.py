"""dataset=event_folder without a length of pieces: long recordings are cut where whole ones are too few, and only there."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from event_folders import USERS, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.split import split
from qsnn.data.sources.event_folder import EventFolderOption
from qsnn.data.sources.held_out import enough_recordings, hold_out_recordings
from qsnn.data.sources.pieces import AutomaticCutting
from qsnn.errors import DataError

ONE_A_CLASS = ["box/1.aedat", "cup/1.aedat"]


def option(root: Path, **keys: object) -> EventFolderOption:
    return EventFolderOption(root=str(root), cache=str(root / ".cache"), **keys)  # type: ignore[arg-type]


def test_single_recordings_of_classes_are_cut_and_split_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, ONE_A_CLASS, seconds=2.0)
    for window, length, pieces, sizes in ((0.1, 0.1, 20, [26, 6, 8]), (0.5, 0.2, 10, [12, 4, 4])):
        chosen = option(tmp_path, window_train=0.05, window_test=window)
        for _ in range(2):  # from the files, and from the cache
            caplog.clear()
            with caplog.at_level(logging.INFO):
                prepared = chosen.prepare(progress=False)
            said = f"{tmp_path}: {2 * pieces} pieces of {length} s, cut because whole recordings are too few to split; "
            assert sum(text.startswith(said) for text in caplog.messages) == 1
        parts = chosen.split(prepared)
        assert prepared.in_time
        assert [len(part) for part in parts] == sizes
        assert prepared.durations.max() <= length * 1e6
        for label in (0, 1):
            train, validation, test = (part[prepared.labels[part] == label] for part in parts)
            assert train.max() < validation.min() <= validation.max() < test.min()


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (USERS, {}),
        (ONE_A_CLASS, {"piece_duration": 0.1}),
        (ONE_A_CLASS, {"piece_events": 30}),
        ([f"{name}/{number}.aedat" for name in "ab" for number in "12"], {"validation_share": 0.0}),
        ([f"Train/{name}/{number}.aedat" for name in "ab" for number in "123"] + ["Test/a/1.aedat"], {}),
    ],
)
def test_what_can_be_split_or_is_cut_by_a_key_stays_as_it_was(names: list[str], keys: dict, tmp_path: Path) -> None:
    write_folder(tmp_path, names)
    chosen = option(tmp_path, **keys)
    source = chosen.source()
    plain = type(source)(tmp_path, source._settings._replace(automatic=None))
    assert not source.cut_by_itself
    assert source.fingerprint() == plain.fingerprint()
    assert [r[:4] for r in source.recordings()] == [r[:4] for r in plain.recordings()]


def test_recordings_of_train_and_test_are_cut_where_none_would_validate(tmp_path: Path) -> None:
    write_folder(tmp_path, ["Train/a/1.aedat", "Train/b/1.aedat", "Test/a/1.aedat"])
    chosen = option(tmp_path, window_test=0.05, window_train=0.05)
    prepared = chosen.prepare(progress=False)
    train, validation, test = chosen.split(prepared)
    assert {name.rpartition("/")[0] for name in prepared.names[test]} == {"Test/a/1.aedat"}
    assert (len(train), len(validation), len(test)) == (32, 8, 20)


def test_recordings_of_groups_are_never_cut_by_themselves(tmp_path: Path) -> None:
    write_folder(tmp_path, ONE_A_CLASS)
    with pytest.raises(DataError, match="box/1"):
        list(option(tmp_path, group_by=".+").source().recordings())


def test_length_of_pieces_follows_window_and_shortest_recording() -> None:
    cutting = AutomaticCutting(0.5, 0.2)
    assert [cutting.piece_duration(shortest) for shortest in (17_000_000, 5_000_000, 4_999_999, 20, 10_000_000)] == [
        0.5, 0.5, 0.499, 0.001, 0.5
    ]  # fmt: skip


@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.floats(0.05, 0.9), st.sampled_from([0.0, 0.2, 0.4]))
@settings(max_examples=25, deadline=None)
def test_enough_recordings_are_those_that_can_be_split(counts: list[int], share: float, validation: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    enough = enough_recordings(labels.tolist(), len(counts), share, validation)
    try:
        is_test = hold_out_recordings(labels.tolist(), [str(label) for label in range(len(counts))], share)
        split(_dataset(labels, is_test), validation, 0)
    except DataError:
        assert not enough
    else:
        assert enough


def _dataset(labels: np.ndarray, is_test: np.ndarray) -> Any:
    """As much of a data set of independent recordings as `split` looks at."""
    groups = np.array([str(number) for number in range(len(labels))])
    return SimpleNamespace(
        name="x", num_recordings=len(labels), labels=labels, is_test=is_test, groups=groups, in_time=False
    )
