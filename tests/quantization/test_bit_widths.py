"""Bit widths as a plain object, where no config fills in what follows another."""

import pytest

from qsnn.quantization.bit_widths import BitWidths


@pytest.mark.parametrize("state_bits", [8, None, [8, 6]])
def test_membrane_and_synapse_follow_the_state_without_a_config(state_bits: int | list[int] | None) -> None:
    widths = BitWidths(state_bits=state_bits)
    assert (widths.membrane_bits, widths.synapse_bits) == (state_bits, state_bits)
    assert BitWidths(state_bits=state_bits, membrane_bits=5).membrane_bits == 5
    assert not list(widths.problems())
