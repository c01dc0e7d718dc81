"""Whole pages that carry everything themselves: style, scripts, data; nothing may be fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from design_loop.views.html import Markup, esc, join, tag
from design_loop.views.style import page_css, text_of

#: The 3D viewer: a library, and what makes it draw our scenes.
VIEWER_SCRIPTS = ("vendor/3Dmol-min.js", "viewer.js")


def document(title: str, parts: Sequence[Markup], scripts: Sequence[str] = ()) -> str:
    """A page as one file.

    Parameters
    ----------
    title
    parts
        Its sections.
    scripts
        Files of this package that are run at its end. The page's content security policy names
        their hashes, so that no other script can run, whatever the sections hold.
    """
    texts = [text_of(name) for name in scripts]
    allowed = " ".join(f"'sha256-{_hash(text)}'" for text in texts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{esc(policy)}">'),
            tag("title", title),
            tag("style", Markup(page_css())),
        ]
    )
    run = join(tag("script", Markup(text)) for text in texts)
    body = tag("main", join(parts)) + run
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
