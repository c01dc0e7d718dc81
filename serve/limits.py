"""Refuse request bodies over a size before they are parsed."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.replies import error_body


class _TooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware: a body of more than `max_bytes` is answered 413.

    The declared length is checked first, the bytes that really come as well (a chunked body
    declares none).
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if not declared.isdigit() or int(declared) > self.max_bytes:
                raise _TooLarge
            await self.app(scope, counted, watched)
        except _TooLarge:
            if started:
                raise
            message = f"the request body is larger than {self.max_bytes} bytes"
            response = JSONResponse(error_body(message, "body_too_large", 413), status_code=413)
            await response(scope, receive, send)
