"""SLICES: a crystal as a string of its elements and labelled bonds.

After Xiao et al., Nature Communications 14, 7027 (2023): the elements of all atoms, then every bond
as ``i j x y z``, where i and j count the atoms from zero and x, y, z tell into which neighbouring
cell the bond leads (``-``, ``o`` or ``+``; farther cells than the next are written like it). Bonds
are those of pymatgen's ``EconNN``, each once with i <= j, ordered by i, j and cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from defects.configuration import Configuration
from defects.encodings.bonds import REACH, Neighbours, bonded, neighbours
from defects.hosts import Host
from defects.properties import VACANCY

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: A bond i - j: (i, j, x, y, z), i <= j, where j is shifted by (x, y, z) cells.
Edge = tuple[int, int, int, int, int]
#: What a site's list holds of a bond to a later site: (j, x, y, z, label).
Bond = tuple[int, int, int, int, str]
#: Environments remembered per host; each takes some hundred bytes.
REMEMBERED = 200_000


def slices_of_structure(structure: Structure) -> str:
    """The string of any structure, with all bonds found by pymatgen (0.5 s for 192 atoms).

    Parameters
    ----------
    structure : pymatgen.core.Structure

    Returns
    -------
    str
    """
    from pymatgen.analysis.local_env import EconNN

    finder = EconNN()
    edges = {
        _edge(i, int(found["site_index"]), *map(int, found["image"]))
        for i in range(len(structure))
        for found in finder.get_nn_info(structure, i)
    }
    lines = (f"{i} {j} {_label(x, y, z)}" for i, j, x, y, z in sorted(edges))
    return " ".join([*(str(s.specie.symbol) for s in structure), *lines])


class SlicesEncoder:
    """Strings of configurations of one host, patched from that of the pristine host.

    A string is always that of the canonical configuration, because a string depends on the order
    of the atoms: equivalent cells have different ones.

    The bonds of a site depend on which sites around it are vacant, so only sites near a vacancy
    are looked at; their bonds are remembered by sublattice and pattern of vacant neighbours.

    Parameters
    ----------
    host : Host
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._table: Neighbours = neighbours(host)
        self._atom = tuple(int(a) for a in host.sublattice)
        self._cell = tuple(s % host.n_cells for s in range(host.n_sites))
        self._known: dict[tuple[int, int], tuple[int, ...]] = {}
        self._patterns = _patterns_around(host, self._table)
        own = [self._bonds_from(s, self._slots(s, 0, frozenset())) for s in range(host.n_sites)]
        edges = {e for found in own for e in found}
        self._lists = [
            sorted((j, x, y, z, _label(x, y, z)) for i, j, x, y, z in edges if i == s)
            for s in range(host.n_sites)
        ]
        # Directed bonds from elsewhere, to be kept when the site itself is looked at anew.
        self._incoming: list[list[tuple[int, Edge]]] = [[] for _ in range(host.n_sites)]
        for s, found in enumerate(own):
            for e in found:
                other = e[1] if e[0] == s else e[0]
                self._incoming[other].append((s, e))
        self._linked = [{s for s, _ in incoming} for incoming in self._incoming]
        for s, found in enumerate(own):
            self._linked[s].update(x for e in found for x in e[:2])

    def encode(self, configuration: Configuration) -> str:
        """The string of a configuration's canonical form.

        Parameters
        ----------
        configuration : Configuration
            On the encoder's host.

        Returns
        -------
        str
        """
        return self.encode_as_is(configuration.canonical().changes)

    def tokens(self, configuration: Configuration) -> list[str]:
        """The string of `encode`, split at its spaces."""
        return self.encode(configuration).split(" ")

    def encode_as_is(self, changes: Mapping[int, str]) -> str:
        """The string of changed sites as they stand, not of the canonical configuration."""
        vacant = frozenset(s for s, now in changes.items() if now == VACANCY)
        lists = self._patched(vacant) if vacant else self._lists
        words, names = [], []
        number = 0
        for site, pristine in enumerate(self.host.species):
            names.append(str(number))
            if site not in vacant:
                words.append(changes.get(site, pristine))
                number += 1
        for site, found in enumerate(lists):
            if found:
                name = names[site]
                words += [f"{name} {names[bond[0]]} {bond[4]}" for bond in found]
        return " ".join(words)

    def _patched(self, vacant: frozenset[int]) -> list[list[Bond]]:
        """For every site its bonds to later ones, with some sites vacant."""
        patterns: dict[int, int] = {}
        for v in vacant:
            for site, bits in self._patterns[v]:
                patterns[site] = patterns.get(site, 0) | bits
        anew: dict[int, tuple[int, ...]] = {}
        for site, pattern in patterns.items():
            if site not in vacant:
                slots = self._slots(site, pattern, vacant)
                if slots != self._known[self._atom[site], 0]:
                    anew[site] = slots
        # Sites whose lists change: those, the vacant ones, and whoever is linked to either.
        gone = vacant | anew.keys()
        touched: set[int] = set(gone)
        edges: set[Edge] = set()
        for site in gone:
            touched |= self._linked[site]
        for site, slots in anew.items():
            edges.update(self._bonds_from(site, slots))
            edges.update(e for s, e in self._incoming[site] if s not in gone)
        lists = list(self._lists)
        for site in touched:
            lists[site] = [x for x in lists[site] if site not in gone and x[0] not in gone]
        added: dict[int, list[Bond]] = {}
        for i, j, x, y, z in edges:
            added.setdefault(i, []).append((j, x, y, z, _label(x, y, z)))
        for site, bonds in added.items():
            lists[site] = sorted(lists[site] + bonds)
        return lists

    def _slots(self, site: int, pattern: int, vacant: frozenset[int]) -> tuple[int, ...]:
        """To which of its neighbours a site is bonded.

        Parameters
        ----------
        site : int
        pattern : int
            Bit k is set where the neighbour of slot k, within the short radius, is vacant.
        vacant : frozenset of int
            For the rare site that lost so many neighbours that the short radius is not enough.
        """
        atom = self._atom[site]
        known = self._known.get((atom, pattern))
        if known is not None:
            return known
        distances = self._table.distances[atom]
        slots = [k for k in range(self._table.near[atom]) if not pattern >> k & 1]
        bonds, mean = bonded([distances[k] for k in slots])
        if not bonds or REACH * mean > self._table.radius:
            sites, cell = self._table.sites[atom], self._cell[site]
            slots = [k for k in range(len(distances)) if sites[k][cell] not in vacant]
            bonds, _ = bonded([distances[k] for k in slots])
            return tuple(slots[b] for b in bonds)
        found = tuple(slots[b] for b in bonds)
        if len(self._known) < REMEMBERED:
            self._known[atom, pattern] = found
        return found

    def _bonds_from(self, site: int, slots: Iterable[int]) -> list[Edge]:
        atom, cell = self._atom[site], self._cell[site]
        sites, images = self._table.sites[atom], self._table.images[atom]
        return [_edge(site, sites[k][cell], *images[k][cell]) for k in slots]


