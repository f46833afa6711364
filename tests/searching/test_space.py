"""What search.over means: widths of all layers and of single ones, any key, and a line for every mistake."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.searching.space import read_space, settings_name, value_text
from qsnn.config.searching.words import read_words
from qsnn.errors import ConfigError

CONFIG = to_config(compose_config(["experiment=randman", "model.hidden=[8,6]", "quantization.weight_bits=[8,4,2]"]))
LOCAL = to_config(compose_config(["experiment=gesture_demo"]))


def overrides(over: dict[str, Any], **chosen: Any) -> list[str]:
    space = read_space(over, CONFIG)
    return space.overrides({name.replace("__", "."): value for name, value in chosen.items()})


def test_width_of_a_layer_stands_in_a_list_with_those_of_the_others() -> None:
    over = {"hidden1.weight_bits": [1, 2], "2.error_bits": [4, None], "state_bits": "5..7"}
    space = read_space(over, CONFIG)
    assert [one.name for one in space.dimensions] == ["hidden1.weight_bits", "output.error_bits", "state_bits"]
    assert space.dimensions[2].values == (5, 6, 7)
    assert space.size == 12
    chosen = space.settings({"hidden1.weight_bits": 1, "output.error_bits": 1, "state_bits": 0})
    assert space.overrides(chosen) == [
        "quantization.weight_bits=[2,4,2]", "quantization.state_bits=5", "quantization.error_bits=[8,8,null]",
    ]  # fmt: skip
    assert settings_name(chosen) == "hidden1.weight_bits=2,output.error_bits=null,state_bits=5"


def test_states_of_a_layer_follow_the_searched_width_unless_they_are_searched() -> None:
    over = {"state_bits": [5, 6], "output.membrane_bits": [7, 8], "weight_bits": [3]}
    assert overrides(over, state_bits=6, output__membrane_bits=8, weight_bits=3) == [
        "quantization.weight_bits=3", "quantization.state_bits=6", "quantization.membrane_bits=[6,6,8]",
    ]  # fmt: skip


def test_any_key_and_group_can_be_searched_beside_widths() -> None:
    over = {"model.hidden": [[32], [64, 32]], "neuron": ["lif", "cuba_lif"], "optimizer.eta": [16.0]}
    texts = overrides(over, model__hidden=[64, 32], neuron="lif", optimizer__eta=16.0)
    assert texts == ["model.hidden=[64,32]", "neuron=lif", "optimizer.eta=16.0"]


def test_entry_of_null_is_taken_out_again() -> None:
    assert [one.name for one in read_space({"weight_bits": None, "error_bits": [2, 4]}, CONFIG).dimensions] == [
        "error_bits"
    ]


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({}, "names nothing to try"),
        ({"weight_bit": [1]}, "did you mean weight_bits?"),
        ({"hidden.weight_bits": [1]}, "the net's layers are hidden1, hidden2, output (or 0 to 2)"),
        ({"5.weight_bits": [1]}, "the net's layers are"),
        ({"sigmoid_bits": [1]}, "is not used: the net has weight_bits"),
        ({"hidden1.rng_bits": [1]}, "is one for all layers"),
        ({"weight_bits": [2, 2]}, "give different values"),
        ({"weight_bits": []}, "give different values"),
        ({"weight_bits": "8..2"}, "weight_bits=8..2 is not possible"),
        ({"weight_bits": [0]}, "a width is 1..16 or null"),
        ({"weight_bits": [True]}, "a width is 1..16 or null"),
        ({"weight_bits": "few"}, "a width is 1..16 or null"),
        ({"seed": [1]}, "cannot be searched"),
        ({"neuron": ["liff"]}, "neuron=liff does not exist"),
        ({"weight_bits": "1..1000000000"}, "weight_bits=1..1000000000 is not possible: a range is 1..16"),
        ({"model.hidden": "1..1000000000"}, "a range is of at most 1,000 values"),
        ({"weight_bits": f"1..{'9' * 5000}"}, "a width is 1..16 or null"),
        (
            {"hidden1.weight_bits": [1], "0.weight_bits": [2]},
            "0.weight_bits is there twice: hidden1.weight_bits means the same",
        ),
        (
            {"weight_bits": 3, "hidden1.weight_bits": [1, 2], "1.weight_bits": [1], "output.weight_bits": [1]},
            "weight_bits has no effect beside hidden1.weight_bits, hidden2.weight_bits, output.weight_bits",
        ),
        ({"quantization": ["bits8", "icons"], "output.weight_bits": [2]}, "quantization chooses all widths"),
    ],
)
def test_mistake_in_what_is_searched_is_one_line(over: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.over") as caught:
        read_space(over, CONFIG)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_local_nets_have_their_own_layers_and_widths() -> None:
    space = read_space({"layer1.membrane_trace_bits": [8, 12]}, LOCAL)
    assert space.overrides({"layer1.membrane_trace_bits": 8}) == ["quantization.membrane_trace_bits=[8]"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(1, 16), st.text("ab c',{}$=", max_size=5)), max_size=3))
def test_text_of_a_value_is_read_as_the_value(values: list[Any]) -> None:
    parsed: Any = OverridesParser.create().parse_override(f"search.over={value_text(values)}").value()
    assert list(map(str, parsed)) == list(map(str, values))


def test_commands_that_the_page_shows_are_understood() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text()
    shown = [shlex.split(text, comments=True) for text in re.findall(r"^    python -m qsnn\.search (.*)$", page, re.M)]
    assert len(shown) == 5
    spaces = [read_space(words.config.search.over, words.config) for words in map(read_words, shown)]
    assert [space.size for space in spaces] == [48, 16, 21, 9, 48]


def test_points_are_every_combination_once() -> None:
    space = read_space({"weight_bits": [1, 2, 4], "error_bits": [4, 8]}, CONFIG)
    assert list(space.points()) == list(itertools.product(range(3), range(2)))


def test_words_of_search_replace_what_an_experiment_searches_and_are_no_words_of_runs() -> None:
    words = read_words(["experiment=search_bits", "search.over={weight_bits: [1,2], hidden.state_bits: 5..6}", "seed=3",
                        "search.over.error_bits=[4]", "search.within=null", "hydra/launcher=basic"])  # fmt: skip
    assert words.config.search.over == {"weight_bits": [1, 2], "hidden.state_bits": "5..6", "error_bits": [4]}
    assert words.config.search.within is None
    assert words.task == ["experiment=search_bits", "seed=3"]
    assert words.hydra[0] == "hydra/launcher=basic"
    assert words.full_precision == ["experiment=search_bits", "seed=3", "quantization=full_precision"]
    assert words.having(["seed=4"]) == ["experiment=search_bits", "seed=4"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seed=0,1"], ["search over them"]),
        (["resume=auto"], ["is not taken"]),
        (["hydra/launcher=foo"], ["hydra/launcher=foo does not exist: options are basic, joblib, processes"]),
        (["hydra/launcher=processes", "hydra.launcher.n_jobs=0"], ["hydra.launcher.n_jobs=0 is not possible"]),
        (["hydra.launcher.n_jobs=2"], ["add hydra/launcher=processes"]),
        (["search.within=5"], ["search.within=5.0 is not possible: it must be at least 0 and at most 1"]),
        (["search.within=x"], ["it takes a number or null, at least 0 and at most 1"]),
        (["hydra.sweep.dir=x"], ["is not taken"]),
        (["--multirun"], ["is not a flag"]),
        (["dataset.validation_share=0"], ["dataset.validation_share=0"]),
        (["search.objectives=[]"], ["search.objectives=[] is not possible"]),
        (
            ["search.trial=3", "search.trials=few", "search.over=3", "search.batch=3,4"],
            ["did you mean search.trials?", "search.trials=few", "give such as", "put a list into brackets"],
        ),
        (
            ["search.trials=0", "search.sampler=luck", "search.objectives=[bits]"],
            ["search.trials=0 is not", "search.sampler=luck is not", "search.objectives[0]=bits is not"],
        ),
    ],
)
def test_mistakes_in_the_words_of_a_search_are_told_at_once(words: list[str], told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_words(["experiment=search_bits", *words])
    assert len(caught.value.args) == len(told)
    assert all(text in str(caught.value) for text in told)


@pytest.mark.parametrize("words", [[], ["search.trials=4"]])
def test_search_without_a_word_of_what_to_train_names_an_experiment(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"what is to be trained: .* python -m qsnn\.search experiment=search_bits"):
        read_words(words)


def test_name_of_a_search_is_what_was_typed() -> None:
    assert read_words(["experiment=search_bits", "search.name=true"]).config.search.name == "true"
    assert read_words(["experiment=search_bits", "search.name=007"]).config.search.name == "007"
