"""The one HTTP ingress, as a Ray Serve deployment.

Ray's own `OpenAiIngress` was left aside: importing it imports vLLM (20 s, 1 GiB) into a process
that only forwards JSON, its app allows CORS from everywhere, its error bodies carry internal
exception texts, it lists no local adapters, and it takes any vLLM request field from a client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve as ray_serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from serve.api import build_api
from serve.config import ServeConfig
from serve.extensions import Extension
from serve.loopback import keep_replica_on_loopback
from serve.names import DEPLOYMENT, AppNames
from serve.replies import Reply, error_reply
from serve.schemas import Health

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 5.0


class HandleBackend:
    """`serve.api.Backend` over the handles of the two other applications."""

    def __init__(self, config: ServeConfig, apps: AppNames) -> None:
        self._llm: Any = None
        if config.base_model is not None:
            self._llm = ray_serve.get_deployment_handle(DEPLOYMENT, apps.llm)
        # Each handle holds a connection to the controller; there are as many as adapters.
        self._handles: dict[tuple[str | None, bool], Any] = {}
        self._surrogate = ray_serve.get_deployment_handle(DEPLOYMENT, apps.surrogate)

    async def generate(self, kind: str, body: dict[str, Any], adapter: str | None) -> Reply:
        try:
            return await self._engine(body, adapter, stream=False).generate.remote(kind, body)
        except (RayError, RayServeException) as error:
            return _unavailable("the language model", error)

    async def stream(
        self, kind: str, body: dict[str, Any], adapter: str | None
    ) -> AsyncIterator[Reply | str]:
        try:
            async for item in self._engine(body, adapter, stream=True).stream.remote(kind, body):
                yield item
        except (RayError, RayServeException) as error:
            yield _unavailable("the language model", error)

    def _engine(self, body: dict[str, Any], adapter: str | None, *, stream: bool) -> Any:
        key = (adapter, stream)
        if key not in self._handles:
            handle = self._llm.options(stream=True) if stream else self._llm
            if adapter is not None:
                # Serve prefers a replica that has the adapter already.
                handle = handle.options(multiplexed_model_id=body["model"])
            self._handles[key] = handle
        return self._handles[key]

    async def predict(self, configurations: list[dict[str, Any]]) -> Reply:
        try:
            return await self._surrogate.predict.remote(configurations)
        except (RayError, RayServeException) as error:
            return _unavailable("the surrogate", error)

    async def surrogate(self) -> dict[str, Any]:
        try:
            status = await asyncio.wait_for(
                _result(self._surrogate.status.remote()), HEALTH_TIMEOUT_S
            )
        except (RayError, RayServeException, TimeoutError) as error:
            logger.error("the surrogate gives no status: %s", error)
            return {"version": None, "properties": [], "error": "it does not answer"}
        # The folder and why it cannot be loaded are for those who run the server.
        error = "it could not be loaded" if status["error"] else None
        return {"version": status["version"], "properties": status["properties"], "error": error}

    async def health(self) -> Health:
        llm, (surrogate, version) = await asyncio.gather(
            self._llm_health(), self._surrogate_health()
        )
        fine = {"ok", "absent"}
        status = "ok" if llm in fine and surrogate in fine else "degraded"
        return Health(status=status, llm=llm, surrogate=surrogate, surrogate_version=version)

    async def _llm_health(self) -> str:
        if self._llm is None:
            return "absent"
        try:
            await asyncio.wait_for(_result(self._llm.ready.remote()), HEALTH_TIMEOUT_S)
        except (RayError, RayServeException, TimeoutError) as error:
            return f"unavailable ({type(error).__name__})"
        return "ok"

    async def _surrogate_health(self) -> tuple[str, str | None]:
        try:
            status = await asyncio.wait_for(
                _result(self._surrogate.status.remote()), HEALTH_TIMEOUT_S
            )
        except (RayError, RayServeException, TimeoutError) as error:
            return f"unavailable ({type(error).__name__})", None
        if status["error"]:
            # Everybody may ask for the health; the reason stands in the log.
            return "not loaded", status["version"]
        return ("ok" if status["version"] else "absent"), status["version"]


async def _result(response: Any) -> Any:
    return await response


def _unavailable(what: str, error: Exception) -> Reply:
    cause = getattr(error, "cause", None)
    if isinstance(error, BackPressureError) or isinstance(cause, BackPressureError):
        return error_reply(f"{what} is busy; try again", "overloaded", 503)
    # Ray's texts hold stack traces of other processes: into the log, not to the client.
    logger.error("%s failed: %s", what, error)
    return error_reply(f"{what} is not available; try again", "unavailable", 503)


@ray_serve.ingress()
class Ingress:
    """Serve deployment that answers HTTP.

    Parameters
    ----------
    config : dict
        A dumped `ServeConfig`.
    apps : AppNames
        The applications that answer.
    extensions : sequence of Extension
        Whose routes are added.
    """

    def __init__(
        self, config: dict[str, Any], apps: AppNames, extensions: Sequence[Extension] = ()
    ) -> None:
        keep_replica_on_loopback()
        self.config = ServeConfig.model_validate(config)
        self.apps = apps
        self.extensions = tuple(extensions)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        return build_api(self.config, HandleBackend(self.config, self.apps), self.extensions)
