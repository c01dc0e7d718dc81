"""A small synchronous client of the HTTP API, as the campaign driver uses it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from defects.errors import ModelError
from serve.failures import UnavailableError

if TYPE_CHECKING:
    from defects.configuration import Configuration

RETRIED_STATUS = (429, 502, 503)
MAX_WAIT_S = 30.0
API_KEY = "DESIGN_LOOP_API_KEY"


@dataclass(frozen=True)
class Completion:
    """One sample.

    Attributes
    ----------
    text : str
    finish_reason : str
        "stop" when the model ended the text, "length" when `max_tokens` cut it.
    tokens : int
        Number of generated tokens, the end-of-text token included.
    logprob : float or None
        Sum of the log-probabilities of the generated tokens, when asked for.
    """

    text: str
    finish_reason: str
    tokens: int
    logprob: float | None = None


@dataclass(frozen=True)
class RemotePredictions:
    """Surrogate predictions, one row per configuration.

    Attributes
    ----------
    mean, std : list of dict
        Property name to value, in the property's unit.
    ood : list of bool
        Outside what the surrogate was fitted on: the spread does not hold there.
    properties : tuple of str
    version : str
        Content hash of the surrogate that answered.
    """

    mean: list[dict[str, float]]
    std: list[dict[str, float]]
    ood: list[bool]
    properties: tuple[str, ...]
    version: str


class ServeClient:
    """Client of one served address.

    A request that has no answer in time, or none after all tries, raises
    `serve.failures.UnavailableError`, a `ModelError`.

    Parameters
    ----------
    base_url : str
    timeout_s : float
        For one request.
    tries : int
        Attempts per request; overload (429, 503) and lost connections are tried again after 0.5,
        1, 2, ... at most 30 s, or what Retry-After says. Nine tries outlast an engine's restart.
    concurrency : int
        Completion requests in flight.
    api_key : str, optional
        By default that in the environment's DESIGN_LOOP_API_KEY, if any.
    transport : httpx.BaseTransport, optional
        For tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 900.0,
        tries: int = 9,
        concurrency: int = 8,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if tries < 1 or concurrency < 1:
            raise ValueError("tries and concurrency must be at least 1")
        self._tries, self._concurrency, self._sleep = tries, concurrency, sleep
        key = api_key or os.environ.get(API_KEY)
        # A proxy from the environment must not get between us and the address, mostly loopback.
        self._http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            transport=transport,
            trust_env=False,
        )

    def complete(
        self,
        prompts: Sequence[str],
        model: str,
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: list[str] | None = None,
        logprobs: bool = False,
        constraints: Sequence[dict[str, Any]] | None = None,
        prompts_per_request: int = 16,
        on_done: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """Sample `n` completions of every prompt.

        Parameters
        ----------
        prompts : sequence of str
        model : str
            "base" or "base:adapter-name".
        seed : int, optional
            Makes the samples repeatable: sample i of prompt k is drawn with ``seed + k * n + i``.
        logprobs : bool
            Also ask for the sum of log-probabilities.
        constraints : sequence of dict, optional
            One per prompt, from `serve.constraints.constraint_of`; answers then obey the rules.
        prompts_per_request : int
            Prompts sent together; several requests are in flight.
        on_done : callable, optional
            Told the number of prompts finished, each time some are.

        Returns
        -------
        list of list of Completion
            In the order of `prompts`, `n` each.

        Raises
        ------
        ModelError
            Unknown model, refused request, or no answer after all tries.
        """
        if not prompts:
            return []
        if constraints is not None and len(constraints) != len(prompts):
            raise ValueError("constraints must be one per prompt")
        chunks = [
            (start, list(prompts[start : start + prompts_per_request]))
            for start in range(0, len(prompts), prompts_per_request)
        ]

        def sample(start: int, chunk: list[str]) -> list[list[Completion]]:
            own_seed = None if seed is None else (seed + start * n) % 2**63
            body = _sampling(model, n, temperature, top_p, max_tokens, own_seed, stop)
            body["prompt"] = chunk
            if logprobs:
                body["logprobs"] = 0
            if constraints is not None:
                own = list(constraints[start : start + len(chunk)])
                body["constraint"] = own if any(c != own[0] for c in own) else own[0]
            return _samples(self._post("/v1/completions", body), len(chunk), n)

        results: list[list[list[Completion]]] = []
        with ThreadPoolExecutor(min(self._concurrency, len(chunks))) as pool:
            futures = [pool.submit(sample, *chunk) for chunk in chunks]
            try:
                for future in futures:
                    results.append(future.result())
                    if on_done is not None:
                        on_done(len(results[-1]))
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        return [samples for chunk in results for samples in chunk]

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        model: str,
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: list[str] | None = None,
    ) -> list[Completion]:
        """Sample `n` answers to a conversation.

        Parameters
        ----------
        messages : sequence of mapping
            ``{"role": "system", "user" or "assistant", "content": text}``, the oldest first.
        model : str
            "base" or "base:adapter-name"; its tokenizer has to have a chat template.
        seed : int, optional
            Makes the samples repeatable: sample i is drawn with ``seed + i``.

        Returns
        -------
        list of Completion

        Raises
        ------
        ModelError
            Unknown model, refused request, or no answer after all tries.
        """
        body = _sampling(model, n, temperature, top_p, max_tokens, seed, stop)
        body["messages"] = [dict(message) for message in messages]
        return _samples(self._post("/v1/chat/completions", body), 1, n)[0]

    def predict(
        self,
        configurations: Iterable[Configuration | dict[str, Any]],
        *,
        per_request: int = 512,
    ) -> RemotePredictions:
        """Predict properties of configurations.

        Raises
        ------
        ModelError
            A configuration was refused, or no answer after all tries.
        """
        plain = [c if isinstance(c, dict) else c.to_dict() for c in configurations]
        if not plain:
            raise ValueError("no configurations to predict")
        while True:
            replies = [
                self._post("/v1/predict", {"configurations": plain[start : start + per_request]})
                for start in range(0, len(plain), per_request)
            ]
            if len({reply["version"] for reply in replies}) == 1:
                break  # a swap in between would mix two versions: ask again
        rows = [row for reply in replies for row in reply["predictions"]]
        return RemotePredictions(
            [row["mean"] for row in rows],
            [row["std"] for row in rows],
            [row.get("ood", False) for row in rows],
            tuple(replies[0]["properties"]),
            replies[0]["version"],
        )

    def models(self) -> list[dict[str, Any]]:
        """The base model and every finished adapter with its manifest, less paths."""
        return self._request("GET", "/v1/models", None)["data"]

    def health(self) -> dict[str, Any]:
        """State of the parts, also when something is wrong."""
        return self._http.get("/healthz").json()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> ServeClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _post(
        self, path: str, body: dict[str, Any] | None, *, again: bool = True
    ) -> dict[str, Any]:
        return self._request("POST", path, body, again=again)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, *, again: bool = True
    ) -> dict[str, Any]:
        """The answer; with `again` false nothing is sent twice that may have arrived."""
        last = "no answer"
        for attempt in range(self._tries):
            wait = min(MAX_WAIT_S, 0.5 * 2**attempt)
            try:
                reply = self._http.request(method, path, json=body)
            except httpx.TimeoutException as error:
                # Not sent twice: whoever is stuck with it is to be started anew.
                raise UnavailableError(
                    f"{path} gave no answer in time ({type(error).__name__})"
                ) from error
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
                if not again:
                    raise ModelError(f"{path} may have arrived or not, {last}") from error
            else:
                if reply.status_code in (200, 201):
                    return reply.json()
                last = f"HTTP {reply.status_code}: {_message(reply)}"
                if reply.status_code not in RETRIED_STATUS:
                    raise ModelError(f"{path} was refused, {last}")
                wait = min(MAX_WAIT_S, max(wait, _retry_after(reply)))
            if attempt + 1 < self._tries:
                self._sleep(wait)
        raise UnavailableError(f"{path} failed {self._tries} times, last: {last}")


