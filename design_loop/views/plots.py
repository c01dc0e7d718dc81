"""The kinds of drawings: parity, lines over rounds, steps over calls, a front, stacked bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from design_loop.views import charts
from design_loop.views.html import Markup

#: Dots with words of their own; further ones are drawn as one cloud.
TITLED = 400
#: Of more points than this the bars would hide the dots.
BARRED = 200
#: An interval that may be open on either side.
Band = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A dot of a scatter plot.

    Attributes
    ----------
    x, y
    strong
        Drawn in full colour; the others are faded.
    title
        Said when the pointer is on it.
    ringed
        Outlined: meets all targets.
    spread
        Half length of a bar along x, or None.
    """

    x: float
    y: float
    strong: bool
    title: str
    ringed: bool = False
    spread: float | None = None


def parity(
    points: Sequence[Point], x_label: str, y_label: str, band: Band | None, hue: int = 0
) -> Markup:
    """A scatter plot on equal axes with its diagonal and the wanted range of y.

    Parameters
    ----------
    points
        At least one.
    x_label, y_label
    band
        Wanted range of y; ends may be infinite.
    hue
        Which of the three colours.
    """
    values = [v for p in points for v in (p.x, p.y)]
    values += [edge for edge in band or () if math.isfinite(edge)]
    low, high = charts.padded(values)
    x, y = charts.plane((low, high), (low, high))
    drawn = [charts.axes(x, y, x_label, y_label)]
    if band is not None:
        top, bottom = y(min(band[1], high)), y(max(band[0], low))
        drawn.append(charts.rect(x.start, top, x.end - x.start, bottom - top, "band", "wanted"))
    drawn.append(charts.line(x(low), y(low), x(high), y(high), "diagonal"))
    for p in points if len(points) <= BARRED else ():
        if p.spread and p.strong:
            left, right = x(max(p.x - p.spread, low)), x(min(p.x + p.spread, high))
            drawn.append(charts.line(left, y(p.y), right, y(p.y), "spread"))
    drawn += _scatter(points, x, y, hue, 3.4)
    return charts.svg(f"{y_label} against {x_label}", drawn)


def _scatter(
    points: Sequence[Point], x: charts.Scale, y: charts.Scale, hue: int, radius: float
) -> list[Markup]:
    """Faded points, then the strong ones on top; those that say more one by one."""
    drawn = []
    for kind in ("faded", "strong"):
        group = [p for p in points if p.strong == (kind == "strong")]
        told = [p for p in group if p.ringed or p.strong][:TITLED]
        known = set(map(id, told))
        rest = ((x(p.x), y(p.y)) for p in group if id(p) not in known)
        drawn.append(charts.cloud(rest, f"cloud {kind} h{hue}"))
        for p in sorted(told, key=lambda p: p.ringed):
            ring = " ringed" if p.ringed else ""
            place = x(p.x), y(p.y)
            drawn.append(charts.dot(*place, f"{kind} h{hue}{ring}", p.title, radius))
    return drawn


def over_rounds(
    series: Mapping[str, Sequence[tuple[int, float]]],
    y_label: str,
    *,
    level: tuple[float, str] | None = None,
    top: float | None = None,
) -> Markup:
    """Lines over the rounds, the last named one in the accent colour.

    Parameters
    ----------
    series
        Name -> (round, value); values that are not finite are left out. At least one is finite.
    y_label
    level
        A value to be compared with, and its name.
    top
        Upper end of the axis; from the values by default.
    """
    lines = {
        name: [(n, v) for n, v in points if math.isfinite(v)] for name, points in series.items()
    }
    lines = {name: points for name, points in lines.items() if points}
    values = [v for points in lines.values() for _, v in points]
    values += [] if level is None else [level[0]]
    numbers = sorted({n for points in lines.values() for n, _ in points})
    high = top if top is not None else (max(values) * 1.12 or 1.0)
    x, y = charts.plane((min(numbers) - 0.3, max(numbers) + 0.3), (min(0.0, *values) * 1.05, high))
    shown = numbers if len(numbers) <= 8 else charts.whole_ticks(numbers[0], numbers[-1])
    drawn = [charts.axes(x, y, "round", y_label, shown)]
    if level is not None:
        drawn.append(charts.line(x.start, y(level[0]), x.end, y(level[0]), "diagonal"))
        drawn.append(charts.text(x.end - 4, y(level[0]) - 5, level[1], "row"))
    offset = 2 - len(lines)
    for i, (name, points) in enumerate(lines.items()):
        places = [(x(n), y(v)) for n, v in points]
        drawn.append(charts.path(places, f"line s{i + offset}"))
        radius = 4 if len(points) <= 40 else 2
        for (n, v), (px, py) in zip(points, places, strict=True):
            words = f"{name}, round {n}: {v:.3g}"
            drawn.append(charts.dot(px, py, f"dot s{i + offset}", words, radius))
    return charts.svg(f"{y_label} by round", drawn)


