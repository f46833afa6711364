"""The benchmark compares equal work: its autograd loop takes the same steps as the project."""

import json
import sys
from pathlib import Path

import pytest
from helpers import SMALL
from PIL import Image
from scripts_module import load_script


def test_benchmarks_autograd_loop_follows_the_projects_distances() -> None:
    script = load_script("benchmark")
    ours, theirs = (script.make_run("eager", 2, SMALL) for _ in range(2))
    for run in (ours, theirs):
        run.state.model.clamp_weights()
    step = script.autograd_step(theirs)
    for _ in range(3):
        assert step() == pytest.approx(ours.learn_batch()[0].loss, rel=1e-3)


PEER = """
import json, sys
if "absent" in sys.argv:
    sys.exit("absent: not installed")
print("warming up")
print(json.dumps({"ms": 12.5, "version": "1.2", "batch": sys.argv[sys.argv.index("--batch") + 1]}))
"""


def test_benchmark_takes_the_time_of_a_peer_from_its_line_of_json_and_else_its_error(tmp_path: Path) -> None:
    script, peers = load_script("benchmark"), tmp_path / "peers.py"
    peers.write_text(PEER)
    assert script.time_peer(peers, "present", sys.executable, 4, 1) == {"ms": 12.5, "version": "1.2", "batch": "4"}
    assert script.time_peer(peers, "absent", sys.executable, 4, 1) == {"error": "absent: not installed"}


def row(what: str, ms: float | str, batch: int = 1) -> dict[str, object]:
    return {"batch": batch, "threads": 2, "what": what, "ms": ms, "ours": 4.0, "dense": 8.0}


def test_benchmark_keeps_the_newest_row_of_each_contestant(tmp_path: Path) -> None:
    script, results = load_script("benchmark"), tmp_path / "results.json"
    script.keep(results, "steps", [row("a", 1.0), row("b", 2.0)])
    kept = script.keep(results, "steps", [row("b", 3.0), row("b", 4.0, batch=16)])
    assert kept == json.loads(results.read_text())
    assert [(r["what"], r["ms"]) for r in kept["steps"]] == [("a", 1.0), ("b", 3.0), ("b", 4.0)]


def test_benchmark_report_fills_the_page_between_its_markers_and_draws_a_picture(tmp_path: Path) -> None:
    script, page, image = load_script("benchmark"), tmp_path / "page.md", tmp_path / "image.png"
    page.write_text("before\n<!-- steps -->\nold\n<!-- end -->\nafter\n")
    rows = [row("qsnn, numba", 4.0), row("dense products", 8.0), row("peer 1.0", 40.0), row("gone", "not installed")]
    script.write_report({"steps": rows}, page, image)
    text = page.read_text()
    assert text.startswith("before\n<!-- steps -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| 1 | 2 | peer 1.0 | 40.00 | 5.00 | 10.00 |" in text
    assert "| 1 | 2 | gone | not installed | | |" in text
    with Image.open(image) as picture:
        assert len(picture.getcolors(2**20)) > 3


def test_benchmark_profile_accounts_for_the_whole_epoch() -> None:
    rows = load_script("benchmark").profile(1, 0.2, 1)
    assert sum(r["share"] for r in rows) == pytest.approx(1)
    assert {"train_weights", "Python around them"} <= {r["part"] for r in rows}
