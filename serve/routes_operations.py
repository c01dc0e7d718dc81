"""Routes for those who run the server: health, metrics, documentation."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from serve.metrics import CONTENT_TYPE, Metrics
from serve.openapi import errors
from serve.replies import to_response
from serve.schemas import Health

if TYPE_CHECKING:
    from serve.api import Backend


def add_operations(app: FastAPI, backend: Backend, metrics: Metrics) -> None:
    """Add the routes."""

    unwell = {503: {**errors(503)[503], "model": Health}}

    @app.get("/healthz", response_model=Health, responses=unwell)
    async def healthz() -> Response:
        """Whether the parts answer: 200, or 503 with what is wrong. Needs no key."""
        health = await backend.health()
        status = 200 if health.status == "ok" else 503
        return to_response({"status": status, "body": health.model_dump()})

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        page = documentation(app.openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'"})


def documentation(schema: dict[str, Any]) -> str:
    """A plain page of the routes. No script: the usual one comes from another server, and would
    run beside the reader's key."""
    rows = []
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = str(body.get("schema", {}).get("$ref", "")).rpartition("/")[2]
            fields = schema.get("components", {}).get("schemas", {}).get(name, {})
            rows.append(f"<h2>{method.upper()} {html.escape(path)}</h2>")
            rows.append(f"<p>{html.escape(route.get('description', route['summary']))}</p>")
            items = fields.get("properties", {}).items()
            required = fields.get("required", ())
            rows += [
                f"<li><b>{html.escape(field)}</b>{' (required)' if field in required else ''} "
                f"{html.escape(facts.get('description', ''))}</li>"
                for field, facts in items
            ]
    return (
        "<!doctype html><title>design-loop</title><h1>design-loop, version 1</h1>"
        "<p>The machine-readable description is at /openapi.json.</p>" + "\n".join(rows)
    )
