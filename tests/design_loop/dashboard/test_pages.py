"""The dashboard's pages, without a browser: complete, escaped, paged, closed to foreign names."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from fake_campaign import FakeCampaign
from fastapi.testclient import TestClient

from design_loop.config import CampaignConfig, load_preset
from design_loop.dashboard.alone import DashboardError, build_alone, serve_alone
from design_loop.dashboard.live import RESTING_S, RUNNING_S, read_live
from design_loop.dashboard.store import Store
from design_loop.export.items import Item
from design_loop.export.tables import as_csv
from design_loop.ledger import Adapter, Ledger, Prediction, Selection
from design_loop.summary import summarise_campaign
from design_loop.views.public import SHOWN_SECTIONS

TABS = ("", "/candidates", "/samples", "/agreement", "/models", "/settings", "/log")
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Reader(HTMLParser):
    """Checks that elements close in order; collects addresses, inline scripts, handlers."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.bad, self.labels, self.ids = [], [], [], [], []

    def handle_starttag(self, name, attrs):
        given = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("href", "src", "action")]
        self.bad += [k for k, _ in attrs if k.startswith("on") or k == "style"]
        self.ids += [given["id"]] if "id" in given else []
        if name == "script" and "src" not in given and given.get("type") != "application/json":
            self.bad.append("inline script")
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attrs):
        self.handle_starttag(name, attrs)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open.pop() == name


def _read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.bad == []
    assert len(set(reader.ids)) == len(reader.ids)
    return reader


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def client(tmp_path):
    store = Store(str(tmp_path / "ledger.sqlite"), frank=True)
    with TestClient(build_alone(store), base_url="http://127.0.0.1") as client:
        yield client
    store.close()


