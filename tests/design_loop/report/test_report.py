"""The report: complete, escaped, self-contained, small."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from fake_campaign import FakeCampaign

from defects.hosts import get_host
from defects.structures import from_structure
from design_loop.ledger import Adapter, Ledger
from design_loop.report import write_report
from design_loop.report.page import ReportError, build_page
from design_loop.views.document import VIEWER_SCRIPTS

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Reader(HTMLParser):
    """Checks that elements close in order and collects addresses and text."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.elements, self.words = [], [], [], []

    def handle_starttag(self, name, attrs):
        self.elements.append(name)
        self.addresses += [v for k, v in attrs if k in ("href", "src", "xlink:href")]
        assert not [k for k, _ in attrs if k.startswith("on")], "an event handler"
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attrs):
        self.handle_starttag(name, attrs)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.words.append(data)


def _read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def page(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    return build_page(ledger, name)


def test_page_is_well_formed_and_fetches_nothing(page):
    reader = _read(page)
    inside = ("data:chemical/x-cif;", "data:image/svg+xml;", "#")
    assert [a for a in reader.addresses if not a.startswith(inside)] == []
    assert "default-src &#x27;none&#x27;" in page
    assert len(page) < 1_200_000


def test_only_the_viewer_may_run(page):
    """The policy names the hash of every script in the page, and of none besides."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert re.findall(r"sha256-([^']+)", policy) == hashes
    assert len(hashes) == len(VIEWER_SCRIPTS)
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_figures_in_the_page_are_files_too(page):
    found = re.findall(r'href="data:image/svg\+xml;base64,([^"]+)" download="([^"]+)"', page)
    wanted = ("funnel", "asked-predicted-homo_lumo_gap", "hits-by-calls",
              "front-homo_lumo_gap-formation_energy_per_site")  # fmt: skip
    assert {f"{name}.svg" for name in wanted} <= {name for _, name in found}
    for content, _ in found:
        drawing = ElementTree.fromstring(base64.b64decode(content))
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert b"var(" not in base64.b64decode(content)


def test_page_says_what_there_is_to_know(page):
    text = " ".join(_read(page).words)
    for words in ("homo_lumo_gap in 0.6..0.9", "meet all targets", "duplicate_in_training",
                  "Seed 7", "tblite", "r002-000000000002", "random pairs", "Methods",
                  "Time per step", "generate", "3 candidates failed",
                  "max_seconds: 90"):  # fmt: skip
        assert words in text


def test_structures_in_the_page_are_the_candidates(page, ledger):
    from pymatgen.core import Structure

    host = get_host("MoS2", "4x4")
    files = re.findall(r'href="data:chemical/x-cif;base64,([^"]+)" download="([^"]+)"', page)
    assert len(files) == 15
    for content, name in files[:3]:
        structure = Structure.from_str(base64.b64decode(content).decode(), fmt="cif")
        assert from_structure(structure, host).key in name


def test_everything_from_outside_is_escaped(ledger, tmp_path):
    campaign = FakeCampaign(ledger, tmp_path)
    name = campaign.run(rounds=1)
    nasty = '"><script>alert(1)</script>'
    ledger.event(name, nasty, level="error")
    ledger.set_campaign_state(name, "failed", error=f"Traceback\n{nasty}")
    ledger.start_round(name, 2, adapter=nasty, surrogate="s2")
    for step in ("generate", "check"):
        with ledger.step(name, 2, step) as run:
            run.add_adapter(Adapter(f"{nasty}{step}", nasty, {}))
    text = build_page(ledger, name)
    reader = _read(text)
    assert reader.elements.count("script") == text.count("<script")
    assert nasty not in text
    assert any(nasty in words for words in reader.words)


def test_what_people_changed_is_told_with_its_time(ledger, tmp_path):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(rounds=2)
    assert "What was changed" not in build_page(ledger, campaign.id)
    ledger.extend(campaign.id, rounds=2)
    ledger.extend(campaign.id, budget=9)
    first, second = ledger.amendments(campaign.id)
    words = _read(build_page(ledger, campaign.id)).words
    assert f"{first.time:%Y-%m-%d %H:%M:%S}" in words
    assert f"{second.time:%Y-%m-%d %H:%M:%S}" in words
    assert "2 more rounds" in words
    assert "up to 9 oracle calls per round from round 3 on" in words
    model = ledger.adapters(campaign.id)[-1].name
    fork = ledger.fork_campaign(campaign.id, campaign.config, tmp_path, adapter=model)
    lineage = ledger.lineage(fork)
    words = _read(build_page(ledger, fork)).words
    assert f"{lineage.time:%Y-%m-%d %H:%M:%S}" in words
    assert (
        f"forked from {campaign.id} in its round 2: took over {lineage.labels} labels, began with "
        f"its adapter {model}"
    ) in words
    assert lineage.labels > 1


def test_a_campaign_that_just_began_has_a_report(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).id
    page = build_page(ledger, name)
    assert "None has a label yet." in " ".join(_read(page).words)
    assert "<script" not in page


def test_a_failed_write_leaves_the_old_report(ledger, tmp_path, monkeypatch):
    name = FakeCampaign(ledger, tmp_path).id
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ReportError, match="No space left"):
        write_report(ledger, name, path)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob(".*report*"))
