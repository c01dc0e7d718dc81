"""The OpenAI-compatible routes: completions and chat completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from defects.errors import HostError, RuleError
from serve.config import ServeConfig
from serve.constraints import ConstraintTable
from serve.errors import ApiError
from serve.openai_schemas import ChatReply, CompletionReply
from serve.openapi import errors
from serve.public import without_paths
from serve.replies import Reply, error_reply, to_response
from serve.schemas import ChatBody, CompletionBody, Sampling

if TYPE_CHECKING:
    from serve.api import Backend

EVENTS = {"text/event-stream": {"example": 'data: {"choices": [...]}\n\ndata: [DONE]\n\n'}}
"""An answer with ``stream``. No schema: each event would be held to it, and the last is no JSON."""

AdapterOf = Callable[[str], Awaitable[str | None]]
"""Adapter that a model id names, None for the base model; raises `ApiError`."""


def add_completions(
    app: FastAPI, config: ServeConfig, backend: Backend, adapter_of: AdapterOf
) -> None:
    """Add the routes."""
    constraints = ConstraintTable(config.host_files)
    limits = config.limits

    async def answer(kind: str, body: Sampling) -> Response:
        adapter = await adapter_of(body.model)
        content = body.model_dump(mode="json", exclude_none=True)
        if not body.stream:
            return to_response(await backend.generate(kind, content, adapter))
        events = backend.stream(kind, content, adapter)
        first = await anext(events, None)
        if not isinstance(first, str):
            return to_response(first or error_reply("no answer", "internal_error", 500))
        return StreamingResponse(_chain(first, events), media_type="text/event-stream")

    @app.post(
        "/v1/completions",
        responses={200: {"model": CompletionReply, "content": EVENTS}, **errors(404, 409)},
    )
    async def completions(body: CompletionBody) -> Response:
        """Sample texts; OpenAI's route, with `constraint` besides."""
        count = len(body.prompts)
        if count > limits.max_prompts or count * body.n > limits.max_samples:
            raise ApiError(
                422,
                "too_many_samples",
                f"{count} prompts with n={body.n}: at most {limits.max_prompts} prompts and "
                f"{limits.max_samples} samples per request",
            )
        _check_tokens(count * body.n * body.max_tokens, limits.max_request_tokens)
        if body.stream and body.constraint is not None:
            raise ApiError(422, "invalid_constraint", "constrained answers are not streamed")
        for constraint in body.constraints:
            try:
                await asyncio.to_thread(constraints.check, constraint)
            except (HostError, RuleError) as error:
                raise ApiError(422, "invalid_constraint", str(error)) from error
        return await answer("completions", body)

    @app.post(
        "/v1/chat/completions",
        responses={200: {"model": ChatReply, "content": EVENTS}, **errors(404, 409)},
    )
    async def chat(body: ChatBody) -> Response:
        """Sample texts from a conversation; OpenAI's route."""
        if body.n > limits.max_samples:
            raise ApiError(422, "too_many_samples", f"at most n={limits.max_samples}")
        _check_tokens(body.n * body.max_tokens, limits.max_request_tokens)
        return await answer("chat", body)


def _check_tokens(asked: int, most: int) -> None:
    if asked > most:
        raise ApiError(
            422,
            "too_many_tokens",
            f"prompts x n x max_tokens is {asked}, at most {most} per request",
        )


async def _chain(first: str, rest: AsyncIterator[Reply | str]) -> AsyncIterator[str]:
    yield _shown(first)
    async for item in rest:
        if isinstance(item, str):
            yield _shown(item)


def _shown(events: str) -> str:
    """Server-sent events as clients get them: an error in the middle may be a library's own."""
    return "\n\n".join(
        without_paths(event) if event.startswith('data: {"error"') else event
        for event in events.split("\n\n")
    )
