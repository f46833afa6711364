"""dataset=event_folder: which recordings a folder yields, what is for testing, and what is said where it is wrong."""

import logging
from pathlib import Path

import numpy as np
import pytest
from event_builders import AEDAT3_HEADER, aedat2_file, aedat3_file, nmnist_file, random_events, same_events
from event_folders import USERS, folder, put, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.split import split
from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.event_folder import EventFolder, EventFolderOption, FolderSettings
from qsnn.data.sources.held_out import hold_out_groups, hold_out_recordings
from qsnn.data.sources.pieces import Cutting
from qsnn.errors import ConfigError, DataError
from qsnn.options import value_problems

DAVIS_HEADER = AEDAT3_HEADER.replace(b"DVS128", b"DAVIS240C")


def from_zero(events: Events) -> Events:
    return events._replace(t=events.t - events.t[0])


def all_of(source: EventFolder) -> list[Recording]:
    recordings = list(source.recordings())
    assert len({recording.name for recording in recordings}) == len(recordings)
    return recordings


def test_event_folder_yields_each_file_with_the_class_of_its_folder(tmp_path: Path) -> None:
    written = write_folder(tmp_path, ["10/a.aedat", "2/deep/down/b.aedat", "2/a.AEDAT", "10/c.aedat"])
    source = folder(tmp_path)
    recordings = all_of(source)
    assert source.classes == ("2", "10")
    assert source.sensor == (128, 128)
    assert [recording.name for recording in recordings] == [
        "2/a.AEDAT",
        "2/deep/down/b.aedat",
        "10/a.aedat",
        "10/c.aedat",
    ]
    assert [recording.label for recording in recordings] == [0, 0, 1, 1]
    assert len(source) == 4
    assert all(same_events(recording.events, written[recording.name]) for recording in recordings)
    assert all(recording.group == recording.name for recording in recordings)
    assert not source.in_time


@pytest.mark.parametrize("names", [("Train", "Test"), ("train", "TEST")])
def test_event_folder_takes_the_test_part_from_its_folder(tmp_path: Path, names: tuple[str, str]) -> None:
    train, test = names
    write_folder(tmp_path, [f"{train}/cup/1.aedat", f"{train}/box/1.aedat", f"{test}/cup/2.aedat"])
    source = folder(tmp_path)
    assert source.classes == ("box", "cup")
    assert [(r.name, r.label, r.is_test) for r in all_of(source)] == [
        (f"{train}/box/1.aedat", 0, False), (f"{train}/cup/1.aedat", 1, False), (f"{test}/cup/2.aedat", 1, True),
    ]  # fmt: skip


