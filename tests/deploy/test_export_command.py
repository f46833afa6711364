"""python -m qsnn.export and qsnn.verify: from a finished run to an artefact and back, and what is told of bad input."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from engine_models import rewrite
from event_builders import write_nmnist
from helpers import SMALL, in_process
from local_data import SMALL_LOCAL

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.data.formats.nmnist import read_nmnist
from qsnn.deploy import IntegerEngine
from qsnn.deploy.recordings import listen, one_by_one

QUIET = ["trainer.epochs=1", "kernels=eager", "logging.progress=false", "logging.to=[]"]
PATTERN = [*SMALL, *QUIET]
LOCAL = [*SMALL_LOCAL, "quantization=icons_integer", "neuron.decay_bits=16", *QUIET]
FLOATS = [*SMALL, *QUIET, "trainer.epochs=0", "quantization=full_precision"]


def make_run(folder: Path, words: list[str]) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    start(compose_config(words), folder, [])
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs: ``pattern``, ``local`` and ``floats``."""
    folder = tmp_path_factory.mktemp("runs")
    write_nmnist(folder / "data")
    data = [f"dataset.root={folder}/data", f"dataset.cache={folder}/cache"]
    for name, words in {"pattern": PATTERN, "local": [*LOCAL, *data], "floats": FLOATS}.items():
        make_run(folder / name, words)
    return folder


@pytest.mark.parametrize(("name", "samples"), [("pattern", 1), ("local", 7)])
def test_verify_finds_all_codes_of_a_run(runs: Path, name: str, samples: int) -> None:
    done = in_process("verify", f"run={name}", "samples=7", folder=runs)
    assert done.returncode == 0, done.stderr
    assert f"after 1 epochs, {samples} samples" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line.endswith("codes agree")]
    assert len(lines) == {"pattern": 7, "local": 12}[name]
    assert all(words[-5] == words[-3] for words in lines)
    assert ("answers: 7 of 7 the same" in done.stdout) == (name == "local")


def test_export_writes_what_the_engine_runs_on_a_recording(runs: Path) -> None:
    done = in_process("export", "run=local", "out=answer", "weights=last", folder=runs)
    assert done.returncode == 0, done.stderr
    assert "layer1: local, 4 x 9 x 9 neurons, 8-bit weights; accumulators: synapse_trace" in done.stdout
    assert "wrote answer" in done.stdout
    file = next((runs / "data" / "Test").rglob("*.bin"))
    engine = IntegerEngine.from_artefact(runs / "answer")
    *_, state = listen(engine, one_by_one(read_nmnist(file)))
    asked = in_process("predict", "run=local/checkpoints/last.pt", str(file), "format=json", folder=runs)
    assert engine.model.decision.classes[engine.answer(state).classes[0]] == json.loads(asked.stdout)[0]["class"]
    assert state.votes[0].tolist() == list(json.loads(asked.stdout)[0]["votes"].values())


def test_export_goes_into_the_runs_folder_and_never_over_one(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "pattern", tmp_path / "run"))
    assert in_process("export", f"run={run}", folder=tmp_path).returncode == 0
    made = json.loads((run / "artefact" / "model.json").read_text())
    assert made["source"]["weights"] == "best"
    done = in_process("export", f"run={run}", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: out={run}/artefact is there already: choose another folder, or overwrite=true\n"
    assert in_process("export", f"run={run}", "overwrite=true", "weights=last", folder=tmp_path).returncode == 0
    assert json.loads((run / "artefact" / "model.json").read_text())["source"]["weights"] == "last"


def test_export_of_a_run_that_is_not_finished_says_so(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "pattern", tmp_path / "run"))
    done = in_process("export", f"run={run}", "out=whole", folder=tmp_path)
    assert ", best weights, after 1 epochs\n" in done.stdout
    (run / "summary.json").unlink()
    done = in_process("export", f"run={run}", "out=part", folder=tmp_path)
    assert ", best weights, after 1 of 1 epochs, not finished\n" in done.stdout
    done = in_process("export", f"run={run}", "out=.", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "error: out=. is there already: choose another folder, or overwrite=true\n",
    )  # fmt: skip


