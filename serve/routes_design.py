"""The domain's own routes: design and predict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import Response

from defects.errors import DesignLoopError
from serve.config import ServeConfig
from serve.design import NOTHING, Learnt, design
from serve.design_schemas import DesignBody, DesignReply
from serve.errors import ApiError
from serve.hosts import HostTable
from serve.metrics import Metrics
from serve.openapi import errors
from serve.replies import to_response
from serve.routes_completions import AdapterOf
from serve.schemas import PredictBody, PredictReply
from serve.structures import read_structure

if TYPE_CHECKING:
    from serve.api import Backend

LearntBy = Callable[[str], Awaitable[Learnt]]
"""What the adapter of a name was trained on, and for; raises `ApiError`."""


def add_design(
    app: FastAPI,
    config: ServeConfig,
    backend: Backend,
    adapter_of: AdapterOf,
    learnt_by: LearntBy,
    metrics: Metrics,
) -> None:
    """Add the routes."""
    hosts = HostTable(config.host_files)
    limits = config.limits

    @app.post("/v1/design", response_model=DesignReply, responses=errors(404, 409))
    async def design_route(body: DesignBody) -> Response:
        """Candidates for targets: sampled, checked, predicted and ranked."""
        if body.number_of_samples > limits.max_samples:
            raise ApiError(
                422,
                "too_many_samples",
                f"{body.number_of_samples} samples: at most {limits.max_samples} per request",
            )
        adapter = await adapter_of(body.model)
        learnt = NOTHING if adapter is None else await learnt_by(adapter)
        reply = await design(body, adapter, backend, hosts, learnt, limits.max_request_tokens)
        if reply["status"] == 200:
            metrics.count_design(len(reply["body"]["candidates"]), reply["body"]["drops"])
        return to_response(reply)

    def read(body: PredictBody) -> list[dict[str, Any]]:
        host = hosts.get(body.host, list(body.supercell or ()))
        found = []
        for index, structure in enumerate(body.structures or ()):
            try:
                found.append(read_structure(structure, host).to_dict())
            except DesignLoopError as error:
                raise ApiError(
                    422, "invalid_structure", f"structure {index}: {error}"[:500]
                ) from error
        return found

    @app.post("/v1/predict", response_model=PredictReply, response_model_exclude_none=True)
    async def predict(body: PredictBody) -> Response:
        """Properties with spreads, of configurations or of structures."""
        if body.number > limits.max_configurations:
            raise ApiError(
                422,
                "too_many_configurations",
                f"at most {limits.max_configurations} configurations per request",
            )
        if body.configurations is not None:
            return to_response(await backend.predict(body.configurations))
        try:
            configurations = await asyncio.to_thread(read, body)
        except DesignLoopError as error:
            raise ApiError(422, "invalid_structure", str(error)) from error
        reply = await backend.predict(configurations)
        if reply["status"] == 200:
            reply = {**reply, "body": {**reply["body"], "configurations": configurations}}
        return to_response(reply)
