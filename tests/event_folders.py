"""Folders of recordings, one a class."""

from pathlib import Path

from event_builders import aedat2_file, random_events

from qsnn.data.recording import Events
from qsnn.data.sources.event_folder import EventFolder, FolderSettings


def put(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_folder(root: Path, names: list[str], seconds: float = 1.0) -> dict[str, Events]:
    """Write an AEDAT 2.0 file of each name, its time from 0 to ``seconds``; returns the events by name."""
    written = {}
    for number, name in enumerate(names):
        events = random_events(number, 300, end=round(seconds * 1e6))
        events.t[0], events.t[-1] = 0, round(seconds * 1e6) - 1
        put(root, name, aedat2_file(events, first_time=777))
        written[name] = events
    return written


def folder(root: Path, **fields: object) -> EventFolder:
    return EventFolder(root, FolderSettings(**fields))  # type: ignore[arg-type]


USERS = [
    f"{gesture}/{user}_{take}.aedat" for gesture in ("clap", "wave") for user in ("ann", "bob", "eve") for take in "12"
]
