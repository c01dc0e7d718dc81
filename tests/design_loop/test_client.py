"""The client against the real application over a fake engine."""

from __future__ import annotations

import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fake_campaign import FakeCampaign
from fastapi.testclient import TestClient

from defects.configuration import Configuration
from defects.errors import ModelError
from defects.hosts import get_host
from defects.targets import Target
from design_loop.client import Client
from design_loop.ledger import Ledger
from design_loop.server.campaigns import CampaignRoutes
from design_loop.server.settings import CampaignsSettings
from serve.api import build_api
from serve.config import ServeConfig
from serve.keys import KeyFile

sys.path.append(str(Path(__file__).parents[1] / "serve"))
from fake_backend import FakeBackend


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "keys.json")


def _through(api):
    """A transport that asks an application in this process."""
    inner = TestClient(api, base_url="http://127.0.0.1")

    def handler(request):
        reply = inner.request(
            request.method, str(request.url), content=request.content, headers=request.headers
        )
        return httpx.Response(reply.status_code, content=reply.content, headers=reply.headers)

    return httpx.MockTransport(handler)


@pytest.fixture
def connect(keys, monkeypatch):
    monkeypatch.delenv("DESIGN_LOOP_API_KEY", raising=False)
    api = build_api(ServeConfig(base_model="m", keys=keys.path), FakeBackend())
    transport = _through(api)

    def connect(key=None):
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


def test_what_the_model_says_to_prompts_and_conversations(connect, keys):
    text, _ = keys.create("anna", ["read", "design"])
    messages = [{"role": "user", "content": "x"}]
    with connect(text) as client:
        samples = client.complete(["x", "y"], "base", n=2, seed=1)
        answers = client.chat(messages, "base", n=3, seed=1)
        assert [len(each) for each in samples] == [2, 2]
        assert [(a.tokens, a.finish_reason) for a in answers] == [(5, "stop")] * 3
        assert answers != client.chat(messages, "base", n=3, seed=2)
        with pytest.raises(ModelError, match="HTTP 404"):
            client.chat(messages, "base:nope")
        with pytest.raises(ModelError, match=r"HTTP 422: .*role"):
            client.chat([{"role": "judge", "content": "x"}], "base")


VERBS = ("pause", "stop", "resume", "extend")


def test_every_route_has_a_call_of_the_client(tmp_path, monkeypatch):
    """What the client asks for, by its own methods, is everything that the server has."""
    settings = CampaignsSettings(workdir=tmp_path / "runs")
    monkeypatch.setattr("design_loop.server.control.launch", lambda *_: 1)
    api = build_api(ServeConfig(base_model="m"), FakeBackend(), [CampaignRoutes(settings)])
    through, asked = _through(api), set()

    def note(request):
        asked.add((request.method, request.url.path))
        return through.handler(request)

    with Ledger(settings.ledger) as ledger:
        played = FakeCampaign(ledger, settings.workdir).run(rounds=1)
    calls = {
        "health": (), "models": (), "campaigns": (), "complete": (["x"], "base"),
        "chat": ([{"role": "user", "content": "x"}], "base"),
        "predict": ([{"host": "MoS2", "supercell": [4, 4, 1], "defects": []}],),
        "design": ("MoS2", "4x4", ["V_S"], ["homo_lumo_gap>=0.75"]), "start_campaign": ({},),
        "download_campaign": (played, tmp_path / "all.zip"),
    }  # fmt: skip
    for name in ("campaign", "candidates", *(f"{verb}_campaign" for verb in VERBS)):
        calls[name] = (played,)
    with Client("http://127.0.0.1", transport=httpx.MockTransport(note)) as client:
        for name, arguments in calls.items():
            with suppress(ModelError):  # not each of them makes sense now
                getattr(client, name)(*arguments)
    there = {
        (method.upper(), path.replace("{campaign}", played))
        for path, methods in api.openapi()["paths"].items()
        for method in methods
    }
    assert asked == there


