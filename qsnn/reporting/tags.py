"""What a figure is called in a logger."""

from collections.abc import Mapping, Sequence


def tags_of(figures: Mapping[str, float], layers: Sequence[str]) -> dict[str, float]:
    """Figures under their tags: ``<figure>/<layer>``, ``loss/<figure>`` for those of the whole net, and ``health/...``."""
    tags = {}
    for key, value in figures.items():
        layer = next((name for name in layers if key.endswith(f"_{name}")), None)
        if "/" in key:  # of health, <part>/<figure>
            tags[f"health/{key}"] = value
        else:
            tags[f"loss/{key}" if layer is None else f"{key.removesuffix(f'_{layer}')}/{layer}"] = value
    return tags
