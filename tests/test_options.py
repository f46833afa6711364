"""The registry of options: who registers what, bounds of keys, what fits, and options of other packages."""

import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
from forking import run

from qsnn import options as registry
from qsnn.options import GROUPS, Option, impossible, key, misfits, option, options_of, value_problems


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    known = {group: options_of(group) for group in GROUPS}
    monkeypatch.setattr(registry, "_registry", known)


@dataclass
class Bounded(Option):
    """Keys with every kind of bound."""

    least: float = key(1.0, "at least", at_least=0, at_most=2)
    more: float = key(1.0, "above", above=0, below=1e9)
    many: list[float] = key([1.0, 2.0], "entries", "s", "orig", at_least=1)
    maybe: int | None = key(None, "or null", at_least=1, at_most=5)
    rule: str = key("a", "a word", choices=("a", "b"))
    code: int | None = key(None, "a number or null", choices=(None, 1))
    words: list[str] = key(["a"], "several words", choices=("a", "b"))
    free: Any = key(None, "anything")


def test_option_is_found_by_its_group_and_name_and_knows_both() -> None:
    registered = option("neuron", "bounded")(Bounded)
    assert options_of("neuron")["bounded"] is registered
    assert (registered.group, registered.option) == ("neuron", "bounded")
    assert list(options_of("neuron")) == sorted(options_of("neuron"))
    assert "bounded" not in options_of("model")


def test_name_that_is_taken_is_refused_with_who_has_it() -> None:
    with pytest.raises(ValueError, match=r"^neuron=lif is there already: qsnn\.dynamics\.lif\.LIF$"):
        option("neuron", "lif")(Bounded)
    assert options_of("neuron")["lif"].__name__ == "LIF"


def test_module_that_is_imported_again_may_register_its_option_again() -> None:
    option("neuron", "bounded")(Bounded)
    assert option("neuron", "bounded")(Bounded) is Bounded


def test_group_that_is_unknown_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=rf"^there is no group 'neurons'; groups are {', '.join(GROUPS)}$"):
        option("neurons", "bounded")(Bounded)


def test_every_option_stands_in_a_room_and_is_documented() -> None:
    for group in GROUPS:
        for name, schema in options_of(group).items():
            assert schema.__module__.startswith(registry.ROOMS), name
            first = (schema.__doc__ or "").split("\n")[0]
            assert first.endswith("."), name
            assert list(schema().problems()) == [] or name in ("bits",), name
            assert list(value_problems(schema(), f"{group}.")) == [], name


def test_key_keeps_its_documentation_and_a_list_of_each_option_is_its_own() -> None:
    many = next(entry for entry in fields(Bounded) if entry.name == "many")
    assert [many.metadata[name] for name in ("meaning", "unit", "original", "at_least")] == ["entries", "s", "orig", 1]
    one, other = Bounded(), Bounded()
    one.many.append(3.0)
    assert other.many == [1.0, 2.0]


INSIDE: list[dict[str, Any]] = [
    {}, {"least": 0}, {"least": 2}, {"more": 1e-300}, {"more": 999_999_999}, {"many": []}, {"many": [1.0] * 9}, {"maybe": 5},
    {"rule": "b"}, {"code": 1}, {"words": ["b", "a"]}, {"free": math.nan}, {"free": {"a": 1}},
]  # fmt: skip
OUTSIDE: list[tuple[dict[str, Any], list[str]]] = [
    ({"least": -0.5}, ["g.least=-0.5 is not possible: it must be at least 0 and at most 2"]),
    ({"least": 2.5}, ["g.least=2.5 is not possible: it must be at least 0 and at most 2"]),
    ({"least": math.nan}, ["g.least=nan is not possible: it must be at least 0 and at most 2"]),
    ({"least": math.inf}, ["g.least=inf is not possible: it must be at least 0 and at most 2"]),
    ({"more": 0}, ["g.more=0 is not possible: it must be above 0 and below 1e+09"]),
    ({"more": 1e9}, ["g.more=1000000000.0 is not possible: it must be above 0 and below 1e+09"]),
    ({"many": [0, 1, math.nan, math.inf, 5]}, [
        "g.many[0]=0 is not possible: it must be at least 1",
        "g.many[2]=nan is not possible: it must be at least 1",
        "g.many[3]=inf is not possible: it must be at least 1",
    ]),
    ({"maybe": 6}, ["g.maybe=6 is not possible: it must be at least 1 and at most 5"]),
    ({"rule": "c"}, ["g.rule=c is not possible: allowed are a, b"]),
    ({"code": 2}, ["g.code=2 is not possible: allowed are null, 1"]),
    ({"words": ["a", "c"]}, ["g.words[1]=c is not possible: allowed are a, b"]),
    ({"least": 3, "maybe": 0, "rule": ""}, [
        "g.least=3 is not possible: it must be at least 0 and at most 2",
        "g.maybe=0 is not possible: it must be at least 1 and at most 5",
        "g.rule= is not possible: allowed are a, b",
    ]),
]  # fmt: skip


