"""Every way in which folders of recordings can be wrong, and what is said of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from event_builders import aedat2_file, aedat3_file, nmnist_file, random_events
from event_folders import USERS, folder, put, write_folder

from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.sources.pieces import Cutting
from qsnn.errors import ConfigError

Message = Callable[..., str]


def test_event_folder_does_not_follow_links_that_lead_around(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a/1.aedat", "a/2.aedat", "b/1.aedat", "b/2.aedat"])
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "b" / "pipe.aedat")
    assert len(folder(tmp_path)) == 4


EMPTY = "holds no folders, expected two classes or more; put the recordings into folders named by class"


LAYOUTS: list[tuple[dict[str, bytes], str]] = [
    ({"1.aedat": b"x"}, EMPTY),
    ({"only/1.aedat": b"x"}, "holds one folder, only, expected two classes or more"),
    ({"a/1.aedat": b"x", "b/c/.x": b""}, "b, a class's folder, holds nothing; read are .aedat, "),
    ({"a/1.aedat": b"x", "b/1.txt": b"", "b/2.mp4": b""}, "holds only 2 files of other kinds (.mp4, .txt); read are .aedat"),
    ({"Train/a/1.aedat": b"x"}, "holds Train, but not the other of Train and Test; put the"),
    ({"Train/a/1.aedat": b"x", "Test/b/1.aedat": b"x", "Valid/a/1.aedat": b""}, "holds Valid beside Train and Test: it is"),
    ({"Train/a/1.aedat": b"x", "Train/b/1.aedat": b"x", "Test/c/1.aedat": b"x"}, "c is in Test but not in Train"),
    ({"a\n/1.aedat": b"x", "b/1.aedat": b"x"}, r"the folder 'a\n' has a name that cannot be shown: give it another"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), LAYOUTS)
def test_event_folder_says_what_is_wrong_with_its_folders(
    tmp_path: Path, files: dict[str, bytes], message: str, message_of: Message
) -> None:
    for name, content in files.items():
        put(tmp_path, name, content)
    assert message in message_of(lambda: folder(tmp_path).classes)


def test_event_folder_says_where_it_looked_if_there_is_no_folder(tmp_path: Path, message_of: Message) -> None:
    assert EMPTY in message_of(lambda: folder(tmp_path).classes)
    assert f"dataset.root={tmp_path}/x is not a folder" in message_of(lambda: folder(tmp_path / "x").classes)


def test_event_folder_refuses_mixed_sensors_in_one_line(tmp_path: Path, message_of: Message) -> None:
    write_folder(tmp_path, ["a/1.aedat"])
    put(tmp_path, "b/1.bin", nmnist_file(random_events(0, 20, 34)))
    message = message_of(lambda: folder(tmp_path).sensor)
    assert "a/1.aedat has 128 x 128 pixels (height, width), " in message
    assert "b/1.bin has 34 x 34 pixels (height, width): a data set has one sensor; give each its own folder" in message


def test_event_folder_refuses_a_sensor_that_the_header_denies_and_asks_for_one_that_nothing_tells(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path / "told", ["a/1.aedat", "b/1.aedat"])
    with pytest.raises(
        ConfigError, match=r"dataset\.sensor=\[34, 34\] is not possible: .* \[128, 128\] \(height, width\)"
    ):
        folder(tmp_path / "told", sensor=(34, 34)).fingerprint()
    for name in ("a/1.aedat", "b/1.aedat"):
        put(tmp_path / "untold", name, aedat3_file(random_events(0)).replace(b"DVS128", b"MyOwn"))
    with pytest.raises(
        ConfigError, match=r"dataset\.sensor=null is not possible: .*1\.aedat names no camera whose size"
    ):
        folder(tmp_path / "untold").fingerprint()


BROKEN = [
    (aedat2_file(random_events(0))[:-3], "byte 1663: the file ends after 5 bytes of an event"),
    (b"", "1.aedat has 0 bytes"),
    (b"no header at all", "byte 0: the first line is 'no header at all', expected '#!AER-DAT2.0'"),
    (b"#!AER-DAT4.0\r\nsomething", "1.aedat is an AEDAT 4.0 file, as DV writes it"),
    (aedat3_file(random_events(0))[:-3], "a packet of 8 events of 8 bytes, with 61 bytes left"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_event_folder_names_the_file_that_is_broken(
    tmp_path: Path, content: bytes, message: str, message_of: Message
) -> None:
    write_folder(tmp_path, ["a/1.aedat", "a/2.aedat", "b/1.aedat", "b/2.aedat"])
    path = put(tmp_path, "a/1.aedat", content)
    said = message_of(prepare_dataset, folder(tmp_path), tmp_path / "cache", progress=False)
    assert message in said
    assert str(path) in said
    assert not list((tmp_path / "cache").glob("event_folder*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_event_folder_names_a_file_that_may_not_be_read(tmp_path: Path, message_of: Message) -> None:
    write_folder(tmp_path, ["a/1.aedat", "b/1.aedat"])
    (tmp_path / "a" / "1.aedat").chmod(0)
    assert "a/1.aedat cannot be opened (Permission denied)" in message_of(lambda: folder(tmp_path).classes)


SPLITS: list[tuple[list[str], dict, str]] = [
    (["a/1.aedat", "b/1.aedat"], {}, "class a has 1 recording, which cannot be both for training and for testing: cut it"),
    (["a/1.aedat", "b/1.aedat"], {"cutting": Cutting(0.6)}, "0.999999 s with 300 events: 1 whole pieces, of which 1 are for"),
    (["a/1.aedat", "b/1.aedat"], {"cutting": Cutting(None, 301)}, "300 events: 0 whole pieces, of which 1 are for testing"),
    (["Train/a/1.aedat", "Train/b/1.aedat", "Test/a/1.aedat"], {"cutting": Cutting(2.0)}, "no whole piece of 2 s: cut shorter"),
    (["Train/a/1.aedat", "Train/b/1.aedat", "Test/a/1.aedat"], {"cutting": Cutting(None, 999)}, "piece of 999 events: cut"),
    (["Train/a/1.aedat", "Train/b/1.aedat", "Test/a/1.aedat"], {"group_by": r"\d"}, "_by=\\d finds 1 in Train and in Test: a"),
    (USERS, {"group_by": "user"}, "dataset.group_by=user finds nothing in clap/ann_1.aedat: each path"),
    (USERS, {"group_by": "_"}, "dataset.group_by finds one group only, _: two are needed"),
    (USERS, {"group_by": "clap|wave"}, "are of the groups that are for testing (clap): lower dataset.test_share"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "fields", "message"), SPLITS)
def test_event_folder_says_why_it_cannot_be_split(
    tmp_path: Path, names: list[str], fields: dict, message: str, message_of: Message
) -> None:
    write_folder(tmp_path, names)
    assert message in message_of(lambda: list(folder(tmp_path, **fields).recordings()))
