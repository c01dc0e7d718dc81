"""Errors as answers: one JSON form for all, never a stack trace, never what was sent."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serve.replies import SafeJson, error_body, error_reply, to_response

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """An error that goes to the client as it is."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def add_error_handlers(app: FastAPI) -> None:
    """Answer errors of an application in the API's form."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return to_response(error_reply(str(error), error.kind, error.status))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Not the input itself: it may be megabytes, and need not be encodable.
        problems = [
            f"{'.'.join(str(part) for part in e['loc'])[:200]}: {e['msg'][:300]}"
            for e in error.errors()[:5]
        ]
        body = error_body("; ".join(problems), "invalid_request", 422)
        return SafeJson(body, status_code=422)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            # FastAPI's word for a body that cannot be decoded; JSON with a fault is a 422 already.
            said = f"{error.detail}: it is no JSON in UTF-8"
            return SafeJson(error_body(said, "invalid_request", 422), status_code=422)
        body = error_body(str(error.detail), "http_error", error.status_code)
        return SafeJson(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        logger.exception("unexpected error at %s", request.url.path, exc_info=error)
        body = error_body("internal error; see the server's log", "internal_error", 500)
        return SafeJson(body, status_code=500)
