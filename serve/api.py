"""The HTTP API as a FastAPI application over a small backend protocol.

It knows HTTP, limits and names; it knows neither Ray nor vLLM, so that tests drive it in process
with a fake backend. `serve.ingress` runs it in Ray Serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from defects.errors import ModelError
from serve.adapters import AdapterStore, split_model_id
from serve.auth import RULES, Auth
from serve.config import LOOPBACK, ServeConfig
from serve.design import Learnt
from serve.errors import ApiError, add_error_handlers
from serve.extensions import Extension
from serve.keys import KeyFile
from serve.limits import BodyLimit
from serve.metrics import Metrics, MetricsMiddleware
from serve.openapi import describe
from serve.origin import SameOrigin
from serve.public import public_manifest
from serve.rate import RateLimit
from serve.refusals import refusal_of
from serve.replies import Reply
from serve.routes_completions import add_completions
from serve.routes_design import add_design
from serve.routes_operations import add_operations
from serve.schemas import Health, ModelCard, ModelList
from serve.sessions import Sessions


class Backend(Protocol):
    """What answers behind the API: Ray Serve deployments, or a fake in tests."""

    async def generate(self, kind: str, body: dict[str, Any], adapter: str | None) -> Reply: ...

    def stream(
        self, kind: str, body: dict[str, Any], adapter: str | None
    ) -> AsyncIterator[Reply | str]: ...

    async def predict(self, configurations: list[dict[str, Any]]) -> Reply: ...

    async def surrogate(self) -> dict[str, Any]:
        """``{"version", "properties", "error"}`` of the surrogate; version None without one."""
        ...

    async def health(self) -> Health: ...


def build_api(
    config: ServeConfig, backend: Backend, extensions: Sequence[Extension] = ()
) -> FastAPI:
    """The application.

    Parameters
    ----------
    config : ServeConfig
        Names, roots, keys and limits.
    backend : Backend
        Who answers.
    extensions : sequence of Extension
        Whose routes are added.
    """
    app = FastAPI(title="design-loop", version="1", docs_url=None, redoc_url=None)
    app.state.sessions = None
    metrics = Metrics()
    # The last added is the outermost. There is no CORS layer: pages of other origins get nothing.
    app.add_middleware(BodyLimit, max_bytes=config.limits.max_body_bytes)
    rules = [*(rule for each in extensions for rule in each.scopes), *RULES]
    if config.keys is not None:
        rate = RateLimit(config.limits.requests_per_minute)
        keys = KeyFile(config.keys)
        app.state.sessions = Sessions(keys)
        pages = [path for each in extensions if (path := getattr(each, "pages", None))]
        app.add_middleware(
            Auth, keys=keys, rate=rate, rules=rules, sessions=app.state.sessions, pages=pages
        )
    app.add_middleware(SameOrigin, hosts=config.allowed_hosts)
    if config.host in LOOPBACK:
        # A browser page that resolves its own name to 127.0.0.1 is turned away.
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]", *config.allowed_hosts]
        )
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    add_error_handlers(app)
    store = AdapterStore(config.adapter_roots)

    async def adapter_of(model: str) -> str | None:
        if config.base_model is None:
            raise ApiError(503, "llm_unavailable", "no language model is served here")
        try:
            name = split_model_id(model, config.base_id)
            if name is not None:
                await asyncio.to_thread(store.get, name)
        except ModelError as error:
            raise _refused(error) from error
        return name

    add_operations(app, backend, metrics)
    add_completions(app, config, backend, adapter_of)

    async def learnt_by(name: str) -> Learnt:
        try:
            adapter = await asyncio.to_thread(store.get, name)
            keys = await asyncio.to_thread(store.training_keys, adapter)
            return Learnt(keys, store.own_properties(adapter))
        except ModelError as error:
            raise _refused(error) from error

    add_design(app, config, backend, adapter_of, learnt_by, metrics)

    @app.get("/v1/models")
    async def models() -> ModelList:
        """The base model and every finished adapter with its manifest, less paths."""
        return ModelList(data=await asyncio.to_thread(_cards, config, store))

    for extension in extensions:
        extension.add_routes(app)
    describe(app, None if config.keys is None else rules)
    return app


def _refused(error: ModelError) -> ApiError:
    status, kind, message = refusal_of(error)
    return ApiError(status, kind, message)


def _cards(config: ServeConfig, store: AdapterStore) -> list[ModelCard]:
    if config.base_model is None:
        return []
    base = ModelCard(id=config.base_id, root=config.base_id)
    adapters = [
        ModelCard(
            id=f"{config.base_id}:{adapter.name}",
            root=adapter.name,
            parent=config.base_id,
            manifest=public_manifest(adapter.manifest),
        )
        for adapter in store
    ]
    return [base, *adapters]
