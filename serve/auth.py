"""Who may ask for what: every request passes here, documentation and unknown paths included."""

from __future__ import annotations

import base64
import binascii
import logging
import math
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from defects.errors import ConfigError
from serve.extensions import ScopeRule
from serve.keys import Key, KeyFile
from serve.rate import RateLimit
from serve.replies import RETRY_AFTER_S, SafeJson, error_body
from serve.sessions import COOKIE, Sessions

logger = logging.getLogger(__name__)

OPEN = frozenset({"/healthz"})
"""Paths without a key: what a load balancer asks, and it says no more than up or down."""

RULES = tuple(
    ScopeRule("POST", path, "design")
    for path in ("/v1/completions", "/v1/chat/completions", "/v1/design", "/v1/predict")
)
"""Of the ingress' own routes; extensions bring theirs."""


def scope_of(method: str, path: str, rules: Sequence[ScopeRule] = RULES) -> str:
    """Scope that a request needs: the first rule's; else ``read`` to read, ``admin`` to change."""
    for rule in rules:
        if rule.covers(method, path):
            return rule.scope
    return "read" if method in ("GET", "HEAD") else "admin"


class Auth:
    """ASGI middleware: 401 without a key, 403 without the scope, 429 above the rate.

    The key is taken from ``Authorization: Bearer``, or as the password of ``Authorization: Basic``
    so that a browser can open the documentation. Pages below `pages` may be read, and only they and
    only read, with the cookie of a login as well: requests that another site causes change nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyFile,
        rate: RateLimit,
        rules: Sequence[ScopeRule] = RULES,
        sessions: Sessions | None = None,
        pages: Sequence[str] = (),
    ) -> None:
        self.app, self.keys, self.rate, self.rules = app, keys, rate, tuple(rules)
        self.sessions = sessions
        self.pages = tuple(pages) if sessions is not None else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") in OPEN or self._is_way_in(scope):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _is_way_in(self, scope: Scope) -> bool:
        """Whether it is the login itself, or what its page is drawn with."""
        path = scope.get("path", "")
        return scope["type"] == "http" and any(
            path in (f"{base}/login", f"{base}/logout") or path.startswith(f"{base}/static/")
            for base in self.pages
        )

    def _page_of(self, path: str) -> str | None:
        """The pages that a path belongs to."""
        return next((b for b in self.pages if path == b or path.startswith(f"{b}/")), None)

    def _key(self, scope: Scope) -> Key | None:
        headers = Headers(scope=scope)
        text = key_in(headers)
        if text is not None or self.sessions is None or self._page_of(scope["path"]) is None:
            return self.keys.find(text or "")
        if scope["method"] not in ("GET", "HEAD"):
            return None
        found = self.sessions.find(cookie_in(headers) or "")
        scope["session"] = found is not None
        return found

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return _refuse(403, "forbidden", "only HTTP is served here")
        method, path = scope["method"], scope["path"]
        try:
            key = self._key(scope)
        except ConfigError as error:
            logger.error("no request is let in: %s", error)
            text = "the keys cannot be read; see the server's log"
            return _refuse(503, "keys_unavailable", text, {"Retry-After": str(RETRY_AFTER_S)})
        if key is None and (base := self._page_of(path)) is not None:
            return _to_login(scope, base)
        if key is None:
            return _refuse(
                401,
                "unauthenticated",
                "send an API key: Authorization: Bearer dl_...",
                {"WWW-Authenticate": 'Bearer, Basic realm="design-loop"'},
            )
        needed = scope_of(method, path, self.rules)
        if not key.may(needed):
            return _refuse(403, "forbidden", f"key {key.id} lacks the scope {needed!r}")
        wait = self.rate.wait_for(key.id, key.per_minute)
        if wait > 0:
            seconds = str(math.ceil(wait))
            text = f"more than {key.per_minute or self.rate.per_minute} requests per minute"
            return _refuse(429, "rate_limited", text, {"Retry-After": seconds})
        return None


def key_in(headers: Headers) -> str | None:
    """The key that a request carries."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("ascii").partition(":")[2]
        except (binascii.Error, ValueError):
            return None
    return None


def cookie_in(headers: Headers) -> str | None:
    """The cookie of a login that a request carries."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def _to_login(scope: Scope, base: str) -> Response:
    """Send a reader to the login; what a script asked for is refused, without the browser's box."""
    wants = Headers(scope=scope).get("accept", "")
    if scope["method"] == "GET" and "text/html" in wants:
        query = scope.get("query_string", b"").decode("latin-1")
        back = scope["path"] + (f"?{query}" if query else "")
        where = f"{base}/login?{urlencode({'next': back})}"
        return RedirectResponse(where, status_code=303, headers={"Cache-Control": "no-store"})
    return _refuse(
        401, "unauthenticated", "log in, or send an API key: Authorization: Bearer dl_..."
    )


def _refuse(
    status: int, kind: str, message: str, headers: dict[str, str] | None = None
) -> SafeJson:
    return SafeJson(error_body(message, kind, status), status_code=status, headers=headers)
