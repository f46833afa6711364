"""Write the synthetic gestures as a folder in the layout of the IBM DVS128 Gesture release.

    python scripts/write_synthetic_gestures.py FOLDER [--num-users 12] [--num-test-users 4] [--lights LIGHT ...]
        [--repetitions 1] [--duration 1.5] [--generator-seed 0]

The folder must be empty or missing. dataset=dvs_gesture dataset.root=FOLDER then trains on the same recordings as
dataset=synthetic_gesture with the same options, by way of the files: userNN_LIGHT.aedat with all gestures one after the
other and background activity in the gaps between them, userNN_LIGHT_labels.csv, trials_to_train.txt, trials_to_test.txt
and gesture_mapping.csv.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from qsnn.data.formats.aedat3_writer import write_aedat3
from qsnn.data.generators.gestures.dvs_pixel import add_noise
from qsnn.data.generators.gestures.lights import LIGHTS
from qsnn.data.generators.gestures.motion import SENSOR
from qsnn.data.generators.gestures.recording import REFRACTORY
from qsnn.data.generators.synthetic_gesture import SyntheticGesture, SyntheticGestureOption, trial_name
from qsnn.data.recording import Events
from qsnn.data.streams import random_stream
from qsnn.errors import ConfigError, DataError, QsnnError
from qsnn.options import value_problems

GAP = 300_000  # microseconds before, between and behind the gestures
DEFAULT = SyntheticGestureOption()
NO_EVENTS = Events(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0, np.int16), np.empty(0, np.bool_))


def moved(events: Events, start: int) -> Events:
    """The events with ``start`` microseconds added to their times."""
    return events._replace(t=events.t + start)


def gap(light: str, rng: np.random.Generator) -> Events:
    """The background activity of a pause."""
    return add_noise(NO_EVENTS, SENSOR, GAP, LIGHTS[light].noise_rate, REFRACTORY, rng)


def write_trial(source: SyntheticGesture, user: int, light: str, path: Path) -> None:
    """One recording file with all gestures of a user in a light, and its labels file."""
    rng = random_stream(source.generator_seed, f"gaps/{path.stem}")
    start, pieces, rows = 0, [], ["class,startTime_usec,endTime_usec"]
    for recording in source.trial(user, light):
        pieces.append(moved(gap(light, rng), start))
        start += GAP
        pieces.append(moved(recording.events, start))
        rows.append(f"{recording.label + 1},{start},{start + source.duration_us}")
        start += source.duration_us
    pieces.append(moved(gap(light, rng), start))
    write_aedat3(path, Events(*(np.concatenate(part) for part in zip(*pieces, strict=True))))
    path.with_name(f"{path.stem}_labels.csv").write_text("\n".join(rows) + "\n")


def write_set(source: SyntheticGesture, folder: Path, progress: bool = True) -> None:
    """All files. Raises DataError if the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is no empty folder; give a new one")
    folder.mkdir(parents=True, exist_ok=True)
    trials = [(user, light) for user in source.users() for light in source.lights]
    lists: dict[bool, list[str]] = {False: [], True: []}
    for user, light in tqdm(trials, unit="file", disable=not progress):
        path = folder / f"{trial_name(user, light)}.aedat"
        write_trial(source, user, light, path)
        lists[source.is_test(user)].append(path.name)
    rows = [
        f"{gesture.replace(' ', '_').replace('-', '_')},{number}" for number, gesture in enumerate(source.classes, 1)
    ]
    (folder / "gesture_mapping.csv").write_text("\n".join(["Action,Label", *rows]) + "\n")
    for is_test, name in ((False, "trials_to_train.txt"), (True, "trials_to_test.txt")):
        (folder / name).write_text("\n".join(lists[is_test]) + "\n")


def chosen_source(**options: Any) -> SyntheticGesture:
    """The generator with ``options`` of dataset=synthetic_gesture. Raises one ConfigError with all that is wrong with them."""
    chosen = SyntheticGestureOption(**options)
    wrong = (*value_problems(chosen, "dataset."), *chosen.problems())
    if wrong:
        raise ConfigError(*wrong)
    return chosen.source()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-users", type=int, default=DEFAULT.num_users, help="for training")
    parser.add_argument("--num-test-users", type=int, default=DEFAULT.num_test_users)
    parser.add_argument("--lights", nargs="+", default=DEFAULT.lights, choices=LIGHTS)
    parser.add_argument("--repetitions", type=int, default=DEFAULT.repetitions, help="of each gesture in a file")
    parser.add_argument("--duration", type=float, default=DEFAULT.duration, help="of a gesture, seconds")
    parser.add_argument("--generator-seed", type=int, default=DEFAULT.generator_seed)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Write the set; the exit code."""
    options = vars(parse(arguments))
    folder = options.pop("folder")
    try:
        write_set(chosen_source(**options), folder)
    except (QsnnError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
