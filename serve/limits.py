"""Refuse request bodies over a size before they are parsed."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.replies import error_body


class BodyLimit:
    """ASGI middleware: a body of more than `max_bytes` is answered 413.

    The declared length is checked first, the bytes that really come as well (a chunked body
    declares none).
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes
        self._message = f"the request body is larger than {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        # Python refuses to read a number of thousands of digits.
        if not declared.isdigit() or len(declared) > 18 or int(declared) > self.max_bytes:
            body = error_body(self._message, "body_too_large", 413)
            await JSONResponse(body, status_code=413)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise HTTPException(413, self._message)
            return message

        await self.app(scope, counted, send)
