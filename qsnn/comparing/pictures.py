"""The pictures of a report. Each is there if what it shows is there."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from qsnn.comparing.charts.axes import Axis, categorical, linear, logarithmic, of_size, of_values, short_number
from qsnn.comparing.charts.heat import heat_map
from qsnn.comparing.charts.plot import Point, Series, plot
from qsnn.comparing.charts.scene import NUM_SERIES, Scene
from qsnn.comparing.comparison import Comparison, point_of, tables_of
from qsnn.comparing.costs import ENERGY, WEIGHTS, Cost
from qsnn.comparing.curves import curves
from qsnn.comparing.front import SAME_ENERGY, SAME_MEMORY, groups_of_equal
from qsnn.comparing.keys import HARDWARE, is_of, name_of, order_of
from qsnn.comparing.rows import Row, short_names


class Picture(NamedTuple):
    """``name``: of its file; ``caption``: how to read it."""

    name: str
    caption: str
    scene: Scene


def pictures_of(comparison: Comparison) -> list[Picture]:
    """All of them."""
    makers: list[Callable[[Comparison], Iterator[Picture]]] = [
        _against_memory, _against_energy, _against_keys, _equal_memory, _equal_energy, _heat, curves_pictures, _drift,
    ]  # fmt: skip
    return [picture for make in makers for picture in make(comparison)]


def _against_memory(c: Comparison) -> Iterator[Picture]:
    yield from _against_cost(c, WEIGHTS, "error_memory", "bits of weight memory")


def _against_energy(c: Comparison) -> Iterator[Picture]:
    yield from _against_cost(c, ENERGY, "error_energy", "energy an inference")


def _against_cost(c: Comparison, cost: Cost, name: str, told: str) -> Iterator[Picture]:
    """Error against a cost, a line for each value of the line key."""
    points = [point_of(row, c.metric, cost) for row in c.rows]
    known = [point for point in points if point is not None]
    if len(known) < 2 or len(tables_of(c.rows, cost)) > 1:
        return
    front = c.fronts.get(cost.name, set())
    lines: dict[str, list[Point]] = defaultdict(list)
    for place, (row, point) in enumerate(zip(c.rows, points, strict=True)):
        if point is not None:
            part = f", {cost.name} of {row.told_cost(cost)}" if row.whole_cost(cost) is None else ""
            mark = _point(c, row, point[0], place in front)
            lines[_line_of(c, row)].append(mark._replace(tip=mark.tip + part))
    series = [
        Series(label, sorted(of, key=lambda point: point.x), number, joined=len({point.x for point in of}) == len(of))
        for number, (label, of) in enumerate(lines.items())
    ]
    x = of_size(f"{cost.name} [{cost.unit}]", [point[0] for point in known], short_number)
    line = f", a line for each {c.line_key}" if c.line_key else ""
    title = f"{c.metric.error_label} against {told}"
    caption = f"{title.capitalize()}{line}. A ring: no other configuration has both less error and less {cost.name}. {_bars(c)}"
    caption += _told_partly(c, cost)
    yield Picture(name, caption, plot(title, _described(c, caption), x, _error_axis(c), series, "on the front"))


def _told_partly(c: Comparison, cost: Cost) -> str:
    """Which rows have no ring, or are not there, because their runs do not all tell the cost."""
    partly = [row for row in c.rows if row.finished and row.whole_cost(cost) is None]
    hidden = sum(row.cost(cost) is None for row in partly)
    drawn = len(partly) - hidden
    told = [f"{drawn} without a ring, as not all of their runs tell it"] if drawn else []
    told += [f"{hidden} not drawn, as none of their runs tells it"] if hidden else []
    return f" Of {len(c.rows)} configurations {' and '.join(told)}." if told else ""


def _line_of(c: Comparison, row: Row) -> str:
    if c.line_key is None or c.line_key not in c.keys:
        return ""
    return f"{c.line_key.rpartition('.')[2]} {name_of(row.values[c.keys.index(c.line_key)])}"


def _point(c: Comparison, row: Row, x: Any, ring: bool = False) -> Point:
    """The mean error of a row, with its spread over seeds, or its standard error where there is one seed."""
    error = c.error(row) or 0.0
    spread = row.spread(c.metric)
    half = row.standard_error(c.metric) if spread is None else spread
    low, high = (None, None) if half is None else (error - half, error + half)
    if c.metric.is_share and low is not None and high is not None and 0 <= error <= 1:
        low, high = max(low, 0.0), min(high, 1.0)  # no share is less or more
    return Point(x, error, low, high, ring, f"{row.name(c.keys)}: {c.metric.tell(error)}, {row.told_runs()} runs")


def _bars(c: Comparison) -> str:
    if any(row.spread(c.metric) is not None for row in c.rows):
        return "Bars: standard deviation over seeds."
    return "Bars: standard error of the test set." if any(row.standard_error(c.metric) for row in c.rows) else ""


def _error_axis(c: Comparison, rows: Sequence[Row] | None = None) -> Axis:
    """Logarithmic where errors span more than a factor of 10: else all good nets lie on one line."""
    points = [_point(c, row, 0) for row in (c.rows if rows is None else rows) if row.mean(c.metric) is not None]
    values = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    least = min((point.y for point in points), default=0.0)
    if least > 0 and max(point.y for point in points) > 10 * least:
        return logarithmic(f"{c.metric.error_label}, logarithmic", [v for v in values if v >= least / 2], _tell(c))
    return linear(c.metric.error_label, values, _tell(c), floor=0.0, ceiling=1.0 if c.metric.is_share else None)


def _tell(c: Comparison) -> Callable[[float], str]:
    return (lambda value: f"{100 * value:.4g}%") if c.metric.is_share else short_number


def _described(c: Comparison, caption: str) -> str:
    """For who cannot see a picture: what it is, and its best and worst row."""
    known = [(error, row.name(c.keys)) for row in c.rows if (error := c.error(row)) is not None]
    if not known:
        return f"{caption} No row is complete yet."
    best, worst = min(known), max(known)
    return (
        f"{caption} Least error {c.metric.tell(best[0])} ({best[1]}), largest {c.metric.tell(worst[0])} ({worst[1]}). "
        "The numbers are in the table."
    )


def _against_keys(c: Comparison) -> Iterator[Picture]:
    """The error against each key that makes rows, a line for each combination of the others, or for each value of one."""
    for place in _of_net(c):
        key = c.keys[place]
        rows = [row for row in c.rows if row.mean(c.metric) is not None]
        values = sorted({row.values[place] for row in rows}, key=order_of)
        if len(values) < 2:
            continue
        lines = _lines(c, rows, place)
        series = [Series(name, _means(c, of, place), number) for number, (name, of) in enumerate(lines.items())]
        whole = all(len({row.values[place] for row in of}) == len(of) for of in lines.values())
        title = f"{c.metric.error_label} against {key}"
        caption = f"{title.capitalize()}. {_bars(c) if whole else 'Each point is the mean over the values of all other keys.'}"
        x = of_values(key, values, [name_of(value) for value in values])
        yield Picture(f"by_{_word(key)}", caption, plot(title, _described(c, caption), x, _error_axis(c), series))


def _lines(c: Comparison, rows: Sequence[Row], place: int) -> dict[str, list[Row]]:
    """The rows by their values of the other keys; if these are too many, by those of the one that matters most."""
    others = [other for other in range(len(c.keys)) if other != place and len({row.values[other] for row in rows}) > 1]
    if len({tuple(row.values[other] for other in others) for row in rows}) > NUM_SERIES:
        few = [other for other in others if len({row.values[other] for row in rows}) <= NUM_SERIES]
        others = sorted(few, key=lambda other: (c.keys[other] != c.line_key, -_effect(c, rows, other)))[:1]
    names = short_names(c.keys)
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lines[", ".join(f"{names[other]} {name_of(row.values[other])}" for other in others)].append(row)
    return lines


def _effect(c: Comparison, rows: Sequence[Row], place: int) -> float:
    """How far apart the mean errors of a key's values are."""
    means = [point.y for point in _means(c, rows, place)]
    return max(means) - min(means)


