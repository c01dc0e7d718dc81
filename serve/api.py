"""The HTTP API as a FastAPI application over a small backend protocol.

It knows HTTP, limits and names; it knows neither Ray nor vLLM, so that tests drive it in process
with a fake backend. `serve.ingress` runs it in Ray Serve.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from defects.errors import HostError, RuleError
from serve.adapters import AdapterNameError, AdapterNotFoundError, AdapterStore, split_model_id
from serve.config import LOOPBACK, ServeConfig
from serve.constraints import ConstraintTable
from serve.limits import BodyLimit
from serve.replies import Reply, error_body
from serve.schemas import (
    ChatBody,
    CompletionBody,
    Health,
    ModelCard,
    ModelList,
    PredictBody,
    PredictReply,
    Sampling,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2


class Backend(Protocol):
    """What answers behind the API: Ray Serve deployments, or a fake in tests."""

    async def generate(self, kind: str, body: dict[str, Any], adapter: str | None) -> Reply: ...

    def stream(
        self, kind: str, body: dict[str, Any], adapter: str | None
    ) -> AsyncIterator[Reply | str]: ...

    async def predict(self, configurations: list[dict[str, Any]]) -> Reply: ...

    async def health(self) -> Health: ...


class ApiError(Exception):
    """An error that goes to the client as it is."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def build_api(config: ServeConfig, backend: Backend) -> FastAPI:
    """The application.

    Parameters
    ----------
    config : ServeConfig
        Names, roots and limits.
    backend : Backend
        Who answers.
    """
    app = FastAPI(title="design-loop", version="1", docs_url=None, redoc_url=None)
    # Loopback only, so a browser page that resolves its own name to 127.0.0.1 is turned away.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    app.add_middleware(BodyLimit, max_bytes=config.limits.max_body_bytes)
    _add_error_handlers(app)
    store = AdapterStore(config.adapter_roots)
    constraints = ConstraintTable(config.host_files)

    async def adapter_of(body: Sampling) -> str | None:
        if config.base_model is None:
            raise ApiError(503, "llm_unavailable", "no language model is served here")
        try:
            name = split_model_id(body.model, config.base_id)
            if name is not None:
                await asyncio.to_thread(store.get, name)
        except AdapterNameError as error:
            raise ApiError(400, "invalid_model_name", str(error)) from error
        except AdapterNotFoundError as error:
            raise ApiError(404, "model_not_found", str(error)) from error
        return name

    async def answer(kind: str, body: Sampling) -> Response:
        adapter = await adapter_of(body)
        content = body.model_dump(mode="json", exclude_none=True)
        if not body.stream:
            return _json(await backend.generate(kind, content, adapter))
        events = backend.stream(kind, content, adapter)
        first = await anext(events, None)
        if not isinstance(first, str):
            return _json(first or {"status": 500, "body": error_body("", "internal_error", 500)})
        return StreamingResponse(_chain(first, events), media_type="text/event-stream")

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        health = await backend.health()
        status = 200 if health.status == "ok" else 503
        return JSONResponse(health.model_dump(), status_code=status)

    @app.get("/v1/models")
    async def models() -> ModelList:
        return ModelList(data=await asyncio.to_thread(_cards, config, store))

    @app.post("/v1/completions")
    async def completions(body: CompletionBody) -> Response:
        limits, count = config.limits, len(body.prompts)
        if count > limits.max_prompts or count * body.n > limits.max_samples:
            raise ApiError(
                422,
                "too_many_samples",
                f"{count} prompts with n={body.n}: at most {limits.max_prompts} prompts and "
                f"{limits.max_samples} samples per request",
            )
        for constraint in body.constraints:
            try:
                await asyncio.to_thread(constraints.check, constraint)
            except (HostError, RuleError) as error:
                raise ApiError(422, "invalid_constraint", str(error)) from error
        return await answer("completions", body)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatBody) -> Response:
        return await answer("chat", body)

    @app.post("/v1/predict", response_model=PredictReply)
    async def predict(body: PredictBody) -> Response:
        if len(body.configurations) > config.limits.max_configurations:
            raise ApiError(
                422,
                "too_many_configurations",
                f"at most {config.limits.max_configurations} configurations per request",
            )
        return _json(await backend.predict(body.configurations))

    return app


def _cards(config: ServeConfig, store: AdapterStore) -> list[ModelCard]:
    if config.base_model is None:
        return []
    base = ModelCard(id=config.base_id, root=config.base_id)
    adapters = [
        ModelCard(
            id=f"{config.base_id}:{adapter.name}",
            root=adapter.name,
            parent=config.base_id,
            manifest=adapter.manifest,
        )
        for adapter in store
    ]
    return [base, *adapters]


async def _chain(first: str, rest: AsyncIterator[Reply | str]) -> AsyncIterator[str]:
    yield first
    async for item in rest:
        if isinstance(item, str):
            yield item


def _json(reply: Reply) -> JSONResponse:
    status = reply["status"]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return JSONResponse(reply["body"], status_code=status, headers=headers)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return _json(
            {"status": error.status, "body": error_body(str(error), error.kind, error.status)}
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Not the input itself: it may be megabytes, and need not be encodable.
        problems = [
            f"{'.'.join(str(part) for part in e['loc'])[:200]}: {e['msg'][:300]}"
            for e in error.errors()[:5]
        ]
        body = error_body("; ".join(problems), "invalid_request", 422)
        return JSONResponse(body, status_code=422)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        body = error_body(str(error.detail), "http_error", error.status_code)
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        logger.exception("unexpected error at %s", request.url.path, exc_info=error)
        body = error_body("internal error; see the server's log", "internal_error", 500)
        return JSONResponse(body, status_code=500)
