"""The tests' own shortcut: a config file is parsed once in a process, not in each of a thousand compositions."""

from quick_composing import loaded

from qsnn.config.command_line import compose_config


def test_config_files_are_remembered_from_one_composition_to_the_next() -> None:
    first = compose_config(["experiment=randman"])
    before = loaded.cache_info()
    assert compose_config(["experiment=randman"]) == first
    after = loaded.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits
