"""docs/sweeps.md leads from a question to a picture: its two commands, here with fewer epochs and runs."""

import re
import shlex
import sys
from pathlib import Path

from forking import run

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs" / "sweeps.md").read_text().split("## From a question to a picture")[1].split("\n## ")[0]
COMMAND = re.compile(r"^    python (.*\\\n.*|.*)$", re.M)
SHORTER = {
    "trainer.epochs=10": "trainer.epochs=1",
    "quantization.weight_bits=2,4,8": "quantization.weight_bits=2,8",
    "model.hidden=[32],[64],[128]": "model.hidden=[4],[8]",
    "seed=0,1,2": "seed=0",
}


def test_question_page_leads_to_its_table_and_pictures(tmp_path: Path) -> None:
    train, report = (shlex.split(found.replace("\\\n", " ")) for found in COMMAND.findall(SECTION))
    assert {*SHORTER} <= {*train}
    words = [SHORTER.get(word, word) for word in train]
    few = ["dataset.samples_per_class=20", "kernels=eager", "logging.to=[]", f"dataset.cache={tmp_path}"]
    for command in ([*words, *few], report):
        done = run([sys.executable, *command], cwd=tmp_path, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "as good within" in done.stdout
    written = {path.name for path in (tmp_path / report[-1] / "report").iterdir()}
    assert {"report.html", "table.csv", "error_memory.png", "by_quantization.weight_bits.png"} <= written
