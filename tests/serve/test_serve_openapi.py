"""Whatever a client sends: no 5xx, and errors in the API's own form (schemathesis).

Half of what is sent fits the schema of the request, half breaks it somewhere.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from fake_backend import FakeBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.api import build_api
from serve.config import ServeConfig

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = int(os.environ.get("DESIGN_LOOP_FUZZ_EXAMPLES", "25"))


@pytest.fixture(scope="module")
def api_schema():
    config = ServeConfig(
        base_model="m",
        allowed_hosts=("testserver",),  # the name that schemathesis calls it by
        limits={"max_samples": 64, "max_prompts": 8, "max_configurations": 64},
    )
    return schemathesis.openapi.from_asgi("/openapi.json", build_api(config, FakeBackend()))


ROUTES = [
    "GET /healthz",
    "GET /v1/models",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/design",
    "POST /v1/predict",
]
MOS2 = {"host": "MoS2", "supercell": [2, 2, 1]}
SENSIBLE = {
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
    assert sorted(operations(api_schema)) == ROUTES


@pytest.mark.parametrize(
    "route, mode",
    [(r, m) for r in ROUTES for m in ("POSITIVE", "NEGATIVE") if r[:4] == "POST" or m[0] == "P"],
)
def test_no_request_breaks_the_server(api_schema, route, mode):
    operation = operations(api_schema)[route]
    seen = Counter()

    @given(
        case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]),
        mended=st.booleans(),
    )
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def send(case, mended):
        if mended and isinstance(case.body, dict):
            # What no generator hits by chance, so that the rest of the body gets further in.
            case.body.update(SENSIBLE[route])
        reply = case.call()
        seen[reply.status_code] += 1
        assert reply.status_code < 500, reply.text
        if reply.status_code >= 400:
            error = reply.json()["error"]
            assert error["code"] == reply.status_code
            assert "Traceback" not in error["message"] and 'File "' not in error["message"]

    send()
    print(route, mode, dict(seen))
    assert seen[200] or mode == "NEGATIVE"
