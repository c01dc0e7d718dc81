"""The HTTP API over a fake backend: names, limits, errors, never a stack trace."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest
from fastapi.testclient import TestClient
from sealed import edit, publish

from defects.rules import Rules
from serve.api import build_api
from serve.config import ServeConfig
from serve.public import without_paths
from serve.replies import error_reply
from serve.schemas import Health
from training.spec import LoraHyperparameters

CONFIGURATION = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}


class FakeBackend:
    """Echoes; `reply` overrides what generate and predict answer."""

    def __init__(self):
        self.calls = []
        self.reply = None
        self.llm = "ok"

    async def generate(self, kind, body, adapter):
        self.calls.append((kind, body, adapter))
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply or {"status": 200, "body": {"choices": [], "model": body["model"]}}

    async def stream(self, kind, body, adapter):
        self.calls.append((kind, body, adapter))
        if self.reply is not None:
            yield self.reply
            return
        yield "data: 1\n\n"
        yield "data: [DONE]\n\n"

    async def predict(self, configurations):
        self.calls.append(configurations)
        rows = [{"mean": {"homo": 1.0}, "std": {"homo": 0.1}} for _ in configurations]
        return self.reply or {
            "status": 200,
            "body": {"version": "v1", "properties": ["homo"], "predictions": rows},
        }

    async def surrogate(self):
        return {"version": "v1", "properties": ["homo"], "error": None}

    async def health(self):
        status = "ok" if self.llm == "ok" else "degraded"
        return Health(status=status, llm=self.llm, surrogate="ok", surrogate_version="v1")


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def client(tmp_path, backend):
    publish(tmp_path / "adapters", round=1)
    (tmp_path / "adapters" / "unfinished").mkdir()
    config = ServeConfig(
        base_model="some/model",
        adapter_roots=(tmp_path / "adapters",),
        limits={"max_body_bytes": 20_000, "max_prompts": 3, "max_configurations": 2},
    )
    return TestClient(
        build_api(config, backend), base_url="http://127.0.0.1", raise_server_exceptions=False
    )


@pytest.fixture
def adapter(tmp_path, client):
    return next((tmp_path / "adapters").glob("r001-*"))


def test_models_lists_the_base_and_finished_adapters(client, adapter):
    cards = client.get("/v1/models").json()["data"]
    assert [card["id"] for card in cards] == ["base", f"base:{adapter.name}"]
    assert (cards[1]["manifest"]["round"], cards[1]["manifest"]["name"]) == (1, adapter.name)
    assert "/" not in cards[1]["root"]  # no server paths to clients


PATH = re.compile(r"(?<![\w.])~?/(?!v1/)\w|://")
"""Whatever looks like a path or an address, less routes of this API."""


def test_a_real_manifest_is_shown_without_paths(backend, tmp_path):
    root = tmp_path / "adapters"
    content = {
        "fingerprint": "f" * 64,
        "base_model": str(tmp_path / "models" / "small"),
        "base_hash": "b" * 64,
        "parent": "r000-0123456789ab",
        "data_hash": "d" * 64,
        "hyperparameters": asdict(LoraHyperparameters()),
        "seed": 3,
        "metrics": {"train_loss": 0.5, "steps": 9},
        # What `design-loop adapter train` and a campaign say of it.
        "dataset": "data/of-somebody/MoS2_high",
        "host": "MoS2-4x4x1",
        "rules": Rules(defects=("V_S",)).model_dump(mode="json"),
        "own_properties": {"stiffness": {"unit": "GPa", "decimals": 1}},
        "n_instructions": 10,
        # What somebody else's code adds one day.
        "checkpoints": "s3://bucket/runs",
        "instruction_file": str(tmp_path / "instructions.jsonl"),
    }
    made = json.loads((publish(root, **content) / "manifest.json").read_text())
    config = ServeConfig(base_model=str(tmp_path / "models" / "small"), adapter_roots=(root,))
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    reply = client.get("/v1/models")
    assert not PATH.search(reply.text)
    shown = reply.json()["data"][1]["manifest"]
    assert (shown["base_model"], shown["dataset"]) == ("small", "MoS2_high")
    same = set(made) - {"base_model", "dataset", "checkpoints", "instruction_file"}
    hidden = {"kind", "manifest_version", "seal"}
    assert set(shown) == same - hidden | {"base_model", "dataset"}
    assert {key: shown[key] for key in same - hidden} == {key: made[key] for key in same - hidden}


@pytest.mark.parametrize(
    "folder", ["/srv/models/r1", "~/models/r1", "s3://bucket/models/r1", "file:///srv/models/r1"]
)
def test_no_error_text_of_any_part_holds_a_path(client, backend, folder):
    backend.reply = error_reply(f"cannot read '{folder}/x.json' (in {folder})", "bad", 400)
    bodies = {
        "/v1/completions": {"model": "base", "prompt": "x"},
        "/v1/predict": {"configurations": [CONFIGURATION]},
        "/v1/chat/completions": {
            "model": "base", "messages": [{"role": "user", "content": "x"}], "stream": True,
        },
    }  # fmt: skip
    for route, body in bodies.items():
        reply = client.post(route, json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["message"] == "cannot read 'x.json' (in r1)"


def test_an_error_in_the_middle_of_a_stream_holds_no_path(client, backend, monkeypatch):
    async def stream(kind, body, adapter):
        yield 'data: {"choices": [{"delta": {"content": "a/b /c/d"}}]}\n\n'
        yield 'data: {"choices": []}\n\ndata: {"error": {"message": "no /srv/models/r1"}}\n\n'

    monkeypatch.setattr(backend, "stream", stream)
    body = {"model": "base", "messages": [{"role": "user", "content": "x"}], "stream": True}
    text = client.post("/v1/chat/completions", json=body).text
    assert 'data: {"error": {"message": "no r1"}}\n\n' in text
    assert "a/b /c/d" in text  # what the model says is its own


def test_texts_for_clients_keep_routes_and_units():
    text = "see /v1/models for those served; 0.3 eV/site, n/2 of 4x4"
    assert without_paths(text) == text


@pytest.mark.parametrize(
    "model, status, kind",
    [
        ("base:nope", 404, "model_not_found"),
        ("base:unfinished", 404, "model_not_found"),
        ("other", 404, "model_not_found"),
        ("base:../../etc", 422, "invalid_model_name"),
        ("base:", 422, "invalid_model_name"),
        ("base:R001", 422, "invalid_model_name"),
    ],
)
def test_unknown_and_malformed_models(client, backend, model, status, kind):
    reply = client.post("/v1/completions", json={"model": model, "prompt": "x"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
    assert backend.calls == []


def test_an_adapter_is_passed_on_by_name(client, backend, adapter):
    model = f"base:{adapter.name}"
    client.post("/v1/completions", json={"model": model, "prompt": ["x", "y"], "n": 2})
    kind, body, name = backend.calls[0]
    assert (kind, name, body["n"], body["prompt"]) == ("completions", adapter.name, 2, ["x", "y"])


def test_an_adapter_with_an_altered_manifest_is_409_and_not_listed(client, backend, adapter):
    edit(adapter, round=2)
    bodies = {"completions": {"prompt": "x"}, "chat/completions": CHAT, "design": DESIGN}
    for route, body in bodies.items():
        model = f"base:{adapter.name}"
        reply = client.post(f"/v1/{route}", json={**body, "model": model})
        assert (reply.status_code, reply.json()["error"]["type"]) == (409, "model_damaged")
        said = f"adapter {adapter.name}: manifest.json was altered"
        assert reply.json()["error"]["message"].startswith(said)
    assert backend.calls == []
    assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["base"]


@pytest.mark.parametrize(
    "extra",
    [
        {"structured_outputs": {"regex": "(a+)+$"}},
        {"guided_regex": "a"},
        {"chat_template": "{{ 1 }}"},
        {"n": 0},
        {"n": 10**9},
        {"max_tokens": -1},
        {"temperature": -1},
        {"temperature": "NaN"},
        {"prompt": []},
        {"prompt": ""},
        {"prompt": 3},
        {"prompt": ["a", "b", "c", "d"]},
        {"prompt": ["a", "b", "c"], "n": 1024 * 4},
    ],
)
def test_requests_outside_the_bounds_are_422(client, backend, extra):
    reply = client.post("/v1/completions", json={"model": "base", "prompt": "x", **extra})
    assert reply.status_code == 422
    assert reply.json()["error"]["message"]
    assert backend.calls == []


CHAT = {"messages": [{"role": "user", "content": "x"}]}
DESIGN = {
    "host": "MoS2",
    "supercell": [4, 4, 1],
    "rules": {"defects": ["V_S"]},
    "targets": ["homo=1"],
    "samples": 1,
}


@pytest.mark.parametrize(
    "path, body, kind",
    [
        ("completions", {"prompt": ["x", "y"], "n": 5, "max_tokens": 1}, "too_many_samples"),
        ("completions", {"prompt": ["x", "y"], "n": 4, "max_tokens": 13}, "too_many_tokens"),
        ("chat/completions", {**CHAT, "n": 9, "max_tokens": 1}, "too_many_samples"),
        ("chat/completions", {**CHAT, "n": 4, "max_tokens": 26}, "too_many_tokens"),
    ],
)
def test_samples_and_tokens_of_a_request_are_bounded(backend, path, body, kind):
    config = ServeConfig(base_model="m", limits={"max_samples": 8, "max_request_tokens": 100})
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    reply = client.post(f"/v1/{path}", json={"model": "base", **body})
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, kind)
    assert backend.calls == []
    least = {"n": 1, "max_tokens": 8}
    assert client.post(f"/v1/{path}", json={"model": "base", **body, **least}).status_code == 200


@pytest.mark.parametrize(
    "extra",
    [
        {"structured_outputs": {"regex": "(a+)+$"}},
        {"guided_grammar": "root ::= 'a'"},
        {"response_format": {"type": "json_schema"}},
        {"chat_template": "{{ 1 }}"},
        {"lora_path": "/srv/models/r1"},
        {"base_model": "owner/model"},
        {"surrogate": "/srv/models/s1"},
        {"cif_file": "/etc/passwd"},
    ],
)
@pytest.mark.parametrize(
    "path, body",
    [
        ("chat/completions", {"model": "base", **CHAT}),
        ("completions", {"model": "base", "prompt": "x"}),
        ("predict", {"configurations": [CONFIGURATION]}),
        ("design", {"model": "base", **DESIGN}),
    ],
)
def test_no_route_takes_patterns_code_paths_or_models(client, backend, path, body, extra):
    reply = client.post(f"/v1/{path}", json={**body, **extra})
    assert reply.status_code == 422
    assert next(iter(extra)) in reply.json()["error"]["message"]
    assert backend.calls == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"model":',
        b'{"model": "\xff"}',
        b"[" * 9000,
    ],
)
@pytest.mark.parametrize("path", ["completions", "chat/completions", "predict", "design"])
def test_bodies_that_are_no_request(client, backend, path, content):
    headers = {"content-type": "application/json"}
    reply = client.post(f"/v1/{path}", content=content, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["type"]) == (422, 422, "invalid_request")
    assert error["message"]
    assert backend.calls == []


def test_large_bodies_are_413_with_and_without_a_declared_length(client):
    body = json.dumps({"model": "base", "prompt": "x" * 30_000}).encode()
    headers = {"content-type": "application/json"}
    assert client.post("/v1/completions", content=body, headers=headers).status_code == 413
    endless = {**headers, "Content-Length": "9" * 5000}
    assert client.post("/v1/completions", content=b"{}", headers=endless).status_code == 413

    def chunks():
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    assert client.post("/v1/completions", content=chunks(), headers=headers).status_code == 413


def test_errors_of_the_engine_keep_their_status(client, backend):
    backend.reply = error_reply("prompt too long", "BadRequestError", 400)
    reply = client.post("/v1/completions", json={"model": "base", "prompt": "x"})
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "prompt too long")


def test_overload_says_when_to_come_back(client, backend):
    backend.reply = error_reply("busy", "overloaded", 503)
    reply = client.post("/v1/completions", json={"model": "base", "prompt": "x"})
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) > 0


def test_a_bug_shows_no_trace(client, backend):
    backend.reply = RuntimeError("secret path /srv/models")
    reply = client.post("/v1/completions", json={"model": "base", "prompt": "x"})
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.json()["error"]["type"] == "internal_error"


def test_streaming(client, backend):
    body = {"model": "base", "messages": [{"role": "user", "content": "x"}], "stream": True}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text == "data: 1\n\ndata: [DONE]\n\n"
    backend.reply = error_reply("no chat template", "BadRequestError", 400)
    assert client.post("/v1/chat/completions", json=body).status_code == 400


def test_predict(client):
    reply = client.post("/v1/predict", json={"configurations": [CONFIGURATION]})
    assert reply.json()["version"] == "v1"
    assert reply.json()["predictions"][0]["mean"] == {"homo": 1.0}
    too_many = {"configurations": [CONFIGURATION] * 3}
    assert client.post("/v1/predict", json=too_many).status_code == 422
    lacking = client.post("/v1/predict", json={"configurations": [{"host": "MoS2"}]})
    assert lacking.status_code == 422
    assert "defects" in lacking.json()["error"]["message"]
    assert client.post("/v1/predict", json={"configurations": []}).status_code == 422


def test_health(client, backend):
    assert client.get("/healthz").status_code == 200
    backend.llm = "unavailable (ActorDiedError)"
    reply = client.get("/healthz")
    assert (reply.status_code, reply.json()["status"]) == (503, "degraded")
    assert int(reply.headers["retry-after"]) > 0


def test_other_origins_and_host_names_are_turned_away(client):
    reply = client.get("/v1/models", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in reply.headers
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 400


def test_unknown_routes_and_methods_answer_json(client):
    assert client.get("/nope").json()["error"]["code"] == 404
    assert client.get("/v1/completions").json()["error"]["code"] == 405
    assert client.get("/docs").status_code == 200


def test_without_a_language_model_only_that_is_missing(backend, tmp_path):
    config = ServeConfig(surrogate=tmp_path)
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    assert client.get("/v1/models").json()["data"] == []
    reply = client.post("/v1/completions", json={"model": "base", "prompt": "x"})
    assert reply.status_code == 503
    assert client.post("/v1/predict", json={"configurations": [CONFIGURATION]}).status_code == 200


RULES = {"host": "MoS2", "supercell": [4, 4, 1], "defects": ["V_S", "Se_S"]}


def test_a_constraint_reaches_the_engine_as_rules(client, backend):
    body = {"model": "base", "prompt": ["x", "y"], "constraint": {**RULES, "max_defects": 2}}
    assert client.post("/v1/completions", json=body).status_code == 200
    _, sent, _ = backend.calls[0]
    assert sent["constraint"]["defects"] == ["V_S", "Se_S"]
    assert sent["constraint"]["max_defects"] == 2


@pytest.mark.parametrize(
    "change, said",
    [
        ({"host": "../MoS2.cif"}, "unknown host"),
        ({"supercell": [60, 60, 1]}, "at most 1024 cells"),
        ({"supercell": [30, 30, 1]}, "2700 sites is too large"),
        ({"supercell": [0, 4, 1]}, "greater than or equal to 1"),
        ({"defects": ["V_Se"]}, "host MoS2 has no Se"),
        ({"defects": ["(a+)+$"]}, "is no defect"),
        ({"defects": []}, "at least 1 item"),
        ({"min_defects": 9}, "min_defects 9 is above max_defects"),
        ({"min_defects": 40, "max_defects": 80}, "only 32 sites"),
        ({"shift": [0.5, float("nan")]}, "finite number"),
        ({"regex": "a"}, "Extra inputs are not permitted"),
    ],
)
def test_constraints_that_cannot_be_met_are_422(client, backend, change, said):
    body = {"model": "base", "prompt": "x", "constraint": {**RULES, **change}}
    headers = {"Content-Type": "application/json"}  # content: httpx's own encoder refuses NaN
    reply = client.post("/v1/completions", content=json.dumps(body), headers=headers)
    assert (reply.status_code, backend.calls) == (422, [])
    assert said in reply.json()["error"]["message"]


def test_constraints_are_one_or_one_per_prompt(client, backend):
    body = {"model": "base", "prompt": ["x", "y"], "constraint": [RULES] * 3}
    reply = client.post("/v1/completions", json=body)
    assert reply.status_code == 422
    assert "3 constraints for 2 prompts" in reply.json()["error"]["message"]
