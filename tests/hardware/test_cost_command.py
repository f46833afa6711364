"""`qsnn.cost` of a finished run and of a config: the same numbers as the run's own; one line for every mistake."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import SMALL, in_process

from qsnn.comparing.records import read_record
from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.errors import RunFolderError
from qsnn.training.folders.spike_counts import read_counts
from qsnn.training.runs import read_job

QUICK = [*SMALL, "trainer.epochs=1", "kernels=eager", "logging.to=[]"]
FIGURES = "\n".join(f"{name}: 1.0" for name in ("add_int8", "add_int32", "add_fp16", "add_fp32", "dram_access"))
FIGURES += "\n" + "\n".join(f"multiply_{name}: 1.0" for name in ("int8", "int32", "fp16", "fp32"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("costs") / "run"
    start(compose_config(QUICK), folder, QUICK)
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(QUICK))
    return folder


def cost(folder: Path, *words: str) -> tuple[int, str, str]:
    done = in_process("cost", *words, folder=folder.parent)
    return done.returncode, done.stdout, done.stderr


def test_costs_of_a_run_are_those_of_its_summary_and_the_report_reads_them(folder: Path) -> None:
    code, out, error = cost(folder, "run=run")
    assert (code, error) == (0, "")
    assert "synaptic operations" in out
    written, summary = (json.loads((folder / name).read_text()) for name in ("cost.json", "summary.json"))
    assert written["energy"] == summary["energy"]
    assert written["memory_bits"] == summary["memory_bits"]
    for phase in ("inference", "training_step"):
        found = [count["picojoule"] for layer in written["counts"][phase].values() for count in layer]
        assert sum(found) == pytest.approx(summary["energy"][phase]["picojoule"])
    older = folder.parent / "older"
    older.mkdir()
    (older / "summary.json").write_text(json.dumps({k: v for k, v in summary.items() if k != "energy"}))
    assert "energy" not in read_record(read_job(older)).summary
    shutil.copy(folder / "cost.json", older)
    assert read_record(read_job(older)).summary["energy"] == summary["energy"]


def test_config_alone_is_an_untrained_net_or_an_assumed_rate_and_another_table_changes_energy_alone(
    folder: Path,
) -> None:
    found = {}
    for name, words in {
        "untrained": [],
        "assumed": ["rate=0.1"],
        "narrow": ["rate=0.1", "hardware.access_bits=32"],
    }.items():
        code, _, error = cost(folder, *QUICK, *words, f"out={name}.json")
        assert (code, error) == (0, "")
        found[name] = json.loads((folder.parent / f"{name}.json").read_text())
    assert [one["energy"]["measured"] for one in found.values()] == ["untrained", "assumed", "assumed"]
    assumed, narrow = (found[name]["energy"]["inference"] for name in ("assumed", "narrow"))
    assert narrow["memory"] == pytest.approx(2 * assumed["memory"])
    assert narrow["compute"] == assumed["compute"]
    assert found["narrow"]["energy"]["hardware"] == "horowitz_45nm with hardware.access_bits=32"
    assert found["narrow"]["memory_bits"] == found["assumed"]["memory_bits"]


def test_own_table_is_found_by_config_dir_and_refused_by_the_name_of_what_it_lacks(folder: Path) -> None:
    tables = folder.parent / "mine" / "hardware"
    tables.mkdir(parents=True)
    (tables / "chip.yaml").write_text(f"name: chip\n{FIGURES}\n")
    words = [*QUICK, "rate=0.1", f"--config-dir={folder.parent / 'mine'}"]
    code, out, _ = cost(folder, *words, "hardware=chip")
    assert code == 0
    assert "weights in DRAM" in out
    assert ", chip, assumed spikes;" in out
    (tables / "poor.yaml").write_text(f"name: poor\n{FIGURES.replace('multiply_int8: 1.0', '')}\n")
    code, _, error = cost(folder, *words, "hardware=poor")
    assert code == 2
    assert error.startswith("error: hardware.multiply_int8=null is not possible: the table lacks this figure")


def test_published_accounting_is_a_word_of_the_command(folder: Path) -> None:
    code, out, _ = cost(folder, "--icons")
    assert code == 0
    assert "26,462,796 of   100,928,576  73.78% less" in out
    assert cost(folder, "icons=true")[1] == out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hardware=foo"], "hardware=foo does not exist: options are horowitz_45nm"),
        (["hardware.add=1"], "unknown key 'hardware.add'"),
        (["hardware.add_int8=-1"], "hardware.add_int8=-1.0 is not possible: it must be at least 0"),
        (["hardware.sram_access=[1]"], "hardware.sram_access=[1.0] is not possible: hardware.sram_kib has 3 memories"),
        (["rate=2"], "rate=2 is not possible"),
        (["rate=often"], "rate=often is not possible"),
        (["counts=perhaps"], "counts=perhaps is not possible"),
        (["--fast"], "--fast is not a flag"),
        (["seed=1,2"], "seed=1,2 holds several values"),
        (["icons=true", "seed=1"], "icons=true is the accounting of a paper"),
        (["run=nowhere"], "nowhere is no folder"),
        (["run=run", "seed=3"], "run= takes hardware= alone"),
        (["run=run", "rate=0.1"], "rate= assumes spikes, and run= has its own"),
        (["run=run", "out=run"], "out=run is a folder"),
        (["run=run", "out=run/summary.json"], "out=run/summary.json is there already"),
        (["run=mine"], "mine holds no finished run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_one_line_and_status_2(folder: Path, words: list[str], told: str) -> None:
    (folder.parent / "mine").mkdir(exist_ok=True)
    code, out, error = cost(folder, *words)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"error: {told}")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("missing", "has no spike_counts.npz"),
        ("garbage", "spike_counts.npz"),
        ("negative", "a count is negative"),
        ("cut", "has shape"),
    ],
)
def test_damaged_counts_are_told(folder: Path, tmp_path: Path, damage: str, told: str) -> None:
    path = Path(shutil.copy(folder / "spike_counts.npz", tmp_path))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.unlink()
    if damage == "garbage":
        path.write_bytes(b"spikes")
    elif damage == "negative":
        np.savez(path, allow_pickle=False, **{name: -array for name, array in arrays.items()})
    elif damage == "cut":
        np.savez(path, allow_pickle=False, **{**arrays, "weights.hidden.input": arrays["weights.hidden.input"][:1]})
    with pytest.raises(RunFolderError, match=told):
        read_counts(tmp_path)


def test_counts_of_another_net_are_refused_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken, ignore=shutil.ignore_patterns("cost.json"))
    with np.load(broken / "spike_counts.npz") as file:
        arrays = {name: file[name][:-1] if name.startswith("arrived") else file[name] for name in file.files}
    np.savez(broken / "spike_counts.npz", allow_pickle=False, **arrays)
    code, out, error = cost(broken, "run=broken")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "is of another net" in error
    assert not (broken / "cost.json").exists()
