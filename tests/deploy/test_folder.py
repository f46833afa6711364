"""Folders of exports: what is not of an export is never lost, and what a killed export left is put right by the next."""

import os
import shutil
from pathlib import Path

import pytest
from engine_models import small_model

from qsnn.deploy.artefact import write_artefact
from qsnn.deploy.c import write_c
from qsnn.deploy.folder import MODEL, SUMS, WRITTEN, check_vacant, write_folder
from qsnn.errors import ConfigError

MARK = "mark.txt"
FILES = {MARK: b"how to run it\n", "net.c": b"int net;\n"}
NOBODY = 2**31 - 1
"""No system has a process of this number."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_folder(FILES, tmp_path / "out", False, MARK)
    return tmp_path / "out"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "sums", ["", "mine\n", f"{'0' * 64}  thesis.tex\n", f"{'0' * 64}  {MODEL}\n{'0' * 64}  thesis.tex\n"]
)
def test_folder_that_merely_has_a_file_of_the_marks_name_is_not_replaced(tmp_path: Path, sums: str) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    for name, text in {SUMS: sums, MODEL: '{"format": "mine"}', "thesis.tex": "words", MARK: "thesis.tex"}.items():
        (folder / name).write_text(text)
    before = content(folder)
    for mark in (SUMS, MARK):
        with pytest.raises(ConfigError, match="holds no export: it is not written over"):
            write_folder(FILES | {SUMS: b""}, folder, True, mark)
    assert content(folder) == before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "results"])
def test_replacing_an_export_that_has_more_is_refused_by_the_files_name(tmp_path: Path, name: str) -> None:
    for number, write in enumerate((write_artefact, write_c)):
        folder = tmp_path / str(number)
        write(small_model(("a", "b")), folder)
        (folder / name).mkdir() if name == "results" else (folder / name).write_text("mine")
        with pytest.raises(ConfigError, match=f"holds '{name}', which the export did not write: move it, or choose"):
            write(small_model(), folder, True)
        assert (folder / name).exists()
        shutil.move(folder / name, tmp_path / f"{number}{name}")
        write(small_model(), folder, True)


def test_a_link_or_folder_of_a_written_name_is_not_replaced(out: Path) -> None:
    (out / "net.c").rename(out.parent / "mine.c")
    (out / "net.c").symlink_to(out.parent / "mine.c")
    with pytest.raises(ConfigError, match=r"holds 'net\.c'"):
        write_folder(FILES, out, True, MARK)
    assert WRITTEN in (out / MARK).read_text()


def test_the_folder_at_hand_is_named_whatever_is_typed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out)
    with pytest.raises(ConfigError, match=r"out=\. is there already"):
        write_folder(FILES, Path("."), False, MARK)
    write_folder({**FILES, "net.c": b"int other;\n"}, Path("."), True, MARK)
    assert (out / "net.c").read_bytes() == b"int other;\n"
    with pytest.raises(ConfigError, match=r"out=/ is there and holds no export"):
        check_vacant(Path("/"), True, MARK)


def test_leftovers_of_killed_exports_are_put_back_or_removed(out: Path) -> None:
    before = content(out)
    out.rename(out.parent / f".out.{NOBODY}.old")
    (out.parent / f".out.{NOBODY}.tmp").mkdir()
    with pytest.raises(ConfigError, match="is there already"):  # it is again
        check_vacant(out, False, MARK)
    assert content(out) == before
    kept = out.parent / f".out.{os.getppid()}.tmp"
    for name in (kept.name, f".out.{NOBODY}.tmp", f".out.{NOBODY}.old", f".out.{os.getpid()}.tmp"):
        (out.parent / name).mkdir()
    write_folder(FILES, out, True, MARK)
    assert sorted(out.parent.iterdir()) == [kept, out]  # that of a process that runs is left to it
