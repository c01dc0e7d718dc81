"""The style sheets, and figures as files of their own."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

from design_loop.views.figures import Figure


@lru_cache
def text_of(name: str) -> str:
    """A file of this package."""
    return resources.files("design_loop.views").joinpath(name).read_text(encoding="utf-8")


def page_css() -> str:
    """Everything that a page needs, light and dark."""
    return text_of("colours.css") + text_of("style.css") + text_of("charts.css")


@lru_cache
def _chart_css() -> str:
    """Rules of drawings in light colours, written out: other programs know no CSS variables."""
    light = text_of("colours.css").partition("@media")[0]
    values = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", light))
    return re.sub(r"var\((--[\w-]+)\)", lambda m: values[m[1]], text_of("charts.css"))


def standalone(figure: Figure) -> str:
    """A figure as an SVG file that any program shows as the page does, on white."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure.drawing)
    assert box is not None
    width, height = float(box[1]), float(box[2])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
    background = f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'
    start, rest = figure.drawing.removeprefix("<svg ").split(">", 1)
    return f"{head}{start}><style>{_chart_css()}</style>{background}{rest}\n"
