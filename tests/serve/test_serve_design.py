"""POST /v1/design over a fake engine: ranking, drops, duplicates, refusals."""

from __future__ import annotations

import json
import re

import pytest
from fake_backend import FakeBackend
from fastapi.testclient import TestClient
from sealed import publish

from defects.adapter_folders import KEYS
from defects.configuration import Configuration
from defects.datasets.cif import SiteMatcher, parse_cif
from defects.hosts import get_host
from defects.rules import Rules
from defects.targets import parse_target
from serve.api import build_api
from serve.config import ServeConfig

HOST = get_host("MoS2", "4x4")
BODY = {
    "model": "base",
    "host": "MoS2",
    "supercell": [4, 4, 1],
    "rules": {"defects": ["V_S", "Se_S", "V_Mo"], "max_defects": 4},
    "targets": [
        "homo_lumo_gap=0.65..0.85",
        {"property": "formation_energy", "max": 0.5, "scale": 0.1},
    ],
    "count": 4,
    "samples": 40,
    "seed": 3,
}


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def client(backend):
    config = ServeConfig(base_model="some/model", limits={"max_samples": 4000})
    return TestClient(
        build_api(config, backend), base_url="http://127.0.0.1", raise_server_exceptions=False
    )


def design(client, **change):
    reply = client.post("/v1/design", json={**BODY, **change})
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("fmt", ["compact", "full"])
def test_candidates_are_ranked_valid_and_complete(client, fmt):
    answer = design(client, format=fmt)
    rules = Rules(**BODY["rules"])
    errors = [c["surrogate_error"] for c in answer["candidates"]]
    assert errors == sorted(errors, key=bool)  # what lies inside the ranges goes first
    assert [c["rank"] for c in answer["candidates"]] == [1, 2, 3, 4]
    assert len({c["key"] for c in answer["candidates"]}) == 4
    targets = [parse_target("homo_lumo_gap=0.65..0.85"), parse_target("formation_energy<=0.5")]
    for c in answer["candidates"]:
        configuration = Configuration.from_dict(c["configuration"], HOST)
        assert rules.violation(configuration) is None
        assert configuration.key == c["key"]
        assert SiteMatcher(HOST).match(parse_cif(c["structure"])) == configuration
        mean = c["prediction"]["mean"]
        # Half the width of the range is the other target's scale: both count alike.
        assert c["surrogate_error"] == pytest.approx(
            sum(t.error(mean[t.property]) for t in targets) / 2
        )
        assert 0 <= c["probability"] <= 1
        assert targets[0].satisfied(c["asked"]["homo_lumo_gap"])
        assert c["duplicate_of"] is None
    assert (answer["surrogate_version"], answer["adapter"]) == ("v1", None)


@pytest.mark.parametrize(
    "target, wanted",
    [
        # Inside the likelier first; a doubtful one inside before a likelier one outside.
        ({"value": 1.0, "tolerance": 0.1}, [2, 1, 4, 3]),
        ({"goal": "minimize"}, [1, 2, 3, 4]),
    ],
)
def test_the_order_is_that_of_a_campaign(client, backend, target, wanted):
    gaps = {1: (1.0, 0.5), 2: (1.05, 0.01), 3: (1.11, 0.001), 4: (1.2, 0.3)}

    async def predict(configurations):
        found = [gaps[len(item["defects"])] for item in configurations]
        rows = [
            {"mean": {"homo_lumo_gap": m}, "std": {"homo_lumo_gap": s}, "ood": False}
            for m, s in found
        ]
        body = {"version": "v1", "properties": list(backend.properties), "predictions": rows}
        return {"status": 200, "body": body}

    backend.predict = predict
    rows = design(client, targets=[{"property": "homo_lumo_gap", **target}], count=40)["candidates"]
    order = [len(c["configuration"]["defects"]) for c in rows]
    assert list(dict.fromkeys(order)) == wanted
    assert order == sorted(order, key=wanted.index)


def test_candidates_keep_rules_of_places_where_they_lie(client):
    more = {"where": {"S": "top"}, "frozen": ["Mo0 0 0"], "min_separation": 3.0}
    body = {**BODY["rules"], **more}
    answer = design(client, rules=body)
    ours = Rules(**body).on(HOST)
    assert answer["candidates"]
    for c in answer["candidates"]:
        assert ours.as_placed(Configuration.from_dict(c["configuration"], HOST).changes) is None
    reply = client.post("/v1/design", json={**BODY, "rules": {**body, "min_separation": 30}})
    assert reply.status_code == 200  # one defect has no other to be near to
    few = {**body, "min_defects": 2, "min_separation": 30}
    reply = client.post("/v1/design", json={**BODY, "rules": few})
    assert (reply.status_code, "loosen min_separation" in reply.text) == (422, True)


