"""Folders of finished runs for the tests of `qsnn.comparing`, without a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONFIG: dict[str, Any] = {
    "name": "digits", "seed": 0, "threads": 1,
    "quantization": {"option": "bits", "weight_bits": 8, "state_bits": 8, "rng_bits": 16},
    "model": {"option": "feedforward", "hidden": [16]},
    "dataset": {"option": "randman", "seed": 0},
}  # fmt: skip


def config_with(values: dict[str, Any]) -> dict[str, Any]:
    """`CONFIG` with other values by dotted key."""
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    for key, value in values.items():
        *sections, leaf = key.split(".")
        owner = config
        for section in sections:
            owner = owner.setdefault(section, {})
        owner[leaf] = value
    return config


def _write(folder: Path, values: dict[str, Any], results: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    config = config_with(values)
    bits, hidden = config["quantization"]["weight_bits"], config["model"]["hidden"][0]
    summary = {
        "status": "finished", "experiment": config["name"], "seed": config["seed"], "seconds": 7.0,
        "overrides": [f"{key}={json.dumps(value)}" for key, value in values.items()],
        "quantization": {"weight_bits": bits, "rng_bits": 16}, "config": config,
        "memory_bytes": {"parameters": (bits or 32) * hidden * 30 / 8, "state": hidden}, **results,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def class_run(folder: Path, right: Sequence[bool], values: dict[str, Any] | None = None) -> Path:
    """A run of two classes: ``right`` by test recording; ``values`` by dotted key."""
    hit = np.array(right, dtype=bool)
    label = np.arange(len(hit)) % 2
    prediction = np.where(hit, label, 1 - label)
    confusion = np.bincount(2 * label + prediction, minlength=4).reshape(2, 2).tolist()
    final = {"test_accuracy": float(hit.mean()), "validation_accuracy": 0.5, "confusion": confusion}
    _write(folder, values or {}, {"final": final})
    numbers = {"index": np.arange(len(hit)), "label": label, "prediction": prediction}
    np.savez(
        folder / "test_predictions.npz",
        allow_pickle=False,
        **{name: array.astype(np.int32) for name, array in numbers.items()},
    )
    curve = [{"epoch": epoch, "validation_accuracy_output": 0.1 * epoch + 0.01 * hit.sum()} for epoch in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
    return folder


def pattern_run(folder: Path, share: float, values: dict[str, Any] | None = None) -> Path:
    """A run of a pattern that ends at ``share`` of a silent net's distance."""
    final = {"distance": 1000 * share, "relative_distance": share}
    best = {"epoch": 3, "distance": 900 * share, "relative_distance": 0.9 * share}
    values = {"dataset.option": "pattern", "name": "quick", **(values or {})}
    return _write(folder, values, {"final": final, "best": best, "silent_distance": 1000.0})


def rates(folder: Path, layers: dict[str, Sequence[float]]) -> None:
    """Keep rates of neurons with a run, by layer."""
    np.savez(
        folder / "rates.npz",
        allow_pickle=False,
        **{name: np.array(values, dtype=np.float32) for name, values in layers.items()},
    )


def first_right(number: int, of: int = 20) -> list[bool]:
    """The first ``number`` recordings."""
    return [place < number for place in range(of)]
