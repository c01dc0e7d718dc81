"""Everything about pairs of sites of a host, computed once per host."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from defects.hosts import Host

#: Distances that differ by less than this, in angstrom, are one shell.
SHELL_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PairTable:
    """Orbits of ordered site pairs under the host's symmetry group.

    Two ordered pairs are in one orbit exactly when an operation of the group carries one onto the
    other, so an orbit says all that a scalar property can depend on. A distance says less: in a
    trigonal layer (i, j) and (j, i) on one sublattice may have the same length without being
    equivalent.

    Attributes
    ----------
    orbit : ndarray of int32, shape (n_sites, n_sites)
        Orbit of the ordered pair, ranked by distance.
    reverse : ndarray of int32, shape (n_orbits,)
        Orbit of (j, i) when (i, j) is in this one.
    distance : ndarray, shape (n_orbits,)
        Shortest periodic distance, Å.
    height : ndarray, shape (n_orbits,)
        Difference in height along the normal, absolute, Å.
    shell : ndarray of int32, shape (n_orbits,)
        Rank of the distance among pairs of the same two elements: 0 for the nearest.
    """

    orbit: np.ndarray
    reverse: np.ndarray
    distance: np.ndarray
    height: np.ndarray
    shell: np.ndarray

    @property
    def n_orbits(self) -> int:
        return len(self.distance)


@lru_cache(maxsize=16)
def pair_table(host: Host) -> PairTable:
    """The pair table of a host (cached)."""
    raw = _raw_orbits(host.symmetry)
    names, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    distance = host.distances.ravel()[first]
    order = np.lexsort((names, _levels(distance)))
    rank = np.argsort(order)
    first = first[order]
    orbit = rank[inverse.reshape(raw.shape)].astype(np.int32)
    i, j = np.divmod(first, host.n_sites)
    z = host.cart_coords[:, 2]
    distance = distance[order]
    elements = [
        tuple(sorted((host.species[a], host.species[b]))) for a, b in zip(i, j, strict=True)
    ]
    return PairTable(
        orbit=orbit,
        reverse=orbit[j, i],
        distance=distance,
        height=np.abs(z[i] - z[j]),
        shell=_shells(distance, elements),
    )


def _raw_orbits(permutations: np.ndarray) -> np.ndarray:
    """One number per orbit of ordered pairs, shape (n_sites, n_sites).

    The first site is carried to the representative of its own orbit; what remains is the orbit of
    the second under the operations that leave the representative in place.
    """
    n = permutations.shape[1]
    representative = permutations.min(axis=0)
    out = np.empty((n, n), dtype=np.int64)
    for target in np.unique(representative):
        stabiliser = permutations[permutations[:, target] == target]
        codes = stabiliser.min(axis=0).astype(np.int64) + int(target) * n
        for site in np.flatnonzero(representative == target):
            carry = permutations[int(np.argmax(permutations[:, site] == target))]
            out[site] = codes[carry]
    return out


def _levels(distance: np.ndarray) -> np.ndarray:
    """Rank of each distance, equal for those within the tolerance.

    Not by rounding: two equal distances may lie on both sides of a rounding step, and on which
    depends on the machine; the ranks of orbits are features of stored models.
    """
    order = np.argsort(distance)
    steps = np.diff(distance[order]) > SHELL_TOLERANCE
    levels = np.empty(len(distance), dtype=np.int64)
    levels[order] = np.concatenate([[0], np.cumsum(steps)])
    return levels


def _shells(distance: np.ndarray, elements: list[tuple[str, ...]]) -> np.ndarray:
    """Rank of each orbit's distance among the orbits of the same two elements."""
    shell = np.zeros(len(distance), dtype=np.int32)
    for pair in set(elements):
        members = np.array([k for k, e in enumerate(elements) if e == pair and distance[k] > 0])
        if len(members):
            shell[members] = _levels(distance[members])
    return shell
