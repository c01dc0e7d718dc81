"""Refuse what pages of other origins make a browser send.

No CORS header lets such a page read an answer, but a browser sends its plain POST all the same,
from the reader's own machine or with the key that the reader typed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.replies import SafeJson, error_body

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """ASGI middleware: 403 for a change that a page of another origin asks for.

    Parameters
    ----------
    app : ASGIApp
    hosts : sequence of str
        Further names of this server, those of a proxy in front of it.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self.app, self.hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not self._ours(origin, headers.get("host", "")):
                text = "pages of another origin may change nothing here"
                refusal = SafeJson(error_body(text, "foreign_origin", 403), status_code=403)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _ours(self, origin: str, host: str) -> bool:
        try:
            found = urlsplit(origin)
            return bool(found.netloc) and (found.netloc == host or found.hostname in self.hosts)
        except ValueError:
            return False
