"""Runs that are trained as one: each has, to the last bit, what it has alone; and what ends one does not end the others."""

import copy
import functools
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, SMALL, Quiet
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.errors import NonFiniteError
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.loop import Outcome, train
from qsnn.training.run import Epoch, Run
from qsnn.training.together.batches import draw_alike
from qsnn.training.together.loop import Failure, train_together
from qsnn.training.together.stacked import stack_runs

CLASSES = [
    "dataset=yin_yang", "dataset.num_train=30", "dataset.num_test=8", "dataset.num_steps=20", "dataset.window_train=0.02",
    "dataset.window_test=0.02", "model.hidden=[6]", "trainer.batch_size=16", "trainer.checkpoint_every=1",
]  # fmt: skip


def assert_same(ours: Any, theirs: Any, but: Sequence[str] = ("seconds", "seconds_start")) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            if key not in but:
                assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        assert torch.equal(ours, theirs) if isinstance(theirs, torch.Tensor) else ours == theirs


def assert_same_runs(ours: Run, theirs: Run) -> None:
    assert_same(ours.state.state_dict(), theirs.state.state_dict())
    for name in ("last.pt", "previous.pt", "best.pt"):
        paths = [run.folder / "checkpoints" / name for run in (ours, theirs)]
        assert [path.exists() for path in paths] == [paths[1].exists()] * 2
        if paths[0].exists():
            assert_same(*(load_checkpoint(path) for path in paths))


@functools.cache
def composed(words: tuple[str, ...]) -> DictConfig:
    return compose_config([*SMALL, *words])


def pair(folder: Path, seed: int, *words: str, **values: Any) -> tuple[Run, Run]:
    """The same run in two folders. Composing takes longer than training, so that it is done once for all ``values``."""
    cfg = copy.deepcopy(composed(words))
    for key, value in {**values, "seed": seed}.items():
        OmegaConf.update(cfg, key, value)
    folders = folder / f"ours{seed}", folder / f"theirs{seed}"
    for place in folders:
        place.mkdir(parents=True)
    ours, theirs = (build_run(to_config(cfg), place) for place in folders)
    return ours, theirs


def together(
    runs: Sequence[Run], reporters: Sequence[Callable[[], Any]] | None = None
) -> tuple[dict[int, Outcome | Failure], int]:
    ends: dict[int, Outcome | Failure] = {}
    chosen = [lambda: QUIET] * len(runs) if reporters is None else reporters
    number = train_together(list(zip(runs, chosen, strict=True)), ends.__setitem__, lambda turn: None)
    return ends, number


def same_outcome(ours: Any, theirs: Outcome) -> None:
    assert isinstance(ours, Outcome)
    assert ours[:4] == theirs[:4]


NETS = st.fixed_dictionaries(
    {
        "model.hidden": st.sampled_from([[], [9], [21]]),
        "quantization.state_bits": st.sampled_from([6, 8]),
        "quantization.gradient_bits": st.sampled_from([2, 8]),
        "quantization.rng_rule": st.sampled_from(["original", "unbiased"]),
        "optimizer.lr_schedule": st.sampled_from(["constant", "cosine"]),
        "optimizer.eta": st.sampled_from([0.1, 4.0]),
    }
)


