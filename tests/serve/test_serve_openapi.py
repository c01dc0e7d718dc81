"""Whatever a client sends: no 5xx, and errors in the API's own form (schemathesis).

Half of what is sent fits the schema of the request, half breaks it somewhere.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from fake_backend import FakeBackend
from fake_campaign import FakeCampaign
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from design_loop.ledger import Ledger
from design_loop.server.campaigns import CampaignRoutes
from design_loop.server.settings import CampaignsSettings
from serve.api import build_api
from serve.config import ServeConfig

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = int(os.environ.get("DESIGN_LOOP_FUZZ_EXAMPLES", "25"))


@pytest.fixture(scope="module")
def api_schema(tmp_path_factory):
    """The whole API, campaigns included; drivers are not really started."""
    folder = tmp_path_factory.mktemp("campaigns")
    settings = CampaignsSettings(workdir=folder)
    with Ledger(settings.ledger) as ledger:
        FakeCampaign(ledger, folder).run(rounds=1)
        known = ledger.campaigns()[0].id
    config = ServeConfig(
        base_model="m",
        allowed_hosts=("testserver",),  # the name that schemathesis calls it by
        limits={"max_samples": 64, "max_prompts": 8, "max_configurations": 64},
    )
    api = build_api(config, FakeBackend(), [CampaignRoutes(settings)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("design_loop.server.control.launch", lambda *_: 1)
        patch.setitem(KNOWN, "campaign", known)
        yield schemathesis.openapi.from_asgi("/openapi.json", api)


ROUTES = [
    "GET /healthz",
    "GET /v1/campaigns",
    "GET /v1/campaigns/{campaign}",
    "GET /v1/campaigns/{campaign}/candidates",
    "GET /v1/campaigns/{campaign}/download",
    "GET /v1/models",
    "POST /v1/campaigns",
    "POST /v1/campaigns/{campaign}/extend",
    "POST /v1/campaigns/{campaign}/pause",
    "POST /v1/campaigns/{campaign}/resume",
    "POST /v1/campaigns/{campaign}/stop",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/design",
    "POST /v1/predict",
]
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
        if mended and "campaign" in (case.path_parameters or {}):
            case.path_parameters.update(KNOWN)
        if mended and isinstance(case.body, dict) and route in SENSIBLE:
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
    # What is in the wrong state for it is a 409, and a whole campaign is hard to hit by chance.
    fine = seen[200] or seen[201] or (seen[409] if route.endswith(STEERING) else 0)
    assert fine or mode == "NEGATIVE" or route == "POST /v1/campaigns"
