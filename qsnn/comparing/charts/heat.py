"""A heat map: a value for each pair of two keys' values."""

from collections.abc import Mapping, Sequence

from qsnn.comparing.charts.scene import SMALL, TITLE, WIDTH, Box, Label, Scene, Shape, cut, text_width, wrapped

MARGIN, CELL = 8.0, 34.0
DEEP, PALE = (8, 72, 118), (226, 239, 248)
MISSING = "#8c949e"


def heat_map(
    title: str, description: str, across: tuple[str, Sequence[str]], down: tuple[str, Sequence[str]],
    cells: Mapping[tuple[int, int], tuple[float, str]],
) -> Scene:  # fmt: skip
    """``across`` and ``down``: name and values of a key; ``cells``: value and text by (row, column), darker where larger."""
    lines = wrapped(title, WIDTH - 2 * MARGIN, TITLE)
    shapes: list[Shape] = [
        Label(MARGIN, MARGIN + TITLE + number * (TITLE + 3), line, size=TITLE, bold=True)
        for number, line in enumerate(lines)
    ]
    names = [cut(name, 80, SMALL) for name in down[1]]
    left = MARGIN + max(text_width(text, SMALL) for text in names) + 6
    top = MARGIN + len(lines) * (TITLE + 3) + 54
    width = (WIDTH - MARGIN - left) / len(across[1])
    for number, key in enumerate((f"across: {across[0]}", f"down: {down[0]}")):  # keys may be as wide as the picture
        text = cut(key, WIDTH - 2 * MARGIN, SMALL)
        shapes.append(Label(MARGIN, top - 38 + number * (SMALL + 4), text, size=SMALL, colour="muted"))
    for column, name in enumerate(across[1]):
        shapes.append(Label(left + (column + 0.5) * width, top - 6, cut(name, width - 2, SMALL), "middle", SMALL))
    for row, name in enumerate(names):
        shapes.append(Label(left - 5, top + (row + 0.5) * CELL + 4, name, "end", SMALL))
    values = [value for value, _ in cells.values()]
    least, largest = min(values), max(values)
    for row in range(len(down[1])):
        for column in range(len(across[1])):
            known = cells.get((row, column))
            share = 0.5 if known is None or largest == least else (known[0] - least) / (largest - least)
            x, y = left + column * width, top + row * CELL
            fill = MISSING if known is None else _shade(share)
            tip = f"{down[0]}={down[1][row]}, {across[0]}={across[1][column]}: {known[1] if known else 'no run'}"
            shapes.append(Box(x + 1, y + 1, width - 2, CELL - 2, fill, tip))
            text = cut(known[1], width, SMALL) if known else "-"
            dark = known is not None and share <= 0.5
            shapes.append(
                Label(x + width / 2, y + CELL / 2 + 4, text, "middle", SMALL, "#10202c" if dark else "#ffffff")
            )
    return Scene(top + CELL * len(down[1]) + MARGIN, title, description, shapes)


def _shade(share: float) -> str:
    """From pale to deep blue."""
    return "#" + "".join(f"{round(pale + (deep - pale) * share):02x}" for pale, deep in zip(PALE, DEEP, strict=True))
