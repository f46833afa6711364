"""Which search a folder holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.searching.identity import EPOCHS, FILE, IDENTITY, begin_or_go_on
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.json_file import read_json, write_json

CONFIG = to_config(compose_config(["experiment=search_bits"]))


def test_search_goes_on_longer_elsewhere_and_quieter(tmp_path: Path) -> None:
    begin_or_go_on(tmp_path, CONFIG)
    longer = replace(CONFIG.search, trials=99, batch=3, name="other")
    begin_or_go_on(tmp_path, replace(CONFIG, search=longer, threads=2, logging=replace(CONFIG.logging, progress=True)))


def test_folder_of_another_search_is_refused_with_what_differs(tmp_path: Path) -> None:
    begin_or_go_on(tmp_path, CONFIG)
    other = replace(CONFIG, model=replace(CONFIG.model, hidden=[7]), search=replace(CONFIG.search, within=0.5))
    told = (
        r"holds another search: model.hidden was \[128\], is \[7\]; search.within was 0.03, is 0.5. Give a search.name"
    )
    with pytest.raises(ConfigError, match=told):
        begin_or_go_on(tmp_path, other)


def test_damaged_file_of_a_search_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[")
    with pytest.raises(RunFolderError, match="is damaged"):
        begin_or_go_on(tmp_path, CONFIG)


def test_search_whose_runs_would_be_longer_is_another_one(tmp_path: Path) -> None:
    begin_or_go_on(tmp_path, CONFIG)
    longer = replace(CONFIG, trainer=replace(CONFIG.trainer, epochs=31))
    with pytest.raises(ConfigError, match=r"holds another search: trainer\.epochs was 30, is 31"):
        begin_or_go_on(tmp_path, longer)


def test_search_of_an_older_version_has_the_epochs_that_its_runs_tell(tmp_path: Path) -> None:
    begin_or_go_on(tmp_path, CONFIG)
    identity = read_json(tmp_path / FILE)[IDENTITY]
    del identity[EPOCHS]
    write_json(tmp_path / FILE, {IDENTITY: identity})
    begin_or_go_on(tmp_path, CONFIG)  # it has no run yet
    run = tmp_path / "trials" / "weight_bits=2" / "seed_0"
    run.mkdir(parents=True)
    write_json(run / "summary.json", {"config": {"trainer": {"epochs": 7}}})
    with pytest.raises(ConfigError, match=r"trainer\.epochs was 7, is 30"):
        begin_or_go_on(tmp_path, CONFIG)
