import subprocess
import sys

import pytest

from qsnn.config.event_data import build_source, build_windows, check_event_data
from qsnn.config.schema_datasets import SyntheticGestureConfig
from qsnn.data.generators.synthetic_gesture import SyntheticGesture
from qsnn.errors import ConfigError

OPTIONS = {
    "num_users": 3, "num_test_users": 2, "lights": ["lab"], "repetitions": 4, "duration": 0.5, "generator_seed": 6,
}  # fmt: skip


def test_every_option_reaches_the_source() -> None:
    source = build_source(SyntheticGestureConfig(**OPTIONS))
    assert isinstance(source, SyntheticGesture)
    assert {name: getattr(source, name) for name in OPTIONS} == {**OPTIONS, "lights": ("lab",)}


def test_default_windows_lie_inside_of_the_recordings() -> None:
    config = SyntheticGestureConfig()
    for training in (True, False):
        windows = build_windows(config, dt=0.001, training=training)
        assert windows.num_steps * windows.dt <= config.duration


def test_check_names_the_option_that_is_out_of_range() -> None:
    check_event_data(SyntheticGestureConfig(), dt=0.001)
    for name, value in (("num_users", 0), ("lights", ["sun"]), ("duration", 31.0)):
        with pytest.raises(ConfigError, match=rf"dataset\.{name}="):
            check_event_data(SyntheticGestureConfig(**{name: value}), dt=0.001)


def test_config_is_checked_without_compiling_kernels() -> None:
    program = (
        "import sys; from qsnn.config.event_data import check_event_data as check; "
        "from qsnn.config.schema_datasets import SyntheticGestureConfig; check(SyntheticGestureConfig(), 0.001); "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0
