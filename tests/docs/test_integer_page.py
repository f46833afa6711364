"""The Python of docs/integer.md runs as it is printed."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
from engine_models import SOURCE, dense, spikes
from event_builders import nmnist_file, random_events

from qsnn.deploy.artefact import write_artefact
from qsnn.deploy.model import COUNT, Decision, Input, Model

PAGE = Path(__file__).parents[2] / "docs" / "integer.md"


def test_engine_example_runs_on_an_artefact_and_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = textwrap.dedent(PAGE.read_text().partition("## The engine\n\n")[2].partition("\n\nIts memory")[0])
    given = Input((2, 34, 34), False, 1000, 7, (34, 34), 0, 1)
    net = dense("output", spikes(1, 2 * 34 * 34, 2)[0].tolist())
    monkeypatch.chdir(tmp_path)
    Path("outputs/nmnist_integer/<time>").mkdir(parents=True)
    write_artefact(
        Model(given, (net,), Decision(COUNT, 0, ("a", "b")), SOURCE), Path("outputs/nmnist_integer/<time>/artefact")
    )
    Path("recording.bin").write_bytes(nmnist_file(random_events(0, 50, 34, 300_000)))
    raster = np.zeros((3, 1, *given.shape), np.int8)
    exec(compile(code, str(PAGE), "exec"), {"codes": raster[0], "raster": raster})
    assert len(capsys.readouterr().out.splitlines()) == given.steps
