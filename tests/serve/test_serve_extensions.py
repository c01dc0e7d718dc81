"""Routes handed in from outside: same keys, same errors, same description; foreign pages."""

from __future__ import annotations

from dataclasses import dataclass

import cloudpickle
import pytest
from fake_backend import FakeBackend
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serve.api import build_api
from serve.config import ServeConfig
from serve.errors import ApiError
from serve.extensions import ScopeRule
from serve.keys import KeyFile


@dataclass(frozen=True)
class Notes:
    """A made-up extension."""

    text: str
    scopes = (ScopeRule("POST", "/v1/notes", "campaign"),)

    def add_routes(self, app: FastAPI) -> None:
        @app.get("/v1/notes")
        async def read() -> dict[str, str]:
            """Read the note."""
            return {"note": self.text}

        @app.post("/v1/notes")
        async def write() -> dict[str, str]:
            raise ApiError(409, "written", "the note is written already")

        page = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

        @page.get("/")
        async def front() -> str:
            return self.text

        app.mount("/notes", page)


def _client(**settings):
    api = build_api(ServeConfig(base_model="m", **settings), FakeBackend(), [Notes("kept")])
    return TestClient(api, base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_routes_of_an_extension_are_the_apis_own():
    assert cloudpickle.loads(cloudpickle.dumps(Notes("kept"))) == Notes("kept")  # as Ray does
    client = _client()
    assert client.get("/v1/notes").json() == {"note": "kept"}
    assert client.get("/notes/").json() == "kept"
    refused = client.post("/v1/notes")
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "written")
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/notes", "/v1/design"} <= set(paths)
    assert '/v1/notes",status="409"' in client.get("/metrics").text


def test_an_extension_says_which_scope_opens_its_routes(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    client = _client(keys=keys.path)
    told = {}
    for scope in ("read", "design", "campaign"):
        text, _ = keys.create(scope, [scope])
        headers = {"Authorization": f"Bearer {text}"}
        told[scope] = (
            client.get("/v1/notes", headers=headers).status_code,
            client.get("/notes/", headers=headers).status_code,
            client.post("/v1/notes", headers=headers).status_code,
        )
    assert told["read"] == (200, 200, 403)
    assert told["campaign"] == (403, 403, 409)
    assert told["design"] == (403, 403, 403)
    assert client.get("/notes/").status_code == 401


@pytest.mark.parametrize(
    "origin, status",
    [
        (None, 409),
        ("http://127.0.0.1", 409),
        ("https://design.example.org", 409),  # the proxy's name
        ("http://127.0.0.1:8265", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_other_origins_change_nothing(origin, status):
    client = _client(allowed_hosts=("design.example.org",))
    headers = {} if origin is None else {"Origin": origin}
    assert client.post("/v1/notes", headers=headers).status_code == status
    assert client.get("/v1/notes", headers=headers).status_code == 200
