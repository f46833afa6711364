"""A picture of one recording and what a net makes of it: events, spikes, and each class's votes over time."""

from PIL import Image, ImageDraw
from torch import Tensor

from qsnn.reporting.pictures import BLACK, CAPTION, MARGIN, PAPER, WHITE, Picture, raster, sheet

COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (120, 120, 120))
HEIGHT, SHOWN = 250, len(COLOURS)


def vote_picture(
    title: str, events: Tensor, spikes: dict[str, Tensor], course: list[Tensor], classes: tuple[str, ...]
) -> Picture:
    """``events`` (T, N) and ``spikes`` (T, N) by layer; ``course``: votes (K), one a step. Time to the right."""
    panels = [("input", raster((events != 0).float()[:, None]))]
    panels += [(name, raster(values[:, None])) for name, values in spikes.items()]
    panels.append(("votes over time", _curves(course, classes)))
    return sheet(panels, f"{title}; time to the right, neurons downward")


def _curves(course: list[Tensor], classes: tuple[str, ...]) -> Picture:
    """Votes of the classes that end with most, with their names."""
    votes = [[float(vote) for vote in step] for step in course]
    order = sorted(range(len(classes)), key=lambda k: -votes[-1][k])[:SHOWN]
    low, high = min(map(min, votes)), max(map(max, votes))
    width, span = max(250, len(votes)), (high - low) or 1.0
    image = Image.new("RGB", (width + 120, HEIGHT), WHITE)
    draw = ImageDraw.Draw(image)
    for place, (k, colour) in reversed(list(enumerate(zip(order, COLOURS, strict=False)))):
        points = [
            (t * (width - 1) / max(1, len(votes) - 1), (HEIGHT - 3) * (1 - (step[k] - low) / span) + 1)
            for t, step in enumerate(votes)
        ]
        draw.line(points, fill=colour, width=2)
        draw.text((width + MARGIN // 2, MARGIN + place * CAPTION), f"{classes[k]}  {votes[-1][k]:g}", fill=colour)
    draw.rectangle((0, 0, width - 1, HEIGHT - 1), outline=PAPER)
    draw.text((MARGIN // 2, HEIGHT - CAPTION), f"{low:g} to {high:g}", fill=BLACK)
    return image
