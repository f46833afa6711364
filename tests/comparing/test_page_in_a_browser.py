"""The page in a real browser: not wider than a phone, its script runs, those of others do not, and it is dark in the dark."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_runs import class_run, first_right

from qsnn.comparing.command import report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
MEASURE = """<iframe style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe><script>
onload = () => {{ const d = document.querySelector("iframe").contentDocument;
  d.querySelectorAll("thead button")[1].click();
  document.title = [d.documentElement.scrollWidth, d.querySelectorAll("thead button").length, d.title === "obeyed",
    d.querySelectorAll("thead [aria-sort=ascending]").length,
    d.defaultView.getComputedStyle(d.body).backgroundColor].join(";"); }}; </script>"""


def measured(page: str, width: int, folder: Path, *options: str) -> list[str]:
    """Of the page in a frame: its width, number of sort buttons, whether a foreign script ran, sorted columns, colour."""
    frame = folder / "frame.html"
    frame.write_text(MEASURE.format(width=width, page=page.replace("&", "&amp;").replace('"', "&quot;")))
    words = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        *options,
    ]
    result = subprocess.run([*words, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=60)
    (title,) = re.findall(r"<title>([^<]*;[^<]*)</title>", result.stdout)
    return str(title).split(";")


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium or chrome to look at the page with")
def test_page_fits_a_phone_sorts_is_dark_and_runs_no_foreign_script(tmp_path: Path) -> None:
    evil = "<script>document.title='obeyed'</script>"
    for bits in (2, 4):
        class_run(
            tmp_path / "runs" / f"{bits}", first_right(9 + bits), {"quantization.weight_bits": bits, "name": evil}
        )
    report([str(tmp_path / "runs"), "by=name,weight_bits"])
    page = (tmp_path / "runs" / "report" / "report.html").read_text()
    page = page.replace("</main>", evil + "</main>")  # even if escaping failed, the page's policy would hold
    width, buttons, obeyed, ascending, light = measured(page, 320, tmp_path)
    assert int(width) <= 320
    assert int(buttons) > 5
    assert (obeyed, ascending, light) == ("false", "1", "rgb(255, 255, 255)")
    assert measured(page, 320, tmp_path, "--blink-settings=preferredColorScheme=0")[-1] == "rgb(20, 24, 29)"
