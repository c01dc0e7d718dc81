"""What a client is told where the adapter that it asked for cannot be had."""

from __future__ import annotations

import logging

from defects.errors import ModelError
from serve.adapters import (
    AdapterDamagedError,
    AdapterNameError,
    AdapterNotFoundError,
    WrongBaseError,
)

logger = logging.getLogger(__name__)

_REFUSALS: dict[type[ModelError], tuple[int, str]] = {
    AdapterNameError: (422, "invalid_model_name"),
    AdapterNotFoundError: (404, "model_not_found"),
    AdapterDamagedError: (409, "model_damaged"),
    WrongBaseError: (409, "wrong_base"),
}


def refusal_of(error: ModelError) -> tuple[int, str, str]:
    """Status, type and message for the client; whatever is the server's own trouble is a 503."""
    if type(error) in _REFUSALS:
        return *_REFUSALS[type(error)], str(error)
    logger.error("an adapter cannot be had: %s", error)
    return 503, "unavailable", "the adapters cannot be read; try again"