def test_every_sample_is_a_candidate_or_counted_under_its_reason(client):
    answer = design(client, constrained=False, count=2)
    assert answer["samples"] == 40
    assert len(answer["candidates"]) + sum(answer["drops"].values()) == 40
    assert {"empty", "unknown_site", "duplicate_site", "malformed"} <= answer["drops"].keys()
    # All answers without a fault are one class: a sulphur vacancy.
    assert [c["description"] for c in answer["candidates"]] == ["V_S"]
    assert answer["drops"]["duplicate_in_request"] == answer["candidates"][0]["samples"] - 1


def test_a_constrained_request_carries_its_rules_and_is_all_valid(client, backend):
    answer = design(client)
    assert set(answer["drops"]) <= {"duplicate_in_request", "beyond_count"}
    _, body, _ = backend.calls[0]
    assert len(body["constraint"]) == len(body["prompt"]) == 5
    assert body["constraint"][0]["max_defects"] == 4
    assert all("homo_lumo_gap: 0." in prompt for prompt in body["prompt"])


def test_known_configurations_are_found_under_symmetry(client):
    moved = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[37, "VAC"]]}
    other = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}
    answer = design(client, constrained=False, known=[other, moved])
    assert answer["candidates"] == []
    assert answer["drops"]["duplicate_of_known"] == 1
    answer = design(client, constrained=False, known=[other, moved], duplicates=True)
    assert [c["duplicate_of"] for c in answer["candidates"]] == ["known:1"]


def test_what_the_adapter_was_trained_on_is_nothing_new(backend, tmp_path):
    vacancy = Configuration.from_changes(HOST, {20: "VAC"})
    keys = f"{'0' * 16}\n{vacancy.key}\n"
    folder = publish(tmp_path, files={KEYS: keys.encode()})
    config = ServeConfig(base_model="some/model", adapter_roots=(tmp_path,))
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    asked = {"model": f"base:{folder.name}", "constrained": False}
    answer = design(client, **asked)
    assert answer["candidates"] == []
    assert answer["drops"]["duplicate_in_training"] == 1
    answer = design(client, **asked, duplicates=True)
    assert [c["duplicate_of"] for c in answer["candidates"]] == ["training"]
    # The base model was trained on none of these.
    assert [c["duplicate_of"] for c in design(client, constrained=False)["candidates"]] == [None]

    (folder / "training_keys.txt").write_text("")
    altered = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    reply = altered.post("/v1/design", json={**BODY, **asked})
    assert reply.status_code == 409 and "was altered" in reply.json()["error"]["message"]


def test_an_own_property_is_asked_for_as_the_adapter_learnt_it(backend, tmp_path):
    own = {"stiffness": {"unit": "GPa", "decimals": 1}}
    model = f"base:{publish(tmp_path, own_properties=own).name}"
    backend.properties = ("homo_lumo_gap", "stiffness")
    predict = backend.predict

    async def with_stiffness(configurations):
        reply = await predict(configurations)
        for row in reply["body"]["predictions"]:
            row["mean"] = {"homo_lumo_gap": 1.0, "stiffness": 120.0}
            row["std"] = dict.fromkeys(row["mean"], 0.05)
        return reply

    backend.predict = with_stiffness
    config = ServeConfig(base_model="some/model", adapter_roots=(tmp_path,))
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    asked = {"targets": ["stiffness=100..200", "homo_lumo_gap<=1.2"], "model": model}
    assert design(client, **asked)["candidates"]
    _, body, _ = backend.calls[0]
    for prompt in body["prompt"]:
        assert re.search(r"^stiffness: 1\d\d\.\d GPa$", prompt, re.MULTILINE)
        assert re.search(r"^homo_lumo_gap: -?\d\.\d{3} eV$", prompt, re.MULTILINE)
    backend.calls.clear()
    # The base model never saw it: in which unit would it be asked?
    reply = client.post("/v1/design", json={**BODY, **asked, "model": "base"})
    assert reply.status_code == 422
    assert "base was not trained to be asked for stiffness" in reply.json()["error"]["message"]
    assert backend.calls == []


