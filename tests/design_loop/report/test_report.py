"""The report: complete, escaped, self-contained, small."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_campaign import FakeCampaign

from defects.hosts import get_host
from defects.structures import from_structure
from design_loop.ledger import Adapter, Ledger
from design_loop.report import write_report
from design_loop.report.page import ReportError, build_page
from design_loop.views import charts
from design_loop.views.html import Markup, esc, table, tag

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
    assert "script" not in reader.elements
    outside = [a for a in reader.addresses if not a.startswith(("data:chemical/x-cif;", "#"))]
    assert outside == []
    assert "default-src &#x27;none&#x27;" in page
    assert len(page) < 300_000


def test_page_says_what_there_is_to_know(page):
    text = " ".join(_read(page).words)
    for words in ("homo_lumo_gap in 0.6..0.9", "meet all targets", "duplicate_in_training",
                  "Seed 7", "tblite", "r002-000000000002", "Time per step", "generate",
                  "3 candidates failed", "max_seconds: 90"):  # fmt: skip
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
    assert "script" not in reader.elements
    assert nasty not in text
    assert any(nasty in words for words in reader.words)


def test_a_campaign_that_just_began_has_a_report(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).id
    assert "None has a label yet." in " ".join(_read(build_page(ledger, name)).words)


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


def test_tags_escape_text_and_attributes():
    assert tag("p", "<b>", Markup("<i>x</i>"), class_="a", title='"') == (
        '<p class="a" title="&quot;">&lt;b&gt;<i>x</i></p>'
    )
    assert esc(Markup("<br>")) == "<br>"
    assert "&lt;" in table(("<",), [("<",)])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.02, 0.013), (0.4, 3e5), (-7, -6.9)])
def test_ticks_are_round_and_inside(low, high):
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 7
    assert min(found) >= low - 1e-9
    assert max(found) <= high + 1e-9
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])


def test_parity_draws_every_point_and_the_wanted_band():
    points = [charts.Point(0.1 * i, 0.1 * i + 0.02, i > 2, f"p{i}", 0.05) for i in range(5)]
    drawn = charts.parity(points, "x", "y", (0.2, float("inf")))
    assert drawn.count("<circle") == 5
    assert drawn.count('class="hit"') == 2
    assert drawn.count('class="band"') == 1
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_one_point_alone_can_be_drawn():
    drawn = charts.parity([charts.Point(0.5, 0.5, True, "only")], "x", "y", None)
    assert drawn.count("<circle") == 1
    assert "nan" not in drawn


def test_a_site_under_a_vacancy_stays_visible():
    """Both sulphur atoms above each other changed: the upper mark is open, the lower one wider."""
    from defects.configuration import Configuration
    from design_loop.views.crystal import CrystalView

    host = get_host("MoS2", "4x4")
    upper, lower = sorted(
        (host.site_of_label["S1 1 1"], host.site_of_label["S2 1 1"]),
        key=lambda site: -host.cart_coords[site, 2],
    )
    both = Configuration.from_changes(host, {upper: "VAC", lower: "Se"})
    drawn = CrystalView(host).draw(both.to_dict(), both.description)
    circles = re.findall(r'<circle class="([^"]+)"[^>]* r="([\d.]+)"', drawn)
    assert [kind for kind, _ in circles] == ["substitute below", "vacancy open"]
    assert float(circles[0][1]) > float(circles[1][1])
    assert ">Se</text>" in drawn
