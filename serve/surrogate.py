"""The surrogate deployment: batched predictions, swapped to a new version under load.

Ray hands every replica the folder to use through `reconfigure` (Serve's `user_config`), at start
and again at each swap. A new surrogate is loaded beside the old one and takes its place between
two batches, so no request is dropped and every answer comes from one version, which it names. A
folder that cannot be loaded leaves the old version in service and is reported by `status`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import serve as ray_serve

from defects.configuration import Configuration
from defects.errors import DesignLoopError
from serve.hosts import HostTable
from serve.loopback import keep_replica_on_loopback
from serve.replies import Reply, error_reply

logger = logging.getLogger(__name__)

MAX_BATCH_REQUESTS = 64
BATCH_WAIT_S = 0.005


class Predictions(Protocol):
    """Mean and spread per configuration and property, arrays of shape (n, p); `ood` (n,) bool."""

    mean: Any
    std: Any
    properties: Sequence[str]
    ood: Any


class Surrogate(Protocol):
    """What is served: see `defects.surrogates`."""

    version: str
    properties: Sequence[str]

    def predict(self, configurations: list[Configuration]) -> Predictions: ...


def load_surrogate(folder: str) -> Surrogate:
    """Load a fitted surrogate folder (imports the library it was fitted with)."""
    from defects.surrogates import load_surrogate as load

    return load(folder)


class SurrogateDeployment:
    """Serve deployment of one surrogate.

    Parameters
    ----------
    host_files : list of str
        CIF files of hosts that are not built in; clients name hosts, never files.
    load : callable, optional
        Folder to surrogate; replaced in tests.
    """

    def __init__(
        self, host_files: list[str], load: Callable[[str], Surrogate] = load_surrogate
    ) -> None:
        keep_replica_on_loopback()
        self._hosts = HostTable(Path(file) for file in host_files)
        self._load = load
        self._surrogate: Surrogate | None = None
        self._folder: str | None = None
        self._error: str | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take the surrogate in `user_config["folder"]` into service (None: keep what there is)."""
        folder = user_config.get("folder")
        if folder is None:
            return
        try:
            surrogate = await asyncio.to_thread(self._load, folder)
        except (DesignLoopError, OSError, ValueError) as error:
            # Raising here would take the replica, and the version that works, out of service.
            logger.error("surrogate %s was not taken into service: %s", folder, error)
            self._error, self._folder = f"{type(error).__name__}: {error}", folder
            return
        self._surrogate, self._folder, self._error = surrogate, folder, None
        logger.info("serving surrogate %s from %s", surrogate.version, folder)

    async def status(self) -> dict[str, Any]:
        """What is in service, the folder asked for last, and why that is not served (or None)."""
        return {
            "version": self._surrogate.version if self._surrogate else None,
            "properties": list(self._surrogate.properties) if self._surrogate else [],
            "folder": self._folder,
            "error": self._error,
        }

    async def predict(self, configurations: list[dict[str, Any]]) -> Reply:
        """Predict properties.

        Parameters
        ----------
        configurations : list of dict
            As `Configuration.to_dict` writes them.

        Returns
        -------
        Reply
            200 with ``{"version", "properties", "predictions": [{"mean", "std", "ood"}, ...]}``;
            422 names the configuration that is not one; 503 before the first surrogate is there.
        """
        parsed = []
        for index, item in enumerate(configurations):
            try:
                parsed.append(self._configuration(item))
            except DesignLoopError as error:
                message = f"configuration {index}: {error}"
                return error_reply(message, "invalid_configuration", 422)
        return await self._predict_batch(parsed)

    def _configuration(self, item: dict[str, Any]) -> Configuration:
        # The surrogate brings its host along, also one that is not built in.
        host = getattr(self._surrogate, "host", None)
        if host and (item["host"], item["supercell"]) == (host.name, list(host.supercell)):
            return Configuration.from_dict(item, host)
        return self._hosts.configuration(item)

    @ray_serve.batch(max_batch_size=MAX_BATCH_REQUESTS, batch_wait_timeout_s=BATCH_WAIT_S)
    async def _predict_batch(self, requests: list[list[Configuration]]) -> list[Reply]:
        if self._surrogate is None:
            reason = "it could not be loaded" if self._error else "no surrogate is served yet"
            return [error_reply(reason, "surrogate_unavailable", 503) for _ in requests]
        return await asyncio.to_thread(answer_batch, self._surrogate, requests)


def answer_batch(surrogate: Surrogate, requests: list[list[Configuration]]) -> list[Reply]:
    """Answer several requests with one call of the surrogate; one reply per request."""
    flat = [configuration for request in requests for configuration in request]
    try:
        predictions = surrogate.predict(flat)
    except (DesignLoopError, ValueError):
        # One request that this surrogate cannot take must not fail those batched with it.
        return [_reply_alone(surrogate, request) for request in requests]
    replies, start = [], 0
    for request in requests:
        stop = start + len(request)
        replies.append(_reply(surrogate, predictions, start, stop))
        start = stop
    return replies


def _reply_alone(surrogate: Surrogate, request: list[Configuration]) -> Reply:
    try:
        predictions = surrogate.predict(request)
    except (DesignLoopError, ValueError) as error:
        return error_reply(str(error).splitlines()[0], "invalid_configuration", 422)
    return _reply(surrogate, predictions, 0, len(request))


def _reply(surrogate: Surrogate, predictions: Predictions, start: int, stop: int) -> Reply:
    names = list(predictions.properties)
    rows = [
        {
            "mean": dict(zip(names, map(float, predictions.mean[i]), strict=True)),
            "std": dict(zip(names, map(float, predictions.std[i]), strict=True)),
            "ood": bool(predictions.ood[i]),
        }
        for i in range(start, stop)
    ]
    body = {"version": surrogate.version, "properties": names, "predictions": rows}
    return {"status": 200, "body": body}
