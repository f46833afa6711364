"""dataset=arrays and dataset=array_maps: labelled spikes of one's own in a .npz."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import lists, pixels, rasters, write
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.batches import test_batches as batches_of_windows
from qsnn.data.sources.array_file import TIME_UNITS
from qsnn.data.sources.arrays import ArrayMapsOption, ArraysOption
from qsnn.data.words import CLASSES, MAPS
from qsnn.options import value_problems


def listed(source: Any) -> list[tuple[int, list]]:
    return [
        (r.label, list(zip(*(part.tolist() for part in r.events), strict=True)))  # (t, x, y, polarity) of each event
        for r in source.recordings()
    ]


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rasters_come_back_as_batches_whatever_their_kind(kind: type, save: Callable, tmp_path: Path) -> None:
    arrays = rasters()
    save(tmp_path / "own.npz", **{**arrays, "spikes": arrays["spikes"].astype(kind)})
    option = ArraysOption(cache=str(tmp_path / "cache"), file=str(tmp_path / "own.npz"), window_test=0.006)
    prepared = option.prepare(progress=False)
    (batch,) = batches_of_windows(prepared, np.arange(10), option.windows(0.001, training=False), 10)
    assert (batch.input[:, :, 0, 0].numpy() == arrays["spikes"].swapaxes(0, 1)).all()
    assert batch.labels.tolist() == [0, 1] * 5


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99)
)
def test_maps_come_back_as_batches(
    tmp_path_factory: pytest.TempPathFactory, count: int, steps: int, channels: int, height: int, width: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("maps")
    arrays = rasters(count, (steps, channels, height, width), seed)
    arrays["spikes"][0, 0, 0, 0, 0] = True
    file, mode = write(folder / "own.npz", arrays), 0 if channels == 2 else 1
    option = ArrayMapsOption(cache=str(folder), file=str(file), window_test=steps / 1000, input_mode=mode)
    prepared = option.prepare(progress=False)
    (batch,) = batches_of_windows(prepared, np.arange(count), option.windows(0.001, training=False), count)
    assert (batch.input.numpy() == arrays["spikes"].swapaxes(0, 1)).all()


def test_events_are_sorted_in_their_samples_and_may_be_none(source_of: Callable[..., Any]) -> None:
    expected = [
        (0, [(1000, 0, 0, True), (2000, 3, 0, True)]),
        (1, []),
        (0, [(0, 2, 0, True), (3000, 1, 0, True)]),
    ]
    assert listed(source_of(lists())) == expected
    assert listed(source_of(lists(offsets=None, index=np.array([0, 0, 2, 2])))) == expected
    in_us = lists(times=np.array([2000, 1000, 3000, 0]))
    assert listed(source_of(in_us, time_unit="us")) == expected
    mixed = np.array([3, 1, 0, 2])  # an index needs no order
    shuffled = {name: in_us[name][mixed] for name in ("times", "units")}
    whole = lists(**shuffled, offsets=None, index=np.array([0, 0, 2, 2])[mixed])
    assert listed(source_of(whole, time_unit="us")) == expected


def test_pixels_have_a_polarity_or_are_all_on(source_of: Callable[..., Any]) -> None:
    source = source_of(pixels(), ArrayMapsOption)
    assert source.sensor == (3, 4)
    assert listed(source)[0] == (0, [(1000, 0, 0, False), (2000, 3, 2, True)])
    assert listed(source_of(pixels(polarity=None), ArrayMapsOption))[0][1][0] == (1000, 0, 0, True)


def test_times_in_seconds_meet_the_microsecond_that_is_meant(source_of: Callable[..., Any]) -> None:
    times = np.array([0.003, 0.0029999999, 0.0030000001, 0.0])  # 3000.0000000000005 and beside it
    source = source_of(lists(times=times, offsets=np.array([0, 4, 4, 4])))
    assert next(iter(source.recordings())).events.t.tolist() == [0, 3000, 3000, 3000]


def test_step_may_be_a_float32(source_of: Callable[..., Any]) -> None:
    source = source_of({**rasters(), "step": np.float32(0.001)})
    assert all((recording.events.t % 1000 == 0).all() for recording in source.recordings())


def test_options_give_what_nets_need() -> None:
    assert ArraysOption.gives == {CLASSES}
    assert ArrayMapsOption.gives == {CLASSES, MAPS}
    for option in (ArraysOption(file="a.npz"), ArrayMapsOption(file="a.npz")):
        assert not [*value_problems(option, "dataset."), *option.problems(), *option.problems_at(0.001)]


def test_names_groups_and_test_part_are_the_files(source_of: Callable[..., Any]) -> None:
    own = {"classes": np.array(["no", "yes", "maybe"]), "groups": np.array([7, 8, 7]), "is_test": np.array([0, 1, 0])}
    source = source_of(lists(**own))
    assert source.classes == ("no", "yes", "maybe")
    assert len(source) == 3
    assert [(r.name, r.group, r.is_test) for r in source.recordings()] == [
        ("0", "7", False), ("1", "8", True), ("2", "7", False),
    ]  # fmt: skip
    assert source_of(lists()).classes == ("0", "1")


def test_without_a_test_part_a_fifth_of_each_class_is_drawn(tmp_path: Path) -> None:
    file = write(tmp_path / "own.npz", rasters(100))
    option = ArraysOption(cache=str(tmp_path), file=str(file))
    prepared = option.prepare(progress=False)
    parts = option.split(prepared)
    assert [np.bincount(prepared.labels[part]).tolist() for part in parts] == [[32, 32], [8, 8], [10, 10]]
    other = ArraysOption(cache=str(tmp_path), file=str(file), seed=1).split(prepared)
    assert parts.test.tolist() != other.test.tolist()


def test_drawn_test_part_keeps_groups_whole(tmp_path: Path) -> None:
    people = np.arange(100) // 10
    option = ArraysOption(
        cache=str(tmp_path), file=str(write(tmp_path / "own.npz", {**rasters(100), "groups": people}))
    )
    parts = option.split(option.prepare(progress=False))
    sides = [set(people[part]) for part in parts]
    assert sum(map(len, sides)) == 10
    assert len(sides[2]) == 2


def test_test_part_of_the_file_is_the_test_part(tmp_path: Path) -> None:
    arrays = {**rasters(20), "is_test": np.arange(20) >= 16}
    option = ArraysOption(cache=str(tmp_path), file=str(write(tmp_path / "own.npz", arrays)))
    assert option.split(option.prepare(progress=False)).test.tolist() == [16, 17, 18, 19]


def test_written_again_the_file_is_prepared_again(tmp_path: Path) -> None:
    file = write(tmp_path / "own.npz", rasters(10))
    option = ArraysOption(cache=str(tmp_path / "cache"), file=str(file))
    assert option.prepare(progress=False).num_recordings == 10
    write(file, rasters(12))
    assert option.prepare(progress=False).num_recordings == 12


def test_window_that_cuts_samples_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    option = ArraysOption(cache=str(tmp_path), file=str(write(tmp_path / "own.npz", rasters())), window_test=0.002)
    option.prepare(progress=False)
    assert "dataset.window_test=0.002 s sees only the start of samples, of which the longest lasts 0.005" in caplog.text


def test_time_units_are_the_choices() -> None:
    lines = list(value_problems(ArraysOption(file="a.npz", time_unit="ms"), "dataset."))
    assert lines == [f"dataset.time_unit=ms is not possible: allowed are {', '.join(TIME_UNITS)}"]
