"""The config of event data sets: every leaf arrives, and every wrong value is named."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from event_builders import write_gestures, write_nmnist, write_poker

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config
from qsnn.data.events.options import EventData
from qsnn.data.events.windows import WindowSettings
from qsnn.data.sources.dvs_gesture import DVSGestureOption
from qsnn.data.sources.nmnist import NMNISTOption
from qsnn.data.sources.slow_poker import SlowPokerOption
from qsnn.errors import ConfigError, DataError
from qsnn.options import value_problems

OPTIONS: list[type[EventData]] = [DVSGestureOption, SlowPokerOption, NMNISTOption]


def wrong(option: EventData, dt: float = 0.001) -> list[str]:
    """What the checks of a run say of the data set."""
    return [*value_problems(option, "dataset."), *option.problems(), *option.problems_at(dt)]


@pytest.mark.parametrize("option", OPTIONS)
def test_defaults_of_each_data_set_pass_the_checks(option: type[EventData]) -> None:
    assert wrong(option()) == []


@pytest.mark.parametrize("option", OPTIONS)
def test_data_set_without_a_root_asks_for_it(option: type[EventData]) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.root=null is not possible: give the folder"):
        option().source()


def test_paper_defaults_give_500_steps_in_training_and_1800_in_test() -> None:
    option = DVSGestureOption()
    assert option.windows(0.001, training=True) == WindowSettings(0.001, 500, 0, 4, 0.5)
    assert option.windows(0.001, training=False) == WindowSettings(0.001, 1800, 0, 4, 0.0)


WRONG = [
    ({"window_train": 0.0}, "dataset.window_train=0.0 is not possible: it must be above 0"),
    ({"window_train": 1e-4}, "dataset.window_train=0.0001 is not possible: it must be 1 to 1000000 time steps of 0.001 s"),
    ({"window_test": math.nan}, "dataset.window_test=nan is not possible"),
    ({"window_test": math.inf}, "dataset.window_test=inf is not possible"),
    ({"input_mode": 4}, "dataset.input_mode=4 is not possible: allowed are 0, 1, 2, 3"),
    ({"downsample": 0}, "dataset.downsample=0 is not possible: it must be at least 1 and at most 128"),
    ({"jitter": -0.5}, "dataset.jitter=-0.5"),
    ({"jitter": math.nan}, "dataset.jitter=nan"),
    ({"num_workers": -1}, "dataset.num_workers=-1"),
    ({"seed": -1}, "dataset.seed=-1"),
    ({"validation_share": 1.0}, "dataset.validation_share=1.0 is not possible: it must be at least 0 and below 1"),
    ({"num_folds": 1}, "dataset.num_folds=1 is not possible: it must be at least 2 and at most 1000"),
    ({"num_folds": 5, "fold": 5}, "dataset.fold=5 is not possible: allowed are 0..4"),
    ({"fold": 1}, "dataset.fold=1 is not possible: it counts folds, which need dataset.num_folds"),
    ({"piece_events": 100}, "dataset.piece_duration=0.5 is not possible: set either it or dataset.piece_events"),
    ({"piece_duration": None}, "dataset.piece_duration=null is not possible: set either it or"),
    ({"piece_duration": 0.0}, "dataset.piece_duration=0.0 is not possible: it must be at least 0.001"),
    ({"piece_duration": None, "piece_events": 0}, "dataset.piece_events=0"),
    ({"test_share": 1.0}, "dataset.test_share=1.0 is not possible: it must be above 0 and below 1"),
    ({"on_bit": 2}, "dataset.on_bit=2 is not possible: allowed are 0, 1"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_check_names_a_value_that_is_not_possible(values: dict[str, float], message: str) -> None:
    words = [f"dataset.{name}={'null' if value is None else value}" for name, value in values.items()]
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(["experiment=icons_poker", *words]))
    assert message in str(caught.value)
    assert len(caught.value.args) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dt", [0.0, 0.0000015, 1e-9, math.nan, math.inf, -0.001])
def test_check_refuses_steps_that_are_no_whole_microseconds(dt: float) -> None:
    (message,) = NMNISTOption().problems_at(dt)
    assert message.startswith(f"neuron.dt={dt} is not possible: ")
    assert "whole number" in message
    with pytest.raises(ConfigError, match=r"neuron\.(dt|tau_mem_upper)=\S+ is not possible"):
        to_config(compose_config(["experiment=icons_poker", f"neuron.dt={dt}"]))


def test_every_option_of_slow_poker_reaches_its_reader(tmp_path: Path) -> None:
    write_poker(tmp_path)
    plain = SlowPokerOption(root=str(tmp_path)).prepare(progress=False)
    turned = SlowPokerOption(
        root=str(tmp_path), cache=str(tmp_path / "c"), piece_duration=None, piece_events=50, test_share=0.5, on_bit=0,
        mirror_x=True, mirror_y=True, sort_time=True,
    )  # fmt: skip
    assert wrong(turned) == []
    other = turned.prepare(progress=False)
    assert other.folder.parent == tmp_path / "c"
    assert other.num_recordings == 4 * 40
    assert other.is_test.sum() == 4 * 20
    one, two = (np.concatenate([d.events(i).x for i in range(20)])[:500] for d in (plain, other))
    assert np.array_equal(127 - one, two)
    one, two = (np.concatenate([d.events(i).y for i in range(20)])[:500] for d in (plain, other))
    assert np.array_equal(127 - one, two)
    one, two = (np.concatenate([d.events(i).polarity for i in range(20)])[:500] for d in (plain, other))
    assert np.array_equal(~one, two)


def test_ignore_external_bit_and_sort_time_reach_the_reader(tmp_path: Path) -> None:
    write_poker(tmp_path)
    for path in tmp_path.glob("*.aedat"):
        header, events = path.read_bytes().split(b"1 us\r\n")
        words = np.frombuffer(events, ">u4").reshape(-1, 2).copy()
        words[:, 0] |= 1 << 15
        words[[100, 101]] = words[[101, 100]]
        path.write_bytes(header + b"1 us\r\n" + words.tobytes())
    config = SlowPokerOption(root=str(tmp_path), ignore_external_bit=True, sort_time=True)
    assert config.prepare(progress=False).remarks == {"events sorted by time": 4}
    for name in ("ignore_external_bit", "sort_time"):
        with pytest.raises(DataError, match=rf"dataset\.{name}=true"):
            replace(config, **{name: False}).prepare(progress=False)


def test_folds_and_validation_share_reach_the_split(tmp_path: Path) -> None:
    write_gestures(tmp_path)
    config = DVSGestureOption(root=str(tmp_path), num_folds=4, fold=2, validation_share=0.34)
    dataset = config.prepare(progress=False)
    parts = config.split(dataset)
    assert [len(set(dataset.groups[part])) for part in parts] == [2, 1, 1]
    others = [DVSGestureOption(num_folds=4, fold=fold).split(dataset).test.tolist() for fold in range(4)]
    assert parts.test.tolist() == others[2]
    assert len({tuple(test) for test in others}) == 4


def test_seed_reaches_the_split(tmp_path: Path) -> None:
    write_nmnist(tmp_path, train=8)
    dataset = NMNISTOption(root=str(tmp_path)).prepare(progress=False)
    splits = {tuple(NMNISTOption(seed=seed).split(dataset).validation) for seed in range(5)}
    assert len(splits) == 5
