"""Parity plots: which colour, what is strong and what is faded, as the paper's Figure 4 has it."""

from __future__ import annotations

import colorsys
import math
import re
from xml.etree import ElementTree

import pytest
from fake_campaign import FakeCampaign

from design_loop.ledger import Ledger
from design_loop.summary import summarise_campaign
from design_loop.views.agreement import KEPT
from design_loop.views.parity import HUES, parity_figures
from design_loop.views.style import standalone, text_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Figures of a campaign, and all that was predicted in it."""
    folder = tmp_path_factory.mktemp("parity")
    with Ledger(folder / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, folder).run()
        figures = parity_figures(ledger, summarise_campaign(ledger, name))
        predicted = {p.candidate: p for _, p in ledger.predictions(name)}
        asked = {c.key: c.asked for c in ledger.candidates(name)}
        verified = {label.candidate for label in ledger.labels(name)}
    return figures, predicted, asked, verified


def _dots(figure):
    """(strong or faded, hue) of every dot, of those drawn as a cloud as well."""
    found = []
    for part in ElementTree.fromstring(standalone(figure)).iter():
        kinds = set(part.get("class", "").split())
        if kinds & {"strong", "faded"}:
            [hue] = [k for k in kinds if re.fullmatch("h[0-9]", k)]
            [kind] = kinds & {"strong", "faded"}
            count = 1 if part.tag == f"{SVG}circle" else part.get("d").count("M")
            found += [(kind, hue)] * count
    return found


def test_the_nearest_quarter_of_all_candidates_is_strong_and_the_rest_faded(played):
    figures, predicted, asked, _ = played
    figure = next(f for f in figures if f.name == "asked-predicted-homo_lumo_gap")
    dots = _dots(figure)
    assert len(dots) == len(predicted)
    strong = [kind for kind, _ in dots].count("strong")
    assert strong == math.ceil(KEPT * len(predicted))
    # Nearest to what it was asked for, not to the targets: the titles name the strong ones.
    titles = re.findall(r'class="strong[^>]*><title>(\w{8}), round', figure.drawing)
    error = {
        key: abs(p.mean["homo_lumo_gap"] - asked[key]["homo_lumo_gap"])
        for key, p in predicted.items()
    }
    nearest = sorted(error, key=error.get)[:strong]
    assert sorted(titles) == sorted(key[:8] for key in nearest)


def test_each_pair_of_values_has_a_colour_of_its_own(played):
    figures, _, _, verified = played
    assert {f.name.rpartition("-")[0] for f in figures} == set(HUES)
    for figure in figures:
        dots = _dots(figure)
        assert {hue for _, hue in dots} == {f"h{HUES[figure.name.rpartition('-')[0]]}"}
        if "oracle" in figure.name:
            # What was verified is as faded as it is among all candidates.
            assert len(dots) == len(verified)
            assert {kind for kind, _ in dots} == {"strong", "faded"}


@pytest.mark.parametrize("dark", [False, True])
def test_the_colours_are_blue_orange_and_violet_and_can_be_told_from_the_ground(dark):
    light, _, other = text_of("colours.css").partition("@media")
    values = dict(re.findall(r"(--[\w-]+):\s*(#\w+);", other if dark else light))
    ground = _luminance(_rgb(values["--bg"]))
    hues = [_hue(_rgb(values[f"--h{i}"])) for i in range(3)]
    for found, (low, high) in zip(hues, [(200, 220), (15, 40), (245, 275)], strict=True):
        assert low < found < high
    for i in range(3):
        mine = _luminance(_rgb(values[f"--h{i}"]))
        ratio = (max(mine, ground) + 0.05) / (min(mine, ground) + 0.05)
        assert ratio > 3  # what WCAG 2 asks of drawings


def test_faded_dots_are_far_fainter_and_the_wanted_ones_in_between(played):
    rules = text_of("charts.css")

    def opacity(selector):
        return float(re.search(re.escape(selector) + r" \{[^}]*opacity: ([.\d]+)", rules)[1])

    assert opacity(".faded") <= 0.4 * opacity(".strong")
    assert opacity(".faded") < opacity(".faded.ringed") < opacity(".strong")
    # A file of its own has them too, in plain colours.
    text = standalone(played[0][0])
    assert ".faded { opacity: .3; }" in text
    assert ".h0 { fill: #0b63b5; }" in text


def _rgb(colour):
    if len(colour) == 4:  # #fff
        colour = "#" + "".join(2 * digit for digit in colour[1:])
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _luminance(rgb):
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hue(rgb):
    """Angle on the circle of colours, degrees: 0 red, 120 green, 240 blue."""
    return 360 * colorsys.rgb_to_hsv(*rgb)[0]
