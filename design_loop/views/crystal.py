"""A crystal seen from above: the host drawn once, each candidate adds its changed sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.hosts import Host
from defects.properties import VACANCY
from design_loop.views.html import Markup, esc, join

#: The drawing's unit is 1 Å. Marks of covered atoms are wider: the one above does not hide them.
_ATOM, _MARK, _MARK_BELOW = 0.43, 0.84, 1.15
_MARGIN = 1.4


class CrystalView:
    """Draws configurations of one host.

    Parameters
    ----------
    host
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        plane = np.asarray(host.cart_coords)[:, :2] * [1, -1]  # SVG's y points down
        height = np.asarray(host.cart_coords)[:, 2]
        apart = np.linalg.norm(plane[:, None] - plane[None, :], axis=-1)
        higher = height[None, :] > height[:, None] + 0.5
        corners = np.array([[0, 0], host.lattice[0][:2], host.lattice[1][:2]]) * [1, -1]
        corners = np.vstack([corners, corners[1] + corners[2]])
        self._plane = plane
        #: Which site covers which, seen from above.
        self._covers = (apart < 0.5) & higher.T
        self._below = self._covers.any(axis=0)
        everything = np.vstack([plane, corners])
        low, high = everything.min(axis=0) - _MARGIN, everything.max(axis=0) + _MARGIN
        self._box = f"{low[0]:.1f} {low[1]:.1f} {high[0] - low[0]:.1f} {high[1] - low[1]:.1f}"
        self._cell = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners[[0, 1, 3, 2]])

    def definition(self) -> Markup:
        """The pristine host, to be put once into the page."""
        # From the bottom up, so that upper atoms cover lower ones.
        order = np.argsort(np.asarray(self._host.cart_coords)[:, 2], kind="stable")
        elements = sorted(set(self._host.species))
        atoms = join(
            Markup(
                f'<circle class="e{elements.index(self._host.species[i])}" '
                f'cx="{self._plane[i, 0]:.2f}" cy="{self._plane[i, 1]:.2f}" r="{_ATOM}"/>'
            )
            for i in order
        )
        cell = Markup(f'<polygon class="cell" points="{self._cell}"/>')
        return Markup(
            '<svg class="defs" aria-hidden="true" width="0" height="0"><defs>'
            f'<g id="host" class="host">{cell}{atoms}</g></defs></svg>'
        )

    def draw(self, configuration: Mapping[str, Any], description: str) -> Markup:
        """A candidate: vacancies as rings, substitutions as dots with their symbol."""
        defects = Configuration.from_dict(configuration, self._host).defects
        # From the bottom up; a vacancy over another changed site is left open to show it.
        covered = {d.site for d in defects if self._covers[:, d.site].any()}
        marks = []
        for defect in sorted(defects, key=lambda d: d.site not in covered):
            x, y = self._plane[defect.site]
            name = f"{defect.name(self._host)} at {self._host.site_label(defect.site)}"
            vacant = defect.species == VACANCY
            over = any(self._covers[defect.site, d.site] for d in defects)
            kind = "vacancy" if vacant else "substitute"
            kind += " below" if self._below[defect.site] else ""
            kind += " open" if over else ""
            radius = _MARK_BELOW if defect.site in covered else _MARK
            marks.append(
                Markup(
                    f'<circle class="{kind}" cx="{x:.2f}" cy="{y:.2f}" r="{radius}">'
                    f"<title>{esc(name)}</title></circle>"
                )
            )
            if not vacant:
                label = f'<text class="element" x="{x:.2f}" y="{y + 0.36:.2f}">'
                marks.append(Markup(f"{label}{esc(defect.species)}</text>"))
        return Markup(
            f'<svg class="crystal" viewBox="{self._box}" role="img" '
            f'aria-label="{esc(description)} seen from above">'
            f'<use href="#host"/>{join(marks)}</svg>'
        )
