"""The files in conf/, the help page and docs/config.md: what the registry says, and nothing else."""

import functools
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from scripts_module import load_script

from qsnn.config.checking.explaining import known_keys
from qsnn.config.command_line import compose_config, group_options
from qsnn.config.paths import config_folder
from qsnn.options import GROUPS, options_of

CONF = Path(config_folder())
OPTIONS = [(group, option) for group, options in group_options().items() for option in options]
REGISTERED = [(group, name) for group in GROUPS for name in options_of(group)]
WRITTEN = load_script("write_config").outputs()


@functools.cache
def chosen(group: str, name: str) -> Any:
    """The group's part of the default run with this option."""
    return compose_config([f"{group}={name}"])[group]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_file_that_is_written_from_the_registry_is_up_to_date(path: Path) -> None:
    assert path.read_text() == WRITTEN[path], "run `python scripts/write_config.py`"


def test_every_registered_option_the_help_and_the_docs_are_written() -> None:
    names = {(path.parent.name, path.stem) for path in WRITTEN}
    assert names == {*REGISTERED, ("help", "qsnn"), ("docs", "config")}


@pytest.mark.parametrize(("group", "name"), REGISTERED)
def test_defaults_of_an_option_are_those_of_its_file(group: str, name: str) -> None:
    node = chosen(group, name)
    assert node == OmegaConf.create({group: OmegaConf.structured(options_of(group)[name])})[group]
    assert OmegaConf.get_type(node) is options_of(group)[name]


@pytest.mark.parametrize(("group", "name"), [entry for entry in OPTIONS if entry[0] in GROUPS])
def test_file_of_settings_is_of_a_registered_option(group: str, name: str) -> None:
    schema = OmegaConf.get_type(chosen(group, name))
    assert schema in options_of(group).values()
    assert (schema.group, options_of(group)[schema.option]) == (group, schema)


def test_every_option_is_the_base_of_its_file() -> None:
    for group, name in REGISTERED:
        written = (CONF / group / f"{name}.yaml").read_text()
        assert all(f"\n{entry.name}:" in written for entry in fields(options_of(group)[name]))


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_help_has_a_whole_sentence_for_every_option_and_experiment(group: str, name: str) -> None:
    page = (CONF / "hydra" / "help" / "qsnn.yaml").read_text()
    part = re.search(rf"^    {group}\n((?:      .*\n)+)", page, re.MULTILINE)
    assert part is not None
    (line,) = re.findall(rf"^      {name} +(\S.*)$", part[1], re.MULTILINE)
    assert line.endswith(".")
    assert line[0].isupper() or line[0].isdigit() or line.split()[0].rstrip(",") in group_options()[group]
    assert line in (CONF / group / f"{name}.yaml").read_text()


def test_docs_explain_every_key() -> None:
    text = (CONF.parent / "docs" / "config.md").read_text()
    keys = [key for key in known_keys() if "." in key and key != "logging.limits"]
    assert [key for key in keys if f"`{key}`" not in text] == []
    assert [f"{group}={name}" for group, name in OPTIONS if f"`{group}={name}`" not in text] == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_says_what_it_means(group: str) -> None:
    for schema in options_of(group).values():
        for entry in fields(schema):
            assert entry.metadata["meaning"], f"{group}.{entry.name}"
