"""The language model deployment: one vLLM engine per replica, adapters by name.

The deployed class is a thin shell. It is importable without vLLM, so that the driver, the Serve
controller and the ingress never import it; the replica imports it in its constructor. The shell
takes plain dictionaries and gives plain dictionaries, with an HTTP status, so that no vLLM type
crosses a process and no exception's stack trace reaches a client.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

from defects.errors import DesignLoopError, ModelError
from serve.config import ServeConfig
from serve.constraints import ConstraintTable
from serve.engine_process import begin_imports
from serve.loopback import keep_replica_on_loopback
from serve.refusals import refusal_of
from serve.replies import Reply, error_reply
from serve.seeds import join_answers, split_by_prompt

logger = logging.getLogger(__name__)


class LLMDeployment:
    """Serve deployment around Ray's LLM server (see `serve.ray_llm`).

    Parameters
    ----------
    config : dict
        A dumped `ServeConfig`.
    device : {"cpu", "gpu"}
    """

    async def __init__(self, config: dict[str, Any], device: str) -> None:
        keep_replica_on_loopback()
        self.config = ServeConfig.model_validate(config)
        self.constraints = ConstraintTable(self.config.host_files)
        if device == "cpu":
            begin_imports()
        self.ray_llm = await asyncio.to_thread(_import_ray_llm)
        self.server = await self.ray_llm.start_server(self.config, device)

    async def generate(self, kind: Literal["completions", "chat"], body: dict[str, Any]) -> Reply:
        """Answer one request as a whole.

        Parameters
        ----------
        kind : {"completions", "chat"}
        body : dict
            A checked OpenAI request, with a `constraint` besides. The ingress routes it with the
            model id as Serve's multiplexed model id when it names an adapter.
        """
        bodies = split_by_prompt(body)
        if len(bodies) > 1:
            # Each needs an id of its own: vLLM would take them for one request.
            bodies = [{**part, "request_id": uuid.uuid4().hex} for part in bodies]
        replies = await asyncio.gather(*(self._answer(kind, part) for part in bodies))
        refused = next((reply for reply in replies if reply["status"] != 200), None)
        if refused is not None:
            return refused
        joined = join_answers([reply["body"] for reply in replies], body.get("n", 1))
        return {"status": 200, "body": joined}

    async def stream(
        self, kind: Literal["completions", "chat"], body: dict[str, Any]
    ) -> AsyncIterator[Reply | str]:
        """Answer one request piece by piece: server-sent events as text, or one refusal."""
        try:
            async for item in await self._start(kind, body):
                if isinstance(item, list):  # Ray batches what comes within some milliseconds
                    yield "".join(item)
                else:
                    yield self._reply(item)
        except (DesignLoopError, ValueError) as error:
            yield self._refusal(error)

    async def check_health(self) -> None:
        await self.server.check_health()

    async def ready(self) -> bool:
        """Answers once the engine is up."""
        return True

    async def _answer(self, kind: str, body: dict[str, Any]) -> Reply:
        try:
            async for item in await self._start(kind, body):
                return self._reply(item)
        except (DesignLoopError, ValueError) as error:
            return self._refusal(error)
        return error_reply("the engine gave no answer", "internal_error", 500)

    async def _start(self, kind: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        if kind == "chat":
            return await self.server.chat(self.ray_llm.ChatCompletionRequest(**body))
        constraint = body.get("constraint")
        if constraint is not None:
            grammar = await asyncio.to_thread(self.constraints.grammar, constraint)
            body = {k: v for k, v in body.items() if k != "constraint"}
            body["structured_outputs"] = {"grammar": grammar}
        return await self.server.completions(self.ray_llm.CompletionRequest(**body))

    def _reply(self, item: Any) -> Reply:
        if isinstance(item, self.ray_llm.ErrorResponse):
            error = item.error
            return error_reply(error.message, error.type, _status(int(error.code)))
        return {"status": 200, "body": item.model_dump(mode="json", exclude_none=True)}

    def _refusal(self, error: Exception) -> Reply:
        if isinstance(error, ModelError):
            status, kind, message = refusal_of(error)
            return error_reply(message, kind, status)
        if isinstance(error, DesignLoopError):
            return error_reply(str(error), "invalid_constraint", 422)
        # vLLM refuses a request (too long, bad adapter) with a ValueError; its text is for users.
        logger.warning("request refused by the engine: %s", error)
        return error_reply(str(error).splitlines()[0], "invalid_request", 422)


def _status(code: int) -> int:
    """The status of an answer that the engine refused: what it calls a 400 is a 422 everywhere."""
    return 422 if code == 400 else code


def _import_ray_llm() -> Any:
    try:
        from serve import ray_llm
    except ImportError as error:
        raise ModelError(
            f"vLLM cannot be imported ({error}); install the extra 'cpu' or 'gpu' of design-loop"
        ) from error
    return ray_llm