def test_a_manifest_with_unreadable_own_properties_is_a_damaged_adapter(backend, tmp_path):
    folder = publish(tmp_path, own_properties={"stiffness": {"decimals": "many"}})
    config = ServeConfig(base_model="some/model", adapter_roots=(tmp_path,))
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    reply = client.post("/v1/design", json={**BODY, "model": f"base:{folder.name}"})
    assert reply.status_code == 409
    assert "own_properties" in reply.json()["error"]["message"]


def test_a_design_may_not_take_more_tokens_than_any_other_request(backend):
    config = ServeConfig(base_model="some/model", limits={"max_request_tokens": 3000})
    client = TestClient(build_api(config, backend), base_url="http://127.0.0.1")
    reply = client.post("/v1/design", json={**BODY, "format": "full"})
    assert reply.status_code == 422
    assert "at most 3000 per request" in reply.json()["error"]["message"]
    assert backend.calls == []
    assert design(client, samples=16)["samples"] == 16


def test_the_same_seed_asks_the_same(client, backend):
    design(client)
    design(client)
    design(client, seed=4)
    bodies = [call[1] for call in backend.calls if isinstance(call, tuple)]
    assert bodies[0] == bodies[1]
    assert bodies[0]["prompt"] != bodies[2]["prompt"]


def test_structures_in_other_formats(client):
    assert design(client, structure="none")["candidates"][0]["structure"] is None
    assert "direct" in design(client, structure="poscar")["candidates"][0]["structure"]


@pytest.mark.parametrize(
    "change, status, said",
    [
        ({"model": "base:nope"}, 404, "no finished adapter"),
        ({"model": "base:../x"}, 422, "not allowed"),
        ({"targets": ["homo=-5.5"]}, 422, "does not predict homo; it predicts homo_lumo_gap"),
        ({"targets": ["homo_lumo_gap=1", "homo_lumo_gap<=2"]}, 422, "named in two targets"),
        ({"targets": ["homo_lumo_gap=1e300"]}, 422, "at most 1e+06"),
        ({"targets": ["homo_lumo_gap=1e999"]}, 422, "finite"),
        ({"targets": ["x" * 5000]}, 422, "at most 100 characters"),
        ({"targets": ["homo_lumo_gap=wide"]}, 422, "write property=1.10"),
        ({"targets": []}, 422, "at least 1 item"),
        ({"host": "../../etc/passwd"}, 422, "unknown host"),
        ({"supercell": [30, 30, 1]}, 422, "too large"),
        ({"rules": {"defects": ["V_Te"]}}, 422, "no Te"),
        ({"rules": {"defects": ["V_S"], "min_defects": 7}}, 422, "above max_defects"),
        ({"count": 0}, 422, "greater than or equal to 1"),
        ({"samples": 5000}, 422, "at most 4000"),
        ({"known": [{"host": "BN"}]}, 422, "known configuration 0"),
        ({"known": [{"host": "MoS2", "supercell": [4, 4, 1], "defects": [[99, "VAC"]]}]}, 422,
         "site 99"),
        ({"grammar": "root ::= x"}, 422, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_sampling(client, backend, change, status, said):
    reply = client.post("/v1/design", json={**BODY, **change})
    assert reply.status_code == status
    assert said in reply.json()["error"]["message"]
    assert backend.calls == []


def test_infinity_in_a_site_is_no_crash(client):
    known = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[float("inf"), "VAC"]]}
    content = json.dumps({**BODY, "known": [known]})
    headers = {"Content-Type": "application/json"}
    reply = client.post("/v1/design", content=content, headers=headers)
    assert reply.status_code == 422


def test_overload_and_a_missing_surrogate_are_passed_on_with_retry_after(client, backend):
    backend.llm = {"status": 503, "body": {"error": {"message": "busy"}}}
    reply = client.post("/v1/design", json=BODY)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
    backend.llm, backend.down = None, "no surrogate is served yet"
    reply = client.post("/v1/design", json=BODY)
    assert reply.status_code == 503
    assert "no surrogate is served yet" in reply.json()["error"]["message"]


def test_metrics_count_what_became_of_the_samples(client):
    answer = design(client, constrained=False)
    text = client.get("/metrics").text
    empty = answer["drops"]["empty"]
    assert f'design_loop_design_samples_total{{outcome="empty"}} {float(empty)}' in text
    assert 'design_loop_requests_total{path="/v1/design",status="200"} 1.0' in text
