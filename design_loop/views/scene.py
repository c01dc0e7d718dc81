"""Structures for the 3D viewer: the host once, each candidate's changed sites, a legend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.hosts import Host
from defects.properties import VACANCY
from design_loop.views.html import Markup, join, tag

#: Sites nearer than this times the shortest distance are drawn as bonded.
_BONDED = 1.2
#: Colours that the style sheet has for host elements and for substitutes.
_HOST_COLOURS, _SUBSTITUTES = 3, 5

Shown = tuple[str, str, Mapping[str, Any]]


def scene(host: Host, candidates: Iterable[Shown]) -> dict[str, Any]:
    """Give plain data for the viewer.

    Parameters
    ----------
    host
    candidates
        (key, title, configuration as plain data).

    Returns
    -------
    dict
        ``cell`` (3 × 3, Å), ``atoms`` (``[element, x, y, z, swatch]``, Å), ``bonds`` (pairs of
        sites, not across the cell's edge), ``candidates`` (``key, title, defects``, a defect being
        ``[site, element or null, words, swatch]``). A swatch is the class of its colour.
    """
    places = np.asarray(host.cart_coords, float)
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=-1)
    np.fill_diagonal(apart, np.inf)
    first, second = np.nonzero(apart < _BONDED * apart.min())
    shown = list(candidates)
    colours = _colours(host, [c for _, _, c in shown])
    return {
        "cell": np.round(host.lattice, 3).tolist(),
        "atoms": [
            [element, *np.round(place, 3).tolist(), colours[0][element]]
            for element, place in zip(host.species, places, strict=True)
        ],
        "bonds": [[int(i), int(j)] for i, j in zip(first, second, strict=True) if i < j],
        "candidates": [
            {"key": key, "title": title, "defects": _defects(host, configuration, colours[1])}
            for key, title, configuration in shown
        ],
    }


def viewer(host: Host, candidates: Iterable[Shown]) -> Markup:
    """The viewer's place in a page: canvas, buttons, legend, and its data.

    The script ``viewer.js`` brings it to life.
    """
    shown = list(candidates)
    if not shown:
        return Markup("")
    data = json.dumps(scene(host, shown), separators=(",", ":")).replace("<", "\\u003c")
    buttons = [
        tag("button", words, type="button", data_do=action, aria_pressed=pressed)
        for action, words, pressed in (
            ("reset", "Reset view", None),
            ("above", "From above", None),
            ("side", "From the side", None),
            ("labels", "Labels", "true"),
            ("spin", "Spin", "false"),
        )
    ]
    choice = Markup("")
    if len(shown) > 1:
        options = join(tag("option", title, value=key) for key, title, _ in shown)
        choice = tag("label", "Candidate ", tag("select", options, data_do="choose"))
    help_ = (
        "Drag to turn, scroll or pinch to zoom, drag with the right button to move; with the "
        "keyboard: arrow keys, + and −, 0 to reset. Ideal structures, not relaxed."
    )
    canvas = tag(
        "div", class_="canvas", tabindex="0", role="img", aria_label=f"3D view of {shown[0][1]}"
    )
    return tag(
        "div",
        choice,
        canvas,
        tag("div", join(buttons), class_="buttons"),
        _legend(host, [c for _, _, c in shown]),
        tag("p", help_, class_="small"),
        Markup(f'<script type="application/json">{data}</script>'),
        class_="viewer",
    )


def _legend(host: Host, configurations: list[Mapping[str, Any]]) -> Markup:
    of_host, of_new = _colours(host, configurations)
    keys = [tag("li", tag("i", class_=name), element) for element, name in of_host.items()]
    keys += [
        tag("li", tag("i", class_=name), f"{element}, substituted")
        for element, name in of_new.items()
    ]
    keys.append(tag("li", tag("i", class_="void"), "vacancy"))
    return tag("ul", join(keys), class_="legend")


def _colours(
    host: Host, configurations: list[Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Classes of colours: element of the host -> class, substitute -> class."""
    own = {
        element: f"e{min(i, _HOST_COLOURS - 1)}"
        for i, element in enumerate(sorted(set(host.species)))
    }
    new = sorted({s for c in configurations for _, s in c["defects"] if s != VACANCY})
    return own, {element: f"x{i % _SUBSTITUTES}" for i, element in enumerate(new)}


def _defects(
    host: Host, configuration: Mapping[str, Any], colours: Mapping[str, str]
) -> list[list[Any]]:
    found = []
    for d in Configuration.from_dict(configuration, host).defects:
        vacant = d.species == VACANCY
        found.append(
            [
                d.site,
                None if vacant else d.species,
                d.name(host),
                "void" if vacant else colours[d.species],
            ]
        )
    return found