def test_verify_names_the_first_code_that_differs(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artefact"
    assert in_process("export", f"run={runs}/pattern", f"out={folder}", folder=tmp_path).returncode == 0

    def raise_threshold(content: dict[str, Any]) -> None:
        content["layers"][0]["threshold"]["spike"] += 1

    rewrite(folder, raise_threshold)
    done = in_process("verify", f"run={runs}/pattern", f"artefact={folder}", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search(
        r"the first that does not: spikes of layer hidden, step \d+, sample 0, neuron \d+: training has 1, the engine 0$",
        done.stdout.strip(),
    )


def bad_words(runs: Path) -> dict[str, tuple[list[str], str]]:
    return {
        "no net of integers": ([f"run={runs}/floats"], "is no net of integers: quantization.weight_bits=null"),
        "a format": ([f"run={runs}/pattern", "format=pdf"], "format=pdf is not possible: allowed are artefact"),
        "a word": ([f"run={runs}/pattern", "outt=x"], "'outt=x' is no word of export: allowed are run=, format="),
        "weights": ([f"run={runs}/pattern", "weights=first"], "weights=first is not possible: allowed are best, last"),
        "two weights": (
            [f"run={runs}/pattern/checkpoints/last.pt", "weights=best"],
            "a checkpoint, say two things: give the run's folder",
        ),
        "overwrite": ([f"run={runs}/pattern", "overwrite=yes"], "overwrite=yes is not possible: allowed are true, false"),
        "no run": ([f"run={runs}/nothing"], f"{runs}/nothing is not a folder"),
        "nothing": (["run="], "run= names no folder"),
        "no word of it": ([], "error: no run given"),
    }  # fmt: skip


def test_export_refuses_by_name_and_leaves_nothing(runs: Path, tmp_path: Path) -> None:
    for name, (words, found) in bad_words(runs).items():
        done = in_process("export", *words, folder=tmp_path)
        assert done.returncode == 2, name
        assert found in done.stderr, name
    assert not list(tmp_path.iterdir())
    assert not (runs / "floats" / "artefact").exists()


def test_verify_refuses_by_name(runs: Path, tmp_path: Path) -> None:
    cases = {
        "samples=0": "samples=0 is not possible: it is a whole number from 1 on",
        "samples=many": "samples=many is not possible",
        "artefact=none": "none is not there, or no folder: name an artefact",
        "quantization.weight_bits=4": "'quantization.weight_bits=4' is no word of verify",
    }
    for word, found in cases.items():
        done = in_process("verify", f"run={runs}/pattern", word, folder=tmp_path)
        assert done.returncode == 2, word
        assert found in done.stderr, word
    assert in_process("export", f"run={runs}/local", "out=other", folder=tmp_path).returncode == 0
    done = in_process("verify", f"run={runs}/pattern", "artefact=other", folder=tmp_path)
    assert done.returncode == 2
    assert "artefact=other is of another net: its layers are not those of the run" in done.stderr


def test_checkpoint_of_another_version_is_refused(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(runs / "pattern", tmp_path / "run"))
    monkeypatch.setattr("qsnn.training.checkpoint.FORMAT_VERSION", 4)
    done = in_process("export", f"run={run}", folder=tmp_path)
    assert done.returncode == 2
    assert "has checkpoint format 3; this version of qsnn reads 4" in done.stderr
    (run / "checkpoints" / "best.pt").write_bytes(b"damaged")
    assert "is damaged or cut short" in in_process("export", f"run={run}", folder=tmp_path).stderr


@pytest.mark.parametrize("module", ["export", "verify"])
def test_help_is_printed(module: str, tmp_path: Path) -> None:
    done = in_process(module, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"usage: python -m qsnn.{module} run=" in done.stdout