def _samples(reply: dict[str, Any], prompts: int, n: int) -> list[list[Completion]]:
    """Choices of an answer, grouped by prompt; index = prompt * n + sample."""
    choices = sorted(reply["choices"], key=lambda choice: choice["index"])
    if len(choices) != prompts * n:
        raise ModelError(f"the engine gave {len(choices)} samples instead of {prompts * n}")
    parsed = [
        Completion(
            text=_text(choice),
            finish_reason=choice.get("finish_reason") or "unknown",
            tokens=len(choice.get("token_ids") or ()),
            logprob=_total_logprob(choice.get("logprobs")),
        )
        for choice in choices
    ]
    return [parsed[i * n : (i + 1) * n] for i in range(prompts)]


def _text(choice: dict[str, Any]) -> str:
    """Of a completion's choice, or of a chat's, where an empty message has no content."""
    return choice["text"] if "text" in choice else choice["message"].get("content") or ""


def _total_logprob(logprobs: dict[str, Any] | None) -> float | None:
    if not logprobs:
        return None
    return float(sum(value for value in logprobs["token_logprobs"] if value is not None))


def _message(reply: httpx.Response) -> str:
    try:
        return str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return reply.text[:200]


def _sampling(
    model: str,
    n: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int | None,
    stop: list[str] | None,
) -> dict[str, Any]:
    """What the bodies of completions and of chat completions have in common."""
    body: dict[str, Any] = {
        "model": model,
        "n": n,
        "temperature": temperature,
        "top_p": top_p,
        "max_tokens": max_tokens,
        "return_token_ids": True,
    }
    if seed is not None:
        body["seed"] = seed
    if stop:
        body["stop"] = stop
    return body


def _retry_after(reply: httpx.Response) -> float:
    try:
        return float(reply.headers.get("retry-after", 0))
    except ValueError:
        return 0.0
