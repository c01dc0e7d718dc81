"""What /openapi.json says besides the routes: their errors, and the key that they ask for.

Most errors come from the layers around the routes (keys, limits, Ray Serve), so they are described
here, once for all routes. A route names by itself, with `errors`, what only it can answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from serve.auth import OPEN, scope_of
from serve.extensions import ScopeRule

SCHEME = "key"
"""Name of the way to show a key."""

ERRORS = {
    400: "a Host that is not this server's",
    401: "no valid key",
    403: "a key without the scope, a page of another origin, or a server that starts no campaigns",
    404: "there is no such model or campaign",
    408: "it took longer than the server lets a request take",
    409: "an adapter that was altered or is of another base, or a campaign in the wrong state",
    413: "the body, or what is to be downloaded, is too large",
    422: "the request does not fit, and the message names the field; or the engine refuses it",
    429: "too many requests of this key, or too many campaigns at work",
    500: "a bug; what it was stands in the server's log",
    503: "a queue is full, or a part is not up",
}
"""By status. Some routes can answer only one of the reasons."""

#: Answered by Ray Serve or the web framework: a line of text. A full ingress is 503, too.
_TEXT = frozenset({400, 408})
_ALSO_TEXT = frozenset({503})
_COUNT = {"type": "integer", "minimum": 0}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "s", "required": True, "schema": _COUNT}},
    503: {"Retry-After": {"description": "s", "required": True, "schema": _COUNT}},
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, as `design-loop keys create` shows it. Each route names the scope "
    "that the key needs.",
}


class ErrorFacts(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(description="a word for programs, such as model_not_found")
    code: int = Field(description="the HTTP status")


class Error(BaseModel):
    """Every error of a route."""

    error: ErrorFacts


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these errors, besides those of all routes."""
    return {status: {**_answer(status), "model": Error} for status in statuses}


def describe(app: FastAPI, rules: Sequence[ScopeRule] | None) -> None:
    """Complete an application's description, when it is first asked for.

    Parameters
    ----------
    app : FastAPI
    rules : sequence of ScopeRule, optional
        Which scope a request needs; None where no keys are asked for.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(plain(), rules)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: dict[str, Any], rules: Sequence[ScopeRule] | None) -> dict[str, Any]:
    parts = schema["components"]
    for path, methods in schema["paths"].items():
        keyed = rules is not None and path not in OPEN
        for method, operation in methods.items():
            described = operation["responses"]
            for status in _common(method, keyed=keyed, checked="422" in described):
                if status == 422:
                    del described["422"]  # FastAPI's own form, which is not ours
                described.setdefault(str(status), _with_form(status))
            operation["responses"] = dict(sorted(described.items()))
            if keyed:
                operation["security"] = [{SCHEME: [scope_of(method.upper(), path, rules or ())]}]
    for name in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(name, None)
    if rules is not None:
        parts["securitySchemes"] = {SCHEME: _KEY}
    return schema


def _common(method: str, *, keyed: bool, checked: bool) -> set[int]:
    """What may become of any request of a method, whatever its route does."""
    found = {400, 408, 500, 503}
    if method != "get":
        found |= {403, 413}
    if keyed:
        found |= {401, 403, 429}
    return found | {422} if checked else found


def _answer(status: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"description": ERRORS[status]}
    if status in _HEADERS:
        facts["headers"] = _HEADERS[status]
    if status in _TEXT | _ALSO_TEXT:
        facts["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return facts


def _with_form(status: int) -> dict[str, Any]:
    facts = _answer(status)
    if status in _TEXT:
        return facts
    form = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Error.__name__}"}}}
    return {**facts, "content": {**form, **facts.get("content", {})}}
