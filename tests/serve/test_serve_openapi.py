"""/openapi.json says what every route takes and answers, and the answers are that (schemathesis).

Half of what is sent fits the schema of the request, half breaks it somewhere: no 5xx, and every
answer, errors included, has a status, headers, type and form that the description names.
"""

from __future__ import annotations

import os
from collections import Counter

import jsonschema
import pytest
from fake_backend import FakeBackend
from fake_campaign import FakeCampaign
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from design_loop.ledger import Ledger
from design_loop.server.campaigns import CampaignRoutes
from design_loop.server.settings import CampaignsSettings
from serve.api import build_api
from serve.auth import OPEN
from serve.config import ServeConfig
from serve.keys import KeyFile
from serve.openai_schemas import ChatReply, CompletionReply
from serve.replies import error_reply

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.specs.openapi import checks  # noqa: E402

EXAMPLES = int(os.environ.get("DESIGN_LOOP_FUZZ_EXAMPLES", "25"))
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory):
    """Settings of a server with one campaign, and its id; drivers are not really started."""
    folder = tmp_path_factory.mktemp("campaigns")
    settings = CampaignsSettings(workdir=folder)
    with Ledger(settings.ledger) as ledger:
        FakeCampaign(ledger, folder).run(rounds=1)
        known = ledger.campaigns()[0].id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("design_loop.server.control.launch", lambda *_: 1)
        yield settings, known


@pytest.fixture(scope="module")
def api_schema(campaigns):
    """The whole API, campaigns included."""
    settings, known = campaigns
    config = ServeConfig(
        base_model="m",
        allowed_hosts=("testserver",),  # the name that schemathesis calls it by
        limits={"max_samples": 64, "max_prompts": 8, "max_configurations": 64},
    )
    api = build_api(config, FakeBackend(), [CampaignRoutes(settings)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KNOWN, "campaign", known)
        yield schemathesis.openapi.from_asgi("/openapi.json", api)


CAMPAIGN = "/v1/campaigns/{campaign}"
ROUTES = {
    "GET /healthz": "Health",
    "GET /v1/campaigns": "CampaignList",
    f"GET {CAMPAIGN}": "CampaignDetail",
    f"GET {CAMPAIGN}/candidates": "CandidatePage",
    f"GET {CAMPAIGN}/download": None,  # a zip
    "GET /v1/models": "ModelList",
    "POST /v1/campaigns": "CampaignCard",
    f"POST {CAMPAIGN}/extend": "ControlReply",
    f"POST {CAMPAIGN}/pause": "ControlReply",
    f"POST {CAMPAIGN}/resume": "ControlReply",
    f"POST {CAMPAIGN}/stop": "ControlReply",
    "POST /v1/chat/completions": "ChatReply",
    "POST /v1/completions": "CompletionReply",
    "POST /v1/design": "DesignReply",
    "POST /v1/predict": "PredictReply",
}
"""Every route, and what it answers when all is well."""
OWN_ERRORS = {
    f"GET {CAMPAIGN}": {404},
    f"GET {CAMPAIGN}/candidates": {404},
    f"GET {CAMPAIGN}/download": {404, 409, 413},
    "POST /v1/campaigns": {409, 429},
    f"POST {CAMPAIGN}/extend": {404, 409},
    f"POST {CAMPAIGN}/pause": {404, 409},
    f"POST {CAMPAIGN}/resume": {404, 409, 429},
    f"POST {CAMPAIGN}/stop": {404, 409},
    "POST /v1/chat/completions": {404, 409},
    "POST /v1/completions": {404, 409},
    "POST /v1/design": {404, 409},
}
UNCHECKED = {"GET /healthz", "GET /v1/campaigns", "GET /v1/models"}
"""Nothing that is sent to them could be wrong."""
KNOWN = {}
STEERING = ("/pause", "/stop", "/resume", "/extend")
MOS2 = {"host": "MoS2", "supercell": [2, 2, 1]}
SENSIBLE = {
    "POST /v1/campaigns": {
        "name": "sent",
        "host": {"name": "MoS2", "supercell": "4x4"},
        "rules": {"defects": ["V_S"]},
        "targets": ["homo_lumo_gap=0.6..0.9"],
        "dataset": "xtb-mos2-4x4",
        "base_model": "small",
    },
    "POST /v1/campaigns/{campaign}/extend": {"rounds": 1},
    "POST /v1/chat/completions": {"model": "base", "n": 1, "max_tokens": 8},
    "POST /v1/completions": {"model": "base", "n": 1, "max_tokens": 8, "prompt": "x"},
    "POST /v1/design": {
        **MOS2,
        "model": "base",
        "rules": {"defects": ["V_S", "Se_S"], "max_defects": 3},
        "targets": ["homo_lumo_gap=0.6..0.9"],
        "samples": 16,
    },
    "POST /v1/predict": {"configurations": [{**MOS2, "defects": [[4, "VAC"]]}], "structures": None},
}


def operations(schema):
    found = (each.ok() for each in schema.get_all_operations())
    return {f"{each.method.upper()} {each.path}": each for each in found}


def test_every_route_is_sent_something(api_schema):
    assert operations(api_schema).keys() == ROUTES.keys()


@pytest.mark.parametrize(
    "route, mode",
    [(r, m) for r in ROUTES for m in ("POSITIVE", "NEGATIVE") if r[:4] == "POST" or m[0] == "P"],
)
def test_no_request_breaks_the_server_and_answers_are_as_described(api_schema, route, mode):
    operation = operations(api_schema)[route]
    seen = Counter()

    @given(
        case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]),
        mended=st.booleans(),
    )
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def send(case, mended):
        if mended and "campaign" in (case.path_parameters or {}):
            case.path_parameters.update(KNOWN)
        if mended and isinstance(case.body, dict) and route in SENSIBLE:
            # What no generator hits by chance, so that the rest of the body gets further in.
            case.body.update(SENSIBLE[route])
        reply = case.call()
        seen[reply.status_code] += 1
        assert reply.status_code < 500, reply.text
        case.validate_response(reply, checks=CHECKS)
        if reply.status_code >= 400:
            error = reply.json()["error"]
            assert error["code"] == reply.status_code
            assert "Traceback" not in error["message"] and 'File "' not in error["message"]

    send()
    print(route, mode, dict(seen))
    # What is in the wrong state for it is a 409, and a whole campaign is hard to hit by chance.
    fine = seen[200] or seen[201] or (seen[409] if route.endswith(STEERING) else 0)
    assert fine or mode == "NEGATIVE" or route == "POST /v1/campaigns"


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture(params=["with keys", "without"])
def keyed(request):
    return request.param == "with keys"