def _means(c: Comparison, rows: Sequence[Row], place: int) -> list[Point]:
    """A point for each value of a key; the mean, without a bar, where several rows have it."""
    by_value: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        by_value[row.values[place]].append(row)
    points = []
    for value in sorted(by_value, key=order_of):
        of = by_value[value]
        mean = statistics.fmean(error for row in of if (error := c.error(row)) is not None)
        tip = f"{c.keys[place]}={name_of(value)}: {c.metric.tell(mean)}, mean of {len(of)} rows"
        points.append(_point(c, of[0], value) if len(of) == 1 else Point(value, mean, tip=tip))
    return points


def _equal_memory(c: Comparison) -> Iterator[Picture]:
    yield from _equal_cost(c, WEIGHTS, "equal_memory", SAME_MEMORY)


def _equal_energy(c: Comparison) -> Iterator[Picture]:
    yield from _equal_cost(c, ENERGY, "equal_energy", SAME_ENERGY)


def _equal_cost(c: Comparison, cost: Cost, name: str, within: float) -> Iterator[Picture]:
    """Rows of equal cost side by side, if they differ in the line key."""
    rows = [row for row in c.rows if row.mean(c.metric) is not None]
    costs = [row.whole_cost(cost) for row in rows] if len(tables_of(rows, cost)) < 2 else []
    groups = [[rows[place] for place in group] for group in groups_of_equal(costs, within)]
    groups = [group for group in groups if len({_line_of(c, row) for row in group}) > 1]
    if not groups or c.line_key is None:
        return
    labels = list(dict.fromkeys(_line_of(c, row) for row in rows))
    sizes = [short_number(group[0].cost(cost) or 0.0) for group in groups]
    lines: dict[str, list[Point]] = defaultdict(list)
    for number, group in enumerate(groups):
        best = {_line_of(c, row): row for row in sorted(group, key=lambda row: -(c.error(row) or 0.0))}
        for label, row in best.items():
            lines[label].append(_point(c, row, number))
    series = [Series(label, lines[label], number) for number, label in enumerate(labels) if label in lines]
    x = categorical(f"{cost.name} [{cost.unit}]", list(range(len(groups))), sizes)
    shown = [row for group in groups for row in group]
    title = f"{c.metric.error_label} at equal {cost.name}"
    caption = (
        f"{title.capitalize()} (within {100 * within:g} %): what {c.line_key} buys if the rest makes up for it, of each of its "
        f"values the configuration with least error. {_bars(c)}"
    )
    yield Picture(name, caption, plot(title, _described(c, caption), x, _error_axis(c, shown), series))


