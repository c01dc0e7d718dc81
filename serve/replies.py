"""How the deployments answer the ingress: a status and a JSON body, never an exception."""

from __future__ import annotations

from typing import Any

Reply = dict[str, Any]
"""``{"status": int, "body": dict}``: an HTTP status and the JSON body that goes with it."""


def error_body(message: str, kind: str, status: int) -> dict[str, Any]:
    """An error in OpenAI's JSON form."""
    return {"error": {"message": message, "type": kind, "code": status}}


def error_reply(message: str, kind: str, status: int) -> Reply:
    """A reply that carries an error."""
    return {"status": status, "body": error_body(message, kind, status)}