def test_campaigns_from_start_to_download(tmp_path, monkeypatch):
    """Started, steered and read; the driver is a stand-in that plays the campaign at once."""
    settings = CampaignsSettings(workdir=tmp_path / "runs")
    text = """
name: sent
host: {name: MoS2, supercell: 4x4}
rules: {defects: [V_S, W_Mo]}
targets: [homo_lumo_gap=0.6..0.9]
dataset: xtb-mos2-4x4
base_model: small
"""
    (tmp_path / "campaign.yaml").write_text(text)
    monkeypatch.setattr("design_loop.server.control.launch", lambda *_: 1)
    api = build_api(ServeConfig(), FakeBackend(), [CampaignRoutes(settings)])
    transport = _through(api)
    options = {"transport": transport, "sleep": lambda s: None}
    with Client("http://127.0.0.1", **options) as client, Ledger(settings.ledger) as ledger:
        assert client.campaigns() == []
        name = client.start_campaign(tmp_path / "campaign.yaml")
        assert [c["state"] for c in client.campaigns()] == ["created"]
        assert client.pause_campaign(name)["state"] == "paused"
        with pytest.raises(ModelError, match="paused already"):
            client.pause_campaign(name)
        assert "starting" in client.resume_campaign(name)["message"]
        assert client.extend_campaign(name, rounds=2)["id"] == name
        assert client.campaign(name)["rounds_in_all"] == 5
        assert client.stop_campaign(name)["state"] == "stopped"
        assert client.wait_campaign(name)["state"] == "stopped"

        played = FakeCampaign(ledger, settings.workdir).run()
        candidates = client.candidates(played)
        assert [c["rank"] for c in candidates] == list(range(1, 16))
        assert all(c["meets_targets"] for c in client.candidates(played, hits=True))
        out = client.download_campaign(played, tmp_path / "all.zip", top=3)
        with zipfile.ZipFile(out) as archive:
            assert sum(n.endswith(".cif") for n in archive.namelist()) == 3
        with pytest.raises(ModelError, match="HTTP 409"):
            client.download_campaign(name, tmp_path / "none.zip")
        assert sorted(p.name for p in tmp_path.glob("*.zip")) == ["all.zip"]
        with pytest.raises(ModelError, match="HTTP 404"):
            client.campaign("nope")
        ledger.check_resume(name)
        ledger.set_campaign_state(name, "running")
        with pytest.raises(ModelError, match="nobody drives it"):
            client.wait_campaign(name)


def test_all_pages_of_candidates_are_fetched():
    asked = []

    def pages(request):
        asked.append(dict(request.url.params))
        number = int(asked[-1].get("after", "k&0")[2:])
        following = f"k&{number + 1}" if number < 2 else None
        return httpx.Response(200, json={"total": 3, "next": following, "data": [{"n": number}]})

    with Client("http://127.0.0.1", transport=httpx.MockTransport(pages)) as client:
        assert client.candidates("x", hits=True) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [each.get("after") for each in asked] == [None, "k&1", "k&2"]
    assert {each["hits"] for each in asked} == {"true"}


def test_what_may_have_arrived_is_not_sent_again():
    sent = []

    def lost(request):
        sent.append(request.url.path)
        raise httpx.ReadError("gone")

    options = {"transport": httpx.MockTransport(lost), "sleep": lambda s: None, "tries": 3}
    with Client("http://127.0.0.1", **options) as client:
        with pytest.raises(ModelError, match="may have arrived or not"):
            client.start_campaign({"name": "x"})
        with pytest.raises(ModelError, match="failed 3 times"):
            client.campaigns()
    assert sent == ["/v1/campaigns"] * 4


def test_the_key_is_taken_from_the_environment(connect, keys, monkeypatch):
    text, _ = keys.create("anna", ["read"])
    with connect() as client, pytest.raises(ModelError, match="HTTP 401"):
        client.models()
    monkeypatch.setenv("DESIGN_LOOP_API_KEY", text)
    with connect() as client:
        assert [card["id"] for card in client.models()] == ["base"]
        with pytest.raises(ModelError, match="lacks the scope 'design'"):
            client.design("MoS2", "4x4", ["V_S"], ["homo_lumo_gap=1"])
