"""The progress bar: rate and remaining time are of training, not of the wait before it."""

import re
from pathlib import Path

import pytest

from qsnn.reporting import reporter as module
from qsnn.reporting.health.figures import Limits
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.reporter import LoggingSettings, Reporter


def test_bar_leaves_compiling_out_of_rate_and_remaining_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LoggingSettings(0, 0, 0, 0, False, True, Limits(1, 1, 1, 1, 1))
    compiled = [0.0]
    monkeypatch.setattr(module, "compile_seconds", lambda: compiled[0])
    with Reporter(RunIdentity(tmp_path, 0, 0, 1000, "epoch", "", {}), settings) as reporter:
        compiled[0] = 100.0  # as if they had passed
        reporter._bar.start_t -= 100
        reporter._bar.last_print_t -= 100
        for _ in range(10):
            reporter.after_batch("")
        reporter._bar.refresh()
        text = capsys.readouterr().err
    assert "starting" in text
    elapsed, remaining = re.findall(r"training +1%.* 10/1000 \[([\d:]+)<([\d:]+)", text)[-1]
    assert len(elapsed) == len(remaining) == len("00:00")
    seconds = [60 * int(text[:2]) + int(text[3:]) for text in (elapsed, remaining)]
    assert seconds[0] < 50
    assert seconds[1] < 3000  # 990 epochs of almost no time; with the wait they would be 9900 s
