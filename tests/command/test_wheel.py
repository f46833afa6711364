"""The wheel, installed in an environment of its own, trains from an empty folder."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from helpers import SMALL

ROOT = Path(__file__).resolve().parents[2]


def test_wheel_installed_elsewhere_trains_from_an_empty_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    venv.create(environment)
    # The libraries are this environment's (a path file shows them, but not the packages that are installed in
    # development mode there); qsnn itself comes from the wheel.
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python, quiet = environment / "bin" / "python", ["--quiet", "--no-index", "--no-deps", "--force-reinstall"]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", *quiet, wheel]  # without one of its own
    subprocess.run(pip, check=True, timeout=120)
    empty.mkdir()
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Compiling the kernels again for another folder would be most of this test; tests/kernels/ compiles them.
    arguments = [*SMALL, "trainer.epochs=3", "kernels=eager", "hydra.run.dir=run"]
    result = subprocess.run(
        [environment / "bin" / "qsnn-train", *arguments],
        cwd=empty,
        env=alone,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((empty / "run" / "summary.json").read_text())["epochs"] == 3
    where = [environment / "bin" / "python", "-c", "import qsnn; print(qsnn.__file__)"]
    assert str(site) in subprocess.run(where, cwd=empty, env=alone, capture_output=True, text=True).stdout
    scored = subprocess.run(
        [environment / "bin" / "qsnn-evaluate", "run=run"], cwd=empty, env=alone, capture_output=True, text=True
    )
    assert scored.returncode == 0, scored.stderr
    report = subprocess.run(
        [environment / "bin" / "qsnn-report", "run"], cwd=empty, env=alone, capture_output=True, text=True
    )
    assert report.returncode == 0, report.stderr
    assert (empty / "run" / "report" / "report.html").exists()
