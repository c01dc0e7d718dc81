"""Which sites of a host a rule means: layers, sublattices, labels, distances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from defects.errors import RuleError
from defects.hosts import Host
from defects.properties import VACANCY
from defects.rules.schema import Near

#: Atoms of the unit cell whose heights differ by less, in angstrom, are one layer.
LAYER = 0.1
#: Distances within this, in angstrom, of a limit keep to it.
CLOSE = 0.01


def sublattices(host: Host) -> tuple[str, ...]:
    """Label of every atom of the unit cell, as in answers: ``("Mo0", "S1", "S2")``."""
    return tuple(f"{element}{i}" for i, element in enumerate(host.unit_species))


def atoms_at(host: Host, element: str, places: Sequence[str]) -> set[int]:
    """Atoms of the unit cell of an element that lie at some places.

    Raises
    ------
    RuleError
        When a label is of no sublattice of this element.
    """
    labels, height = sublattices(host), host.heights
    mine = [i for i, e in enumerate(host.unit_species) if e == element]
    found: set[int] = set()
    for place in places:
        if place in ("top", "bottom"):
            edge = (max if place == "top" else min)(height[i] for i in mine)
            found |= {i for i in mine if abs(height[i] - edge) < LAYER}
        elif place in [labels[i] for i in mine]:
            found.add(labels.index(place))
        else:
            raise RuleError(
                f"where: {place} is no sublattice of {element} in {host.name}: write top, bottom, "
                f"{' or '.join(labels[i] for i in mine)}"
            )
    return found


def site_number(host: Host, site: int | str) -> int:
    """Number of a site given by number or label.

    Raises
    ------
    RuleError
        When the host has no such site.
    """
    if isinstance(site, str):
        label = " ".join(site.split())
        if label in host.site_of_label:
            return host.site_of_label[label]
        if not label.isdigit():
            raise RuleError(f"{host.key} has no site {site!r}: write a label such as "
                            f"{host.site_label(host.n_sites - 1)!r}")  # fmt: skip
        site = int(label)
    if not 0 <= site < host.n_sites:
        raise RuleError(f"{host.key} has no site {site}: its sites are 0 to {host.n_sites - 1}")
    return site


def frozen_sites(host: Host, entries: Iterable[int | str | Near]) -> set[int]:
    """Sites that stay pristine."""
    found: set[int] = set()
    for entry in entries:
        if isinstance(entry, Near):
            centre = site_number(host, entry.around)
            near = host.distances[centre] <= entry.within + CLOSE
            found |= {centre, *map(int, np.flatnonzero(near))}
        else:
            found.add(site_number(host, entry))
    return found


def parse_seed(host: Host, text: str) -> dict[int, str]:
    """Changes of a seed written as ``S1 3 0 VAC; Mo0 1 1 W``, one per line or semicolon.

    Raises
    ------
    RuleError
        When it is not that, or changes a site twice or into what it is.
    """
    changes: dict[int, str] = {}
    for part in filter(None, (p.strip() for p in re.split(r"[;\n]", text))):
        label, _, species = part.rpartition(" ")
        if not label or not (species == VACANCY or re.fullmatch(r"[A-Z][a-z]?", species)):
            raise RuleError(
                f"seeds: {part[:40]!r} is no changed site: write 'S1 3 0 VAC', several with ';'"
            )
        site = site_number(host, label)
        if site in changes or species == host.species[site]:
            raise RuleError(f"seeds: {part[:40]!r} names a site twice or changes nothing")
        changes[site] = species
    if not changes:
        raise RuleError("seeds: a seed without a changed site")
    return changes


def seed_text(host: Host, changes: dict[int, str]) -> str:
    """Inverse of `parse_seed`."""
    return "; ".join(f"{host.site_label(s)} {changes[s]}" for s in sorted(changes))