def test_every_page_of_a_campaign_is_whole(client, ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    seen = set()
    for tab in TABS:
        answer = client.get(f"/dashboard/campaigns/{name}{tab}")
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy.partition("style-src-attr")[0]
        seen |= set(_read(answer.text).addresses)
    inside = [a for a in seen if not a.startswith(("/dashboard", "#", "data:,"))]
    assert inside == []
    for address in sorted(seen):
        if address.startswith("/dashboard") and "/candidates/" not in address:
            assert client.get(address).status_code == 200, address


def test_the_list_of_campaigns_is_paged(client, ledger, tmp_path):
    assert "holds no campaign yet" in client.get("/dashboard/").text
    names = [FakeCampaign(ledger, tmp_path).id for _ in range(23)]
    first, second = (client.get(f"/dashboard/?page={n}").text for n in (1, 2))
    assert sum(name in first for name in names) == 20
    assert sum(name in second for name in names) == 3
    assert "21–23 of 23" in second
    _read(first)


def test_the_list_counts_rounds_that_were_added_since(client, ledger, tmp_path):
    config = load_preset("quickstart", check=False).model_copy(update={"rounds": 1})
    name = FakeCampaign(ledger, tmp_path, config=config).run()

    def rounds():
        [said] = re.findall(r"<dt>rounds</dt><dd>([^<]*)</dd>", client.get("/dashboard/").text)
        return said

    assert rounds() == "1 of 1"
    ledger.extend(name, rounds=2)
    assert rounds() == "1 of 3"
    # A campaign that runs changes its state by nothing that extends it.
    ledger.set_campaign_state(name, "running")
    assert rounds() == "1 of 3"
    ledger.extend(name, rounds=1)
    assert rounds() == "1 of 4"


def test_without_a_ledger_the_page_says_how_to_start(tmp_path):
    client = TestClient(build_alone(Store(str(tmp_path / "none.sqlite"), frank=True)),
                        base_url="http://127.0.0.1")  # fmt: skip
    text = client.get("/").text
    assert "no ledger here" in text
    assert "design-loop campaign run" in text
    assert client.get("/dashboard/campaigns/x").status_code == 503


def test_a_network_is_not_told_paths(tmp_path):
    client = TestClient(build_alone(Store(str(tmp_path / "none.sqlite"))),
                        base_url="http://127.0.0.1")  # fmt: skip
    for path in ("/dashboard/", "/dashboard/campaigns/x"):
        assert str(tmp_path) not in client.get(path).text


def test_pages_of_a_campaign_name_no_place_of_the_server(client, ledger, tmp_path):
    """Only names: of base and dataset, in messages, errors, manifests and the report."""
    place, secret = str(tmp_path / "place"), "hunter2"
    config = load_preset("quickstart", check=False)
    oracle = config.oracle.model_copy(update={"environment": {"LICENCE": secret}})
    tracking = {"kind": "mlflow", "uri": f"http://me:{secret}@tracker:5000"}
    config = config.model_copy(
        update={
            "base_model": f"{place}/our-base",
            "dataset": f"{place}/our-data",
            "oracle": oracle,
            "tracking": config.tracking.model_copy(update=tracking),
            "resources": config.resources.model_copy(update={"train_storage": f"{place}/shared"}),
        }
    )
    name = FakeCampaign(ledger, tmp_path / "runs", config=config).run(rounds=1)
    ledger.event(name, f"driver: cannot write {place}/our-file", level="error")
    ledger.set_campaign_state(name, "failed", error=f"Traceback\nno room in {place}/our-folder")
    base = f"/dashboard/campaigns/{name}"
    asked = [f"{base}{tab}" for tab in TABS]
    asked += [f"{base}/live", f"{base}/report.html", "/dashboard/", f"{base}/candidates/"]
    asked[-1] += ledger.labels(name)[-1].candidate
    told = {}
    for path in asked:
        told[path] = client.get(path).text
        assert str(tmp_path) not in told[path], path
        assert secret not in told[path], path
    assert "our-base" in told[f"{base}/settings"]
    assert "our-data" in told[f"{base}/report.html"]
    assert "base_model: small" in told[f"{base}/models"]
    assert "instruction_file" not in told[f"{base}/models"]
    assert "cannot write our-file" in told[f"{base}/log"]
    assert "no room in our-folder" in told["/dashboard/"]


def test_every_section_of_a_campaign_file_is_shown_or_kept_back():
    """Whoever adds one decides."""
    assert set(CampaignConfig.model_fields) - set(SHOWN_SECTIONS) == {"tracking"}


def test_a_candidates_page_tells_its_lineage(client, ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    label = ledger.labels(name)[-1]
    text = client.get(f"/dashboard/campaigns/{name}/candidates/{label.candidate}").text
    words = ["Instruction", "asked for gap", "Adapter", "r003-000000000003", "Sample",
             "Check", "Prediction in round 3", "Selection in round 3", "small error",
             "Label by the oracle"]  # fmt: skip
    told = text.partition("Lineage")[2]
    places = [told.index(word) for word in words]
    assert places == sorted(places)
    _read(text)


def _reconsidered(ledger, folder):
    """A campaign whose second round finds nothing, but selects a candidate of the first."""
    name = FakeCampaign(ledger, folder).run(rounds=1)
    taken = {s.candidate for s in ledger.selections(name, 1)}
    [(_, first), *_] = [p for p in ledger.predictions(name, 1) if p[1].candidate not in taken]
    second = Prediction(first.candidate, {"homo_lumo_gap": 0.7123}, {"homo_lumo_gap": 0.0111}, 0.0)
    ledger.start_round(name, 2, adapter="r002-000000000002", surrogate="s2")
    for step in ("generate", "check"):
        with ledger.step(name, 2, step):
            pass
    with ledger.step(name, 2, "predict") as run:
        run.record_predictions("s2", [second])
    with ledger.step(name, 2, "select") as run:
        run.record_selection([Selection(first.candidate, 1, "certain now", "late")], {"name": "x"})
    with ledger.step(name, 2, "verify"):
        ledger.record_label(name, 2, first.candidate, "late", {"homo_lumo_gap": 0.7}, 1.0)
    return name, first.candidate


def test_a_candidate_that_a_later_round_selected_tells_both_rounds(client, ledger, tmp_path):
    name, key = _reconsidered(ledger, tmp_path)
    base = f"/dashboard/campaigns/{name}"
    text = client.get(f"{base}/candidates/{key}").text
    _read(text)
    assert "found in round 1, selected in round 2" in text
    told = text.partition("Lineage")[2]
    words = ["r001-000000000001", "round 1, number", "Prediction in round 1",
             "Prediction in round 2", "0.712 ± 0.011 eV", "; selected by this one",
             "Selection in round 2", "certain now; found in round 1, passed over until then",
             "Label by the oracle in round 2"]  # fmt: skip
    places = [told.index(word) for word in words]
    assert places == sorted(places)
    assert told.count("selected by this one") == 1
    # In the funnel it counts once as predicted, where it was found.
    first, second = ledger.funnel(name, 1), ledger.funnel(name, 2)
    assert (second.predicted, second.selected, second.earlier) == (0, 1, 1)
    assert first.predicted == ledger.funnel(name).predicted == first.candidates
    shown = client.get(base).text
    assert "selected (found earlier)" in shown and "1 (1)" in shown
    assert "1 were selected by a later round" in shown
    assert ledger.verified(name)[-1].prediction.mean == {"homo_lumo_gap": 0.7123}
    [late] = [c for c in summarise_campaign(ledger, name).candidates if c.key == key]
    assert (late.round, late.labelled_in) == (1, 2)
    assert late.prediction.mean == {"homo_lumo_gap": 0.7123}
    [row] = csv.DictReader(io.StringIO(as_csv([Item(late, None)], None)))
    assert (row["round"], row["labelled_in"]) == ("1", "2")
    assert row["homo_lumo_gap_predicted"] == "0.7123"


@pytest.mark.parametrize("ending", ["cif", "vasp", "extxyz"])
def test_structures_can_be_taken_away(client, ledger, tmp_path, ending):
    from pymatgen.core import Structure

    from defects.hosts import get_host
    from defects.structures import from_structure

    name = FakeCampaign(ledger, tmp_path).run(rounds=1)
    key = ledger.candidates(name)[0].key
    answer = client.get(f"/dashboard/campaigns/{name}/candidates/{key}.{ending}")
    assert f'filename="{key}.{ending}"' in answer.headers["content-disposition"]
    if ending == "extxyz":
        assert answer.text.splitlines()[1].startswith("Lattice=")
        return
    found = Structure.from_str(answer.text, fmt={"cif": "cif", "vasp": "poscar"}[ending])
    assert from_structure(found, get_host("MoS2", "4x4")).key == key


def test_what_is_not_there_is_said_kindly(client, ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).id
    base = f"/dashboard/campaigns/{name}"
    for path, status in (
        ("/dashboard/campaigns/none", 404),
        ("/dashboard/nothing", 404),
        ("/dashboard/static/../app.py", 404),
        ("/dashboard/static/app.py", 404),
        (f"{base}/candidates/0123456789abcdef", 404),
        (f"{base}/candidates/0123456789abcdef.exe", 404),
        (f"{base}/figures/none.svg", 404),
        (f"{base}/samples?page=0", 422),
        (f"{base}/samples?round=x", 422),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        _read(answer.text)


def test_a_campaign_that_just_began_has_pages(client, ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).id
    for tab in TABS:
        answer = client.get(f"/dashboard/campaigns/{name}{tab}")
        assert answer.status_code == 200
        _read(answer.text)
    assert "not begun" in client.get(f"/dashboard/campaigns/{name}").text


def test_everything_from_the_ledger_is_escaped(client, ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run(rounds=1)
    nasty = '"><script>alert(1)</script>'
    ledger.event(name, nasty, level="error")
    ledger.start_round(name, 2, adapter=nasty, surrogate="s2")
    for step in ("generate", "check"):
        with ledger.step(name, 2, step) as run:
            run.add_adapter(Adapter(f"{nasty}{step}", nasty, {"parent": nasty}))
    ledger.set_campaign_state(name, "failed", error=f"Traceback\n{nasty}")
    for tab in ("", "/live", "/body", "/samples", "/models", "/log"):
        text = client.get(f"/dashboard/campaigns/{name}{tab}").text
        assert "<script>" not in text
    assert "&lt;script&gt;alert" in client.get("/dashboard/").text


def test_other_names_of_this_machine_are_refused(client):
    assert client.get("/dashboard/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", follow_redirects=False).headers["location"] == "/dashboard/"


def test_a_campaign_without_an_oracle_and_without_instructions(client, ledger, tmp_path):
    config = load_preset("quickstart", check=False)
    config = config.model_copy(
        update={"oracle": config.oracle.model_copy(update={"kind": "none", "settings": {}})}
    )
    name = FakeCampaign(ledger, tmp_path, config=config).run(rounds=1)
    assert client.get(f"/dashboard/campaigns/{name}").status_code == 200
    settings = client.get(f"/dashboard/campaigns/{name}/settings").text
    assert "There was no oracle" in settings


def test_the_live_part_follows_the_driver(ledger, tmp_path):
    campaign = FakeCampaign(ledger, tmp_path)
    name = campaign.run(rounds=1)
    now = datetime.now(UTC)
    with ledger.lease(name):
        ledger.start_round(name, 2)
        with ledger.step(name, 2, "generate"):
            live = read_live(ledger, ledger.campaign(name), now)
            assert "round 2 of 3, generate" in live.html
            assert live.wait_s == RUNNING_S
            # The same, long after: a driver that is alive renews its lease.
            late = read_live(ledger, ledger.campaign(name), now + timedelta(hours=1))
            assert "has not been heard of" in late.html
            assert f"design-loop campaign resume {name}" in late.html
            assert late.wait_s == RESTING_S
        again = read_live(ledger, ledger.campaign(name), now)
        assert again.stamp != live.stamp
    gone = read_live(ledger, ledger.campaign(name), now)
    assert "no driver" in gone.html


def test_pages_are_made_once_for_each_state(client, ledger, tmp_path, monkeypatch):
    from design_loop.dashboard import campaign_pages

    name = FakeCampaign(ledger, tmp_path).run(rounds=1)
    made = []
    real = campaign_pages.overview
    monkeypatch.setattr(campaign_pages, "overview", lambda *a: made.append(a) or real(*a))
    for _ in range(3):
        client.get(f"/dashboard/campaigns/{name}")
    assert len(made) == 1
    ledger.event(name, "news")
    client.get(f"/dashboard/campaigns/{name}/body")
    assert len(made) == 2


def test_assets_change_their_address_with_their_content(client):
    page = client.get("/dashboard/").text
    [address] = re.findall(r'href="(/dashboard/static/style.css\?v=[0-9a-f]{12})"', page)
    answer = client.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")


def test_a_taken_port_is_said(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DashboardError, match="cannot be used"):
            serve_alone(str(tmp_path / "x"), taken.getsockname()[1], print)
