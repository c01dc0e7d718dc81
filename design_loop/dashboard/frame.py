"""What all pages have in common: head, navigation, errors, headers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse

from design_loop.views.html import Markup, join, tag
from design_loop.views.style import page_css, text_of

#: Where the pages live, in the server of the models and alone.
BASE = "/dashboard"
#: Nothing from elsewhere, no script in a page. 3Dmol.js sets the size of its canvas by style.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TABS = (
    ("", "Overview"),
    ("candidates", "Candidates"),
    ("samples", "Samples"),
    ("agreement", "Agreement"),
    ("models", "Models"),
    ("settings", "Settings"),
    ("log", "Log"),
)


def address(*parts: str, **query: object) -> str:
    """Address of a page; what is None or empty in the query is left out."""
    given = {k: str(v) for k, v in query.items() if v not in (None, "")}
    path = "/".join([BASE, *(quote(p, safe="") for p in parts if p)])
    return path + (f"?{urlencode(given)}" if given else "")


@lru_cache
def asset(name: str) -> tuple[bytes, str]:
    """A file that pages load, and its media type.

    Raises
    ------
    KeyError
        There is no such file.
    """
    if name == "style.css":
        own = resources.files("design_loop.dashboard").joinpath("static", "dashboard.css")
        return (page_css() + own.read_text(encoding="utf-8")).encode(), "text/css"
    if name == "dashboard.js":
        own = resources.files("design_loop.dashboard").joinpath("static", name)
        return own.read_bytes(), "text/javascript"
    scripts = {"viewer.js": "viewer.js", "3Dmol-min.js": "vendor/3Dmol-min.js"}
    return text_of(scripts[name]).encode(), "text/javascript"


@lru_cache
def asset_address(name: str) -> str:
    """Address of such a file, another one whenever its content changes."""
    return address("static", name, v=hashlib.sha256(asset(name)[0]).hexdigest()[:12])


def page(
    title: str,
    parts: Sequence[Markup],
    *,
    scripts: Sequence[str] = (),
    status: int = 200,
    tabs: Markup | None = None,
    leave: bool = False,
) -> HTMLResponse:
    """A whole page.

    Parameters
    ----------
    title
    parts
        Its sections.
    scripts
        Files that it runs, in order.
    status
        HTTP status.
    tabs
        Navigation within a campaign.
    leave
        Whether there is somebody to log out.
    """
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", f"{title} – design-loop"),
            Markup(f'<link rel="stylesheet" href="{asset_address("style.css")}">'),
            Markup('<link rel="icon" href="data:,">'),
            join(
                Markup(f'<script src="{asset_address(name)}" defer></script>') for name in scripts
            ),
        ]
    )
    out = Markup("")
    if leave:
        button = tag("button", "Log out", type="submit")
        out = tag("form", button, method="post", action=address("logout"))
    top = tag(
        "nav", tag("a", "design-loop", href=address() + "/", class_="home"), out, class_="top",
        aria_label="site",
    )  # fmt: skip
    skip = tag("a", "To the content", href="#content", class_="skip")
    body = join([skip, top, tabs or "", tag("main", join(parts), id="content")])
    text = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def campaign_tabs(campaign: str, current: str) -> Markup:
    """Navigation within a campaign."""
    links = (
        tag(
            "a", words, href=address("campaigns", campaign, name),
            aria_current="page" if name == current else None,
        )
        for name, words in TABS
    )  # fmt: skip
    return tag("nav", join(links), class_="tabs", aria_label="campaign")


def problem(status: int, title: str, words: str, leave: bool = False) -> HTMLResponse:
    """A page that says what went wrong."""
    back = tag("p", tag("a", "All campaigns", href=address() + "/"))
    return page(title, [tag("h1", title), tag("p", words), back], status=status, leave=leave)