def _heat(c: Comparison) -> Iterator[Picture]:
    """For the two keys with most values."""
    counted = [(len({row.values[place] for row in c.rows}), -place) for place in _of_net(c)]
    chosen = sorted(-place for number, place in sorted(counted, reverse=True)[:2] if number > 1)
    if len(chosen) < 2:
        return
    down, across = chosen
    rows = [row for row in c.rows if row.mean(c.metric) is not None]
    values = [sorted({row.values[place] for row in rows}, key=order_of) for place in chosen]
    if max(len(values[0]), len(values[1])) > 16 or min(len(values[0]), len(values[1])) < 2:
        return
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in rows:
        cell = values[0].index(row.values[down]), values[1].index(row.values[across])
        found[cell].append(row.mean(c.metric) or 0.0)
    cells = {cell: (statistics.fmean(of), c.metric.tell(statistics.fmean(of))) for cell, of in found.items()}
    sides = [(c.keys[place], [name_of(value) for value in of]) for place, of in zip(chosen, values, strict=True)]
    title = f"{c.metric.label} by {c.keys[down]} and {c.keys[across]}"
    mean = ", mean over all other keys" if any(len(of) > 1 for of in found.values()) else ""
    caption = f"{title.capitalize()}{mean}; darker is more."
    yield Picture("heat_map", caption, heat_map(title, _described(c, caption), sides[1], sides[0], cells))


def _of_net(c: Comparison) -> list[int]:
    """Places of the keys but those of the table that prices energy, from which no error follows."""
    return [place for place, key in enumerate(c.keys) if not is_of(key, [HARDWARE])]


def curves_pictures(c: Comparison) -> Iterator[Picture]:
    """Learning curves: mean and range over seeds."""
    figure, lines = curves(c)
    if not lines:
        return
    series = [
        Series(name, [Point(epoch, mean, low, high) for epoch, (mean, low, high) in line.items()], number, banded=True)
        for number, (name, line) in enumerate(lines.items())
    ]
    epochs = [point.x for one in series for point in one.points]
    values = [value for one in series for point in one.points for value in (point.low, point.high) if value is not None]
    share = "accuracy" in figure or "relative_distance" in figure
    tell = (lambda value: f"{100 * value:.4g}%") if share else short_number
    y = linear(figure.replace("_", " "), values, tell, ceiling=1.0 if share else None)
    title = f"{figure.replace('_', ' ')} while learning"
    left_out = (
        f" {len(lines)} of {len(c.rows)} configurations, those on the front first." if len(lines) < len(c.rows) else ""
    )
    caption = f"{title.capitalize()}: mean over seeds, and from the smallest to the largest of them.{left_out}"
    yield Picture(
        "curves", caption, plot(title, _described(c, caption), linear("epoch", epochs, short_number), y, series)
    )


def _drift(c: Comparison) -> Iterator[Picture]:
    """Distance of the rates from the reference's, against the line key, a line for each layer."""
    if c.line_key not in c.keys or not any(c.drifts):
        return
    place = c.keys.index(c.line_key)
    found: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, by_layer in zip(c.rows, c.drifts, strict=True):
        for layer, distance in by_layer.items():
            found[layer][row.values[place]].append(distance)
    series = []
    for number, (layer, by_value) in enumerate(found.items()):
        points = [Point(value, statistics.fmean(by_value[value])) for value in sorted(by_value, key=order_of)]
        series.append(Series(layer, points, number))
    values = sorted(
        {row.values[place] for row, by_layer in zip(c.rows, c.drifts, strict=True) if by_layer}, key=order_of
    )
    x = of_values(c.line_key, values, [name_of(value) for value in values])
    y = linear(
        "spikes per neuron and step",
        [0.0, *(p.y for one in series for p in one.points)],
        lambda v: f"{v:.3g}",
        floor=0.0,
    )
    title = "drift of firing rates from the reference"
    caption = (
        f"{title.capitalize()}: earth mover's distance between the rates of a layer's neurons and those of the reference, "
        "in the evaluation at the end of a run (classes: of the test recordings), mean over seeds and all other keys."
    )
    yield Picture("drift", caption, plot(title, caption, x, y, series))


def _word(text: str) -> str:
    """For a file's name: letters, digits, dots and underscores."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._") else "_" for letter in text)[:80]
