"""What `qsnn.cost` needs no data for, what rates mean to traces and pooled spikes, and files that cannot be of the run."""

import copy
import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from costed_nets import DENSE, LOCAL, counted
from helpers import SMALL

from qsnn.comparing.kept.damage import damaged_files
from qsnn.comparing.kept.reading import Kept
from qsnn.comparing.records import read_record
from qsnn.config.building.common import to_config
from qsnn.config.building.cost import assumed, costed_config, costs_by, measured_rates
from qsnn.config.command_line import compose_config, set_up
from qsnn.config.costing.command import cost
from qsnn.config.costing.fitting import check_fits
from qsnn.config.costing.nets import cost_of_run
from qsnn.config.run import start
from qsnn.data.events.batches import Batch
from qsnn.errors import ConfigError, DataError, QsnnError, RunFolderError
from qsnn.files import write_atomically
from qsnn.hardware.counts.traces import trace_shares
from qsnn.models.spike_counts import spike_counts
from qsnn.options import options_of
from qsnn.training.folders.spike_counts import read_counts
from qsnn.training.local_learning import evaluate_batch
from qsnn.training.runs import read_job

QUICK = [*SMALL, "trainer.epochs=1", "kernels=eager", "logging.to=[]"]
EXTENTS = {
    "nmnist": ((34, 34), 10), "shd": ((1, 700), 20), "ssc": ((1, 700), 35), "dvs_gesture": ((128, 128), 11),
    "slow_poker": ((128, 128), 4),
}  # fmt: skip
SPIKES = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.float32)[:, None]


@pytest.fixture(scope="module", autouse=True)
def composed() -> None:
    set_up()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("costs") / "run"
    start(compose_config(QUICK), folder, QUICK)
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(QUICK))
    return folder


def test_published_data_sets_have_their_extent_without_their_files() -> None:
    found = {name: options_of("dataset")[name]().extent() for name in EXTENTS}
    assert {name: (tuple(extent.sensor), extent.num_classes) for name, extent in found.items()} == EXTENTS


def test_rate_needs_no_data_where_the_config_tells_all_shapes_and_else_names_the_key() -> None:
    assert "assumed spikes" in cost(["experiment=nmnist_bptt", "rate=0.05"])
    with pytest.raises(DataError, match=r"dataset=event_folder, .* are those of its files: dataset.root=null"):
        cost(["experiment=objects", "rate=0.05"])
    with pytest.raises(DataError, match=r"dataset.root=null .*; or give rate=, .* for which no data are needed"):
        cost(["experiment=nmnist_bptt"])


@pytest.mark.parametrize("words", [[], ["quantization=full_precision"]], ids=["bits", "floats"])
def test_share_of_traces_follows_from_the_rate_and_from_how_long_one_spike_lasts(words: list[str]) -> None:
    layer = costed_config(to_config(compose_config([*LOCAL, *words]))).net.layers["layer1"]
    state, constants = layer.initial_state(1), layer.constants()
    spikes, weights, steps, wanted = torch.ones(1, *layer.tau_mem.shape), layer.effective_weights(), 0, []
    for _ in range(40):
        step, state = layer(spikes, state, weights, constants)
        spikes = torch.zeros_like(spikes)
        steps = steps + (step.trace != 0).double().flatten()
        wanted.append(1 - 0.9**steps)
    shares, voting = trace_shares(layer, 0.1, 40, 30)
    assert torch.allclose(shares, torch.stack(wanted).mean(0))
    assert torch.allclose(voting, torch.stack(wanted[30:]).mean(0))
    if words:  # for good: one step more in every step
        assert torch.allclose(shares, torch.tensor([1 - 0.9**t for t in range(40)]).double().mean())
    assert not any(part.any() for part in trace_shares(layer, 0.0, 40, 30))


def local_counts(config: Any, costed: Any) -> Any:
    torch.manual_seed(0)
    x = (torch.rand(12, 2, 2, 16, 16) < 0.3).float()
    batch = Batch(x, torch.zeros(2, dtype=torch.long), torch.arange(2))
    tallies = evaluate_batch(costed.net, batch, 3, by_neuron=True)
    arrived = {f"{name}.{way}": n for name, tally in tallies.items() for way, n in tally.arrived.items()}
    counts = spike_counts(costed.net, costed.inputs, (2, 12), arrived, {n: t.spikes for n, t in tallies.items()})
    return counts, evaluate_batch(costed.net, batch, 3, keep_raster=True)["layer2"].raster


