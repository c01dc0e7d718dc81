"""What drawings as SVG are made of: scales, axes, lines, dots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from design_loop.views.html import Markup, esc, join, tag

WIDTH, HEIGHT = 360, 310
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 46


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


def whole_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round whole numbers within a range, for counts and rounds."""
    return sorted({float(round(t)) for t in ticks(low, high, about) if abs(t - round(t)) < 1e-9})


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """A range around values; never empty."""
    known = list(values)
    low, high = min(known), max(known)
    margin = (high - low) * share or max(abs(low) * 0.1, 0.1)
    return low - margin, high + margin


def plane(
    x_range: tuple[float, float], y_range: tuple[float, float], right: float = RIGHT
) -> tuple[Scale, Scale]:
    """Scales of a drawing of the usual size."""
    return (
        Scale(*x_range, LEFT, WIDTH - right),
        Scale(*y_range, HEIGHT - BOTTOM, TOP),
    )


def axes(
    x: Scale,
    y: Scale,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
) -> Markup:
    """Grid, numbers and names of both axes."""
    drawn = []
    for value in ticks(x.low, x.high) if x_ticks is None else x_ticks:
        drawn.append(line(x(value), y.start, x(value), y.end, "grid"))
        drawn.append(text(x(value), y.start + 15, f"{value:g}", "tick"))
    for value in ticks(y.low, y.high) if y_ticks is None else y_ticks:
        drawn.append(line(x.start, y(value), x.end, y(value), "grid"))
        drawn.append(text(x.start - 6, y(value) + 4, f"{value:g}", "row tick"))
    drawn.append(text((x.start + x.end) / 2, y.start + 34, x_label, "axis"))
    middle = (y.start + y.end) / 2
    turned = f'<text class="axis" transform="translate(13 {middle:.1f}) rotate(-90)">'
    drawn.append(Markup(f"{turned}{esc(y_label)}</text>"))
    return join(drawn)


def svg(
    label: str,
    parts: Sequence[Markup],
    width: float = WIDTH,
    height: float = HEIGHT,
    kind: str = "plot",
) -> Markup:
    """A drawing with what it is called for those who cannot see it."""
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", join(parts), viewBox=box, role="img", aria_label=label, class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return Markup(f'<line class="{kind}" {place}/>')


def path(places: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A line through places."""
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    return Markup(f'<polyline class="{kind}" points="{points}"/>')


def cloud(places: Iterable[tuple[float, float]], kind: str) -> Markup:
    """Many dots as one element: strokes of no length with round ends, a dozen bytes each."""
    strokes = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in places)
    return Markup(f'<path class="{kind}" d="{strokes}"/>') if strokes else Markup("")


def rect(x: float, y: float, width: float, height: float, kind: str, title: str) -> Markup:
    """A box that says what it is when the pointer is on it."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return Markup(f'<rect class="{kind}" {place}><title>{esc(title)}</title></rect>')


def dot(x: float, y: float, kind: str, title: str, radius: float = 4) -> Markup:
    """A dot that says what it is when the pointer is on it."""
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return Markup(f'<circle class="{kind}" {place}><title>{esc(title)}</title></circle>')


def text(x: float, y: float, words: str, kind: str) -> Markup:
    """A word or number."""
    return Markup(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{esc(words)}</text>')


def legend(names: Sequence[str], prefix: str) -> Markup:
    """Names beside their colours."""
    keys = (tag("li", tag("i", class_=f"{prefix}{i}"), name) for i, name in enumerate(names))
    return tag("ul", join(keys), class_="legend")
