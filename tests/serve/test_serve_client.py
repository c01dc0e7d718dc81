"""The client: order of samples, retries, errors."""

from __future__ import annotations

import json

import httpx
import pytest

from defects.errors import ModelError
from serve.client import ServeClient
from serve.failures import UnavailableError


def answer(body, n):
    """What the API gives for a completion request: texts that name prompt and seed."""
    choices = [
        {
            "index": k * n + i,
            "text": f"{prompt}/{i}",
            "finish_reason": "stop",
            "token_ids": [1, 2, 3],
            "logprobs": {"token_logprobs": [-1.0, -0.5]} if "logprobs" in body else None,
        }
        for k, prompt in enumerate(body["prompt"])
        for i in range(n)
    ]
    return {"choices": choices[::-1]}


def client_of(handler, **options):
    waits = []
    options.setdefault("tries", 4)
    client = ServeClient(
        "http://test", transport=httpx.MockTransport(handler), sleep=waits.append, **options
    )
    return client, waits


def test_samples_come_in_the_order_of_the_prompts():
    seen = []

    def handler(request):
        body = json.loads(request.content)
        seen.append(body)
        return httpx.Response(200, json=answer(body, 2))

    client, _ = client_of(handler)
    done = []
    result = client.complete(
        [f"p{i}" for i in range(5)], "base:r1", n=2, seed=10, prompts_per_request=2, logprobs=True,
        on_done=done.append,
    )  # fmt: skip
    assert [[s.text for s in samples] for samples in result] == [
        [f"p{i}/0", f"p{i}/1"] for i in range(5)
    ]
    assert result[0][0].tokens == 3
    assert result[0][0].logprob == pytest.approx(-1.5)
    assert sum(done) == 5
    # seed + 2 * k for the first prompt k of each request: samples do not depend on the split
    assert sorted(body["seed"] for body in seen) == [10, 14, 18]
    assert {body["model"] for body in seen} == {"base:r1"}


def test_a_conversation_is_sent_whole_and_its_answers_come_in_order():
    seen = []

    def handler(request):
        seen.append((request.url.path, json.loads(request.content)))
        said = [{"role": "assistant", "content": "b"}, {"role": "assistant"}]
        choices = [
            {
                "index": 1 - i,
                "finish_reason": "stop",
                "token_ids": [1] * (i + 1),
                "message": message,
            }
            for i, message in enumerate(said)
        ]
        return httpx.Response(200, json={"choices": choices})

    client, _ = client_of(handler)
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]
    found = client.chat(messages, "base:r1", n=2, seed=3, max_tokens=8, stop=["z"])
    # An answer without a word has no content.
    assert [(c.text, c.tokens, c.finish_reason) for c in found] == [
        ("", 2, "stop"), ("b", 1, "stop"),
    ]  # fmt: skip
    ((path, body),) = seen
    assert path == "/v1/chat/completions"
    assert body.pop("messages") == messages
    assert body == {
        "model": "base:r1", "n": 2, "seed": 3, "max_tokens": 8, "stop": ["z"], "temperature": 1.0,
        "top_p": 1.0, "return_token_ids": True,
    }  # fmt: skip
    with pytest.raises(ModelError, match="2 samples instead of 1"):
        client.chat(messages, "base")


def test_overload_and_lost_connections_are_tried_again_with_growing_waits():
    replies = iter(
        [
            httpx.Response(503, json={"error": {"message": "busy"}}),
            httpx.ConnectError("refused"),
            httpx.Response(429, headers={"retry-after": "7"}, json={}),
            httpx.Response(200, json={"data": [{"id": "base"}]}),
        ]
    )

    def handler(request):
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    client, waits = client_of(handler)
    assert client.models() == [{"id": "base"}]
    assert waits == [0.5, 1.0, 7.0]


def test_it_gives_up_after_the_last_try():
    client, waits = client_of(lambda r: httpx.Response(503, json={"error": {"message": "busy"}}))
    with pytest.raises(UnavailableError, match=r"failed 4 times.*busy"):
        client.models()
    assert len(waits) == 3


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_refusals_are_not_repeated_and_keep_the_reason(status):
    calls = []

    def handler(request):
        calls.append(1)
        return httpx.Response(status, json={"error": {"message": "no such adapter"}})

    client, _ = client_of(handler)
    with pytest.raises(ModelError, match="no such adapter"):
        client.complete(["p"], "base:x")
    assert len(calls) == 1


def test_a_timeout_is_an_error_not_a_retry():
    def handler(request):
        raise httpx.ReadTimeout("slow")

    client, waits = client_of(handler)
    with pytest.raises(UnavailableError, match="in time"):
        client.models()
    assert waits == []


def test_missing_samples_are_noticed():
    client, _ = client_of(lambda r: httpx.Response(200, json={"choices": []}))
    with pytest.raises(ModelError, match="0 samples instead of 2"):
        client.complete(["p"], "base", n=2)


def test_predictions_never_mix_two_versions():
    versions = iter(["v1", "v2", "v2", "v2"])

    def handler(request):
        rows = [
            {"mean": {"gap": c["defects"][0][0]}, "std": {"gap": 0.1}}
            for c in json.loads(request.content)["configurations"]
        ]
        body = {"version": next(versions), "properties": ["gap"], "predictions": rows}
        return httpx.Response(200, json=body)

    client, _ = client_of(handler)
    configurations = [
        {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[i, "VAC"]]} for i in range(3)
    ]
    result = client.predict(configurations, per_request=2)
    assert result.version == "v2"
    assert [row["gap"] for row in result.mean] == [0, 1, 2]


def test_nothing_to_do():
    client, _ = client_of(lambda r: httpx.Response(500))
    assert client.complete([], "base") == []
    with pytest.raises(ValueError):
        client.predict([])
