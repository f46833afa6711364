"""The accounting of [ICONS]: its published sum to the last bit, and the corrected ones."""

from local_data import SMALL_NET

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import memory_of_config
from qsnn.config.building.run import build_machine
from qsnn.config.command_line import compose_config
from qsnn.hardware.icons import (
    PUBLISHED_BITS,
    PUBLISHED_BITS_AT_32,
    Accounting,
    accountings,
    icons_layers,
    layers_of,
)

ICONS = to_config(compose_config(["experiment=icons_gesture", "dataset=synthetic_gesture", "kernels=eager"]))


def test_icons_accounting_of_its_net_gives_the_published_bits() -> None:
    found = accountings(icons_layers((2, 32, 32), ICONS.model.geometries()), ICONS.quantization)
    assert found["published"] == Accounting(26_462_796, 100_928_576) == (PUBLISHED_BITS, PUBLISHED_BITS_AT_32)
    assert [round(100 * one.saved, 2) for one in found.values()] == [73.78, 74.52, 74.92, 72.82, 80.33]


def test_layers_of_a_net_are_those_of_its_geometry() -> None:
    config = to_config(
        compose_config(["experiment=icons_gesture", "dataset=synthetic_gesture", "kernels=eager", *SMALL_NET])
    )
    net = config.trainer.build_net(config, (2, 12, 12), 11, build_machine(config))
    assert layers_of(net) == icons_layers((2, 12, 12), config.model.geometries())


def test_own_accounting_of_the_icons_net_has_its_weights_at_both_widths() -> None:
    memory = memory_of_config(ICONS)
    assert memory.total("weights") == ((1_210_496 + 320) * 8, (1_210_496 + 320) * 32)
    stored = [term.bits for layer in memory.terms.values() for term in layer if term.name == "stored weights"]
    assert sum(stored) == 1_210_496 * 10
