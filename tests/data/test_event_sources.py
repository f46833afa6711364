"""The three data sets on disk: which recordings they yield, how they are split, and what is said where a file is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_builders import (
    AEDAT3_HEADER,
    SUITS,
    aedat2_file,
    aedat3_file,
    random_events,
    reset_packet,
    same_events,
    write_gestures,
    write_nmnist,
    write_poker,
)

from qsnn.data.sources.dvs_gesture import DVSGesture
from qsnn.data.sources.nmnist import NMNIST
from qsnn.data.sources.slow_poker import AEDAT2Options, Cutting, SlowPoker

Message = Callable[..., str]


def poker(root: Path, **cutting: float | None) -> SlowPoker:
    return SlowPoker(root, Cutting(**cutting), AEDAT2Options())  # type: ignore[arg-type]


def all_of(source: NMNIST | DVSGesture | SlowPoker) -> list:
    recordings = list(source.recordings())
    assert len(recordings) == len(source)
    assert len({recording.name for recording in recordings}) == len(recordings)
    return recordings


def test_nmnist_yields_each_file_with_its_digit_and_part(tmp_path: Path) -> None:
    written = write_nmnist(tmp_path)
    recordings = all_of(NMNIST(tmp_path))
    assert len(recordings) == len(written) == 40
    for recording in recordings:
        assert same_events(recording.events, written[recording.name])
        part, digit, _ = recording.name.split("/")
        assert (recording.label, recording.is_test) == (int(digit), part == "Test")
        assert recording.group == recording.name


def test_dvs_gesture_yields_each_row_of_each_labels_file(tmp_path: Path) -> None:
    written = write_gestures(tmp_path)
    recordings = all_of(DVSGesture(tmp_path))
    assert [recording.name for recording in recordings] == list(written)
    for recording in recordings:
        assert same_events(recording.events, written[recording.name])
        user, row = recording.name.split("/")
        assert recording.label == (int(row) - 1) % 11
        assert recording.group == user.split("_")[0]
        assert recording.is_test == (user == "user04_led")


def test_dvs_gesture_takes_overlapping_rows_and_repeated_labels(tmp_path: Path) -> None:
    write_gestures(tmp_path, num_users=2)
    labels = "class,startTime_usec,endTime_usec\r\n11,0,400000\r\n3,300000,900000\r\n11, 900000, 1000000\r\n\r\n"
    (tmp_path / "user01_led_labels.csv").write_text(labels)
    first, second, third = list(DVSGesture(tmp_path).recordings())[:3]
    assert [recording.label for recording in (first, second, third)] == [10, 2, 10]
    late = first.events.t >= 300_000
    assert late.any()
    assert np.array_equal(first.events.t[late] - 300_000, second.events.t[: late.sum()])


GESTURE_FILES = {
    "user01_led_labels.csv": [
        (b"", "user01_led_labels.csv has 0 bytes"),
        (b"class,start,end\n1,2,3\n", "byte 0: the first line is 'class,start,end', expected 'class,startTime_usec,endTime"),
        (b"class,startTime_usec,endTime_usec\n", "has no line behind its column names"),
        (b"class,startTime_usec,endTime_usec\n1,2\n", "line 2: '1,2', expected three whole numbers"),
        (b"class,startTime_usec,endTime_usec\n1,2,x\n", "line 2: '1,2,x', expected three whole numbers"),
        (b"class,startTime_usec,endTime_usec\n1,0,9\n0,2,3\n", "line 3: class 0, expected 1..11"),
        (b"class,startTime_usec,endTime_usec\n12,2,3\n", "line 2: class 12, expected 1..11"),
        (b"class,startTime_usec,endTime_usec\n1,3,3\n", "line 2: from 3 to 3 us, expected an end after the start"),
        (b"class,startTime_usec,endTime_usec\n1,3,\xff\n", "byte 38: 0xff, expected text"),
        (b"class,startTime_usec,endTime_usec\n1,0,99999999\n", "user01_led.aedat has events until "),
        (b"class,startTime_usec,endTime_usec\n1,9999999,99999999\n", "for line 2 of user01_led_labels.csv: one of the two"),
    ],
    "trials_to_train.txt": [
        (b"\n\n", "trials_to_train.txt lists nothing"),
        (b"user09_led.aedat\n", "user09_led.aedat is missing, though the lists of trials name user09_led.aedat"),
        (b"../user01_led.aedat\n", "line 1: '../user01_led.aedat' is not the name of an .aedat file beside the list"),
        (b"\x00\xff\xfe", "byte 1: 0xff, expected text"),
        (b"user01_led.aedat\nuser02_led.aedat\n", "trials_to_test.txt lists user02_led.aedat again"),
    ],
    "user01_led.aedat": [(b"#!AER-DAT3.1\r\n", "byte 14: the file ends behind its header, expected events")],
}  # fmt: skip


@pytest.mark.parametrize("name", GESTURE_FILES)
def test_dvs_gesture_names_file_and_line_that_are_wrong(tmp_path: Path, name: str, message_of: Message) -> None:
    write_gestures(tmp_path, num_users=2)
    for content, message in GESTURE_FILES[name]:
        (tmp_path / name).write_bytes(content)
        assert message in message_of(lambda: list(DVSGesture(tmp_path).recordings()))


def test_dvs_gesture_refuses_a_recording_without_a_user(tmp_path: Path, message_of: Message) -> None:
    write_gestures(tmp_path, num_users=2)
    for suffix in (".aedat", "_labels.csv"):
        (tmp_path / f"user01_led{suffix}").rename(tmp_path / f"someone{suffix}")
    (tmp_path / "trials_to_train.txt").write_text("someone.aedat")
    message = message_of(lambda: list(DVSGesture(tmp_path).recordings()))
    assert "someone.aedat is not named userNN_LIGHT.aedat" in message


def test_dvs_gesture_sorts_time_when_asked(tmp_path: Path, message_of: Message) -> None:
    write_gestures(tmp_path, num_users=2)
    events = random_events(0, 660, 128, 2_200_000)
    events.t[[100, 101]] = events.t[[101, 100]]
    (tmp_path / "user01_led.aedat").write_bytes(aedat3_file(events))
    assert "dataset.sort_time=true" in message_of(lambda: list(DVSGesture(tmp_path).recordings()))
    recordings = list(DVSGesture(tmp_path, sort_time=True).recordings())
    assert all((np.diff(recording.events.t) >= 0).all() for recording in recordings)


def test_dvs_gesture_refuses_a_user_in_both_lists(tmp_path: Path, message_of: Message) -> None:
    write_gestures(tmp_path, num_users=3)
    for suffix in (".aedat", "_labels.csv"):
        (tmp_path / f"user03_led{suffix}").rename(tmp_path / f"user01_lab{suffix}")
    (tmp_path / "trials_to_test.txt").write_text("user01_lab.aedat\n")
    message = message_of(lambda: DVSGesture(tmp_path).fingerprint())
    assert (
        "user01 is in both lists: trials_to_train.txt has user01_led.aedat and trials_to_test.txt user01_lab" in message
    )
    assert message.endswith("take user01 out of one")


def write_reset(root: Path, seconds: float) -> None:
    """Two gestures' files, the first with a part of ``seconds`` before its clock is reset."""
    write_gestures(root, num_users=2)
    before = random_events(9, 600, end=round(seconds * 1e6))
    packets = (root / "user01_led.aedat").read_bytes()[len(AEDAT3_HEADER) :]
    (root / "user01_led.aedat").write_bytes(aedat3_file(before) + reset_packet() + packets)


