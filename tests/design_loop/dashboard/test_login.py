"""The dashboard behind keys: who comes in, what a cookie is good for, where a login leads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[2] / "serve"))

from fake_backend import FakeBackend
from fake_campaign import FakeCampaign

from design_loop.ledger import Ledger
from design_loop.server.extensions import extensions_of
from design_loop.server.settings import CampaignsSettings, ServerSettings
from serve.api import build_api
from serve.config import ServeConfig
from serve.keys import KeyFile

HTML = {"Accept": "text/html"}


@pytest.fixture
def campaign(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        return FakeCampaign(ledger, tmp_path).id


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "keys.json")


def _client(tmp_path, keys=None):
    config = ServeConfig(base_model="m", keys=keys and keys.path)
    settings = ServerSettings(config, CampaignsSettings(workdir=tmp_path))
    api = build_api(config, FakeBackend(), extensions_of(settings))
    return TestClient(api, base_url="http://127.0.0.1", follow_redirects=False)


@pytest.fixture
def client(tmp_path, keys, campaign):
    keys.create("somebody", ["read"])
    return _client(tmp_path, keys)


def _log_in(client, text, back=""):
    return client.post("/dashboard/login", data={"key": text, "next": back})


def test_the_extension_travels_to_the_servers_process(tmp_path):
    import cloudpickle

    settings = ServerSettings(ServeConfig(base_model="m"), CampaignsSettings(workdir=tmp_path))
    extensions = extensions_of(settings)
    assert cloudpickle.loads(cloudpickle.dumps(extensions)) == extensions
    assert "/dashboard" in [getattr(each, "pages", None) for each in extensions]


def test_without_keys_everybody_on_this_machine_reads(tmp_path, campaign):
    client = _client(tmp_path)
    assert campaign in client.get("/dashboard/").text
    assert client.get("/dashboard/login").status_code == 404


def test_readers_are_sent_to_the_login_and_back(client, keys, campaign):
    wanted = f"/dashboard/campaigns/{campaign}/samples?reason=malformed&page=1"
    sent = client.get(wanted, headers=HTML)
    assert sent.status_code == 303
    form = client.get(sent.headers["location"])
    assert form.status_code == 200
    assert "reason=malformed&amp;page=1" in form.text
    text, _ = keys.create("anna", ["read"])
    entered = _log_in(client, text, wanted)
    assert entered.headers["location"] == wanted
    assert client.get(wanted, headers=HTML).status_code == 200
    assert "Log out" in client.get("/dashboard/").text


def test_the_cookie_is_hidden_from_scripts_and_bound_to_the_pages(client, keys):
    text, _ = keys.create("anna", ["read"])
    cookie = _log_in(client, text).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/dashboard"} <= set(cookie.split("; "))
    assert text.lower() not in cookie
    secure = client.post(
        "/dashboard/login", data={"key": text}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "secure" in secure.headers["set-cookie"].lower().split("; ")


def test_a_cookie_reads_pages_and_nothing_else(client, keys, campaign):
    text, key = keys.create("boss", ["admin"])
    cookie = _log_in(client, text).headers["set-cookie"].split(";")[0]
    alone = {"Cookie": cookie}
    client.cookies.clear()
    assert client.get("/dashboard/", headers=alone).status_code == 200
    for path in ("/v1/models", "/v1/campaigns", "/metrics", "/docs", "/openapi.json"):
        assert client.get(path, headers=alone).status_code == 401
    assert client.post("/v1/design", headers=alone, json={}).status_code == 401
    assert client.post("/dashboard/", headers=alone).status_code == 401
    keys.revoke(key.id)
    assert client.get("/dashboard/", headers=alone).status_code == 401


def test_logging_out_forgets_the_cookie(client, keys):
    text, _ = keys.create("anna", ["read"])
    _log_in(client, text)
    assert client.get("/dashboard/", headers=HTML).status_code == 200
    assert client.post("/dashboard/logout").status_code == 303
    assert client.get("/dashboard/", headers=HTML).status_code == 303


@pytest.mark.parametrize("text", ["", "dl_00000000_" + "A" * 43, "<script>", "x" * 5000])
def test_wrong_keys_get_the_form_again(client, text):
    answer = _log_in(client, text)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "back",
    ["https://elsewhere.example/", "//elsewhere.example", "/dashboard//x", "/dashboard/\\x",
     "/v1/models", "javascript:alert(1)", '/dashboard/"><script>', "/dashboard/\nx"],
)  # fmt: skip
def test_a_login_leads_to_our_own_pages_only(client, keys, back):
    text, _ = keys.create("anna", ["read"])
    where = _log_in(client, text, back).headers["location"]
    assert where == "/dashboard/" or where.startswith("/dashboard/%22")
    assert "<script>" not in client.get("/dashboard/login", params={"next": back}).text


def test_pages_of_another_site_cannot_log_in(client, keys):
    text, _ = keys.create("anna", ["read"])
    foreign = {"Origin": "https://elsewhere.example"}
    answer = client.post("/dashboard/login", data={"key": text}, headers=foreign)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_scripts_are_refused_without_a_box_of_the_browser(client, campaign):
    answer = client.get(f"/dashboard/campaigns/{campaign}/live")
    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers


def test_a_key_in_the_header_reads_pages_too(client, keys, campaign):
    text, _ = keys.create("robot", ["read"])
    answer = client.get("/dashboard/", headers={"Authorization": f"Bearer {text}"})
    assert campaign in answer.text
    text, _ = keys.create("maker", ["design"])
    refused = client.get("/dashboard/", headers={"Authorization": f"Bearer {text}"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/dashboard/static/../campaigns/x", "/dashboard/static/%2e%2e/list",
     "/dashboard/login/../list", "/dashboard/static/..%2flist"],
)  # fmt: skip
def test_no_way_around_the_login(client, path):
    answer = client.get(path)
    assert answer.status_code in (401, 404)
    assert client.get("/dashboard/static/style.css").status_code == 200