def test_last_layer_hands_on_pooled_spikes() -> None:
    config = to_config(compose_config([*LOCAL, "model.pooling=[2,2]"]))
    costed = costed_config(config)._replace(burn_in=3)
    counts, raster = local_counts(config, costed)
    rates = measured_rates(costed, counts)
    handed = counts.arrived["layer2.output"]
    assert 0 < handed.sum() < counts.spikes["layer2"]
    assert float(torch.stack(raster).sum()) <= handed.sum()  # of the first of both samples
    assert rates.layers["layer2"].handed == pytest.approx(float(handed.sum()) / 24)
    check_fits(costed, counts, (2, 12), Path())
    given = assumed(config, costed, 0.1)
    assert given.layers["layer2"].handed == pytest.approx(0.1 * len(handed))
    silent = costs_by(config, costed, assumed(config, costed, 0.0)).counts.inference["layer1"]
    assert next(count.number for count in silent if count.name == "synaptic products") == 0


@functools.cache
def dense() -> tuple[Any, Any]:
    """A net of 3, 2 and 1 neurons, and its counts in 4 steps."""
    counts = counted(DENSE, SPIKES)[2]._replace(spikes={"hidden": 0, "output": 0})
    counts.arrived["output.input"][:], counts.live["output.input"] = 0, 0
    return costed_config(to_config(compose_config(DENSE))), counts


def damaged(counts: Any, entry: str, value: Any) -> Any:
    part, _, place = entry.partition(".")
    changed = copy.deepcopy(counts)
    found = getattr(changed, part)
    if value is None:
        del found[place]
    else:
        found[place] = value
    return changed


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("spikes.hidden", None, "it lacks spikes.hidden"),
        ("arrived.hidden.input", None, "it lacks arrived.hidden.input"),
        ("live.hidden.input", None, "it lacks live.hidden.input"),
        ("weights.output.input", None, "it lacks weights.output.input"),
        ("spikes.deep", 1, "it has spikes.deep, which the net has not"),
        ("arrived.hidden.input", torch.tensor([5.0, 0, 0]).double(), "has 5 at a place, of at most 4 in all samples"),
        ("arrived.hidden.input", torch.zeros(2).double(), "is of 2 places, the net has 3"),
        ("spikes.hidden", 9, "spikes.hidden is 9, of at most 8"),
        ("arrived.output.input", torch.tensor([4.0, 4]).double(), "is 8 in all, of at most 0 of spikes.hidden"),
        ("live.hidden.input", 13, "live.hidden.input is 13, of at most 12 connections"),
        ("weights.hidden.input", [6, 7], "weights.hidden.input is [6, 7], the net has 6"),
    ],
)
def test_counts_that_cannot_be_are_refused_with_the_entry(entry: str, value: Any, told: str) -> None:
    costed, counts = dense()
    check_fits(costed, counts, (1, 4), Path("run"))
    with pytest.raises(RunFolderError) as error:
        check_fits(costed, damaged(counts, entry, value), (1, 4), Path("run"))
    assert told in str(error.value)
    assert str(error.value).endswith("resume=run evaluates the run again and writes it anew, or train it again")


def test_counts_of_another_test_or_a_broken_file_say_what_to_do(folder: Path) -> None:
    counts = read_counts(folder)
    content = (folder / "spike_counts.npz").read_bytes()
    with np.load(folder / "spike_counts.npz") as file:
        arrays = {name: file[name] for name in file.files}
    try:
        np.savez(folder / "spike_counts.npz", allow_pickle=False, **{**arrays, "size": [1, counts.num_steps + 1]})
        with pytest.raises(RunFolderError, match=r"size says 61 steps, the run's test has 60; resume="):
            cost_of_run(folder, [])
        (folder / "spike_counts.npz").write_bytes(content[:-9])
        with pytest.raises(RunFolderError, match="evaluates the run again") as error:
            read_counts(folder)
        assert "numpy.savez" not in str(error.value)
    finally:
        (folder / "spike_counts.npz").write_bytes(content)