def test_event_folder_takes_a_train_beside_other_vehicles_as_a_class(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/1.aedat", "bus/1.aedat", "train/2.aedat", "bus/2.aedat"])
    assert folder(tmp_path).classes == ("bus", "train")


def test_event_folder_tells_the_kind_by_the_header_before_the_suffix(tmp_path: Path) -> None:
    events = random_events(3)
    put(tmp_path, "a/1.aedat", aedat2_file(events))
    put(tmp_path, "a/2.aedat", aedat3_file(events))
    put(tmp_path, "b/1.bin", aedat2_file(events))
    put(tmp_path, "b/2", aedat3_file(events))
    source = folder(tmp_path)
    assert [file.kind for file in source.layout.files] == ["aedat2", "aedat3", "aedat2", "aedat3"]
    assert all(same_events(recording.events, from_zero(events)) for recording in all_of(source))


def test_event_folder_takes_the_sensor_from_header_kind_or_key(tmp_path: Path) -> None:
    big = Events(np.array([5, 9]), np.array([239, 0], np.int16), np.array([0, 179], np.int16), np.array([True, False]))
    for name in ("a/1.aedat", "a/2.aedat", "b/1.aedat", "b/2.aedat"):
        put(tmp_path / "davis", name, aedat3_file(big).replace(AEDAT3_HEADER, DAVIS_HEADER))
        put(tmp_path / "nameless", name, aedat3_file(big).replace(b"#Source 1: DVS128\r\n", b""))
        put(tmp_path / "caltech", name.replace("aedat", "bin"), nmnist_file(big))
        put(tmp_path / "digits", name.replace("aedat", "bin"), nmnist_file(random_events(1, 20, 34)))
    assert folder(tmp_path / "davis").sensor == (180, 240)
    assert folder(tmp_path / "digits").sensor == (34, 34)
    for name in ("nameless", "caltech"):
        source = folder(tmp_path / name, sensor=(180, 240))
        assert source.sensor == (180, 240)
        assert [recording.events.x.tolist() for recording in all_of(source)] == 4 * [[239, 0]]


@pytest.mark.parametrize("kind", ["aedat2", "aedat3", "nmnist"])
def test_event_folder_mirrors_and_exchanges_polarity_in_every_kind(tmp_path: Path, kind: str) -> None:
    events = random_events(2, 100, 34)
    content = {"aedat2": aedat2_file, "aedat3": aedat3_file, "nmnist": nmnist_file}[kind](events)
    suffix = ".bin" if kind == "nmnist" else ".aedat"
    for name in ("a/1", "a/2", "b/1", "b/2"):
        put(tmp_path, name + suffix, content)
    plain, turned = folder(tmp_path), folder(tmp_path, options=AEDAT2Options(0, mirror_x=True, mirror_y=True))
    one, other = all_of(plain)[0].events, all_of(turned)[0].events
    height, width = plain.sensor
    assert np.array_equal(other.x, width - 1 - one.x)
    assert np.array_equal(other.y, height - 1 - one.y)
    assert np.array_equal(other.polarity, ~one.polarity)
    assert same_events(one, events if kind == "nmnist" else from_zero(events))


def test_event_folder_holds_out_a_share_of_each_class(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{name}/{number}.aedat" for name in "ab" for number in range(10)])
    recordings = all_of(folder(tmp_path, cutting=Cutting(None, None, 0.3)))
    assert [sum(r.is_test for r in recordings if r.label == label) for label in (0, 1)] == [3, 3]
    assert [r.is_test for r in recordings] == [
        r.is_test for r in all_of(folder(tmp_path, cutting=Cutting(None, None, 0.3)))
    ]


def test_event_folder_holds_out_groups_that_a_pattern_finds(tmp_path: Path) -> None:
    write_folder(tmp_path, USERS)
    for cutting in (Cutting(None, None), Cutting(0.3)):
        source = folder(tmp_path, group_by=r"/(\w+)_\d", cutting=cutting)
        recordings = all_of(source)
        assert {recording.group for recording in recordings} == {"ann", "bob", "eve"}
        assert not source.in_time
        assert len({recording.group for recording in recordings if recording.is_test}) == 1
        assert {(r.group, r.is_test) for r in recordings} == {(r.group, r.is_test) for r in recordings[::-1]}
        assert len({(r.group, r.is_test) for r in recordings}) == 3


def test_event_folder_cuts_recordings_and_tests_on_the_last_pieces(tmp_path: Path) -> None:
    written = write_folder(tmp_path, ["box/1.aedat", "cup/1.aedat"], seconds=2.05)
    source = folder(tmp_path, cutting=Cutting(0.2, None, 0.3))
    recordings = all_of(source)
    assert source.in_time
    assert [recording.is_test for recording in recordings] == 2 * (7 * [False] + 3 * [True])
    assert abs(len(source) - len(recordings)) <= 1
    for recording in recordings:
        name, _, number = recording.name.rpartition("/")
        whole, start = written[name], int(number) * 200_000
        assert recording.group == name
        assert np.array_equal(recording.events.t + start, whole.t[(whole.t >= start) & (whole.t < start + 200_000)])


def test_event_folder_cuts_by_events_within_the_folders_of_the_parts(tmp_path: Path) -> None:
    write_folder(tmp_path, ["Train/a/1.aedat", "Train/b/1.aedat", "Test/a/1.aedat"])
    source = folder(tmp_path, cutting=Cutting(None, 50))
    prepared = prepare_dataset(source, tmp_path / "cache", progress=False)
    assert prepared.is_test.tolist() == 12 * [False] + 6 * [True]
    parts = split(prepared, 0.2, 0)
    assert parts.validation.tolist() == [5, 11]  # the end of each training recording


def test_event_folder_skips_and_counts_other_files_and_tells_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, ["a/1.aedat", "a/2.aedat", "b/1.aedat", "b/2.aedat"])
    for name in (
        "a/notes.txt",
        "README.TXT",
        "b/x.mp4",
        "b/nothing",
        "a/.hidden",
        "__MACOSX/c/._1.aedat",
        ".git/config",
    ):
        put(tmp_path, name, b"something else")
    source = folder(tmp_path)
    assert len(all_of(source)) == len(all_of(source)) == 4
    assert caplog.messages == [
        f"{tmp_path}: 4 files are no recordings in a class's folder and were skipped: 1 .mp4, 2 .txt, 1 without a suffix"
    ]


def test_event_folder_reads_only_the_kind_that_is_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, ["a/1.aedat", "a/2.aedat", "b/1.aedat", "b/2.aedat"])
    put(tmp_path, "a/3.bin", nmnist_file(random_events(0, 20, 34)))
    with caplog.at_level(logging.WARNING):
        assert [file.kind for file in folder(tmp_path, format="aedat2").layout.files] == 4 * ["aedat2"]
    assert caplog.messages == [f"{tmp_path}: 1 files are not of dataset.format=aedat2 and were skipped: 1 .bin"]


