"""What completions and chat completions answer, as /openapi.json describes it.

Answers come from the engine as they are and are not checked against this: they may hold thousands
of texts. The engine leaves out what it has no value for, and may say more than is named here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Usage(_Part):
    """Tokens that were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Logprobs(_Part):
    """One entry per generated token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class _Choice(_Part):
    index: int
    """Sample i of prompt k has the index k * n + i."""
    finish_reason: str
    """`stop` where the model ended the text, `length` where `max_tokens` cut it."""
    stop_reason: int | str | None = None
    """Of `stop`, the text or the token that ended it; absent for the end-of-text token."""
    token_ids: list[int] | None = None
    """With `return_token_ids`."""


class CompletionChoice(_Choice):
    """One sample of a prompt."""

    text: str
    logprobs: Logprobs | None = None
    prompt_token_ids: list[int] | None = None
    """With `return_token_ids`."""


class CompletionReply(_Part):
    """Answer of POST /v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class ChatAnswer(_Part):
    """What the model says."""

    role: str
    content: str | None = None


class ChatChoice(_Choice):
    """One sample of a conversation's next message."""

    message: ChatAnswer


class ChatReply(_Part):
    """Answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    prompt_token_ids: list[int] | None = None
    """With `return_token_ids`."""
