"""dataset=yin_yang: the symbol at points found by hand, and the three parts of the set."""

import math
from pathlib import Path

import numpy as np
import pytest

from qsnn.data.events.batches import test_batches as batches_of_windows
from qsnn.data.generators.yin_yang import (
    DOT,
    YANG,
    YIN,
    YinYang,
    YinYangOption,
    YinYangSettings,
    classes_of,
    draw_points,
)
from qsnn.options import value_problems

SMALL = YinYangSettings(num_train=30, num_validation=6, num_test=9)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.25, 0.5, DOT),  # the centres of the dots
        (0.75, 0.5, DOT),
        (0.25, 0.59, DOT),  # 0.09 above a centre: inside of the dot
        (0.25, 0.61, YANG),  # 0.11 above: outside of it, in the half disc about it
        (0.25, 0.39, YANG),  # that half disc goes on below the middle
        (0.25, 0.26, YANG),
        (0.25, 0.24, YIN),  # 0.26 below its centre: outside of it
        (0.5, 0.95, YANG),  # top and bottom
        (0.5, 0.05, YIN),
        (0.02, 0.51, YANG),  # the left edge, on both sides of the middle: 0.23 from the centre of the disc
        (0.02, 0.49, YANG),
        (0.98, 0.51, YIN),  # the right edge
        (0.98, 0.49, YIN),
        (0.75, 0.61, YIN),  # the half disc of yin goes on above the middle
        (0.75, 0.74, YIN),
        (0.75, 0.76, YANG),
        (0.75, 0.39, YIN),
        (0.5, 0.51, YANG),  # 0.2502 from both centres: the upper half
        (0.5, 0.49, YIN),
    ],
)
def test_class_of_a_point_is_where_it_lies_in_the_symbol(x: float, y: float, expected: int) -> None:
    assert classes_of(np.array([[x, y]]), 0.1).tolist() == [expected]


def test_yin_is_yang_turned_by_half_a_turn() -> None:
    points = draw_points(np.random.default_rng(0), 3000, 0.1)
    turned = np.array([YANG, YIN, DOT])[classes_of(1 - points, 0.1)]
    assert (turned == classes_of(points, 0.1)).all()


def test_points_are_of_the_classes_in_turn_and_spread_over_them() -> None:
    points = draw_points(np.random.default_rng(0), 30_000, 0.1)
    assert (classes_of(points, 0.1) == np.arange(30_000) % 3).all()
    assert (np.hypot(*(points - 0.5).T) <= 0.5).all()
    assert np.allclose(points[2::3].mean(axis=0), 0.5, atol=0.01)  # two dots, alike
    # By symmetry yin and yang have one area. Moments of yang about the middle of the disc, all in units of its radius to
    # the third: half a disc has 2/3 upward; turned about the middle the halves exchange a half disc of radius 1/2,
    # and the dots, at the same height, are missing in both.
    yang_area = np.pi / 2 - 0.2**2 * np.pi
    exchanged = 2 / 3 * 0.5**3
    upward = (2 / 3 - 2 * exchanged) / yang_area
    assert np.allclose(points[1::3, 1].mean() - 0.5, upward / 2, atol=0.01)


def test_inputs_spike_once_each_at_their_places_of_the_first_half() -> None:
    source = YinYang(SMALL)
    steps = source.steps(np.array([[0.25, 0.9], [1.0, 0.5]]))
    assert steps.tolist() == [[12, 45, 37, 5, 0], [50, 25, 0, 25, 0]]  # rint(49.5 * 0.25), ..., 49.5 and 24.75
    for recording in source.recordings():
        assert sorted(recording.events.x) == [0, 1, 2, 3, 4]
        assert recording.events.t[0] == 0
        assert (np.diff(recording.events.t) >= 0).all()
        assert (recording.events.t % 1000 == 0).all()
        assert recording.events.t[-1] <= 50_000


def test_parts_have_streams_of_their_own_and_stay_when_another_grows() -> None:
    def events(settings: YinYangSettings) -> dict[str, list]:
        return {r.name: [r.label, *(part.tolist() for part in r.events)] for r in YinYang(settings).recordings()}

    small, large = events(SMALL), events(SMALL._replace(num_train=60, num_test=12))
    assert len(small) == len(YinYang(SMALL)) == 45
    assert {name: large[name] for name in small} == small
    assert small["train/0"] != small["validation/0"] != small["test/0"]
    assert small != events(SMALL._replace(generator_seed=1))


@pytest.mark.parametrize("name", YinYangSettings._fields)
def test_every_setting_makes_another_fingerprint(name: str) -> None:
    other = {"r_small": 0.11, "step": 0.002, "step_frac": 0.6}
    changed = SMALL._replace(**{name: other.get(name, getattr(SMALL, name) + 1)})
    assert YinYang(SMALL).fingerprint() == YinYang(SMALL).fingerprint() != YinYang(changed).fingerprint()


def test_option_has_the_published_parts_each_of_balanced_classes(tmp_path: Path) -> None:
    option = YinYangOption(cache=str(tmp_path))
    prepared = option.prepare(progress=False)
    parts = option.split(prepared)
    assert [len(part) for part in parts] == [5000, 1000, 1000]
    assert [{name.split("/")[0] for name in prepared.names[part]} for part in parts] == [
        {"train"}, {"validation"}, {"test"},
    ]  # fmt: skip
    assert all(np.ptp(np.bincount(prepared.labels[part])) <= 1 for part in parts)
    (batch,) = batches_of_windows(prepared, parts.test[:4], option.windows(0.001, training=False), 4)
    assert batch.input.shape == (100, 4, 1, 1, 5)
    assert (batch.input.sum(dim=0) == 1).all()


def test_validation_share_tells_how_many_samples_stand_beside_those_for_training(tmp_path: Path) -> None:
    for share, count in ((0.0, 0), (0.5, 30), (0.25, 10)):
        option = YinYangOption(cache=str(tmp_path), num_train=30, num_test=9, validation_share=share)
        assert [len(part) for part in option.split(option.prepare(progress=False))] == [30, count, 9]


def test_folds_are_cut_from_all_samples(tmp_path: Path) -> None:
    option = YinYangOption(cache=str(tmp_path), num_train=60, num_test=18, num_folds=3, fold=1)
    parts = option.split(option.prepare(progress=False))
    assert sum(map(len, parts)) == 90
    assert 28 <= len(parts.test) <= 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r_small": 0.3}, "dataset.r_small=0.3 is not possible: it must be at least 0.01 and at most 0.24"),
        ({"num_train": 0}, "dataset.num_train=0 is not possible: it must be at least 3"),
        ({"num_steps": 1}, "dataset.num_steps=1 is not possible: it must be at least 2"),
        ({"step": 1.5e-6}, "dataset.step=1.5e-06 is not possible: it must be a whole number of microseconds"),
        ({"validation_share": 0.999}, "beside 5000 training samples it makes more than 1000000"),
        ({"validation_share": math.nan}, "dataset.validation_share=nan is not possible"),
    ],
)
def test_option_tells_what_is_impossible(change: dict, message: str) -> None:
    option = YinYangOption(**change)
    lines = [*value_problems(option, "dataset."), *option.problems()]
    assert any(message in line for line in lines)
    assert not any("\n" in line for line in lines)
