"""A search for hyperparameters as a self-contained SVG: every trial, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 36, 44
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-weight:600;font-size:13px}.a{stroke:#999}"
    ".d{stroke:#888;stroke-dasharray:4 3}.b{stroke:#0b6e99;stroke-width:2;fill:none}"
    ".p{fill:#0b6e99;fill-opacity:.45}"
)


def history_svg(values: Sequence[tuple[int, float]], default: float, title: str) -> str:
    """Draw errors over trials.

    Parameters
    ----------
    values : sequence of (trial, error)
        In eV, in the order of the trials; at least one. Errors above three times the best are
        drawn at the upper edge.
    default : float
        Error with the defaults, a dashed line; NaN for none.
    title : str
    """
    best = list(accumulate((v for _, v in values), min))
    low, high = best[-1], max(min(max(v for _, v in values), 3 * best[-1]), 1.02 * best[-1])
    low, high = low - 0.08 * (high - low), high + 0.05 * (high - low)
    last = max(values[-1][0], 1)

    def x(number: float) -> float:
        return LEFT + number / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (min(value, high) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    steps = [f"{x(n):.1f},{y(b):.1f}" for (n, _), b in zip(values, best, strict=True)]
    parts = [
        f'<path class="a" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none"/>',
        f'<polyline class="b" points="{" ".join(steps)}"/>',
        *(f'<circle class="p" cx="{x(n):.1f}" cy="{y(v):.1f}" r="3"/>' for n, v in values),
        f'<text class="t" x="{LEFT}" y="20">{escape(title)}: best {1e3 * best[-1]:.2f} meV</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"trial, 0 to {values[-1][0]}</text>",
    ]
    for value in (best[-1], (low + high) / 2, high):
        label = f"{1e3 * value:.3g}"
        parts.append(
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>'
        )
    if default == default:
        parts.append(
            f'<line class="d" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(default):.1f}" '
            f'y2="{y(default):.1f}"><title>defaults</title></line>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
