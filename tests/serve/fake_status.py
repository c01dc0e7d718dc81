"""States of a Serve application, one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def statuses(states: tuple[str, ...], message: str) -> Any:
    """For `serve.waiting._status`: these in turn, the last one for ever."""
    left = list(states)

    def status(name: str) -> Any:
        state = left.pop(0) if len(left) > 1 else left[0]
        parts = {"d": SimpleNamespace(message=message)}
        return SimpleNamespace(status=state, deployments=parts, message="")

    return status