@lru_cache(maxsize=16)
def slices_encoder(host: Host) -> SlicesEncoder:
    """The encoder of a host (cached, with the environments it has met)."""
    return SlicesEncoder(host)


def _patterns_around(host: Host, table: Neighbours) -> list[list[tuple[int, int]]]:
    """For every site: which sites have it as a near neighbour, and in which slots (as bits)."""
    found: list[dict[int, int]] = [{} for _ in range(host.n_sites)]
    for site in range(host.n_sites):
        atom, cell = int(host.sublattice[site]), site % host.n_cells
        for k in range(table.near[atom]):
            other = table.sites[atom][k][cell]
            found[other][site] = found[other].get(site, 0) | 1 << k
    return [list(f.items()) for f in found]


def _edge(i: int, j: int, x: int, y: int, z: int) -> Edge:
    """The one way to write a bond: i <= j; a bond of an atom to its own image leads forward."""
    if i > j or (i == j and (x, y, z) < (0, 0, 0)):
        return j, i, -x, -y, -z
    return i, j, x, y, z


def _label(x: int, y: int, z: int) -> str:
    return f"{_symbol(x)} {_symbol(y)} {_symbol(z)}"


def _symbol(n: int) -> str:
    return "o" if n == 0 else "+" if n > 0 else "-"
