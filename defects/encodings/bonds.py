"""Bonds of a site among the sites of a host, by Hoppe's effective coordination number.

The rule is the one of pymatgen's ``EconNN`` with its default settings (Hoppe 1979; no fictive
radii), which SLICES uses: a neighbour at distance d is bonded when exp(1 - (d / m)^6) is above 0.2,
where m is the weighted mean distance of all neighbours within 10 Å. Only distances enter. On the
ideal sites of a host a substitution therefore changes no bond; a vacancy does: sites that lost
their neighbours reach farther, and may gain bonds that the pristine crystal does not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from defects.hosts import Host

#: EconNN's defaults: smallest weight of a bond, and how far neighbours are looked for, in angstrom.
WEIGHT = 0.2
CUTOFF = 10.0
#: Change of the mean distance at which EconNN's iteration ends, in angstrom.
CONVERGED = 1e-4
#: Neighbours beyond this many mean distances have weights below 1e-19 and change no bit of it.
REACH = 1.9


def bonded(distances: Sequence[float]) -> tuple[list[int], float]:
    """Which neighbours a site is bonded to.

    Parameters
    ----------
    distances : sequence of float
        Of all neighbours within `CUTOFF`, Å.

    Returns
    -------
    bonds : list of int
        Positions in `distances`; none when there is no neighbour.
    mean : float
        The converged mean distance, Å (equations 2 and 4 of Hoppe 1979); 0 without neighbours.
    """
    if not distances:
        return [], 0.0
    mean = _weighted_mean(distances, min(distances))
    before = math.inf
    while abs(before - mean) > CONVERGED:
        before, mean = mean, _weighted_mean(distances, mean)
    bonds = [i for i, d in enumerate(distances) if math.exp(1 - (d / mean) ** 6) > WEIGHT]
    return bonds, mean


def _weighted_mean(distances: Sequence[float], reference: float) -> float:
    weights = [math.exp(1 - (d / reference) ** 6) for d in distances]
    return sum(d * w for d, w in zip(distances, weights, strict=True)) / sum(weights)


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of every site of a host within `CUTOFF`, nearest first.

    Sites of one sublattice have the same neighbours, so a neighbour is known by its slot: its
    position in the list of the sublattice.

    Attributes
    ----------
    distances : tuple of tuple of float
        Per sublattice, Å.
    sites : tuple of tuple of tuple of int
        Per sublattice and slot: the neighbour of every cell's site, as a site number.
    images : tuple of tuple of tuple of tuple of int
        The same: by which lattice vectors of the supercell the neighbour is shifted.
    near : tuple of int
        Per sublattice: how many slots lie within the short radius.
    radius : float
        The short radius, Å: far enough for every site whose mean distance is at most
        ``radius / REACH``.
    """

    distances: tuple[tuple[float, ...], ...]
    sites: tuple[tuple[tuple[int, ...], ...], ...]
    images: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    near: tuple[int, ...]
    radius: float


@lru_cache(maxsize=16)
def neighbours(host: Host) -> Neighbours:
    """The neighbours of a host's sites (cached)."""
    shape = np.array(host.supercell)
    cells = np.array(list(product(*(range(n) for n in host.supercell))))
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    distances, sites, images = [], [], []
    for atom in range(len(host.unit_species)):
        length, target, offset = _unit_neighbours(host, atom)
        distances.append(tuple(length.tolist()))
        shifted = cells[None] + offset[:, None]
        image, cell = np.divmod(shifted, shape)
        sites.append(_nested(target[:, None] * host.n_cells + cell @ strides))
        images.append(_nested(image))
    # A quarter more than the widest mean of the pristine crystal: enough for sites that lost some.
    radius = REACH * 1.25 * max(bonded(d)[1] for d in distances)
    near = tuple(sum(x <= radius for x in d) for d in distances)
    return Neighbours(tuple(distances), tuple(sites), tuple(images), near, radius)


def _unit_neighbours(host: Host, atom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, unit-cell atom and cell offset of the neighbours of one unit-cell atom."""
    heights = 1 / np.linalg.norm(np.linalg.inv(host.unit_lattice), axis=0)
    spread = np.ptp(host.unit_frac_coords, axis=0)
    most = np.ceil(CUTOFF / heights + spread).astype(int)
    offsets = np.array(list(product(*(range(-n, n + 1) for n in most))))
    here = host.unit_frac_coords[atom]
    delta = host.unit_frac_coords[:, None] + offsets[None] - here
    length = np.linalg.norm(delta @ host.unit_lattice, axis=-1)
    target, number = np.nonzero((length < CUTOFF) & (length > 1e-8))
    length = length[target, number]
    order = np.lexsort((number, target, np.round(length, 6)))
    return length[order], target[order], offsets[number[order]]


def _nested(array: np.ndarray) -> tuple:
    """Nested tuples of Python integers: indexed in loops, much faster than arrays."""
    return tuple(
        tuple(map(tuple, row)) if array.ndim == 3 else tuple(row) for row in array.tolist()
    )
