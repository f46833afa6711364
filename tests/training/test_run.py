"""One kind of run: what is learned batch by batch and told epoch by epoch, of a pattern and of recordings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, Quiet, make_run
from local_data import make_local_run

from qsnn.kernels.backend import GradientRounding
from qsnn.training.run import FULL_PRECISION_DIVISOR, Epoch, Run, RunSettings


class Told(Quiet):
    """A reporter that notes what it is asked and told; it wants all that there is."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def wants_health(self, epoch: int) -> bool:
        self.calls.append(("health?", epoch))
        return True

    def wants_figures(self, epoch: int) -> bool:
        self.calls.append(("figures?", epoch))
        return True

    def after_batch(self, headline: str) -> None:
        self.calls.append(("batch", headline))

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        self.calls.append(("epoch", run.state.epoch, lesson, epoch))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(params=["pattern", "local"])
def run(request: pytest.FixtureRequest, data: Path, tmp_path: Path) -> Run:
    """A fresh run on each task, with a checkpoint every second epoch."""
    if request.param == "pattern":
        return make_run(tmp_path, "trainer.epochs=4", "trainer.checkpoint_every=2")
    return make_local_run(tmp_path, data, "trainer.epochs=4", "trainer.checkpoint_every=2")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_advance_counts_batches_and_epochs_and_says_when_a_checkpoint_is_due(run: Run) -> None:
    pieces = run.task.batches_per_epoch
    assert pieces == (1 if run.state.model.__class__.__name__ == "SpikingNet" else 2)
    assert not run.started()
    due = []
    for number in range(1, 4 * pieces + 1):
        assert not run.finished()
        due.append(run.advance(QUIET))
        assert (run.state.epoch, run.state.batch) == divmod(number, pieces)
        assert run.started()
    assert run.finished()
    assert [number + 1 for number, is_due in enumerate(due) if is_due] == [2 * pieces, 4 * pieces]


def test_advance_tells_of_each_batch_and_at_the_end_of_an_epoch_of_its_last_lesson(run: Run) -> None:
    reporter, pieces = Told(), run.task.batches_per_epoch
    for _ in range(pieces):
        run.advance(reporter)
    kinds = [call[0] for call in reporter.calls]
    assert kinds == ["batch"] * (pieces - 1) + ["health?", "batch", "figures?", "epoch"]
    _, number, lesson, epoch = reporter.calls[-1]
    assert number == 1
    assert lesson is not None
    assert epoch.figures
    assert all(isinstance(value, float | int) for value in epoch.figures.values())
    look = epoch.look()
    assert {"input", *run.state.model.layers} == set(look.rasters)
    assert {raster.shape[1] for raster in look.rasters.values()} == {1}
    assert run.state.sums == {}


def test_learn_batch_changes_weights_as_advance_does(run: Run, data: Path, tmp_path: Path) -> None:
    local = run.task.batches_per_epoch > 1
    other = make_local_run(tmp_path / "other", data) if local else make_run(tmp_path / "other")
    before = run.weights()
    for _ in range(3):
        _, headline = run.learn_batch()
        other.advance(QUIET)
        assert bool(headline) == local
    assert not same(run.weights(), before)
    assert same(run.weights(), other.weights())
    assert run.state.streams == other.state.streams
    assert (run.state.epoch, run.state.batch, run.state.step) == (
        other.state.epoch,
        other.state.batch,
        other.state.step,
    )


def test_weights_of_a_run_are_a_copy(run: Run) -> None:
    kept = run.weights()
    first = {name: tensor.clone() for name, tensor in kept.items()}
    run.learn_batch()
    assert same(kept, first)


def test_what_is_kept_for_health_is_kept_only_if_it_is_asked_for(tmp_path: Path) -> None:
    without, with_it = (make_run(tmp_path).learn_batch(keep)[0] for keep in (False, True))
    assert without.rounded == {}
    assert list(with_it.rounded) == list(with_it.gradients) == ["hidden.weight", "output.weight"]
    assert all(layer.current.grad is not None for layer in with_it.activity.values())


def test_checkpoint_layout_of_a_run_is_that_of_its_state_at_any_time(run: Run) -> None:
    for _ in range(3):
        assert run.layout().keys() == run.state.state_dict().keys()
        run.advance(QUIET)


def settings(bits: int | None, **changes: Any) -> RunSettings:
    rounding = {name: GradientRounding(0.5, bits, 16) for name in ("hidden", "output")}
    return RunSettings(10, 1, rounding, "constant", "constant", 0)._replace(**changes)


def test_rates_follow_their_schedule_over_epochs_or_over_updates() -> None:
    halving = {"eta_schedule": "halving", "num_halvings": 5}
    by_epoch, by_update = (settings(8, **halving, by_update=flag) for flag in (False, True))

    def eta(of: RunSettings, epoch: int, batch: int, batches: int) -> float:
        return of.rates_at(epoch, batch, batches).rounding["output"].eta

    assert len({eta(by_epoch, 3, batch, 7) for batch in range(7)}) == 1
    updates = [eta(by_update, epoch, batch, 2) for epoch in range(1, 11) for batch in range(2)]
    assert updates == sorted(updates, reverse=True)
    whole = settings(8, **halving, epochs=20)
    assert updates == [eta(whole, update, 0, 1) for update in range(1, 21)]  # as of so many epochs of one batch
    assert [eta(by_update, epoch, 0, 1) for epoch in range(1, 11)] == [
        eta(by_epoch, epoch, 0, 1) for epoch in range(1, 11)
    ]


@pytest.mark.parametrize("bits", [None, 8])
def test_rates_are_divided_at_every_multiple_of_lr_div(bits: int | None) -> None:
    rates = [settings(bits, lr_div=3).rates_at(epoch, 1, 2) for epoch in range(1, 8)]
    assert [each.rounding["hidden"].eta for each in rates] == [0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]
    expected = [1, 1, *[1 / FULL_PRECISION_DIVISOR] * 3, *[1 / FULL_PRECISION_DIVISOR**2] * 2]
    assert [each.lr_factor for each in rates] == (pytest.approx(expected) if bits is None else [1] * 7)