@pytest.mark.parametrize("sort_time", [False, True])
def test_dvs_gesture_reads_the_labels_by_the_clock_of_the_part_that_they_fit(tmp_path: Path, sort_time: bool) -> None:
    plain = write_gestures(tmp_path / "plain", num_users=2)
    write_reset(tmp_path / "reset", 0.3)
    recordings = list(DVSGesture(tmp_path / "reset", sort_time).recordings())
    for recording in recordings:
        assert same_events(recording.events, plain[recording.name])
    assert [dict(recording.remarks) for recording in recordings] == [{"clock resets": 1}, *43 * [{}]]


def test_dvs_gesture_refuses_labels_that_fit_several_parts_or_none(tmp_path: Path, message_of: Message) -> None:
    write_reset(tmp_path, 5.0)
    path = tmp_path / "user01_led.aedat"
    fit = "the times in user01_led_labels.csv fit {} of the 2 parts, expected exactly one"
    message = message_of(lambda: list(DVSGesture(tmp_path).recordings()))
    assert f"{path}: the camera's clock was reset 1 times, and {fit.format(2)}" in message
    (tmp_path / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,0,99000000\n")
    assert fit.format(0) in message_of(lambda: list(DVSGesture(tmp_path).recordings()))


def test_slow_poker_passes_what_its_files_hold_besides_with_the_first_piece(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_poker(tmp_path)
    path = tmp_path / "slow_hearts_1.aedat"
    path.write_bytes(path.read_bytes() + b"\0\0\x80\0\0\0\0\0")
    remarks = {recording.name: dict(recording.remarks) for recording in all_of(poker(tmp_path)) if recording.remarks}
    assert remarks == {"heart/0": {"external events skipped": 1}}
    assert caplog.messages == [f"{path}: 1 external events skipped"]


def test_slow_poker_trains_before_it_tests_where_a_clock_was_reset(tmp_path: Path) -> None:
    write_poker(tmp_path)
    halves = [random_events(seed, 1000, end=5_000_000) for seed in (1, 2)]
    (tmp_path / "slow_hearts_1.aedat").write_bytes(
        aedat2_file(halves[0]) + aedat2_file(halves[1]).partition(b"1 us\r\n")[2]
    )
    hearts = [recording for recording in poker(tmp_path, duration=0.5).recordings() if recording.group == "heart"]
    assert [recording.is_test for recording in hearts] == 15 * [False] + 4 * [True]
    x = np.concatenate([recording.events.x for recording in hearts])
    assert np.array_equal(x, np.concatenate([half.x for half in halves])[: len(x)])


def test_slow_poker_cuts_each_recording_by_time(tmp_path: Path) -> None:
    written = write_poker(tmp_path, seconds=10.2)
    recordings = all_of(poker(tmp_path, duration=0.5))
    assert len(recordings) == 4 * 20  # the last 0.2 s are no whole piece
    for recording in recordings:
        suit, number = recording.name.split("/")
        whole, start = written[suit], int(number) * 500_000
        inside = (whole.t >= start) & (whole.t < start + 500_000)
        assert np.array_equal(recording.events.t + start, whole.t[inside])
        assert np.array_equal(recording.events.x, whole.x[inside])
        assert (recording.group, recording.label) == (suit, SUITS.index(suit))


def test_slow_poker_cuts_each_recording_by_events(tmp_path: Path) -> None:
    written = write_poker(tmp_path, num_events=2050)
    recordings = all_of(poker(tmp_path, duration=None, num_events=100))
    assert [len(recording.events.t) for recording in recordings] == 80 * [100]
    assert all(recording.events.t[0] == 0 for recording in recordings)
    hearts = [recording.events.x for recording in recordings if recording.group == "heart"]
    assert np.array_equal(np.concatenate(hearts), written["heart"].x[:2000])


def test_slow_poker_leaves_out_pieces_without_events(tmp_path: Path) -> None:
    write_poker(tmp_path, num_events=8)
    recordings = all_of(poker(tmp_path, duration=0.5))
    assert 4 * 2 <= len(recordings) <= 4 * 8
    assert all(len(recording.events.t) for recording in recordings)


@pytest.mark.parametrize("cutting", [{"duration": 0.5}, {"duration": None, "num_events": 90}])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_slow_poker_trains_before_it_tests(tmp_path: Path, cutting: dict, share: float) -> None:
    write_poker(tmp_path)
    recordings = all_of(poker(tmp_path, **cutting, test_share=share))
    for suit in SUITS:
        parts = [recording.is_test for recording in recordings if recording.group == suit]
        assert parts == sorted(parts)
        assert sum(parts) == max(1, round(share * len(parts)))


def test_slow_poker_refuses_recordings_too_short_to_split(tmp_path: Path, message_of: Message) -> None:
    write_poker(tmp_path)
    message = message_of(lambda: list(poker(tmp_path, duration=9.0).recordings()))
    assert "lasts 10 s with 2000 events: 1 whole pieces, of which 1 are for testing, leave none for training" in message


def test_slow_poker_names_the_suit_that_is_missing_or_twice_there(tmp_path: Path, message_of: Message) -> None:
    write_poker(tmp_path)
    (tmp_path / "slow_hearts_1.aedat").rename(tmp_path / "slow_spades_2.aedat")
    assert "with 'heart' in its name is needed, found none" in message_of(lambda: len(poker(tmp_path)))
    (tmp_path / "heart.AEDAT").write_bytes((tmp_path / "slow_spades_2.aedat").read_bytes())
    assert "'spade' in its name is needed, found slow_spades_1.aedat, slow_spades_2" in message_of(
        lambda: len(poker(tmp_path))
    )


@pytest.mark.parametrize(
    ("make", "publisher"),
    [
        (DVSGesture, "IBM Research's DVS128 Gesture Dataset page"),
        (poker, "the SLOW-POKER-DVS page of the neuromorphic group of IMSE-CNM, Sevilla"),
        (NMNIST, "Garrick Orchard's N-MNIST page"),
    ],
)
def test_missing_data_set_says_where_to_get_it_and_where_to_put_it(
    tmp_path: Path, make: Callable, publisher: str, message_of: Message
) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        message = message_of(lambda root=root: make(root).fingerprint())
        assert "download " in message
        assert publisher in message
        assert str(root) in message
        assert message.endswith("as dataset.root=...")


@pytest.mark.parametrize(
    ("write", "make"), [(write_gestures, DVSGesture), (write_poker, poker), (write_nmnist, NMNIST)]
)
def test_fingerprint_changes_with_any_file_and_with_nothing_else(
    tmp_path: Path, write: Callable, make: Callable
) -> None:
    write(tmp_path)
    first = make(tmp_path).fingerprint()
    (tmp_path / ".qsnn_cache").mkdir()
    (tmp_path / "README.txt").write_text("not a part of the data set")
    assert make(tmp_path).fingerprint() == first
    for path in sorted(tmp_path.rglob("*"))[:12]:
        if path.is_file() and path.suffix in (".aedat", ".csv", ".bin"):
            content = path.read_bytes()
            path.write_bytes(content + b"\n")
            assert make(tmp_path).fingerprint() != first, path
            first = make(tmp_path).fingerprint()


def test_fingerprint_changes_with_every_option(tmp_path: Path) -> None:
    write_poker(tmp_path)
    cuttings = [Cutting(), Cutting(0.4), Cutting(None, 100), Cutting(test_share=0.3)]
    options = [AEDAT2Options(0), AEDAT2Options(1, True), AEDAT2Options(1, False, True), AEDAT2Options(sort_time=True)]
    options.append(AEDAT2Options(ignore_external_bit=True))
    sources = [SlowPoker(tmp_path, cutting, AEDAT2Options()) for cutting in cuttings]
    sources += [SlowPoker(tmp_path, Cutting(), option) for option in options]
    assert len({source.fingerprint() for source in sources}) == len(sources)
