"""The report as one HTML file that needs no network: table, answers, pictures, what is missing."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from qsnn.comparing.answers import answers, methods, unfinished
from qsnn.comparing.charts.scene import DARK, LIGHT
from qsnn.comparing.charts.svg import svg
from qsnn.comparing.comparison import Comparison
from qsnn.comparing.pictures import Picture
from qsnn.comparing.tables import Column

TEMPLATES = Path(__file__).parent / "templates"


def page(comparison: Comparison, columns: list[Column], pictures: list[Picture]) -> str:
    """The whole file. Every name that comes from a run is escaped; a policy in its head forbids every script but its own."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.jinja").render(
        c=comparison,
        columns=columns,
        rows=[_cells(columns, place) for place in range(len(comparison.rows))],
        answers=answers(comparison),
        methods=methods(comparison),
        figures=[(picture, Markup(svg(picture.scene, f"picture-{n}"))) for n, picture in enumerate(pictures)],
        unfinished=unfinished(comparison),
        light=LIGHT,
        dark=DARK,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        digest=digest,
    )


def _cells(columns: list[Column], place: int) -> list[tuple[str, float | str, bool]]:
    """Of a row: text, what it is sorted by, whether it is a number."""
    return [(of.cells[place], "" if of.order[place] is None else of.order[place] or 0.0, of.numeric) for of in columns]