WIDTHS = st.sampled_from([(1, 8), (2, 8), (5, 8), (8, 4)])  # of weights and errors, whose products must fit into sums


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    values=NETS, widths=WIDTHS, optimizer=st.sampled_from(["sgd", "adam", "adamax"]), threads=st.sampled_from([1, 2])
)
def test_nets_side_by_side_learn_what_each_learns_alone(
    values: dict[str, Any],
    widths: tuple[int, int],
    optimizer: str,
    threads: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    values = dict(zip(("quantization.weight_bits", "quantization.error_bits"), widths, strict=True), **values)
    pairs = [pair(folder, seed, f"optimizer={optimizer}", **values) for seed in range(3)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    stack = stack_runs([ours for ours, _ in pairs])
    assert stack is not None
    for epoch in range(4):
        orders = {number: ours.order(keep=epoch == 2) for number, (ours, _) in enumerate(pairs)}
        lessons = stack.learn(orders)
        torch.set_num_threads(1)
        for number, (ours, theirs) in enumerate(pairs):
            alone, _ = theirs.learn_batch(keep=epoch == 2)
            assert_same(lessons[number], alone)
            if epoch == 2:
                for name, layer in alone.activity.items():
                    assert torch.equal(lessons[number].activity[name].current.grad, layer.current.grad)
            ours.count(orders[number].batch, lessons[number])
        torch.set_num_threads(threads)
    torch.set_num_threads(before)
    for ours, theirs in pairs:
        assert_same(ours.state.state_dict(), theirs.state.state_dict())


def test_weights_that_others_change_between_two_steps_are_seen(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, seed) for seed in range(2)]
    stack = stack_runs([ours for ours, _ in pairs])
    assert stack is not None
    for _ in range(2):
        orders = {number: ours.order(keep=False) for number, (ours, _) in enumerate(pairs)}
        lessons = stack.learn(orders)
        for number, (ours, theirs) in enumerate(pairs):
            assert_same(lessons[number].gradients, theirs.learn_batch()[0].gradients)
            ours.count(orders[number].batch, lessons[number])
        with torch.no_grad():
            for run in pairs[1]:
                run.state.model.layers["hidden"].linear.weight.mul_(-1)


@pytest.mark.parametrize(
    "words", [[], ["kernels=eager"], ["quantization=full_precision"], ["model=recurrent", "model.hidden=[9]"], CLASSES]
)
def test_runs_together_end_as_each_does_alone(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pairs = [pair(tmp_path, seed, *words, **{"trainer.epochs": 2}) for seed in range(2)]
    ends, number = together([ours for ours, _ in pairs])
    assert number == 0
    assert ("2 runs in one process, each batch in turn" if words else "2 runs as one batch of nets") in caplog.text
    for place, (ours, theirs) in enumerate(pairs):
        same_outcome(ends[place], train(theirs, lambda: QUIET))
        assert_same_runs(ours, theirs)


def test_batches_that_are_the_same_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [pair(tmp_path, seed, *CLASSES, **{"trainer.epochs": 2})[0] for seed in range(2)]
    other, _ = pair(tmp_path, 2, *CLASSES, **{"trainer.epochs": 2, "dataset.seed": 1})
    assert draw_alike(*runs)
    assert not draw_alike(runs[0], other)
    drawn = []
    for run in runs:
        batches = run.task.batches
        monkeypatch.setattr(run.task, "batches", lambda *place, of=batches: drawn.append(place) or of(*place))
    together(runs)
    assert drawn == [(1, 0), (2, 0)]


def test_runs_at_different_epochs_go_on_together(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, seed) for seed in range(3)]
    for ours, _ in pairs:
        for _ in range(2 * int(ours.folder.name[-1])):
            ours.learn_batch()
    ends, _ = together([ours for ours, _ in pairs])
    for place, (ours, theirs) in enumerate(pairs):
        same_outcome(ends[place], train(theirs, lambda: QUIET))
        assert_same(ours.state.state_dict(), theirs.state.state_dict())


class Meddling(Quiet):
    """Does something after an epoch."""

    def __init__(self, epoch: int, what: Callable[[Run], Any]) -> None:
        self._epoch, self._what = epoch, what

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        if run.state.epoch == self._epoch:
            self._what(run)


def spoil(run: Run) -> None:
    with torch.no_grad():
        run.state.model.layers["hidden"].linear.weight[0, 0] = torch.nan


@pytest.mark.parametrize("words", [[], ["kernels=eager"]])
def test_run_that_stops_being_finite_ends_alone(words: list[str], tmp_path: Path) -> None:
    pairs = [pair(tmp_path, seed, *words) for seed in range(3)]
    reporters = [lambda: QUIET, lambda: Meddling(3, spoil), lambda: QUIET]
    ends, _ = together([ours for ours, _ in pairs], reporters)
    assert isinstance(ends[1], NonFiniteError)
    assert str(ends[1]).startswith("hidden.membrane holds NaN in epoch 4")
    assert load_checkpoint(pairs[1][0].folder / "checkpoints" / "last.pt")["epoch"] == 2
    for place in (0, 2):
        same_outcome(ends[place], train(pairs[place][1], lambda: QUIET))
        assert_same_runs(*pairs[place])


def test_signal_stops_all_with_checkpoints(tmp_path: Path) -> None:
    runs = [pair(tmp_path, seed)[0] for seed in range(3)]
    reporters = [lambda: QUIET, lambda: Meddling(3, lambda run: signal.raise_signal(signal.SIGTERM)), lambda: QUIET]
    ends, number = together(runs, reporters)
    assert number == signal.SIGTERM
    for place, run in enumerate(runs):
        assert ends[place][:2] == ("stopped", signal.SIGTERM)
        assert load_checkpoint(run.folder / "checkpoints" / "last.pt")["epoch"] == 3


def test_folder_that_is_gone_ends_its_run_alone(tmp_path: Path) -> None:
    runs = [pair(tmp_path, seed)[0] for seed in range(2)]

    def lose(run: Run) -> None:
        run.folder.rename(tmp_path / "moved")

    ends, _ = together(runs, [lambda: Meddling(3, lose), lambda: QUIET])
    assert isinstance(ends[0], OSError)
    assert isinstance(ends[1], Outcome)
    assert ends[1].status == "finished"
