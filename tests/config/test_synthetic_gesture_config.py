import subprocess
import sys

import pytest

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config
from qsnn.data.generators.synthetic_gesture import SyntheticGesture, SyntheticGestureOption
from qsnn.errors import ConfigError

OPTIONS = {
    "num_users": 3, "num_test_users": 2, "lights": ["lab"], "repetitions": 4, "duration": 0.5, "generator_seed": 6,
}  # fmt: skip


def test_every_option_reaches_the_source() -> None:
    source = SyntheticGestureOption(**OPTIONS).source()  # type: ignore[arg-type]
    assert isinstance(source, SyntheticGesture)
    assert {name: getattr(source, name) for name in OPTIONS} == {**OPTIONS, "lights": ("lab",)}


def test_default_windows_lie_inside_of_the_recordings() -> None:
    option = SyntheticGestureOption()
    for training in (True, False):
        windows = option.windows(dt=0.001, training=training)
        assert windows.num_steps * windows.dt <= option.duration


def test_check_names_the_option_that_is_out_of_range() -> None:
    words = ["experiment=icons_gesture", "dataset=synthetic_gesture"]
    to_config(compose_config(words))
    for name, value in (("num_users", "0"), ("lights", "[sun]"), ("lights", "[]"), ("duration", "31.0")):
        with pytest.raises(ConfigError, match=rf"dataset\.{name}(\[0\])?={value.strip('[]')}") as caught:
            to_config(compose_config([*words, f"dataset.{name}={value}"]))
        assert len(caught.value.args) == 1


def test_config_is_checked_without_compiling_kernels() -> None:
    program = (
        "import sys; from qsnn.config.command_line import compose_config, set_up; set_up(); "
        "from qsnn.config.building.common import to_config; to_config(compose_config(['experiment=gesture_demo'])); "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0
