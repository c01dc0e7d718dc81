"""Parity plots as self-contained SVG: predicted against true, with the 90 % interval."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

import numpy as np

from defects.properties import PROPERTIES
from defects.surrogates.base import Z90
from training.surrogate_metrics import figures

WIDTH, HEIGHT = 460, 460
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 40, 48
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-weight:600;font-size:13px}"
    ".g{stroke:#e4e4e4}.d{stroke:#888;stroke-dasharray:4 3}"
    ".i{stroke:#0b6e99;stroke-opacity:.18}.p{fill:#0b6e99;fill-opacity:.6}.o{fill:#c8442e}"
)


def parity_svg(truth: np.ndarray, mean: np.ndarray, std: np.ndarray, name: str, kind: str) -> str:
    """Draw predictions against labels.

    Parameters
    ----------
    truth, mean, std : ndarray, shape (n,)
        In the property's unit; labels outside mean ± 1.645 std are drawn in another colour.
    name, kind : str
        Of the property and the model.

    Returns
    -------
    str
        An SVG document without references to anything else.
    """
    low = float(min(truth.min(), mean.min()))
    high = float(max(truth.max(), mean.max()))
    margin = 0.04 * (high - low) or 0.1
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    left, right, bottom, top = x(low), x(high), y(low), y(high)
    parts = []
    for value in _ticks(low, high):
        parts.append(_line(x(value), bottom, x(value), top, "g"))
        parts.append(_line(left, y(value), right, y(value), "g"))
        parts.append(_text(x(value), bottom + 16, f"{value:g}", "middle"))
        parts.append(_text(left - 6, y(value) + 4, f"{value:g}", "end"))
    parts.append(_line(left, bottom, right, top, "d"))
    outside = np.abs(mean - truth) > Z90 * std
    for t, m, s in zip(truth, mean, std, strict=True):
        ends = max(m - Z90 * s, low), min(m + Z90 * s, high)
        parts.append(_line(x(t), y(ends[0]), x(t), y(ends[1]), "i"))
    for t, m, out in sorted(zip(truth, mean, outside, strict=True), key=lambda item: item[2]):
        parts.append(f'<circle cx="{x(t):.1f}" cy="{y(m):.1f}" r="2.2" class="{"po"[int(out)]}"/>')
    known = PROPERTIES.get(name)
    unit = f", {known.unit}" if known is not None else ""
    found = figures(truth, mean, std)
    title = (
        f"{name}, {kind}: MAE {1e3 * found['mae']:.3g} m{known.unit if known else ''}, "
        f"R² {found['r2']:.4f}, {100 * found['coverage_90']:.1f} % inside"
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += [
        _text(LEFT, 22, title, "start", "t"),
        _text((left + right) / 2, HEIGHT - 12, f"label{unit}", "middle"),
        f'<g transform="translate(16 {middle:.0f}) rotate(-90)">'
        f"{_text(0, 0, f'held-out prediction{unit}', 'middle')}</g>",
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _ticks(low: float, high: float, about: int = 6) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {place}/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
