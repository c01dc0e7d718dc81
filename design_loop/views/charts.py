"""Drawings as SVG: scatter with a target band, lines over rounds, stacked bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from design_loop.views.html import Markup, esc, join, tag

WIDTH, HEIGHT = 340, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 44


@dataclass(frozen=True)
class Point:
    """A dot of a scatter plot.

    Attributes
    ----------
    x, y
    met
        Whether it meets all targets; filled then.
    title
        Said when the pointer is on it.
    spread
        Half length of a bar along x, or None.
    """

    x: float
    y: float
    met: bool
    title: str
    spread: float | None = None


@dataclass(frozen=True)
class Scale:
    """From values to pixels along one axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within a range."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """A range around values; never empty."""
    low, high = min(values), max(values)
    margin = (high - low) * share or max(abs(low) * 0.1, 0.1)
    return low - margin, high + margin


def parity(
    points: Sequence[Point], x_label: str, y_label: str, band: tuple[float, float] | None
) -> Markup:
    """A scatter plot on equal axes with its diagonal and the wanted range of y.

    Parameters
    ----------
    points
        At least one.
    x_label, y_label
    band
        Wanted range of y; ends may be infinite.
    """
    values = [v for p in points for v in (p.x, p.y)]
    values += [edge for edge in band or () if math.isfinite(edge)]
    low, high = padded(values)
    x = Scale(low, high, LEFT, WIDTH - RIGHT)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    drawn = [_axes(x, y, x_label, y_label)]
    if band is not None:
        top, bottom = y(min(band[1], high)), y(max(band[0], low))
        drawn.append(_rect(LEFT, top, WIDTH - RIGHT - LEFT, bottom - top, "band", "wanted"))
    drawn.append(_line(x(low), y(low), x(high), y(high), "diagonal"))
    for p in points:
        if p.spread:
            left, right = x(max(p.x - p.spread, low)), x(min(p.x + p.spread, high))
            drawn.append(_line(left, y(p.y), right, y(p.y), "spread"))
    # Those that meet the targets last, on top of the others.
    for p in sorted(points, key=lambda p: p.met):
        drawn.append(_dot(x(p.x), y(p.y), "hit" if p.met else "miss", p.title))
    return _svg(WIDTH, HEIGHT, f"{y_label} against {x_label}", drawn)


def rounds_chart(series: dict[str, list[tuple[int, float]]], y_label: str) -> Markup:
    """One line over the rounds, or two of which the second is the one that matters."""
    values = [v for line in series.values() for _, v in line]
    numbers = sorted({n for line in series.values() for n, _ in line})
    high = max(*values, 0.01) * 1.1
    x = Scale(min(numbers) - 0.3, max(numbers) + 0.9, LEFT, WIDTH - RIGHT)
    y = Scale(min(0.0, *values), high, HEIGHT - BOTTOM, TOP)
    shown = numbers if len(numbers) <= 8 else [round(t) for t in ticks(numbers[0], numbers[-1])]
    drawn = [_axes(x, y, "round", y_label, shown)]
    offset = 2 - len(series)
    for i, (name, line) in enumerate(series.items()):
        places = [(x(n), y(v)) for n, v in line]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        drawn.append(Markup(f'<polyline class="line s{i + offset}" points="{path}"/>'))
        for (n, v), (px, py) in zip(line, places, strict=True):
            drawn.append(_dot(px, py, f"dot s{i + offset}", f"{name}, round {n}: {v:.3f}"))
        px, py = places[-1]
        # Lines that end together: the earlier one's name moves up.
        near = sum(abs(py - y(other[-1][1])) < 12 for other in list(series.values())[i + 1 :])
        drawn.append(_text(px + 6, py + 4 - 12 * near, name, "end"))
    return _svg(WIDTH, HEIGHT, f"{y_label} by round", drawn)


def stacked_bars(rows: Sequence[tuple[str, dict[str, int]]], parts: Sequence[str]) -> Markup:
    """A bar per row, divided into parts; the first part in the accent colour."""
    width, bar, gap, left = 700, 22, 10, 76
    total = max((sum(counts.values()) for _, counts in rows), default=1) or 1
    drawn: list[Markup] = []
    for i, (name, counts) in enumerate(rows):
        top = i * (bar + gap)
        drawn.append(_text(left - 8, top + bar * 0.68, name, "row"))
        begin = float(left)
        for j, part in enumerate(parts):
            count = counts.get(part, 0)
            size = count / total * (width - left)
            if not count:
                continue
            drawn.append(_rect(begin, top, max(size - 1.5, 0.5), bar, f"p{j}", f"{count} {part}"))
            if size > 30:
                drawn.append(_text(begin + size / 2, top + bar * 0.68, str(count), "inside"))
            begin += size
    return _svg(width, len(rows) * (bar + gap) - gap, "what became of the samples", drawn, "bars")


def legend(names: Sequence[str], prefix: str) -> Markup:
    """Names beside their colours."""
    keys = (tag("li", tag("i", class_=f"{prefix}{i}"), name) for i, name in enumerate(names))
    return tag("ul", join(keys), class_="legend")


def _axes(
    x: Scale, y: Scale, x_label: str, y_label: str, x_ticks: Sequence[float] | None = None
) -> Markup:
    drawn = []
    for value in x_ticks if x_ticks is not None else ticks(x.low, x.high):
        drawn.append(_line(x(value), y.start, x(value), y.end, "grid"))
        drawn.append(_text(x(value), y.start + 15, f"{value:g}", "tick"))
    for value in ticks(y.low, y.high):
        drawn.append(_line(x.start, y(value), x.end, y(value), "grid"))
        drawn.append(_text(x.start - 6, y(value) + 4, f"{value:g}", "row tick"))
    drawn.append(_text((x.start + x.end) / 2, y.start + 34, x_label, "axis"))
    middle = (y.start + y.end) / 2
    turned = f'<text class="axis" transform="translate(13 {middle:.1f}) rotate(-90)">'
    drawn.append(Markup(f"{turned}{esc(y_label)}</text>"))
    return join(drawn)


def _svg(
    width: float, height: float, label: str, parts: Sequence[Markup], kind: str = "plot"
) -> Markup:
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", join(parts), viewBox=box, role="img", aria_label=label, class_=kind)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return Markup(f'<line class="{kind}" {place}/>')


def _rect(x: float, y: float, width: float, height: float, kind: str, title: str) -> Markup:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return Markup(f'<rect class="{kind}" {place}><title>{esc(title)}</title></rect>')


def _dot(x: float, y: float, kind: str, title: str) -> Markup:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="4"'
    return Markup(f'<circle class="{kind}" {place}><title>{esc(title)}</title></circle>')


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{esc(text)}</text>')
