"""DVS128 Gesture of IBM Research, as the release unpacks: 11 hand gestures of 29 people under 3 lights.

Amir et al., "A Low Power, Fully Event-Based Gesture Recognition System", 2017.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsnn.data.events.options import EventData, Extent
from qsnn.data.formats.aedat3 import load_aedat3
from qsnn.data.formats.clock import Reading, log_remarks
from qsnn.data.formats.event_file import events_between
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.files import check_root, files_fingerprint, root_of
from qsnn.data.sources.gesture_labels import Label, read_labels, read_trials
from qsnn.errors import DataError
from qsnn.options import key, option

TRIALS = {"trials_to_train.txt": False, "trials_to_test.txt": True}
ADVICE = (
    "download DvsGesture.tar.gz from IBM Research's DVS128 Gesture Dataset page, unpack it, and give the folder that "
    "holds trials_to_train.txt as dataset.root=..."
)


class DVSGesture:
    """``userNN_LIGHT.aedat`` (AEDAT 3.1) with ``userNN_LIGHT_labels.csv``, listed in ``trials_to_{train,test}.txt``.

    Each row of a labels file is a recording: the events from its start to before its end, with time 0 at its start. Rows
    may overlap; the events in both belong to both. Labels 1..11 become 0..10. A group is a person (userNN), who is listed
    for training or for testing, not for both.

    The labels count time as the camera does. Where its clock was reset they belong to the part of the recording that all
    of them fit; a recording in which several parts, or none, fit is refused.

    ``sort_time``: sort events whose time goes backward, instead of refusing the file.
    """

    name = "dvs_gesture"
    classes = (
        "hand clapping", "right hand wave", "left hand wave", "right arm clockwise", "right arm counter-clockwise",
        "left arm clockwise", "left arm counter-clockwise", "arm roll", "air drums", "air guitar", "other gestures",
    )  # fmt: skip
    sensor = (128, 128)
    in_time = False

    def __init__(self, root: Path, sort_time: bool = False) -> None:
        self.root = root
        self._sort_time = sort_time

    def trials(self) -> list[tuple[Path, bool]]:
        """The listed .aedat files, and whether each is for testing.

        Raises DataError if a list or a file is missing, or both lists name a recording or a person.
        """
        check_root(self.root, ADVICE)
        found: dict[str, bool] = {}
        for name, is_test in TRIALS.items():
            if not (self.root / name).is_file():
                raise DataError(f"{self.root} holds no {name}; {ADVICE}")
            for trial in read_trials(self.root / name):
                if trial in found:
                    raise DataError(f"{self.root / name} lists {trial} again; a recording is for training or testing")
                found[trial] = is_test
        self._check_users(found)
        return [(self._existing(trial), is_test) for trial, is_test in found.items()]

    def _check_users(self, found: dict[str, bool]) -> None:
        """Raise DataError for a person who would be both trained on and tested on."""
        training = {user_of(self.root / trial): trial for trial, is_test in found.items() if not is_test}
        for trial, is_test in found.items():
            user = user_of(self.root / trial)
            if is_test and user in training:
                raise DataError(
                    f"{self.root}: {user} is in both lists: trials_to_train.txt has {training[user]} and trials_to_test.txt "
                    f"{trial}; a person is for training or for testing, or the test tells nothing: take {user} out of one"
                )

    def _existing(self, trial: str) -> Path:
        path = self.root / trial
        for needed in (path, labels_of(path)):
            if not needed.is_file():
                raise DataError(f"{needed} is missing, though the lists of trials name {trial}; {ADVICE}")
        return path

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times. Raises DataError."""
        trials = [path for path, _ in self.trials()]
        files = [*trials, *map(labels_of, trials), *(self.root / name for name in TRIALS)]
        return files_fingerprint(files, self.root, {"source": self.name, "sort_time": self._sort_time})

    def __len__(self) -> int:
        return sum(len(read_labels(labels_of(path), len(self.classes))) for path, _ in self.trials())

    def recordings(self) -> Iterator[Recording]:
        """Read one file after the other and cut it by its labels. Raises DataError."""
        for path, is_test in self.trials():
            labels = read_labels(labels_of(path), len(self.classes))
            reading = load_aedat3(path, self.sensor, self._sort_time)
            log_remarks(path, reading)
            events = labelled_part(reading, labels, path)
            for number, label in enumerate(labels, 1):
                piece, remarks = cut(events, label, path), reading.remarks if number == 1 else {}
                yield Recording(f"{path.stem}/{number}", label.class_number - 1, user_of(path), is_test, piece, remarks)


def labels_of(trial: Path) -> Path:
    """The labels file beside a recording."""
    return trial.with_name(f"{trial.stem}_labels.csv")


def user_of(trial: Path) -> str:
    """Who is seen in a recording, userNN with the number as it is written. Raises DataError for another name."""
    user = re.match(r"user\d+", trial.name)
    if not user:
        raise DataError(f"{trial} is not named userNN_LIGHT.aedat, which tells who is seen")
    return user[0]


def labelled_part(reading: Reading, labels: list[Label], path: Path) -> Events:
    """The events that the labels are about, at the camera's own times. Raises DataError where that cannot be told."""
    events = reading.events
    parts = [
        events_between(events._replace(t=events.t - part.shift), part.first, part.behind) for part in reading.parts
    ]
    if len(parts) == 1:
        return parts[0]
    fitting = [part for part in parts if all(_fits(part, label) for label in labels)]
    if len(fitting) != 1:
        raise DataError(
            f"{path}: the camera's clock was reset {len(parts) - 1} times, and the times in {labels_of(path).name} fit "
            f"{len(fitting)} of the {len(parts)} parts, expected exactly one: cut the recording at its resets, or take it out "
            "of the lists of trials"
        )
    return fitting[0]


def _fits(events: Events, label: Label) -> bool:
    """Whether there are events of a label, and the recording does not end before half of it."""
    first, behind = np.searchsorted(events.t, (label.start, label.end))
    return bool(first < behind and events.t[-1] >= (label.start + label.end) // 2)


def cut(events: Events, label: Label, path: Path) -> Events:
    """The events of a label, with time 0 at its start. Raises DataError where the recording ends before half of it."""
    if not _fits(events, label):
        raise DataError(
            f"{path} has events until {int(events.t[-1])} us, expected some between {label.start} and {label.end} us for line "
            f"{label.line} of {labels_of(path).name}: one of the two files is damaged, cut short or of another recording"
        )
    piece = events_between(events, *np.searchsorted(events.t, (label.start, label.end)).tolist())
    return piece._replace(t=piece.t - label.start)


@option("dataset", "dvs_gesture")
@dataclass
class DVSGestureOption(EventData):
    """IBM Research's DVS128 Gesture: 11 hand gestures of 29 people, 128 x 128 pixels; needs its folder as dataset.root."""

    root: str | None = key(None, "folder that holds trials_to_train.txt", "", "fixed paths")
    sort_time: bool = key(
        False, "sort events whose time goes backward, between two resets of the clock, instead of refusing the file"
    )

    def extent(self) -> Extent:
        """The same of every release."""
        return Extent(DVSGesture.sensor, len(DVSGesture.classes))

    def source(self) -> DVSGesture:
        """The release. Raises ConfigError without a root."""
        return DVSGesture(root_of(self.root, ADVICE), self.sort_time)
