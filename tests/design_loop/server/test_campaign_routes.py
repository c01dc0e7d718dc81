"""Campaigns over HTTP: read, start, steer, download; what is refused and how."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_campaign import FakeCampaign

from design_loop.config.loading import load_preset
from design_loop.ledger import CampaignState
from design_loop.server.settings import CampaignsSettings
from design_loop.summary import summarise_campaign
from serve.keys import KeyFile

CAMPAIGN = {
    "name": "over-http",
    "host": {"name": "MoS2", "supercell": "4x4"},
    "rules": {"defects": ["V_S", "W_Mo", "Se_S"]},
    "targets": ["homo_lumo_gap=0.6..0.9"],
    "rounds": 2,
    "dataset": "xtb-mos2-4x4",
    "proposer": {"kind": "random"},
    "generation": {"samples": 40},
    "selection": {"budget": 4},
    "oracle": {"kind": "table", "settings": {"dataset": "xtb-mos2-4x4"}},
}


def _rounds(number):
    return load_preset("quickstart", check=False).model_copy(update={"rounds": number})


def _error(reply):
    return reply.status_code, reply.json()["error"]["type"]


def test_list_and_show_say_everything_but_where_it_lies(client, played, ledger, tmp_path):
    ledger.extend(played, rounds=2, budget=5, by="anna")
    ledger.set_campaign_state(played, CampaignState.RUNNING)
    ledger.set_campaign_state(played, CampaignState.FAILED, f"no room in {tmp_path}/runs/x: full")
    [card] = client.get("/v1/campaigns").json()["data"]
    assert (card["id"], card["state"], card["driven"]) == (played, "failed", False)
    assert card["error"] == "no room in x: full"
    shown = client.get(f"/v1/campaigns/{played}")
    found = shown.json()
    assert found["targets"][0] == "homo_lumo_gap in 0.6..0.9"
    assert (found["rounds_done"], found["rounds_in_all"]) == (3, 5)
    assert found["amendments"][0] | {"time": None} == {
        "number": 1, "time": None, "rounds": 2, "budget": 5, "stage": 1, "first_round": 4
    }  # fmt: skip
    samples = sum(r["samples"] for r in found["rounds"])
    drops = sum(sum(r["drops"].values()) for r in found["rounds"])
    assert samples == drops + sum(r["candidates"] for r in found["rounds"]) == 120
    assert str(tmp_path) not in shown.text


def test_candidates_come_page_by_page_as_json_or_csv(client, played):
    path = f"/v1/campaigns/{played}/candidates"
    whole = client.get(path).json()
    assert whole["total"] == len(whole["data"]) == 15
    assert whole["next"] is None
    after = whole["data"][4]["key"]
    page = client.get(path, params={"after": after, "limit": 3}).json()
    assert page == {"total": 15, "next": whole["data"][7]["key"], "data": whole["data"][5:8]}
    hits = client.get(path, params={"hits": True}).json()
    assert hits["data"] == [c for c in whole["data"] if c["meets_targets"]]
    last = client.get(path, params={"hits": True, "limit": 1, "after": hits["data"][-1]["key"]})
    assert last.json() == {"total": len(hits["data"]), "next": None, "data": []}
    assert _error(client.get(path, params={"after": "0" * 16})) == (422, "unknown_candidate")
    table = client.get(path, params={"format": "csv", "limit": 4})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["_id"] for row in rows] == [c["key"] for c in whole["data"][:4]]


def test_pages_fit_together_while_the_campaign_runs(client, ledger, workdir):
    fake = FakeCampaign(ledger, workdir, config=_rounds(4))
    name = fake.run(rounds=1)
    path = f"/v1/campaigns/{name}/candidates"
    before = [c["key"] for c in client.get(path).json()["data"]]
    seen, after = [], {}
    for number in (2, 3, 4):  # labels arrive between two pages
        page = client.get(path, params={"limit": 2, **after}).json()
        seen += [c["key"] for c in page["data"]]
        after = {"after": page["next"]}
        fake._round(number)
    while after["after"] is not None:
        page = client.get(path, params={"limit": 2, **after}).json()
        seen += [c["key"] for c in page["data"]]
        after = {"after": page["next"]}
    assert len(set(seen)) == len(seen)
    assert [key for key in seen if key in set(before)] == before
    whole = [c["key"] for c in client.get(path).json()["data"]]
    assert len(whole) > len(seen) > len(before)  # some came late and better than what was read
    assert [key for key in whole if key in set(seen)] == seen


def test_a_campaign_is_ranked_once_for_every_state(client, played, ledger, monkeypatch):
    made = []

    def summarise(ledger, campaign):
        made.append(campaign)
        return summarise_campaign(ledger, campaign)

    monkeypatch.setattr("design_loop.server.ranking.summarise_campaign", summarise)
    path = f"/v1/campaigns/{played}/candidates"
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: client.get(path, params={"limit": 3}).json(), range(8)))
    assert made == [played]
    assert all(page == pages[0] for page in pages)
    ledger.event(played, "something happened")
    client.get(path)
    assert made == [played] * 2


def test_a_download_is_a_zip_of_structures_table_and_report(client, played, tmp_path):
    reply = client.get(f"/v1/campaigns/{played}/download", params={"top": 4})
    assert reply.headers["content-type"] == "application/zip"
    assert f'filename="{played}.zip"' in reply.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        names = [name.removeprefix(f"{played}/") for name in archive.namelist()]
        content = {name: archive.read(f"{played}/{name}").decode() for name in names}
    assert sum(name.endswith(".cif") for name in names) == 4
    assert {"candidates/candidates.csv", "candidates.json", "report.html"} <= set(names)
    assert len(json.loads(content["candidates.json"])["candidates"]) == 4
    assert str(tmp_path) not in "".join(content.values())


def test_a_download_that_is_too_large_or_empty_is_refused(connect, settings, played, ledger):
    small = connect(settings.model_copy(update={"max_download_bytes": 3000}))
    path = f"/v1/campaigns/{played}/download"
    reply = small.get(path)
    assert _error(reply) == (413, "download_too_large")
    assert "?top=" in reply.json()["error"]["message"]
    config = ledger.campaign(played).config

    class Config:
        name, seed, content_hash = "empty", 1, "0"

        def model_dump(self, *, mode):
            return config

    empty = ledger.create_campaign(Config(), settings.workdir)
    assert _error(small.get(f"/v1/campaigns/{empty}/download")) == (409, "nothing_to_download")


def test_unknown_ids_are_404_also_the_beginning_of_one(client, played):
    routes = [("GET", ""), ("GET", "/candidates"), ("GET", "/download")]
    routes += [("POST", f"/{action}") for action in ("pause", "stop", "resume", "extend")]
    for name in ("nope", played[:-1], "..%2F..%2Fetc", "%00"):
        for method, path in routes:
            body = {"json": {"rounds": 1}} if path == "/extend" else {}
            reply = client.request(method, f"/v1/campaigns/{name}{path}", **body)
            assert reply.status_code == 404, (method, name, path)


def test_starting_one_records_it_and_launches_a_driver(client, ledger, launched, workdir):
    reply = client.post("/v1/campaigns", json=CAMPAIGN)
    assert reply.status_code == 201, reply.text
    card = reply.json()
    assert launched == [(card["id"], "created")]
    found = ledger.campaign(card["id"])
    assert found.config["targets"] == [{"property": "homo_lumo_gap", "min": 0.6, "max": 0.9}]
    assert found.workdir == str(workdir)
    # As from a file with the same content.
    assert found.config["selection"]["budget"] == 4


@pytest.mark.parametrize(
    "change, part",
    [
        ({"hosst": {}}, "hosst: unknown key; did you mean 'host'?"),
        ({"rounds": 0}, "rounds: must be at least 1"),
        ({"targets": ["gapp=1"]}, "targets[0]"),
        ({"targets": ["homo_lumo_gap=9..10"]}, "out of reach"),
        ({"selection": {"budget": 40}}, "selection.budget"),
        ({"rounds": 101}, "101 is more than the 100 that this server allows"),
        ({"host": {"name": "MoS2", "supercell": "64x64"}}, "that this server allows"),
        ({"dataset": "other"}, "not served here"),
        ({"dataset": "/etc"}, "names neither files"),
        ({"host": {"name": "../cell.cif"}}, "names neither files"),
        ({"base_model": "owner/model"}, "names neither files"),
        ({"base_model": "medium"}, "there is small"),
        ({"serving": {"port": 1}}, "serving: is set by the server"),
        ({"resources": {"ray_address": "auto"}}, "resources: is set by the server"),
        ({"oracle": {"kind": "ase", "settings": {}}}, "over HTTP there is none, table, xtb"),
        ({"oracle": {"kind": "xtb", "environment": {"A": "b"}}}, "oracle.environment"),
        ({"oracle": {"kind": "xtb", "settings": {"functions": {"a": "os:getcwd"}}}}, "oracle."),
        ({"rules": {"defects": ["V_S"], "seeds": ["/etc/x.cif"]}}, "rules.seeds[0]"),
        ({"rules": {"defects": ["V_S"], "seeds": ["x.cif"]}}, "rules.seeds[0]"),
        ({"name": "x" * 9000}, "name"),
    ],
)
def test_what_a_file_could_say_and_a_request_may_not(
    client, ledger, launched, tmp_path, change, part
):
    reply = client.post("/v1/campaigns", json={**CAMPAIGN, **change})
    assert _error(reply) == (422, "invalid_campaign")
    message = reply.json()["error"]["message"]
    assert part in message
    assert str(tmp_path) not in message and "/work" not in message
    assert launched == ledger.campaigns() == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none(client, ledger, launched, number):
    body = json.dumps(CAMPAIGN).replace('"rounds": 2', f'"rounds": {number}')
    reply = client.post("/v1/campaigns", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422)
    assert launched == []


def test_names_of_the_server_stand_for_its_own_things(connect, settings, ledger, launched):
    own = settings.model_copy(
        update={"datasets": {"lab": "xtb-mos2-4x4"}, "bases": {"large": "small"}}
    )
    body = {**CAMPAIGN, "dataset": "lab", "base_model": "large"}
    reply = connect(own).post("/v1/campaigns", json=body)
    assert reply.status_code == 201, reply.text
    config = ledger.campaign(reply.json()["id"]).config
    assert (config["dataset"], config["base_model"]) == ("xtb-mos2-4x4", "small")


def test_no_more_than_may_run_at_a_time(connect, settings, ledger, launched, monkeypatch):
    monkeypatch.setattr("design_loop.server.control.drivers", lambda folder: ["a"])
    reply = connect(settings).post("/v1/campaigns", json=CAMPAIGN)
    assert _error(reply) == (429, "too_many_campaigns")
    assert reply.headers["retry-after"]
    closed = connect(settings.model_copy(update={"max_running": 0}))
    assert _error(closed.post("/v1/campaigns", json=CAMPAIGN)) == (403, "not_started_here")
    assert launched == ledger.campaigns() == []


def test_steering_and_what_makes_no_sense(client, ledger, launched):
    name = client.post("/v1/campaigns", json=CAMPAIGN).json()["id"]
    path = f"/v1/campaigns/{name}"
    paused = client.post(f"{path}/pause").json()
    assert (paused["state"], paused["asked"]) == ("paused", None)
    assert _error(client.post(f"{path}/pause")) == (409, "illegal_transition")
    resumed = client.post(f"{path}/resume")
    assert resumed.status_code == 200 and launched[-1] == (name, "paused")
    with ledger.lease(name):
        ledger.begin(name, CampaignState.PAUSED)
        reply = client.post(f"{path}/resume")
        assert _error(reply) == (409, "illegal_transition")
        assert "process" not in reply.json()["error"]["message"]
        asked = client.post(f"{path}/stop").json()
        assert (asked["state"], asked["asked"]) == ("running", "stop")
        assert client.get(path).json()["asked"] == "stop"
        assert client.post(f"{path}/resume").json()["asked"] is None  # taken back
        assert ledger.pending_request(name) is None
        extended = client.post(f"{path}/extend", json={"rounds": 3})
        assert "5 rounds in all" in extended.json()["message"]
        assert ledger.finish_campaign(name, 5)
    assert client.post(f"{path}/extend", json={"rounds": 1}).json()["state"] == "paused"
    assert {r.by for r in ledger.requests(name)} == {"HTTP"}


def test_extensions_within_bounds(client, ledger, launched):
    path = "/v1/campaigns/" + client.post("/v1/campaigns", json=CAMPAIGN).json()["id"]
    for body in (
        {}, {"rounds": 0}, {"rounds": 99}, {"rounds": "x"}, {"budget": 11}, {"budget": 5000},
        {"round": 1}, {"budget": 4, "stage": 2}, {"budget": 4, "stage": 0},
        {"rounds": 1, "stage": 1},
    ):  # fmt: skip
        assert client.post(f"{path}/extend", json=body).status_code == 422, body
    assert ledger.amendments(path.rpartition("/")[2]) == []
    assert client.post(f"{path}/extend", json={"budget": 9}).status_code == 200
    assert client.get(path).json()["amendments"][0]["budget"] == 9


def test_scopes(connect, settings, tmp_path, launched):
    keys = KeyFile(tmp_path / "keys.json")
    client = connect(settings, keys=keys.path)
    told = {}
    for scope in ("read", "design", "campaign"):
        text, _ = keys.create(scope, [scope])
        headers = {"Authorization": f"Bearer {text}"}
        told[scope] = (
            client.get("/v1/campaigns", headers=headers).status_code,
            client.post("/v1/campaigns", headers=headers, json=CAMPAIGN).status_code,
            client.post("/v1/campaigns/x/stop", headers=headers).status_code,
        )
    assert told == {"read": (200, 403, 403), "design": (403, 403, 403), "campaign": (403, 201, 404)}


def test_a_ledger_that_does_not_answer_is_503_without_its_address(connect, tmp_path):
    (tmp_path / "ledger.sqlite").write_text("no database, but long enough to be read as one" * 99)
    reply = connect(CampaignsSettings(workdir=tmp_path)).get("/v1/campaigns")
    assert _error(reply) == (503, "ledger_unavailable")
    assert str(tmp_path) not in reply.text
