"""How the deployments answer the ingress: a status and a JSON body, never an exception."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

from serve.public import without_paths

RETRY_AFTER_S = 2

Reply = dict[str, Any]
"""``{"status": int, "body": dict}``: an HTTP status and the JSON body that goes with it."""


def error_body(message: str, kind: str, status: int) -> dict[str, Any]:
    """An error in OpenAI's JSON form. Every error passes here: paths stay on this side."""
    return {"error": {"message": without_paths(message), "type": kind, "code": status}}


def error_reply(message: str, kind: str, status: int) -> Reply:
    """A reply that carries an error."""
    return {"status": status, "body": error_body(message, kind, status)}


class SafeJson(JSONResponse):
    """JSON in ASCII: whatever a client sent and an error quotes can be encoded."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def to_response(reply: Reply) -> SafeJson:
    """A reply as an HTTP response; overload tells when to come back."""
    status = reply["status"]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return SafeJson(reply["body"], status_code=status, headers=headers)
