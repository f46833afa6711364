"""Every command of `qsnn.train` that README and docs show composes, and every key that they name exists."""

import re
import shlex
from pathlib import Path

import pytest

from qsnn.comparing.command import parse_words
from qsnn.config.building.common import to_config
from qsnn.config.command_line import known_keys, parse_overrides
from qsnn.config.composition import compose_config
from qsnn.config.deploying.export import KEYS as EXPORT_KEYS
from qsnn.config.deploying.request import Words
from qsnn.config.deploying.verify import KEYS as VERIFY_KEYS
from qsnn.config.sweep_jobs import all_jobs
from qsnn.errors import ConfigError
from qsnn.options import GROUPS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    DOCS / "results.md",
    DOCS / "performance.md",
    DOCS / "report.md",
    DOCS / "integer.md",
    DOCS / "exports.md",
]
OTHER_PAGES = [DOCS / "architecture.md", *sorted((DOCS / "decisions").glob("*.md"))]
SHOWN = re.compile(r"^(?:    |\| `)python -m qsnn\.train((?: .*\\\n)* .*)?$", re.M)
MISFIT = ["experiment=gesture_demo", "neuron=lif"]  # README shows it with its error


def words_of(text: str) -> list[str]:
    """The arguments of a shown command, but for comments, what it leaves out, and the run that it goes on with."""
    words = shlex.split(re.sub("<.*?>", "folder", text.split("`")[0].replace("\\\n", " ")), comments=True)
    return [word for word in words if word not in ("-m", "...") and not word.startswith("resume=")]


def shown_commands() -> list[list[str]]:
    """Those of all pages, each once."""
    found = [words_of(text) for page in PAGES for text in SHOWN.findall(page.read_text())]
    return [words for number, words in enumerate(found) if words not in found[:number]]


def test_docs_commands_are_found_with_the_lines_that_go_on() -> None:
    shown = shown_commands()
    assert len(shown) > 35
    assert MISFIT in shown
    assert any({"name=readout_bits", "model.channels=[128]"} <= {*words} for words in shown)
    assert all(re.match(r"[\w.]+=", word) for words in shown for word in words)


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_docs_command_composes(words: list[str]) -> None:
    first, *_ = all_jobs(parse_overrides(words))  # of a sweep one job; names and options of all are checked
    cfg = compose_config(first)
    if words == MISFIT:
        with pytest.raises(ConfigError, match=r"which neuron=lif does not give; neuron=trace_lif does$"):
            to_config(cfg)
    else:
        to_config(cfg)


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda page: page.stem)
def test_docs_page_names_keys_that_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w.])((?:{'|'.join(GROUPS)})\.\w+)=", page.read_text())
    assert {*named} - {*known_keys()} == set()


def test_docs_reports_are_asked_in_words_that_there_are() -> None:
    shown = re.compile(r"^    python -m qsnn\.report((?: .*\\\n)* .*)$", re.M)
    found = [words_of(text) for page in PAGES for text in shown.findall(page.read_text())]
    assert len(found) > 8
    for words in found:
        assert parse_words(words).folders


def test_docs_exports_are_asked_in_words_that_there_are() -> None:
    shown = re.compile(r"^    python -m qsnn\.(export|verify)( .*)$", re.M)
    found = [(command, words_of(text)) for page in PAGES for command, text in shown.findall(page.read_text())]
    keys = {"export": EXPORT_KEYS, "verify": VERIFY_KEYS}
    assert len(found) > 3
    for command, words in found:
        Words(command, words, keys[command], ())