def test_cost_of_a_run_says_of_what_it_is_and_a_report_leaves_it_where_the_run_has_gone_on(folder: Path) -> None:
    cost([f"run={folder}"])
    written = json.loads((folder / "cost.json").read_text())
    assert written["run"] == {"status": "finished", "epochs": 1, "weights": "last", "epoch": 1}
    summary = json.loads((folder / "summary.json").read_text())
    older = folder.parent / "older"
    older.mkdir()
    (older / "cost.json").write_text(json.dumps(written))
    for epochs, there in ((1, True), (2, False)):
        own = {**{name: value for name, value in summary.items() if name != "energy"}, "epochs": epochs}
        (older / "summary.json").write_text(json.dumps(own))
        record = read_record(read_job(older))
        assert ("energy" in record.summary) is there
        lines = [line for line in damaged_files([older], [record], Kept()) if "cost.json" in line]
        assert len(lines) == (not there)
    assert "cost.json was made after epoch 1, and the run has gone on since, to epoch 2" in lines[0]
    assumed_spikes = {"energy": {**written["energy"], "measured": "assumed"}}
    (older / "cost.json").write_text(json.dumps(assumed_spikes))
    assert "energy" not in read_record(read_job(older)).summary


def test_failed_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cost.json").mkdir()
    for path in (tmp_path / "cost.json", tmp_path / ("long" * 80)):
        with pytest.raises(OSError, match=r"cost\.json|long") as error:
            write_atomically(path, lambda file: file.write(b"{}"))
        assert error.value.filename == str(path)
    assert [path.name for path in tmp_path.iterdir()] == ["cost.json"]


def test_folder_that_cannot_be_written_advises_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Any, target: Any) -> None:  # root may write anywhere: the system's own answer is given here
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(ConfigError, match=r"cost\.json cannot be written \(Permission denied\): .* by out=FILE"):
        cost([f"run={folder}"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run="], "run= names nothing"),
        (["run=''"], "run='' names nothing"),
        (["out="], "out= names nothing"),
        (["storage=true", "run="], "run= names nothing"),
        (["rate=0.1", "rate=0.2"], "rate is given 2 times"),
        (["storage=true", "rate=0.1", "rate=0.2"], "rate is given more than once"),
        (["rate=0.1", "out=nowhere/cost.json"], "out=nowhere/cost.json: nowhere is no folder"),
        (["storage=true", "picture=nowhere/x.png"], "picture=nowhere/x.png: nowhere is no folder"),
        (["storage=true", "picture=x.jpg"], "picture=x.jpg is no name of a picture: pictures are .png, such as x.png"),
        (["run=sweep"], "sweep is the folder of a sweep: name one of its runs, such as run=sweep/seed=1"),
        (["storage=true", "run=sweep"], "sweep is the folder of a sweep: name one of its runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_cannot_be_are_told(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep" / "seed=1" / ".hydra").mkdir(parents=True)
    (tmp_path / "sweep" / "seed=1" / ".hydra" / "overrides.yaml").write_text("[]")
    (tmp_path / "sweep" / "sweep.json").write_text('{"jobs": []}')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QsnnError) as error:
        cost(words)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("add_int8: cheap", "hardware.add_int8=cheap in hardware/chip.yaml is not possible: it takes a number or null, at"),
        ("ad_int8: 1", "hardware.ad_int8 in hardware/chip.yaml is no key: did you mean hardware.add_int8? hardware has name,"),
        ("", "hardware: the table lacks name, add_int8, add_int32, add_fp16, add_fp32, multiply_int8, multiply_int32, "),
    ],
    ids=["text", "unknown", "empty"],
)  # fmt: skip
def test_own_table_with_a_mistake_is_told_by_key_value_and_what_is_allowed(
    line: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "chip.yaml").write_text(f"{line}\n")
    with pytest.raises(ConfigError) as error:
        cost([*DENSE, "rate=0.1", f"--config-dir={tmp_path}", "hardware=chip"])
    assert len(error.value.args) == 1
    assert str(error.value).startswith(told)
