"""The client against the real application over a fake engine."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from defects.configuration import Configuration
from defects.errors import ModelError
from defects.hosts import get_host
from defects.targets import Target
from design_loop.client import Client
from serve.api import build_api
from serve.config import ServeConfig
from serve.keys import KeyFile

sys.path.append(str(Path(__file__).parents[1] / "serve"))
from fake_backend import FakeBackend


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def connect(keys, monkeypatch):
    from fastapi.testclient import TestClient

    monkeypatch.delenv("DESIGN_LOOP_API_KEY", raising=False)
    api = build_api(ServeConfig(base_model="m", keys=keys.path), FakeBackend())
    inner = TestClient(api, base_url="http://127.0.0.1")

    def handler(request):
        reply = inner.request(
            request.method, request.url.path, content=request.content, headers=request.headers
        )
        return httpx.Response(reply.status_code, content=reply.content, headers=reply.headers)

    def connect(key=None):
        transport = httpx.MockTransport(handler)
        return Client("http://127.0.0.1", api_key=key, transport=transport, sleep=lambda s: None)

    return connect


def test_design_and_predict_what_came_of_it(connect, keys, tmp_path):
    text, _ = keys.create("anna", ["read", "design"])
    with connect(text) as client:
        answer = client.design(
            "MoS2", "4x4", ["V_S"], ["homo_lumo_gap>=0.75"], count=3, max_defects=4, samples=48
        )
        assert answer.candidates[0]["surrogate_error"] == 0
        assert answer.surrogate_version == "v1"
        files = []
        for c in answer.candidates:
            files.append(tmp_path / f"{c['key']}.cif")
            files[-1].write_text(c["structure"])
        found = client.predict_structures("MoS2", "4x4", files)
        assert [f["configuration"] for f in found] == [
            c["configuration"] for c in answer.candidates
        ]
        assert [f["mean"] for f in found] == [c["prediction"]["mean"] for c in answer.candidates]
        host = get_host("MoS2", "4x4")
        best = Configuration.from_dict(answer.candidates[0]["configuration"], host)
        again = client.design(
            "MoS2", (4, 4), ["V_S"], [Target(property="homo_lumo_gap", min=0.75)], count=3,
            max_defects=4, samples=48, known=[best],
        )  # fmt: skip
        assert best.key not in {c["key"] for c in again.candidates}
        assert again.drops["duplicate_of_known"] == 1


def test_the_key_is_taken_from_the_environment(connect, keys, monkeypatch):
    text, _ = keys.create("anna", ["read"])
    with connect() as client, pytest.raises(ModelError, match="HTTP 401"):
        client.models()
    monkeypatch.setenv("DESIGN_LOOP_API_KEY", text)
    with connect() as client:
        assert [card["id"] for card in client.models()] == ["base"]
        with pytest.raises(ModelError, match="lacks the scope 'design'"):
            client.design("MoS2", "4x4", ["V_S"], ["homo_lumo_gap=1"])