@pytest.fixture
def served(campaigns, keys, keyed):
    """A client of the whole API that has every right, its backend, and the description."""
    text, _ = keys.create("anna", ["admin"])
    backend = FakeBackend()
    config = ServeConfig(
        base_model="m", keys=keys.path if keyed else None, limits={"max_body_bytes": 2000}
    )
    api = build_api(config, backend, [CampaignRoutes(campaigns[0])])
    client = TestClient(api, base_url="http://127.0.0.1", raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {text}"
    return client, backend, client.get("/openapi.json").json()


def described(schema):
    """``{"GET /v1/models": operation}`` of a description."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def form(operation, status):
    """Name of the form of a JSON answer."""
    content = operation["responses"][str(status)]["content"]
    return content["application/json"]["schema"].get("$ref", "").rpartition("/")[2] or None


def test_each_route_names_its_answer_and_its_errors(served, keyed):
    found = described(served[2])
    assert found.keys() == ROUTES.keys()
    for route, operation in found.items():
        status = 201 if route == "POST /v1/campaigns" else 200
        if ROUTES[route] is None:
            assert "application/zip" in operation["responses"]["200"]["content"]
        else:
            assert form(operation, status) == ROUTES[route]
        errors = {400, 408, 500, 503} | OWN_ERRORS.get(route, set())
        errors |= {403, 413} if route[:4] == "POST" else set()
        errors |= {401, 403, 429} if keyed and route != "GET /healthz" else set()
        errors |= set() if route in UNCHECKED else {422}
        assert {int(s) for s in operation["responses"]} == errors | {status}, route
        unwell = {503} if route == "GET /healthz" else set()
        lines = {400, 408}  # of the web framework and of Ray Serve
        assert {tuple(operation["responses"][str(s)]["content"]) for s in lines} == {
            ("text/plain",)
        }
        errors -= lines
        assert {form(operation, s) for s in errors - unwell} == {"Error"}, route
        assert all(form(operation, s) == "Health" for s in unwell)
    # The web framework's own form of an error is nowhere.
    assert "ValidationError" not in str(served[2]) and "'detail'" not in str(served[2])


def test_the_key_and_its_scope_are_described_where_keys_are_asked_for(served, keyed):
    schema = served[2]
    found = {route: operation.get("security") for route, operation in described(schema).items()}
    if not keyed:
        assert "securitySchemes" not in schema["components"]
        assert set(found.values()) == {None}
        return
    assert [(s["type"], s["scheme"]) for s in schema["components"]["securitySchemes"].values()] == [
        ("http", "bearer")
    ]
    name = next(iter(schema["components"]["securitySchemes"]))
    assert {route for route, needed in found.items() if needed is None} == {
        f"GET {path}" for path in OPEN
    }
    assert found["GET /v1/models"] == [{name: ["read"]}]
    assert found["POST /v1/completions"] == found["POST /v1/predict"] == [{name: ["design"]}]
    assert found["POST /v1/campaigns"] == [{name: ["campaign"]}]
    assert found[f"POST {CAMPAIGN}/pause"] == [{name: ["campaign"]}]


def fits(schema, route, reply):
    """Whether an answer is what its route is said to answer."""
    answer = described(schema)[route]["responses"][str(reply.status_code)]
    for name, header in answer.get("headers", {}).items():
        assert name in reply.headers or not header["required"], name
    form = answer["content"]["application/json"]["schema"]
    whole = {**form, "components": schema["components"]}
    jsonschema.Draft202012Validator(whole).validate(reply.json())


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_refusals_have_the_form_that_is_described(served, keyed, keys, route):
    """401, 403, 413 and 429 come from the layers around the routes."""
    client, _, schema = served
    method, _, path = route.partition(" ")
    url = path.replace("{campaign}", "any")
    foreign = {"origin": "http://evil.example"}
    sent = []
    if method == "POST":
        sent.append((413, client.post(url, content=b"x" * 3000)))
        sent.append((403, client.post(url, headers=foreign)))
    if keyed and path not in OPEN:
        none = keys.create("nobody", ["campaign" if "campaign" not in path else "design"])[0]
        slow = keys.create("slow", ["admin"], per_minute=1)[0]
        sent.append((401, client.request(method, url, headers={"Authorization": "Bearer x"})))
        sent.append((403, client.request(method, url, headers=bearer(none))))
        for _ in range(2):
            last = client.request(method, url, headers=bearer(slow))
        sent.append((429, last))
    for status, reply in sent:
        assert reply.status_code == status, (status, reply.text)
        fits(schema, route, reply)


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize(
    "route, status, body",
    [
        ("POST /v1/completions", 422, {"model": "base:../x", "prompt": "x"}),
        ("POST /v1/completions", 404, {"model": "base:nope", "prompt": "x"}),
        ("POST /v1/chat/completions", 404, {"model": "other", "messages": [{"role": "user",
                                                                           "content": "x"}]}),
        ("POST /v1/design", 404, {**SENSIBLE["POST /v1/design"], "model": "base:nope"}),
        ("POST /v1/predict", 422, {"configurations": []}),
        (f"POST {CAMPAIGN}/pause", 404, None),
        (f"GET {CAMPAIGN}", 404, None),
        (f"GET {CAMPAIGN}/download", 422, None),
    ],
)  # fmt: skip
def test_errors_of_the_routes_have_the_form_that_is_described(served, route, status, body):
    client, _, schema = served
    method, _, path = route.partition(" ")
    url = path.replace("{campaign}", "nope") + ("?top=0" if path.endswith("download") else "")
    reply = client.request(method, url, **({} if body is None else {"json": body}))
    assert reply.status_code == status, reply.text
    fits(schema, route, reply)


@pytest.mark.parametrize("status", [404, 409, 422, 500, 503])
def test_errors_of_the_engine_have_the_form_that_is_described(served, status):
    client, backend, schema = served
    backend.llm = error_reply("something", "a_kind", status)
    body = {"model": "base", "prompt": "x"}
    for stream in (False, True):
        reply = client.post("/v1/completions", json={**body, "stream": stream})
        assert reply.status_code == status
        fits(schema, "POST /v1/completions", reply)


@pytest.mark.slow
def test_what_the_engine_writes_is_what_is_described():
    """Answers made with the engine's own classes, as `serve.llm` writes them."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionResponse
    from vllm.entrypoints.openai.completion.protocol import CompletionResponse

    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "finish_reason": "length", "token_ids": [1]}
    logprobs = {
        "tokens": ["a"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"a": -0.5}],
        "text_offset": [0],
    }
    text = {"text": "a", "logprobs": logprobs, "prompt_token_ids": [2]}
    message = {"message": {"role": "assistant", "content": "a"}, "stop_reason": "b"}
    for engine, ours, said in (
        (CompletionResponse, CompletionReply, text),
        (ChatCompletionResponse, ChatReply, message),
    ):
        answer = engine(model="base", choices=[{**choice, **said}], usage=usage)
        written = answer.model_dump(mode="json", exclude_none=True)
        jsonschema.validate(written, ours.model_json_schema())
        # Nothing that is described is a name that the engine does not know.
        assert ours.model_validate(written).model_dump(exclude_unset=True) == written
        assert ours.model_fields.keys() <= engine.model_fields.keys()