def over_calls(
    places: Sequence[tuple[float, float]], y_label: str, edges: Sequence[tuple[int, float]]
) -> Markup:
    """A line that rises in steps with oracle calls; `edges` are (round, its last call)."""
    high = max(max(v for _, v in places), 1) * 1.08
    last = max(max(c for c, _ in places), 1)
    x, y = charts.plane((0, last * 1.02), (0, high))
    whole = charts.whole_ticks(0, high) if high >= 3 else None
    drawn = [charts.axes(x, y, "oracle calls", y_label, charts.whole_ticks(0, last), whole)]
    for number, call in edges[:-1] if len(edges) <= 16 else ():
        drawn.append(charts.line(x(call), y.start, x(call), y.end, "edge"))
        drawn.append(charts.text(x(call) - 4, y.end + 10, f"round {number}", "row tick"))
    steps = [(x(0), y(0))]
    for call, value in places:
        steps += [(x(call), steps[-1][1]), (x(call), y(value))]
    drawn.append(charts.path(steps, "line s1"))
    drawn.append(charts.dot(*steps[-1], "dot s1", f"{places[-1][1]:g} after {last:g} calls"))
    return charts.svg(f"{y_label} against oracle calls", drawn)


def front(
    points: Sequence[Point], x_label: str, y_label: str, x_band: Band | None, y_band: Band | None
) -> Markup:
    """Two properties against each other; strong points are on the front."""
    x_values = [p.x for p in points] + [e for e in x_band or () if math.isfinite(e)]
    y_values = [p.y for p in points] + [e for e in y_band or () if math.isfinite(e)]
    x, y = charts.plane(charts.padded(x_values), charts.padded(y_values))
    drawn = [charts.axes(x, y, x_label, y_label)]
    left, right = _inside(x_band, x)
    bottom, top = _inside(y_band, y)
    drawn.append(charts.rect(left, top, right - left, bottom - top, "band", "wanted"))
    drawn += _scatter(points, x, y, 0, 4)
    return charts.svg(f"{y_label} against {x_label}", drawn)


def _inside(band: Band | None, scale: charts.Scale) -> tuple[float, float]:
    low, high = band or (-math.inf, math.inf)
    return scale(max(low, scale.low)), scale(min(high, scale.high))


def stacked_bars(rows: Sequence[tuple[str, Mapping[str, int]]], parts: Sequence[str]) -> Markup:
    """A bar per row, divided into parts; the first part in the accent colour."""
    width, bar, gap, left = 700, 22, 10, 76
    total = max((sum(counts.values()) for _, counts in rows), default=1) or 1
    drawn: list[Markup] = []
    for i, (name, counts) in enumerate(rows):
        top = i * (bar + gap)
        drawn.append(charts.text(left - 8, top + bar * 0.68, name, "row"))
        begin = float(left)
        for j, part in enumerate(parts):
            count = counts.get(part, 0)
            size = count / total * (width - left)
            if not count:
                continue
            words = f"{count} {part}"
            drawn.append(charts.rect(begin, top, max(size - 1.5, 0.5), bar, f"p{j}", words))
            if size > 34:
                drawn.append(charts.text(begin + size / 2, top + bar * 0.68, str(count), "inside"))
            begin += size
    height = max(len(rows) * (bar + gap) - gap, 1)
    return charts.svg("what became of the samples", drawn, width, height, "bars")


def stages(counts: Sequence[tuple[str, int]]) -> Markup:
    """A funnel: a bar per stage, as long as what reached it, with its share of the stage before."""
    width, bar, gap, left = 700, 26, 8, 150
    most = max((n for _, n in counts), default=1) or 1
    drawn: list[Markup] = []
    for i, (name, count) in enumerate(counts):
        top = i * (bar + gap)
        size = count / most * (width - left - 120)
        drawn.append(charts.text(left - 10, top + bar * 0.66, name, "row"))
        drawn.append(charts.rect(left, top, max(size, 1), bar, "stage", f"{count} {name}"))
        before = counts[i - 1][1] if i else 0
        share = f"{count:,}" + (f" ({100 * count / before:.3g} %)" if before else "")
        drawn.append(charts.text(left + max(size, 1) + 8, top + bar * 0.66, share, "end"))
    height = max(len(counts) * (bar + gap) - gap, 1)
    return charts.svg("how far the samples came", drawn, width, height, "bars")
