import csv
from pathlib import Path

import numpy as np
import pytest
from scripts_module import load_script

from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.generators.synthetic_gesture import SyntheticGesture
from qsnn.data.sources.dvs_gesture import DVSGesture

script = load_script("write_synthetic_gestures")
OPTIONS = {
    "num_users": 1,
    "num_test_users": 1,
    "lights": ["lab", "fluorescent_led"],
    "repetitions": 2,
    "duration": 0.08,
}


@pytest.fixture(scope="module")
def source() -> SyntheticGesture:
    return SyntheticGesture(**OPTIONS, generator_seed=3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(source: SyntheticGesture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "DvsGesture"
    script.write_set(source, folder, progress=False)
    return folder


def test_written_folder_has_the_layout_of_the_release(folder: Path):
    trials = [f"user{user}_{light}" for user in ("01", "02") for light in ("lab", "fluorescent_led")]
    files = {f"{trial}{end}" for trial in trials for end in (".aedat", "_labels.csv")}
    lists = {"trials_to_train.txt", "trials_to_test.txt", "gesture_mapping.csv"}
    assert {path.name for path in folder.iterdir()} == files | lists
    assert (folder / "trials_to_train.txt").read_text().split() == ["user01_lab.aedat", "user01_fluorescent_led.aedat"]
    assert (folder / "trials_to_test.txt").read_text().split() == ["user02_lab.aedat", "user02_fluorescent_led.aedat"]
    assert (folder / "gesture_mapping.csv").read_text().splitlines()[4] == "right_arm_clockwise,4"


def test_written_labels_count_from_one_and_leave_gaps_with_noise_between_them(folder: Path):
    with (folder / "user01_lab_labels.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["class", "startTime_usec", "endTime_usec"]
    classes, starts, ends = np.array(rows, dtype=int).T
    assert classes.tolist() == [*range(1, 12), *range(1, 12)]
    assert (ends - starts == 80_000).all()
    assert (starts[1:] - ends[:-1] == script.GAP).all()
    events = read_aedat3(folder / "user01_lab.aedat", (128, 128))
    for begin, end in zip(ends[:-1], starts[1:], strict=True):
        noise = ((events.t >= begin) & (events.t < end)).sum()
        expected = 0.4 * 128 * 128 * script.GAP * 1e-6  # Hz, pixels, seconds
        assert abs(noise - expected) < 6 * np.sqrt(expected)


def test_reading_the_written_folder_gives_the_generated_recordings(folder: Path, source: SyntheticGesture):
    real = DVSGesture(folder)
    assert len(real) == len(source) == 88
    for read, generated in zip(real.recordings(), source.recordings(), strict=True):
        assert read[:4] == generated[:4]  # name, label, group, is_test
        for one, other in zip(read.events, generated.events, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


def test_prepared_folder_and_prepared_generator_hold_the_same(folder: Path, source: SyntheticGesture, tmp_path: Path):
    real, generated = (prepare_dataset(data, tmp_path, progress=False) for data in (DVSGesture(folder), source))
    for name in ("time", "address", "labels", "is_test"):
        assert np.array_equal(getattr(real, name), getattr(generated, name)), name
    assert (real.classes, real.sensor) == (generated.classes, generated.sensor)


def test_script_writes_from_the_command_line(tmp_path: Path):
    arguments = ["--num-users", "1", "--num-test-users", "1", "--lights", "led", "--duration", "0.02"]
    assert script.main([str(tmp_path / "new"), *arguments]) == 0
    assert len(DVSGesture(tmp_path / "new")) == 22


def test_script_refuses_a_folder_that_is_not_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "precious.txt").write_text("keep")
    assert script.main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_script_refuses_impossible_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert script.main([str(tmp_path / "new"), "--duration", "0"]) == 1
    assert "duration" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
