"""API keys: what the file holds, and who may ask for what."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from fake_backend import FakeBackend
from fastapi.testclient import TestClient
from pydantic import ValidationError

from defects.errors import ConfigError
from serve.api import build_api
from serve.auth import RULES, scope_of
from serve.config import ServeConfig
from serve.extensions import ScopeRule
from serve.keys import SCOPES, KeyFile
from serve.rate import RateLimit

PREDICT = {"configurations": [{"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}]}


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "etc" / "keys.json")


@pytest.fixture
def client(keys):
    config = ServeConfig(base_model="m", keys=keys.path, limits={"requests_per_minute": 3})
    return TestClient(
        build_api(config, FakeBackend()),
        base_url="http://127.0.0.1",
        raise_server_exceptions=False,
    )


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def test_the_file_holds_no_key_and_is_private(keys):
    text, key = keys.create("anna", ["read"])
    content = keys.path.read_text()
    assert text not in content
    assert text.rpartition("_")[2] not in content
    assert key.sha256 in content
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert list(keys.path.parent.iterdir()) == [keys.path]


def test_keys_are_found_listed_and_revoked(keys):
    one, first = keys.create("anna", ["read", "design"])
    two, second = keys.create("bert", ["admin"], per_minute=5)
    assert one != two
    assert keys.find(one) == first
    assert [key.name for key in keys.list()] == ["anna", "bert"]
    assert first.may("design") and not first.may("campaign")
    assert all(second.may(scope) for scope in SCOPES)
    other = KeyFile(keys.path)
    assert other.find(one) == first
    keys.revoke(first.id)
    assert other.find(one) is None  # seen without a restart
    assert other.find(two) == second
    assert keys.revoke(two) == second
    with pytest.raises(ConfigError, match="no key"):
        keys.revoke(first.id)


def test_nothing_but_the_whole_key_is_found(keys):
    text, _ = keys.create("anna", ["read"])
    other, _ = keys.create("bert", ["read"])
    swapped = text[:11] + other[11:]
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    for wrong in ("", "x", text[:-1], text + "x", text.upper(), changed, swapped, "dl_é"):
        assert keys.find(wrong) is None


def test_known_and_unknown_keys_are_compared_in_constant_time(keys, monkeypatch):
    text, key = keys.create("anna", ["read"])
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(
        "serve.keys.hmac.compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )
    assert keys.find(text) == key
    wrong = f"dl_{key.id}_{'x' * 43}"
    unknown = f"dl_{'0' * 8}_{'x' * 43}"
    assert keys.find(wrong) is None
    assert keys.find(unknown) is None
    # Whole hashes, also where no key has the id: what differs is not told by the time it takes.
    assert len(compared) == 3
    assert {len(side) for pair in compared for side in pair} == {len(key.sha256)}


@pytest.mark.parametrize(
    "name, scopes", [("", ["read"]), ("x\n", ["read"]), ("x", ["root"]), ("x", [])]
)
def test_odd_names_and_scopes_are_refused(keys, name, scopes):
    with pytest.raises(ConfigError):
        keys.create(name, scopes)
    assert not keys.path.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": [{"id": 1}]}', '{"keys": 3}'])
def test_a_damaged_file_lets_nobody_in(keys, client, content):
    text, _ = keys.create("anna", ["admin"])
    keys.path.write_text(content)
    reply = client.get("/v1/models", headers=bearer(text))
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "keys_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert str(keys.path) not in reply.text


@pytest.mark.parametrize("path", ["/v1/models", "/docs", "/openapi.json", "/metrics", "/nope"])
def test_without_a_key_nothing_is_told(client, path):
    for headers in ({}, bearer("dl_00000000_" + "x" * 43), {"Authorization": "Basic !!"}):
        reply = client.get(path, headers=headers)
        assert reply.status_code == 401
        assert "Bearer" in reply.headers["www-authenticate"]


def test_health_needs_no_key(client):
    assert client.get("/healthz").status_code == 200


def test_scopes(client, keys):
    read, _ = keys.create("r", ["read"], per_minute=100)
    design, _ = keys.create("d", ["design"], per_minute=100)
    admin, _ = keys.create("a", ["admin"], per_minute=100)

    def status(text, method, path, **options):
        return client.request(method, path, headers=bearer(text), **options).status_code

    assert [status(t, "GET", "/v1/models") for t in (read, design, admin)] == [200, 403, 200]
    posts = [status(t, "POST", "/v1/predict", json=PREDICT) for t in (read, design, admin)]
    assert posts == [403, 200, 200]
    assert [status(t, "GET", "/docs") for t in (read, design)] == [200, 403]
    assert [status(t, "DELETE", "/v1/models") for t in (read, admin)] == [403, 405]


def test_what_is_not_listed_needs_admin():
    assert scope_of("POST", "/v1/campaigns/x/stop") == "admin"
    rules = (ScopeRule("POST", "/v1/campaigns", "campaign"), *RULES)
    assert scope_of("POST", "/v1/campaigns", rules) == "campaign"
    assert scope_of("POST", "/v1/campaigns/x/stop", rules) == "campaign"
    assert scope_of("POST", "/v1/campaignsx", rules) == "admin"
    assert scope_of("DELETE", "/v1/campaigns/x", rules) == "admin"
    assert scope_of("GET", "/v1/campaigns/x", rules) == "read"
    assert scope_of("DELETE", "/v1/models") == "admin"


def test_a_browser_may_send_the_key_as_a_password(client, keys):
    text, _ = keys.create("anna", ["read"])
    word = base64.b64encode(f"anna:{text}".encode()).decode()
    reply = client.get("/docs", headers={"Authorization": f"Basic {word}"})
    assert reply.status_code == 200
    assert "POST /v1/design" in reply.text
    assert "<script" not in reply.text


def test_each_key_has_its_own_rate(client, keys):
    one, _ = keys.create("anna", ["read"])
    two, _ = keys.create("bert", ["read"])
    first = [client.get("/v1/models", headers=bearer(one)) for _ in range(5)]
    assert [r.status_code for r in first] == [200, 200, 200, 429, 429]
    assert 1 <= int(first[-1].headers["retry-after"]) <= 20
    assert client.get("/v1/models", headers=bearer(two)).status_code == 200


def test_a_bucket_refills():
    now = [0.0]
    rate = RateLimit(60, clock=lambda: now[0])
    assert [rate.wait_for("a") for _ in range(60)] == [0.0] * 60
    assert rate.wait_for("a") == pytest.approx(1.0)
    assert rate.wait_for("b", 1) == 0.0
    assert rate.wait_for("b", 1) == pytest.approx(60.0)
    now[0] = 1.0
    assert rate.wait_for("a") == 0.0
    assert rate.wait_for("a") > 0


def test_the_network_is_served_with_keys_only(tmp_path):
    with pytest.raises(ValidationError, match="design-loop keys create"):
        ServeConfig(base_model="m", host="0.0.0.0")
    assert ServeConfig(base_model="m", host="0.0.0.0", keys=tmp_path / "k").host == "0.0.0.0"


def test_a_proxy_may_have_its_own_name(tmp_path):
    config = ServeConfig(base_model="m", allowed_hosts=("design.example.org",))
    client = TestClient(build_api(config, FakeBackend()), base_url="http://design.example.org")
    assert client.get("/v1/models").status_code == 200
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 400


def test_openapi_lists_every_route(client, keys):
    text, _ = keys.create("anna", ["read"])
    schema = json.loads(client.get("/openapi.json", headers=bearer(text)).text)
    assert set(schema["paths"]) >= {
        "/healthz",
        "/v1/models",
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/design",
        "/v1/predict",
    }
