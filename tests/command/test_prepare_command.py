"""`python -m qsnn.prepare` as a user meets it."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from event_builders import write_gestures, write_nmnist, write_poker
from helpers import in_process

from qsnn.data.events.prepare import user_cache
from qsnn.options import options_of
from qsnn.prepare import main

Outcome = tuple[int, str, str]


def prepare(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return in_process("prepare", *arguments, folder=folder)


def test_prepare_prints_what_is_in_the_data_set_and_where_the_cache_lies(tmp_path: Path) -> None:
    write_gestures(tmp_path / "data")
    words = ["dataset=dvs_gesture", "dataset.root=data", "quantization.weight_bits=4", "dataset.validation_share=0.34"]
    result = prepare(tmp_path, *words)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["recordings", "train", "validation", "test"]
    rows = [line.split()[-3:] for line in lines[1:13]]
    assert rows == 11 * [["4", "2", "2"]] + [["44", "22", "22"]]
    assert lines[1].startswith("hand clapping")
    assert "events in 88 recordings of 0.0" in lines[14]
    assert "on 128 x 128 pixels" in lines[14]
    (cache,) = user_cache().glob("dvs_gesture-*")
    assert lines[15].endswith(f"bytes in {cache}")
    assert "preparing dvs_gesture: 100%" in result.stderr
    again = prepare(tmp_path, *words)
    assert (again.returncode, again.stdout, again.stderr) == (0, result.stdout, "")


def test_prepare_tells_what_the_files_hold_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_poker(tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        header, events = path.read_bytes().split(b"1 us\r\n")
        others = struct.pack(">IIII", 1 << 15, 12345, 1 << 31, 12345)
        path.write_bytes(header + b"1 us\r\n" + others + events + b"\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2")
    monkeypatch.chdir(tmp_path)
    words = ("dataset=slow_poker", "dataset.root=data", "dataset.cache=cache", "logging.progress=false")
    for _ in range(2):  # converted, then from the cache
        code, output, _ = prepare_here(words, monkeypatch, capsys)
        assert code == 0
        told = [line for line in output.splitlines() if line.startswith("in the files: ")]
        kinds = ("clock resets", "external events skipped", "special events skipped")
        assert told == [f"in the files: 4 {kind}" for kind in kinds]
    (header,) = (tmp_path / "cache").rglob("header.json")
    assert json.loads(header.read_text())["remarks"] == dict.fromkeys(kinds, 4)


def test_prepare_takes_the_overrides_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nmnist(tmp_path / "data")
    words = [
        "dataset=nmnist",
        "dataset.root=data",
        "dataset.cache=there",
        "logging.progress=false",
        "seed=3",
        "name=mine",
    ]
    result = prepare(tmp_path, *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["there"]


def prepare_here(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Outcome:
    """The command in this process, which saves loading torch again: exit status, output, errors."""
    monkeypatch.setattr(sys, "argv", ["qsnn-prepare", *words])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


MISTAKES = {
    ("dataset=nmnist",): "error: dataset.root=null is not possible: give the folder where the data set lies",
    ("dataset=nmnist", "dataset.root=none"): "download Train.zip and Test.zip from Garrick Orchard's N-MNIST page",
    ("dataset=nmnist", "dataset.root=data"): "00003.bin, byte 0: the file ends after 4 bytes of an event, expected 5",
    ("dataset=nmnist", "dataset.jitter=-1"): "error: dataset.jitter=-1.0 is not possible",
    ("dataset=nmnits",): "error: dataset=nmnits does not exist: did you mean dataset=nmnist?",
    ("dataset=nmnist", "dataset.sort_time=true"): "to dataset=dvs_gesture and dataset=event_folder and dataset=slow_poker",
    ("dataset=pattern",): "error: this dataset needs no preparation",
    ("dataset=nmnist,slow_poker",): "dataset=nmnist,slow_poker",
}  # fmt: skip


@pytest.mark.parametrize("words", MISTAKES)
def test_prepare_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nmnist(tmp_path / "data", 1, 1)
    (tmp_path / "data" / "Test" / "3" / "00003.bin").write_bytes(b"\1\2\3\4")
    monkeypatch.chdir(tmp_path)
    code, output, errors = prepare_here((*words, "logging.progress=false"), monkeypatch, capsys)
    assert (code, output) == (2, "")
    assert MISTAKES[words] in errors
    assert errors.count("\n") == 1
    assert list(tmp_path.rglob("nmnist-*")) == []


def test_prepare_help_is_a_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, errors = prepare_here(("--help",), monkeypatch, capsys)
    assert (code, errors) == (0, "")
    assert "usage: python -m qsnn.prepare dataset=<name> dataset.root=<folder>" in output
    for option in options_of("dataset"):
        assert option in output or option == "pattern"


@pytest.mark.parametrize(
    ("words", "message"), [((), "error: no dataset given"), (("-m", "dataset=nmnist"), "error: -m is not known")]
)
def test_prepare_without_a_data_set_or_with_a_flag_shows_its_usage(
    words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, errors = prepare_here(words, monkeypatch, capsys)
    assert (code, output) == (2, "")
    assert errors.startswith(message)
    assert "usage: " in errors
