"""`python -m qsnn.search` as a user types it: a tiny search, begun, gone on with, and what it refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from forking import forked
from helpers import command

TREE = Path(__file__).resolve().parents[2]
WORDS = [
    "experiment=quick", "trainer.epochs=2", "kernels=eager", "logging=search", "dataset.num_inputs=10", "dataset.num_outputs=8",
    "dataset.num_steps=10", "model.hidden=[6]", "dataset.target=tree", "search.within=1", "search.sampler=grid",
]  # fmt: skip
OVER = "search.over={output.weight_bits: [2,8], state_bits: [3,8]}"


def test_search_finds_the_fewest_bits_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = command("search", *WORDS, OVER, "search.trials=1", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    second = forked("search", *WORDS, OVER, "search.trials=4", "search.batch=2", folder=tmp_path)
    assert second.returncode == 0, second.stderr
    folder = tmp_path / "outputs" / "search" / "quick"
    told = [line.split(":")[0] for line in second.stdout.splitlines() if line.startswith("trial ")]
    assert len(told) == 1  # the other one was kept, and two are infeasible
    content = json.loads((folder / "search.json").read_text())
    assert [trial["status"] for trial in content["trials"]] == ["infeasible", "complete", "infeasible", "complete"]
    assert "can" in content["trials"][0]["reason"]
    assert content["best"] == 1
    assert f"\n{content['answer']}\n" in second.stdout
    assert "fewest bits within 100 points of full precision" in content["answer"]
    with (folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    hidden, output, states = 10 * 6 * 2, 6 * 8, (6 + 8) * 2 * 8
    assert [row["inference_bits"] for row in rows[1:3]] == [str(hidden + output * w + states) for w in (2, 8)]
    assert (folder / "pareto.png").exists()
    run = folder / "trials" / "output.weight_bits=2,state_bits=8" / "seed_0"
    assert json.loads((run / "summary.json").read_text())["quantization"]["weight_bits"] == [2, 2]


def test_search_without_optuna_is_one_line_with_what_to_install(tmp_path: Path) -> None:
    words = [sys.executable, "-S", "-m", "qsnn.search", "experiment=quick"]  # without installed packages
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(TREE)}, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == 'error: searching needs optuna, which is not installed: pip install "qsnn[search]"\n'
