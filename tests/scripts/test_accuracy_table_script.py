"""scripts/accuracy_table.py: accuracies, their spread and standard error, and several sweeps side by side."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scripts_module import load_script

accuracy_table = load_script("accuracy_table")
KEY = "quantization.membrane_trace_bits"


def _sweep(folder: Path, rights: dict[int, list[list[int]]]) -> Path:
    """Finished runs: for each bit width, by seed, how many of 50 recordings were right in each fold."""
    for bits, seeds in rights.items():
        for seed, folds in enumerate(seeds):
            for fold, right in enumerate(folds):
                run = folder / f"bits={bits},seed={seed},fold={fold}"
                (run / ".hydra").mkdir(parents=True)
                config = {"quantization": {"membrane_trace_bits": bits}, "dataset": {"fold": fold}, "seed": seed}
                (run / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
                final = {"confusion": [[right, 50 - right], [0, 0]]}
                summary = {"status": "finished", "seed": seed, "seconds": 7.0, "final": final}
                (run / "summary.json").write_text(json.dumps({**summary, "quantization": {"weight_bits": 8}}))
    return folder


def _print_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["accuracy_table.py", *words])
    accuracy_table.main()
    return capsys.readouterr().out.splitlines()


def test_accuracy_table_gives_spread_over_seeds_and_the_standard_error_of_the_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _sweep(tmp_path, {4: [[45, 45], [40, 40]], 12: [[50, 40], [45, 45]]})
    assert _print_table(monkeypatch, capsys, str(folder), "--by", KEY) == [
        f"| {KEY} | test accuracy | standard error | by seed | recordings tested | seconds a run |",
        "|---|---|---|---|---|---|",
        "| 4 | 85.0% ± 7.1% | 3.6% | 90.0%, 80.0% | 100 | 7 |",
        "| 12 | 90.0% ± 0.0% | 3.0% | 90.0%, 90.0% | 100 | 7 |",
    ]


def test_accuracy_table_puts_named_sweeps_into_one_table_and_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow, wide = (
        _sweep(tmp_path / "narrow", {4: [[45]], 12: [[45]]}),
        _sweep(tmp_path / "wide", {4: [[20]], 12: [[40]]}),
    )
    lines = _print_table(monkeypatch, capsys, "--line", "equal", str(narrow), "--line", "ranges", str(wide), "--by", KEY,
                         "--picture", str(tmp_path / "lines.png"))  # fmt: skip
    assert [line.split("|")[1:4] for line in lines[2:]] == [
        [" equal ", " 4 ", " 90.0% "], [" equal ", " 12 ", " 90.0% "],
        [" ranges ", " 4 ", " 40.0% "], [" ranges ", " 12 ", " 80.0% "],
    ]  # fmt: skip
    with Image.open(tmp_path / "lines.png") as image:
        pixels = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.unique(np.asarray(image).reshape(-1, 3), axis=0).tolist()}
    assert set(accuracy_table.COLOURS[:2]) <= pixels
    assert accuracy_table.COLOURS[2] not in pixels


def test_accuracy_table_refuses_named_and_unnamed_folders_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(_sweep(tmp_path, {4: [[45]]}))
    with pytest.raises(SystemExit):
        _print_table(monkeypatch, capsys, folder, "--line", "equal", folder)
    assert "error: give either the folders of one sweep or --line NAME FOLDER" in capsys.readouterr().err
