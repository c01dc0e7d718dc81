"""Drawings: scales, and that every value has its place."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from design_loop.views import charts, plots
from design_loop.views.figures import Figure
from design_loop.views.html import Markup, esc, table, tag
from design_loop.views.style import standalone


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
