"""Your own event recordings, in folders named by class: any kind of file that is read, and any sensor."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from qsnn.data.events.dataset import MAX_PIXELS, MAX_SIDE, EventDataset
from qsnn.data.events.options import EventData
from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.formats.any_events import KINDS, load_events, usual_sensor
from qsnn.data.formats.clock import Reading, log_remarks
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.files import files_fingerprint, root_of
from qsnn.data.sources.folder_files import ADVICE, FoundFile, Layout, find_files
from qsnn.data.sources.held_out import enough_recordings, hold_out_groups, hold_out_recordings
from qsnn.data.sources.pieces import AutomaticCutting, Cutting, cut, num_test_pieces, piece_edges
from qsnn.errors import ConfigError, DataError
from qsnn.options import impossible, key, option

CUT = "cut because whole recordings are too few to split"
log = logging.getLogger(__name__)


class FolderSettings(NamedTuple):
    """How the files of a folder are read: see the keys of `EventFolderOption`. ``cutting``: neither by time nor by events
    leaves recordings whole, unless ``automatic`` says how they are cut where whole ones are too few (None: never). The
    ``test_share`` of cutting counts all the same."""

    format: str = "auto"
    sensor: tuple[int, int] | None = None
    group_by: str | None = None
    cutting: Cutting = Cutting(None, None)
    options: AEDAT2Options = AEDAT2Options()
    automatic: AutomaticCutting | None = None


class EventFolder:
    """The files below ``root``: see `folder_files.find_files`. Time starts at 0 in every recording and piece.

    What is for testing, the first of these that holds:

    - ``Train`` and ``Test`` tell it;
    - ``group_by`` is set: a share of the groups, drawn;
    - recordings are cut, by what is set or as `AutomaticCutting` says: the last pieces of each (``in_time``);
    - else a share of each class's recordings, drawn.

    Without ``group_by``, pieces are split in time and whole recordings are independent.
    """

    name = "event_folder"

    def __init__(self, root: Path, settings: FolderSettings) -> None:
        self.root = root
        self._settings = settings

    @property
    def in_time(self) -> bool:
        """Whether the recordings are consecutive pieces of long ones."""
        return self._cuts and self._settings.group_by is None

    @cached_property
    def _cuts(self) -> bool:
        return self._settings.cutting[:2] != (None, None) or self.cut_by_itself

    @cached_property
    def cut_by_itself(self) -> bool:
        """Whether recordings are cut only because whole ones are too few. Raises DataError."""
        chosen = self._settings
        if chosen.automatic is None:
            return False
        labels = [file.label for file in self.layout.files if not file.is_test]
        test_share = 0.0 if self.layout.has_parts else chosen.cutting.test_share
        return not enough_recordings(labels, len(self.classes), test_share, chosen.automatic.validation_share)

    @cached_property
    def _cutting(self) -> Cutting:
        """How recordings are cut. Reads all of them to find out, where that is not set. Raises DataError."""
        cutting, automatic = self._settings.cutting, self._settings.automatic
        if automatic is None or not self.cut_by_itself:
            return cutting
        shortest = min(self._load(file).events.t[-1] for file in self.layout.files)
        return cutting._replace(duration=automatic.piece_duration(int(shortest) + 1))

    @cached_property
    def layout(self) -> Layout:
        """The files and their classes. Raises DataError."""
        return find_files(self.root, self._settings.format)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the folders."""
        return self.layout.classes

    @cached_property
    def sensor(self) -> tuple[int, int]:
        """(height, width) of all files. Raises DataError for several, ConfigError where nothing tells it."""
        first = self.layout.files[0]
        sensor = self._sensor_of(first)
        for file in self.layout.files[1:]:
            other = self._sensor_of(file)
            if other != sensor:
                one, two = (f"{size[0]} x {size[1]} pixels (height, width)" for size in (sensor, other))
                raise DataError(
                    f"{first.path} has {one}, {file.path} has {two}: a data set has one sensor; give each its own folder, or "
                    "choose one kind of files with dataset.format"
                )
        return sensor

    def _sensor_of(self, file: FoundFile) -> tuple[int, int]:
        chosen = self._settings.sensor
        if file.told is not None and chosen not in (None, file.told):
            allowed = f"{file.path} is of a camera with {list(file.told)} (height, width); set it to null"
            raise ConfigError(impossible("dataset.sensor", list(chosen or ()), allowed))
        sensor = file.told or chosen or usual_sensor(file.kind)
        if sensor is None:
            wanted = f"{file.path} names no camera whose size is known: give [height,width] in pixels"
            raise ConfigError(impossible("dataset.sensor", None, wanted))
        return sensor

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times, and of the options. Raises DataError."""
        chosen = self._settings
        options = {**chosen._asdict(), **chosen.cutting._asdict(), **chosen.options._asdict()}
        kinds = [file.kind for file in self.layout.files]
        options |= {"cutting": None, "options": None, "source": self.name, "sensor": self.sensor, "kinds": kinds}
        del options["automatic"]
        if chosen.automatic is not None and self.cut_by_itself:
            options["longest_piece"] = chosen.automatic.longest  # the length follows from it and from the files
        return files_fingerprint([file.path for file in self.layout.files], self.root, options)

    def __len__(self) -> int:
        """Exact for whole recordings; else as many pieces in a byte as the first file has."""
        files = self.layout.files
        if not self._cuts:
            return len(files)
        pieces = len(piece_edges(self._load(files[0]).events.t, self._cutting))
        return max(1, round(pieces * sum(file.path.stat().st_size for file in files) / files[0].path.stat().st_size))

    def recordings(self) -> Iterator[Recording]:
        """Read one file after the other, cut if so asked. Raises DataError."""
        groups = [self._group(file) for file in self.layout.files]
        for file, group, is_test in zip(self.layout.files, groups, self._test_files(groups), strict=True):
            reading = self._load(file)
            log_remarks(file.path, reading)
            name = self._name(file)
            if not self._cuts:
                yield Recording(name, file.label, group, bool(is_test), reading.events, reading.remarks)
                continue
            for number, (piece, piece_is_test) in enumerate(self._pieces(file, reading.events, is_test)):
                remarks = dict(reading.remarks) if number == 0 else {}
                if self.cut_by_itself:
                    remarks[f"pieces of {self._cutting.duration:g} s, {CUT}"] = 1
                yield Recording(f"{name}/{number}", file.label, group, piece_is_test, piece, remarks)

    def _load(self, file: FoundFile) -> Reading:
        return load_events(file.path, file.kind, self.sensor, self._settings.options)

    def _pieces(self, file: FoundFile, events: Events, is_test: bool | None) -> Iterator[tuple[Events, bool]]:
        """The pieces of a recording and whether each is for testing; ``is_test`` of the file, None: the last pieces are."""
        cutting = self._cutting
        edges = piece_edges(events.t, cutting)
        if is_test is None:
            num_test = num_test_pieces(file.path, events.t, edges, cutting.test_share)
        elif not len(edges):
            size = f"{cutting.duration:g} s" if cutting.duration else f"{cutting.num_events} events"
            found = f"{file.path} lasts {events.t[-1] / 1e6:g} s with {len(events.t)} events"
            raise DataError(f"{found}, which is no whole piece of {size}: cut shorter pieces, or take the file away")
        else:
            num_test = len(edges) if is_test else 0
        for number, piece in enumerate(cut(events, edges)):
            yield piece, number >= len(edges) - num_test

    def _name(self, file: FoundFile) -> str:
        return file.path.relative_to(self.root).as_posix()

    def _group(self, file: FoundFile) -> str:
        """What ``group_by`` finds in the path below root, its bracketed parts if it has any; without it the path."""
        name, pattern = self._name(file), self._settings.group_by
        if pattern is None:
            return name
        found = re.search(pattern, name)
        if found is None:
            raise DataError(
                f"dataset.group_by={pattern} finds nothing in {name}: each path below dataset.root must have a group"
            )
        return "/".join(part or "" for part in found.groups()) or found[0]

    def _test_files(self, groups: list[str]) -> list[bool | None]:
        """Whether each file is for testing; None: its last pieces are. Raises DataError."""
        files, labels = self.layout.files, [file.label for file in self.layout.files]
        share = self._settings.cutting.test_share
        if self.layout.has_parts:
            both = {g for g, f in zip(groups, files, strict=True) if f.is_test}
            both &= {g for g, f in zip(groups, files, strict=True) if not f.is_test}
            if both:
                found = f"dataset.group_by={self._settings.group_by} finds {min(both)} in Train and in Test"
                raise DataError(f"{found}: a group lies on one side; write a pattern whose groups do")
            return [file.is_test for file in files]
        if self._settings.group_by is not None:
            return [bool(chosen) for chosen in hold_out_groups(groups, labels, self.classes, share)]
        if self._cuts:
            return [None] * len(files)
        return [bool(chosen) for chosen in hold_out_recordings(labels, self.classes, share)]


@option("dataset", "event_folder")
@dataclass
class EventFolderOption(EventData):
    """Your own event recordings in folders named by class; needs their folder as dataset.root."""

    root: str | None = key(None, "folder that holds <class>/<file>, or Train/<class>/<file> and Test/<class>/<file>")
    format: str = key(
        "auto", "kind of the files: auto (told by header and suffix), or only those of aedat2, aedat3 or nmnist (.bin)",
        choices=("auto", *KINDS),
    )  # fmt: skip
    sensor: list[int] | None = key(
        None, "[height,width] of the camera, where the files do not tell it; null: theirs, for .bin 34 x 34", "pixels",
        at_least=1, at_most=MAX_SIDE,
    )  # fmt: skip
    window_test: float = key(0.5, "length of the first window, on which is tested", "s", above=0)
    test_share: float = key(
        0.2, "share that is for testing, where no Test folder is: of groups, else of each recording's pieces, at its end, "
        "else of each class's files", above=0, below=1,
    )  # fmt: skip
    group_by: str | None = key(
        None, "regular expression that finds, in a file's path below root, what must not lie on both sides of a split, such as "
        "a user's name; null: pieces of a recording are split in time, whole recordings are independent",
    )  # fmt: skip
    piece_duration: float | None = key(
        None, "length of the pieces that a recording is cut into; null: by piece_events, if that is set, else recordings stay "
        "whole, unless that leaves too few to split: then as long as the longer window, and ten or more of each recording", "s",
        at_least=0.001, at_most=4000,
    )  # fmt: skip
    piece_events: int | None = key(
        None, "events of a piece; null: as piece_duration says", "events", at_least=1, at_most=10**9
    )
    on_bit: int = key(1, "value of the polarity bit that means ON, 0 or 1", choices=(0, 1))
    mirror_x: bool = key(False, "exchange left and right")
    mirror_y: bool = key(False, "exchange top and bottom")
    sort_time: bool = key(False, "sort events whose time goes backward in AEDAT files, instead of refusing the file")
    ignore_external_bit: bool = key(
        False, "read AEDAT 2.0 files in which each event has bit 15 set, which marks external ones, as if none had"
    )

    def problems(self) -> Iterator[str]:
        """Pieces cut by time and by events, a sensor that is none, a pattern that is none."""
        yield from super().problems()
        if self.piece_duration is not None and self.piece_events is not None:
            yield impossible("dataset.piece_duration", self.piece_duration, "set it or dataset.piece_events, not both")
        if self.sensor is not None and (len(self.sensor) != 2 or self.sensor[0] * self.sensor[-1] > MAX_PIXELS):
            yield impossible("dataset.sensor", self.sensor, f"give [height,width], at most {MAX_PIXELS} pixels")
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            yield impossible(
                "dataset.group_by", self.group_by, f"it is a regular expression, and this is none: {error}"
            )

    def source(self) -> EventFolder:
        """The folder's recordings. Raises ConfigError without a root."""
        options = AEDAT2Options(**{name: getattr(self, name) for name in AEDAT2Options._fields})
        sensor = None if self.sensor is None else (self.sensor[0], self.sensor[1])
        cutting = Cutting(self.piece_duration, self.piece_events, self.test_share)
        automatic = None
        if (self.piece_duration, self.piece_events, self.group_by) == (None, None, None):
            validation_share = self.validation_share if self.num_folds is None else 0.0
            automatic = AutomaticCutting(max(self.window_train, self.window_test), validation_share)
        return EventFolder(
            root_of(self.root, ADVICE), FolderSettings(self.format, sensor, self.group_by, cutting, options, automatic)
        )

    def prepare(self, progress: bool) -> EventDataset:
        """The prepared recordings; the log tells where they were cut without having been asked to. Raises ConfigError and
        DataError."""
        prepared = super().prepare(progress)
        for remark, count in prepared.remarks.items():
            if remark.endswith(CUT):
                chosen = "validated and tested are the last; dataset.piece_duration sets another length"
                log.info("%s: %d %s; %s", self.root, count, remark, chosen)
        return prepared
