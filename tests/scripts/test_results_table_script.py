"""scripts/results_table.py: order and names of widths, of a net and of its layers."""

from typing import Any

from scripts_module import load_script

script = load_script("results_table")
SCORE = {"distance": 2.0, "relative_distance": 0.5, "epoch": 3}


def _summary(weights: Any, **others: Any) -> dict[str, Any]:
    widths = {**dict.fromkeys(script.WIDTHS, 8), "weight_bits": weights, **others}
    results = {"final": SCORE, "best": SCORE, "epochs": 3, "seconds": 1.0, "silent_distance": 4.0, "versions": {}}
    return {"quantization": widths, **results}


def test_table_has_fewest_bits_first_and_full_precision_last_also_of_single_layers() -> None:
    rows = script.table([_summary(weights) for weights in (None, [8, None], 8, [8, 2], 2)]).splitlines()[2:7]
    assert [row.split("|")[1].strip() for row in rows] == ["2", "8", "[8, 2]", "[8, None]", "float"]


def test_widths_name_membrane_and_synapse_where_they_differ() -> None:
    assert script.widths(_summary(2, synapse_bits=[8, 4], gradient_bits=None)) == ["2", "8/[8, 4]", "8", "float"]
    assert script.widths(_summary(2, synapse_bits=8)) == ["2", "8", "8", "8"]
