"""dataset=randman: what its formula says, spike for spike, and what it promises of streams, parts and times."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from forking import forked

from qsnn.data.events.batches import test_batches as batches_of_windows
from qsnn.data.generators.randman import Randman, RandmanOption, RandmanSettings, num_frequencies
from qsnn.data.streams import random_stream
from qsnn.options import value_problems

SMALL = RandmanSettings(num_classes=3, samples_per_class=10, num_units=4, alpha=2.0, test_share=0.2)


def slow_steps(settings: RandmanSettings, label: int) -> list[list[int]]:
    """Steps [spike and unit][sample] by the sums and products of the formula, one number at a time."""
    s = settings
    z = random_stream(s.generator_seed, f"randman, coordinates of class {label}").random((s.samples_per_class, s.dim))
    result = []
    for spike in range(s.spikes_per_unit):
        for unit in range(s.num_units):
            rng = random_stream(s.generator_seed, f"randman, class {label}, spike {spike} of unit {unit}")
            drawn = rng.random((s.dim, 3, num_frequencies(s.alpha)))
            values = []
            for sample in range(s.samples_per_class):
                product = 1.0
                for d in range(s.dim):
                    total = 0.0
                    for i in range(num_frequencies(s.alpha)):
                        a, b, c = (float(number) for number in drawn[d, :, i])
                        if s.harmonic:
                            angle = (i + 1) * z[sample, d] + c
                        else:
                            angle, a = i * z[sample, d] * b + c, 0.0 if i == 0 else a
                        total += a / (i + 1) ** s.alpha * math.sin(2 * math.pi * angle)
                    product *= total
                values.append(product)
            scaled = [(value - min(values)) / (max(values) - min(values)) for value in values]
            last = math.ceil(s.step_frac * s.num_steps) - 1
            result.append([min(last, math.floor(value * s.step_frac * s.num_steps)) for value in scaled])
    return result


@pytest.mark.parametrize(
    "change",
    [{}, {"alpha": 1.0}, {"dim": 3}, {"spikes_per_unit": 2}, {"harmonic": True, "dim": 2}, {"step_frac": 0.333}],
)
def test_steps_are_those_of_the_formula(change: dict) -> None:
    settings = SMALL._replace(**change)
    for label in range(settings.num_classes):
        steps = Randman(settings).steps(label)
        assert steps.reshape(settings.samples_per_class, -1).T.tolist() == slow_steps(settings, label)


@pytest.mark.parametrize(("alpha", "count"), [(0.5, 1000), (1, 1000), (1.5, 100), (2, 32), (3, 10), (100, 2)])
def test_smoother_manifolds_have_fewer_frequencies(alpha: float, count: int) -> None:
    assert num_frequencies(alpha) == count


def test_every_unit_spikes_once_in_the_first_half_so_that_counts_tell_nothing() -> None:
    source = Randman(SMALL)
    recordings = list(source.recordings())
    assert len(recordings) == len(source) == 30
    for recording in recordings:
        t, x, y, polarity = recording.events
        assert sorted(x) == [0, 1, 2, 3]
        assert (np.diff(t) >= 0).all()
        assert (t % 2000 == 0).all()
        assert t.max() < 50 * 2000
        assert not y.any()
        assert polarity.all()
    steps = np.stack([source.steps(label) for label in range(3)])
    assert (steps.min(axis=1) == 0).all()
    assert (steps.max(axis=1) == 49).all()


def test_spikes_over_all_steps_end_in_the_last_one() -> None:
    assert Randman(SMALL._replace(step_frac=1.0)).steps(0).max() == 99


def test_times_tell_the_classes_apart() -> None:
    """The class of a test sample is that of the training sample with the nearest times: the formula makes manifolds."""
    steps = np.stack([Randman(RandmanSettings(samples_per_class=200, alpha=2.0)).steps(k) for k in range(10)])[:, :, 0]
    train, test = steps[:, :160].reshape(-1, 20), steps[:, 160:].reshape(-1, 20)
    nearest = np.argmin(((test[:, None] - train[None]) ** 2).sum(axis=2), axis=1)
    assert (nearest // 160 == np.repeat(np.arange(10), 40)).mean() > 0.95


def test_classes_and_units_are_the_same_in_a_larger_set() -> None:
    small, large = Randman(SMALL), Randman(SMALL._replace(num_classes=5, num_units=7, spikes_per_unit=2))
    assert (large.steps(2)[:, :1, :4] == small.steps(2)).all()


@pytest.mark.parametrize("name", RandmanSettings._fields)
def test_every_setting_makes_another_fingerprint_and_other_recordings(name: str) -> None:
    other = {"harmonic": True, "test_share": 0.3, "step_frac": 0.75, "step": 0.001, "alpha": 1.5}
    changed = SMALL._replace(**{name: other.get(name, getattr(SMALL, name) + 1)})
    assert Randman(SMALL).fingerprint() == Randman(SMALL).fingerprint() != Randman(changed).fingerprint()
    sets = [[(r.is_test, [p.tolist() for p in r.events]) for r in Randman(s).recordings()] for s in (SMALL, changed)]
    assert sets[0] != sets[1]


def test_option_parts_each_class_eight_to_one_to_one(tmp_path: Path) -> None:
    option = RandmanOption(cache=str(tmp_path), samples_per_class=50, alpha=2.0)
    prepared = option.prepare(progress=False)
    parts = option.split(prepared)
    assert [np.bincount(prepared.labels[part]).tolist() for part in parts] == [[40] * 10, [5] * 10, [5] * 10]


def test_raster_has_a_hundred_steps_and_the_spikes_of_the_source(tmp_path: Path) -> None:
    option = RandmanOption(cache=str(tmp_path), samples_per_class=10, alpha=2.0)
    prepared = option.prepare(progress=False)
    (batch,) = batches_of_windows(prepared, np.arange(10), option.windows(0.002, training=False), 10)
    assert batch.input.shape == (100, 10, 1, 1, 20)
    raster = batch.input[:, :, 0, 0].numpy()
    assert (raster.argmax(axis=0) == option.source().steps(0)[:, 0]).all()
    assert (raster.sum(axis=0) == 1).all()


def test_thousand_samples_of_ten_classes_take_seconds(tmp_path: Path) -> None:
    start = time.monotonic()
    assert RandmanOption(cache=str(tmp_path), alpha=2.0).prepare(progress=False).num_recordings == 10_000
    assert (
        time.monotonic() - start < 20
    )  # half a second on a quiet core; 4 s with the 30 times as many sines of alpha=1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 1}, "dataset.num_classes=1 is not possible: it must be at least 2"),
        ({"alpha": 0.0}, "dataset.alpha=0.0 is not possible: it must be above 0"),
        ({"alpha": math.nan}, "dataset.alpha=nan is not possible"),
        ({"step": 0.0000015}, "dataset.step=1.5e-06 is not possible: it must be a whole number of microseconds"),
        ({"step": math.nan}, "dataset.step=nan is not possible: it must be at least 1e-06"),
        ({"step_frac": 1.1}, "dataset.step_frac=1.1 is not possible: it must be above 0 and at most 1"),
        ({"test_share": 0.0001}, "dataset.test_share=0.0001 is not possible: of 1000 samples of a class it must leave"),
        ({"test_share": 0.9999}, "dataset.test_share=0.9999 is not possible"),
        ({"samples_per_class": 10**6, "num_units": 1000}, "samples_per_class * num_units * spikes_per_unit is at most"),
    ],
)
def test_option_tells_what_is_impossible(change: dict, message: str) -> None:
    option = RandmanOption(**change)
    lines = [*value_problems(option, "dataset."), *option.problems()]
    assert any(message in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_defaults_are_possible() -> None:
    option = RandmanOption()
    assert not [*value_problems(option, "dataset."), *option.problems(), *option.problems_at(0.002)]


def test_train_command_learns_from_generated_manifolds(tmp_path: Path) -> None:
    words = [
        "dataset=randman", "trainer=local", "model=feedforward", "neuron=trace_lif", "loss=local_readout",
        "quantization=icons", "optimizer=local_sgd", "trainer.epochs=1", "neuron.dt=0.002", "model.hidden=[12]",
        "dataset.samples_per_class=10", "dataset.num_classes=2", "dataset.alpha=2", f"dataset.cache={tmp_path}/cache",
        f"hydra.run.dir={tmp_path}/run", "logging.progress=false", "kernels=eager",
    ]  # fmt: skip
    done = forked("train", *words, folder=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "finished"
