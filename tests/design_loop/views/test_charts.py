"""Drawings: scales, and that every value has its place."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_campaign import FakeCampaign

from defects.targets import Target
from design_loop.config import load_preset
from design_loop.ledger import Ledger
from design_loop.summary import summarise_campaign
from design_loop.views import charts, plots
from design_loop.views.figures import Figure, front_figures
from design_loop.views.html import Markup, esc, table, tag
from design_loop.views.style import page_css, standalone


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.02, 0.013), (0.4, 3e5), (-7, -6.9)])
def test_ticks_are_round_and_inside(low, high):
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 7
    assert min(found) >= low - 1e-9
    assert max(found) <= high + 1e-9
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])


def _points(count):
    return [
        plots.Point(0.1 * i, 0.1 * i + 0.02, i > 2, f"p{i}", ringed=i == 4, spread=0.05)
        for i in range(count)
    ]


def test_parity_draws_every_point_and_the_wanted_band():
    drawn = plots.parity(_points(5), "x", "y", (0.2, float("inf")), 1)
    assert drawn.count("<circle") + drawn.count("h0") == 5
    assert drawn.count('class="strong h1') == 2
    assert drawn.count("ringed") == 1
    assert drawn.count('class="band"') == 1
    assert drawn.count('class="spread"') == 2
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_a_front_is_drawn_strong_and_what_it_beats_faded(tmp_path):
    gap, energy = "homo_lumo_gap", "formation_energy_per_site"
    least = Target(property=energy, goal="minimize", scale=0.1, reference=0.4)
    targets = (Target(property=gap, min=0.6, max=0.9), least)
    config = load_preset("quickstart", check=False).model_copy(update={"targets": targets})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, tmp_path, config=config).run()
        summary = summarise_campaign(ledger, name)

    def errors(c):
        return np.array([t.error(c.properties[t.property]) for t in targets])

    def beaten(c):
        return any(
            (errors(o) <= errors(c)).all() and (errors(o) < errors(c)).any()
            for o in summary.candidates
        )

    wanted = {}
    for c in summary.candidates:
        kind = ("faded" if beaten(c) else "strong") + (" ringed" if c.meets else "")
        wanted.setdefault(kind, set()).add(c.rank)
    assert wanted.keys() == {"strong", "strong ringed", "faded", "faded ringed"}

    [figure] = front_figures(summary)
    root = ElementTree.fromstring(standalone(figure))
    drawn, places = {}, {}
    for dot in root.findall(".//{*}circle"):
        rank = int(dot[0].text.partition(".")[0])
        drawn.setdefault(dot.get("class").replace(" h0", ""), set()).add(rank)
        places[rank] = float(dot.get("cx")), float(dot.get("cy"))
    # Those of which nothing more is said are one path of dots, known by their places.
    [cloud] = root.findall(".//{*}path")
    assert cloud.get("class") == "cloud faded h0"
    dots = re.findall(r"M([\d.]+) ([\d.]+)h0", cloud.get("d"))
    plain = wanted.pop("faded")
    assert drawn == wanted
    values = {c.rank: [c.properties[gap], c.properties[energy]] for c in summary.candidates}
    told = list(places)
    for axis in (0, 1):
        known = [values[r][axis] for r in told]
        to_pixels = np.polynomial.Polynomial.fit(known, [places[r][axis] for r in told], 1)
        expected = sorted(to_pixels(values[r][axis]) for r in plain)
        assert sorted(float(d[axis]) for d in dots) == pytest.approx(expected, abs=0.2)
    # On top of the faded ones, and in a colour that hides more of what is below.
    order = [e.get("class") for e in root.iter() if "h0" in (e.get("class") or "")]
    assert [kind.startswith("strong") for kind in order] == sorted(
        kind.startswith("strong") for kind in order
    )
    shown = {kind: float(re.search(rf"\.{kind} {{ opacity: ([\d.]+)", page_css())[1])
             for kind in ("strong", "faded")}  # fmt: skip
    assert shown["strong"] > 2 * shown["faded"] > 0


def test_many_points_are_all_drawn_in_few_bytes():
    count = 5000
    drawn = plots.parity(_points(count), "x", "y", None)
    assert drawn.count("<circle") == plots.TITLED
    strokes = sum(part.count("M") for part in drawn.split('"') if part.startswith("M"))
    assert strokes + plots.TITLED == count
    assert len(drawn) < 200_000


def test_one_point_alone_can_be_drawn():
    drawn = plots.parity([plots.Point(0.5, 0.5, True, "only")], "x", "y", None)
    assert drawn.count("<circle") == 1
    assert "nan" not in drawn


def test_lines_leave_out_what_has_no_value():
    drawn = plots.over_rounds({"a": [(1, 0.1), (2, float("nan")), (3, 0.3)]}, "y")
    assert drawn.count("<circle") == 2
    assert "nan" not in drawn


def test_steps_end_where_the_last_call_is():
    drawn = plots.over_calls([(1, 0), (2, 1), (7, 2)], "hits", [(1, 2), (2, 7)])
    assert "2 after 7 calls" in drawn
    assert "round 1" in drawn


def test_a_figure_alone_is_a_drawing_in_plain_colours():
    figure = Figure("a", plots.stages([("samples", 10), ("<b>", 3)]), Markup(""))
    text = standalone(figure)
    root = ElementTree.fromstring(text)
    assert root.get("width") == "700"
    assert "var(" not in text
    assert "&lt;b&gt;" in text


def test_tags_escape_text_and_attributes():
    assert tag("p", "<b>", Markup("<i>x</i>"), class_="a", title='"') == (
        '<p class="a" title="&quot;">&lt;b&gt;<i>x</i></p>'
    )
    assert esc(Markup("<br>")) == "<br>"
    assert "&lt;" in table(("<",), [("<",)])
