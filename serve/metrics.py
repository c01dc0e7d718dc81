"""Prometheus metrics of the HTTP server, at ``/metrics``.

Ray's own, and with ``engine.metrics`` those of vLLM, are in Ray's endpoint of each node.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)


class Metrics:
    """The metrics of one server process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "design_loop_requests", "HTTP requests", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "design_loop_request_seconds",
            "Time to the end of the answer",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "design_loop_requests_in_flight", "Requests being answered", registry=self.registry
        )
        self.samples = Counter(
            "design_loop_design_samples",
            "Samples of design requests by what became of them",
            ("outcome",),
            registry=self.registry,
        )

    def count_design(self, candidates: int, drops: Mapping[str, int]) -> None:
        """Add what became of the samples of a design."""
        self.samples.labels("candidate").inc(candidates)
        for reason, number in drops.items():
            self.samples.labels(reason).inc(number)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """ASGI middleware that counts and times requests, by route and not by what clients type."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        start = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, watched)
        finally:
            self.metrics.in_flight.dec()
            path = _route(scope)
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)


def _route(scope: Scope) -> str:
    """Path of the route that answers; all others have one name, lest a scanner makes thousands."""
    for route in scope["app"].routes:
        if route.matches(scope)[0] is not Match.NONE:
            return str(route.path)
    return "other"
