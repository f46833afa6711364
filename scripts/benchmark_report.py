"""Tables and picture of what scripts/benchmark.py measured."""

import math
import re
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Row = dict[str, Any]
OURS, DENSE = "qsnn, numba", "dense products"


def steps_table(rows: list[Row]) -> str:
    """All contestants, fastest first; ratios are to what the numba backend and the products took in the same run."""
    lines = [
        "| batch | threads | what | ms a step | to the dense products | to qsnn, numba |",
        "|---|---|---|--:|--:|--:|",
    ]
    for batch, threads in sorted({(row["batch"], row["threads"]) for row in rows}):
        group = [row for row in rows if (row["batch"], row["threads"]) == (batch, threads)]
        timed = sorted((row for row in group if isinstance(row["ms"], float)), key=lambda row: row["ms"])
        for row in timed:
            ratios = f"{row['ms'] / row['dense']:.2f} | {row['ms'] / row['ours']:.2f}"
            lines.append(f"| {batch} | {threads} | {row['what']} | {row['ms']:.2f} | {ratios} |")
        lines += [f"| {batch} | {threads} | {row['what']} | {row['ms']} | | |" for row in group if row not in timed]
    return "\n".join(lines)


def growth_table(rows: list[Row]) -> str:
    """Times, and ratios to the size that was doubled."""
    lines = ["| size | threads | ms a step | to |", "|---|---|--:|---|"]
    for row in rows:
        ratio = f"{row['ms'] / row['before']:.2f} times {row['than']}"
        lines.append(f"| {row['size']} | {row['threads']} | {row['ms']:.2f} | {ratio} |")
    return "\n".join(lines)


def profile_table(rows: list[Row]) -> str:
    """Shares of an epoch, one column for each batch size and number of threads."""
    columns = sorted({(row["batch"], row["threads"]) for row in rows})
    cells = {(row["part"], (row["batch"], row["threads"])): row for row in rows}
    lines = [
        "| part | " + " | ".join(f"B={b}, threads={t}" for b, t in columns) + " |",
        "|---" + "|--:" * len(columns) + "|",
    ]
    for part in dict.fromkeys(row["part"] for row in rows):
        found = [cells.get((part, column)) for column in columns]
        shown = [f"{row['us']:.0f} us, {row['share']:.0%}" if row else "" for row in found]
        lines.append(f"| {part} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def picture(rows: list[Row], threads: int, path: Path) -> None:
    """Bars of the milliseconds of a step, on a logarithmic scale, one group for each batch size."""
    rows = [row for row in rows if row["threads"] == threads and isinstance(row["ms"], float)]
    groups = [
        sorted((r for r in rows if r["batch"] == b), key=lambda r: r["ms"]) for b in sorted({r["batch"] for r in rows})
    ]
    left, width, bar, gap = 190, 900, 16, 34
    height = sum(bar * len(group) + gap for group in groups) + 50
    sheet = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(sheet), 10
    first, last = (
        math.floor(math.log10(min(r["ms"] for r in rows))),
        math.ceil(math.log10(max(r["ms"] for r in rows))),
    )

    def place(ms: float) -> float:
        return left + (width - left - 70) * (math.log10(ms) - first) / (last - first)

    for decade in range(first, last + 1):
        draw.line([(place(10**decade), top), (place(10**decade), height - 40)], fill="#dddddd")
        draw.text((place(10**decade) - 8, height - 36), f"{10**decade:g}", fill="black")
    draw.text(
        (left, height - 18), f"milliseconds of a training step, {threads} threads, logarithmic scale", fill="black"
    )
    for group in groups:
        draw.text((8, top), f"B = {group[0]['batch']}", fill="black")
        top += gap // 2
        for row in group:
            colour = "#d55e00" if row["what"] == OURS else "#999999" if row["what"] == DENSE else "#0072b2"
            draw.rectangle([(left, top + 2), (place(row["ms"]), top + bar - 3)], fill=colour)
            draw.text((24, top), row["what"][:26], fill="black")
            draw.text((place(row["ms"]) + 6, top), f"{row['ms']:.1f}", fill="black")
            top += bar
        top += gap // 2
    sheet.save(path)


def write_report(results: dict[str, list[Row]], page: Path, image: Path) -> None:
    """Replace the tables between the markers ``<!-- name -->`` and ``<!-- end -->`` of the page, and draw the picture."""
    tables = {"steps": steps_table, "growth": growth_table, "profile": profile_table}
    text = page.read_text()
    for name, rows in results.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        table = tables[name](rows)
        text = marked.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text)  # type: ignore[misc]
    page.write_text(text)
    picture(results["steps"], max(row["threads"] for row in results["steps"]), image)
