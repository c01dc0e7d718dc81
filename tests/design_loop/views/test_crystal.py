"""Structures seen from above."""

from __future__ import annotations

import re

from defects.hosts import get_host


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