def test_event_folder_fingerprint_changes_with_every_option_and_file_that_counts(tmp_path: Path) -> None:
    write_folder(tmp_path, USERS)
    variants: list[dict] = [
        {}, {"format": "aedat2"}, {"group_by": "ann|bob|eve"}, {"cutting": Cutting(0.3)}, {"cutting": Cutting(None, 9)},
        {"cutting": Cutting(None, None, 0.4)}, {"options": AEDAT2Options(0)}, {"options": AEDAT2Options(mirror_x=True)},
        {"options": AEDAT2Options(mirror_y=True)}, {"options": AEDAT2Options(sort_time=True)},
    ]  # fmt: skip
    prints = [folder(tmp_path, **fields).fingerprint() for fields in variants]
    assert len(set(prints)) == len(prints)
    put(tmp_path, "clap/notes.txt", b"not a recording")
    assert folder(tmp_path).fingerprint() == prints[0]
    write_folder(tmp_path, ["clap/new.aedat"])
    assert folder(tmp_path).fingerprint() != prints[0]


@given(counts=st.lists(st.integers(2, 30), min_size=1, max_size=5), share=st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_hold_out_recordings_leaves_every_class_training_and_testing(counts: list[int], share: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    is_test = hold_out_recordings(labels.tolist(), [str(label) for label in range(len(counts))], share)
    for label, count in enumerate(counts):
        assert is_test[labels == label].sum() == min(max(1, round(share * count)), count - 1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=1, max_size=60), st.floats(0.05, 0.9))
@settings(max_examples=50, deadline=None)
def test_hold_out_groups_never_parts_a_group(entries: list[tuple[str, int]], share: float) -> None:
    groups, labels = zip(*entries, strict=True)
    try:
        is_test = hold_out_groups(groups, labels, ["x", "y", "z"], share)
    except DataError:
        return
    assert len(set(zip(groups, is_test.tolist(), strict=True))) == len(set(groups))
    assert is_test.any()
    assert set(np.asarray(labels)[~is_test].tolist()) == {0, 1, 2}


WRONG = [
    (
        {"piece_duration": 0.5, "piece_events": 9},
        "dataset.piece_duration=0.5 is not possible: set it or dataset.piece_events",
    ),
    ({"sensor": [128]}, "dataset.sensor=[128] is not possible: give [height,width]"),
    ({"sensor": [1, 2, 3]}, "dataset.sensor=[1, 2, 3] is not possible"),
    ({"sensor": [32767, 32767]}, "at most 4194304 pixels"),
    ({"sensor": [0, 5]}, "dataset.sensor[0]=0 is not possible: it must be at least 1"),
    (
        {"group_by": "(user"},
        "dataset.group_by=(user is not possible: it is a regular expression, and this is none: missing ),",
    ),
    ({"format": "aedat4"}, "dataset.format=aedat4 is not possible: allowed are auto, aedat2, aedat3, nmnist"),
    ({"test_share": 0.0}, "dataset.test_share=0.0 is not possible"),
    ({"on_bit": 2}, "dataset.on_bit=2 is not possible"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_event_folder_option_names_a_value_that_is_not_possible(values: dict, message: str) -> None:
    node = EventFolderOption(**values)
    said = [*value_problems(node, "dataset."), *node.problems()]
    assert any(message in line for line in said)
    assert all("\n" not in line for line in said)


def test_event_folder_option_passes_every_key_on(tmp_path: Path) -> None:
    write_folder(tmp_path, USERS)
    assert not [*value_problems(EventFolderOption(), "dataset."), *EventFolderOption().problems()]
    with pytest.raises(ConfigError, match=r"dataset\.root=null is not possible: give the folder"):
        EventFolderOption().source()
    option = EventFolderOption(
        root=str(tmp_path), format="aedat2", sensor=[128, 128], group_by="ann|bob|eve", piece_events=50, test_share=0.4,
        on_bit=0, mirror_x=True, mirror_y=True, sort_time=True, ignore_external_bit=True,
    )  # fmt: skip
    expected = FolderSettings(
        "aedat2", (128, 128), "ann|bob|eve", Cutting(None, 50, 0.4), AEDAT2Options(0, True, True, True, True)
    )
    assert option.source()._settings == expected
