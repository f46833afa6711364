"""Which part of a summary.json is damaged: a report shall not show what no run has said."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

SHARES = ("test_accuracy", "validation_accuracy")
SCORES = (*SHARES, "relative_distance", "distance")
SECTIONS = ("quantization", "model", "dataset", "trainer")


def damaged_part(summary: Mapping[str, Any]) -> str:
    """The first part of a finished run's summary that is not as a run writes it; "" if none is."""
    return next(_damaged_parts(summary), "")


def _damaged_parts(summary: Mapping[str, Any]) -> Iterator[str]:
    config = summary.get("config")
    if not isinstance(config, Mapping):
        yield "config"
        return
    yield from _wrong_config(config)
    for part in ("final", "best"):
        scores = summary.get(part, {})
        if not isinstance(scores, Mapping):
            yield part
            continue
        yield from (
            f"{part}.{name}" for name in SCORES if name in scores and not _is_score(scores[name], name in SHARES)
        )
        if "confusion" in scores and not _is_matrix(scores["confusion"]):
            yield f"{part}.confusion"


def _wrong_config(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys by which runs are told apart, of another type than they can have."""
    if not isinstance(config.get("name", ""), str):
        yield "config.name"
    if type(config.get("seed", 0)) is not int:
        yield "config.seed"
    yield from (f"config.{name}" for name in SECTIONS if name in config and not isinstance(config[name], Mapping))
    quantization, dataset = (_section(config, name) for name in ("quantization", "dataset"))
    yield from (
        f"config.quantization.{name}"
        for name, bits in quantization.items()
        if name.endswith("_bits") and not _is_width(bits)
    )
    if not (dataset.get("fold") is None or type(dataset["fold"]) is int):
        yield "config.dataset.fold"


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_width(bits: Any) -> bool:
    return all(one is None or type(one) is int for one in (bits if isinstance(bits, list) else [bits]))


def _is_score(value: Any, share: bool) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return known and value >= 0 and (value <= 1 or not share)


def _is_matrix(matrix: Any) -> bool:
    """Square, of counts."""
    return isinstance(matrix, list) and all(
        isinstance(row, list) and len(row) == len(matrix) and all(type(count) is int and count >= 0 for count in row)
        for row in matrix
    )