@pytest.mark.parametrize("values", INSIDE)
def test_value_inside_of_its_bounds_is_no_problem(values: dict[str, Any]) -> None:
    assert list(value_problems(Bounded(**values), "g.")) == []
    assert Bounded(**values).in_bounds(*(entry.name for entry in fields(Bounded)))


@pytest.mark.parametrize(("values", "told"), OUTSIDE)
def test_value_out_of_its_bounds_is_told_with_them(values: dict[str, Any], told: list[str]) -> None:
    assert list(value_problems(Bounded(**values), "g.")) == told
    assert not Bounded(**values).in_bounds(*values)
    assert Bounded(**values).in_bounds(*(entry.name for entry in fields(Bounded) if entry.name not in values))


@pytest.mark.parametrize(
    ("bound", "shown"), [(0.999999999, "0.999999999"), (1e9, "1e+09"), (1000, "1000"), (0.1, "0.1")]
)
def test_bound_is_shown_short_but_never_as_another_number(bound: float, shown: str) -> None:
    @dataclass
    class One(Option):
        x: float = key(0.0, "x", at_least=0, at_most=bound)

    assert list(value_problems(One(1e30), "")) == [
        f"x=1e+30 is not possible: it must be at least 0 and at most {shown}"
    ]


def test_null_is_told_as_it_is_written() -> None:
    assert impossible("a.b", None, "set it") == "a.b=null is not possible: set it"


@dataclass
class Needy(Option):
    """Needs a thing that one other option gives, and one that none gives."""

    gives: ClassVar[frozenset[str]] = frozenset({"warmth"})
    needs: ClassVar[frozenset[str]] = frozenset({"a fish", "a unicorn"})


@dataclass
class Pond(Option):
    """Gives a fish."""

    gives: ClassVar[frozenset[str]] = frozenset({"a fish"})


@dataclass
class Bare(Option):
    """Gives nothing."""


def test_misfit_is_told_with_what_does_not_give_and_what_would() -> None:
    option("loss", "needy")(Needy)
    option("dataset", "pond")(Pond)
    option("dataset", "bare")(Bare)
    assert list(misfits([Needy(), Bare()])) == [
        "loss=needy needs a fish, which dataset=bare does not give; dataset=pond does",
        "loss=needy needs a unicorn, which nothing that is chosen gives; no option does",
    ]
    assert len(list(misfits([Needy(), Pond()]))) == 1


PACKAGE = {
    "foreign/__init__.py": "",
    "foreign/qsnn_options.py": '''
from dataclasses import dataclass
from qsnn.dynamics.lif import LIF
from qsnn.options import key, option

@option("neuron", "foreign")
@dataclass
class Foreign(LIF):
    """Another package's neuron."""

    depth: float = key(3.0, "how deep", "m", at_least=0)
''',
    "foreign-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n",
    "foreign-1.0.dist-info/entry_points.txt": "[qsnn.options]\nneurons = foreign.qsnn_options\n",
}
CHOOSE_IT = """
from qsnn.config.command_line import read_command_line, set_up
from qsnn.errors import ConfigError
set_up()
cfg = read_command_line(["neuron=foreign", "neuron.depth=4"]).cfg
print(cfg.neuron.depth, cfg.neuron.tau_mem)
for words in (["neuron.depth=4"], ["neuron=foreign", "neuron.depth=-1"], ["neuron=foreig"]):
    try:
        from qsnn.config.building.common import to_config
        from qsnn.config.composition import without_hydra
        to_config(without_hydra(read_command_line(words).cfg))
    except ConfigError as error:
        print(error)
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with an installed package that announces a neuron."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_option_of_another_package_is_loaded_by_its_entry_point_chosen_and_checked(foreign: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(foreign)!r})\n{CHOOSE_IT}"
    result = run([sys.executable, "-c", program], timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "4.0 0.01"
    assert lines[1].startswith("neuron.depth=4: this key belongs to neuron=foreign, which is not the one chosen")
    assert lines[2] == "neuron.depth=-1.0 is not possible: it must be at least 0"
    assert lines[3].startswith(
        "neuron=foreig does not exist: did you mean neuron=foreign? options are cuba_lif, foreign, if"
    )
