"""Small pieces of HTML. Everything that comes from outside passes through `esc`."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence


class Markup(str):
    """Text that is HTML already; anything else is escaped when it is put into a page."""

    __slots__ = ()


def esc(value: object) -> Markup:
    """Escape a value for text and for attributes; markup passes."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element; ``class_`` writes ``class``, other underscores become dashes."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{esc(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Put parts one after the other."""
    return Markup(between.join(esc(part) for part in parts))


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    words: Sequence[int] = (0,),
    label: str = "table",
) -> Markup:
    """A table that scrolls sideways on narrow screens.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells.
    words
        Columns of words, to the left; the others are numbers, to the right.
    label
        What the table holds, for those who reach it with the keyboard to scroll it.
    """

    def cells(kind: str, row: Sequence[object]) -> Markup:
        return join(
            tag(kind, cell, class_=None if i in words else "n") for i, cell in enumerate(row)
        )

    head = tag("thead", tag("tr", cells("th", columns)))
    body = tag("tbody", join(tag("tr", cells("td", row)) for row in rows))
    return tag(
        "div",
        tag("table", head, body),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )
