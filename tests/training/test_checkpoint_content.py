"""Whole, sealed checkpoints with wrong content, as a sender who knows the format could make them: each refused in one line."""

import contextlib
import copy
import resource
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers import QUIET, make_run, scores
from local_data import make_local_run

from qsnn.config.resume import load_best, restore
from qsnn.errors import NonFiniteError, RunFolderError
from qsnn.training.checkpoint import load_checkpoint, save_checkpoint
from qsnn.training.loop import save
from qsnn.training.run import Run

REPLACEMENTS: list[Any] = [
    None, "x", True, -1, 2**70, 1.5, -1.5, float("nan"), [], {}, [1, 2], {"x": 1.0},
    torch.zeros(2), torch.zeros(2, dtype=torch.int64), torch.tensor(1.0),
]  # fmt: skip
Step = tuple[str | int, ...]


def go_on(run: Run) -> None:
    """Train one piece."""
    run._under_way = None
    run.advance(QUIET)


@pytest.fixture(scope="module", params=["pattern", "local"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of each kind, with a checkpoint, best weights, and in the middle of an epoch where it has one."""
    folder = tmp_path_factory.mktemp(request.param)
    made = make_run(folder) if request.param == "pattern" else make_local_run(folder, folder, "optimizer=adam")
    for _ in range(3):
        go_on(made)
    save(made)
    return made


def places(content: Any, path: Step = ()) -> Iterator[Step]:
    """Every entry of a checkpoint, however deep."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in entries:
        yield (*path, name)
        yield from places(value, (*path, name))


def changed(content: dict[str, Any], path: Step, change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """A copy in which ``change(container, name)`` was done to the entry at ``path``."""
    new = copy.deepcopy(content)
    container = new
    for name in path[:-1]:
        container = container[name]  # type: ignore[index]
    change(container, path[-1])
    return new


def outcome(run: Run, content: dict[str, Any]) -> str:
    """Save, restore and train on: "accepted", or the message of the refusal, which is one line that names the file."""
    path = run.folder / "checkpoints" / "last.pt"
    save_checkpoint(path, content)
    message = "accepted"
    try:
        restore(run, run.folder)
    except RunFolderError as error:
        message = str(error)
    if message != "accepted":
        assert str(path) in message
        assert "\n" not in message
        return message
    with contextlib.suppress(NonFiniteError):
        go_on(run)
    return message


def test_no_entry_can_be_replaced_by_another_kind_of_value(run: Run) -> None:
    content = load_checkpoint(run.folder / "checkpoints" / "last.pt")
    assert content["best"] is not None
    paths = [path for path in places(content) if path[0] != "config"]
    for number, path in enumerate(paths):
        for value in REPLACEMENTS if len(path) == 1 else REPLACEMENTS[number % 4 :: 4]:
            outcome(run, changed(content, path, lambda into, name, value=value: into.__setitem__(name, value)))
    assert outcome(run, content) == "accepted"


def test_no_entry_can_be_missing_or_added(run: Run) -> None:
    content = load_checkpoint(run.folder / "checkpoints" / "last.pt")
    for path in places(content):
        if path != ("format_version",):  # which is written anyway
            message = outcome(run, changed(content, path, lambda into, name: into.pop(name)))
            assert message != "accepted" or path[0] == "config", path  # some of its keys are free
    for path in ((), ("model",), ("slots",), ("streams",)):
        added = changed(content, (*path, "extra"), lambda into, name: into.__setitem__(name, torch.zeros(3)))
        assert "'extra'" in outcome(run, added)
    assert outcome(run, content) == "accepted"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("epoch",), "x", "epoch is 'x', expected an integer from 0 to"),
        (("format_version",), 1, "has checkpoint format 1; this version of qsnn reads 3"),
        (("seconds",), float("nan"), "seconds is nan, expected a finite number"),
        (("data",), "other", "was trained on other data"),
        (("config",), "none", "holds no config"),
        (("config", "seed"), 7, "is of a run with another config: seed was 7, is 0"),
    ],
)
def test_wrong_value_is_named(path: Step, value: Any, message: str, run: Run) -> None:
    content = load_checkpoint(run.folder / "checkpoints" / "last.pt")
    assert message in outcome(run, changed(content, path, lambda into, name: into.__setitem__(name, value)))
    assert outcome(run, content) == "accepted"


def test_wrong_tensor_slot_and_stream_are_named(run: Run) -> None:
    content = load_checkpoint(run.folder / "checkpoints" / "last.pt")
    name, tensor = next(iter(content["model"].items()))
    slot, stream = next(iter(content["slots"])), next(iter(content["streams"]))

    def told(path: Step, value: Any) -> str:
        return outcome(run, changed(content, path, lambda into, name: into.__setitem__(name, value)))

    expected = f"model.{name} is a float64 tensor of shape {list(tensor.shape)}, expected a float32 tensor of shape"
    assert expected in told(("model", name), tensor.double())
    assert f"model.{name} is a float32 tensor of shape [2], expected" in told(("model", name), torch.zeros(2))
    assert f"slots.{slot} is a list of 0, expected a list of 2" in told(("slots", slot), [])
    assert f"streams.{stream}[0] is 5, expected the " in told(("streams", stream, 0), 5)
    assert f"streams.{stream}[1] is -1, expected an integer from 0" in told(("streams", stream, 1), -1)
    assert outcome(run, content) == "accepted"


def test_large_extra_tensor_is_refused_without_room_for_it(run: Run) -> None:
    path = run.folder / "checkpoints" / "last.pt"
    content = load_checkpoint(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    save_checkpoint(path, {**content, "extra": torch.zeros(2**22)})
    room = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunFolderError, match="'extra' is missing there or has no place here"):
        restore(run, run.folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, room) < 4096  # kilobytes
    assert outcome(run, content) == "accepted"


def test_best_checkpoint_of_something_else_is_refused(run: Run) -> None:
    content = load_checkpoint(run.folder / "checkpoints" / "last.pt")
    path, model = run.folder / "checkpoints" / "best.pt", content["model"]
    name = next(iter(model))
    facts = {"epoch": 2, **{name: content[name] for name in ("config", "data", "shapes")}}
    wrong = {
        "'model' is missing there": facts,
        "is of a run with another config": {"model": model, **facts, "config": {"seed": 1}},
        "was trained on other data": {"model": model, **facts, "data": "x"},
        "trained on other data": {"model": model, **facts, "shapes": {}},
        "epoch is 'x'": {"model": model, **facts, "epoch": "x"},
        f"model.{name} is 1": {"model": {**model, name: 1}, **facts},
        "'slots'": {"model": model, "slots": {}, **facts},
    }
    for message, best in wrong.items():
        save_checkpoint(path, best)
        with pytest.raises(RunFolderError) as caught:
            load_best(run, run.folder)
        assert str(path) in str(caught.value)
        assert message in str(caught.value)
    save_checkpoint(path, {"model": model, **facts})
    best = load_best(run, run.folder)
    assert scores(run, best)["best"]["epoch"] == 2
