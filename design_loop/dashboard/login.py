"""The way in for browsers where the server asks for keys: a form, a cookie, a way out."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from defects.errors import ConfigError
from design_loop.dashboard.frame import BASE, address, page
from design_loop.views.html import Markup, esc, tag
from serve.sessions import COOKIE, LIFETIME_S, Sessions

log = logging.getLogger(__name__)

#: Longer than any key with a place to go back to.
LONGEST_FORM = 4096


def add_login(app: FastAPI, sessions: Sessions) -> None:
    """Add the routes."""

    @app.get("/login")
    def form(request: Request) -> Response:
        return _form(_back(request.query_params.get("next", "")))

    @app.post("/login")
    async def enter(request: Request) -> Response:
        given = await _fields(request)
        back = _back(given.get("next", ""))
        if sessions.wait() > 0:
            return _form(back, "Too many tries; wait a minute.", 429)
        try:
            cookie = sessions.open(given.get("key", ""))
        except ConfigError as error:
            log.error("nobody is let in: %s", error)
            return _form(back, "The keys cannot be read; see the server's log.", 503)
        if cookie is None:
            return _form(back, "This key is unknown, revoked, or lacks the scope read.", 403)
        answer = RedirectResponse(back, status_code=303, headers={"Cache-Control": "no-store"})
        answer.set_cookie(COOKIE, cookie, max_age=LIFETIME_S, **_cookie(request))
        return answer

    @app.post("/logout")
    async def leave(request: Request) -> Response:
        answer = RedirectResponse(address("login"), status_code=303)
        answer.delete_cookie(COOKIE, **_cookie(request))
        return answer


def _form(back: str, error: str = "", status: int = 200) -> Response:
    field = Markup(
        '<input id="key" name="key" type="password" autocomplete="current-password" '
        'required autofocus spellcheck="false">'
    )
    hidden = Markup(f'<input type="hidden" name="next" value="{esc(back)}">')
    label = Markup('<label for="key">API key</label>')
    form = tag(
        "form",
        label,
        field,
        hidden,
        tag("button", "Log in", type="submit"),
        method="post",
        action=address("login"),
        class_="login",
    )
    words = "A key with the scope read, as `design-loop keys create` printed it."
    said = tag("p", error, class_="error", role="alert") if error else ""
    return page("Log in", [tag("h1", "Log in"), said, form, tag("p", words, class_="small")],
                status=status)  # fmt: skip


async def _fields(request: Request) -> dict[str, str]:
    body = await request.body()
    if len(body) > LONGEST_FORM:
        return {}
    found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in found.items()}


def _back(wanted: str) -> str:
    """Where to go afterwards: one of our own pages, never elsewhere."""
    plain = wanted.isprintable() and "\\" not in wanted and "//" not in wanted
    return wanted if plain and wanted.startswith(f"{BASE}/") else f"{BASE}/"


def _cookie(request: Request) -> dict[str, Any]:
    forwarded = request.headers.get("x-forwarded-proto", "")
    secure = request.url.scheme == "https" or forwarded == "https"
    # Lax, so that a link in a mail opens its page; the cookie can only read.
    return {"path": BASE, "httponly": True, "samesite": "lax", "secure": secure}
