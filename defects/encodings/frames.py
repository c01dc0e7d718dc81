"""Configurations as each defect sees them: the other defects in every frame of its site.

An operation of the host's group that carries a defect to the representative of its site's orbit
puts the others at definite sites; there are as many such operations as leave the representative in
place. What is computed alike for every one of them and then pooled (mean, maximum) is invariant
under the group, and still knows all that distances do not tell: angles, and on which side of a
mirror plane two neighbours lie. (Two Se_S in one shell of a Mo vacancy of MoS2 that a mirror
carries onto each other cancel each other's effect on the gap.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from defects.encodings.arrays import DefectArrays
from defects.encodings.pairs import pair_table
from defects.encodings.stabiliser import stabiliser_orders
from defects.hosts import Host
from defects.rules import parse_defect


@dataclass(frozen=True)
class SiteFrames:
    """The frames of every site of a host.

    Attributes
    ----------
    images : ndarray of int32, shape (n_sites, f, n_sites)
        Where each site goes in frame k of site i; frame 0 repeated where a site has fewer than f.
    present : ndarray of bool, shape (n_sites, f)
        Which frames are the site's own.
    orbit : ndarray of int64, shape (n_sites,)
        Number of the site's orbit.
    representatives : ndarray of int64, shape (orbits,)
        Site that stands for each orbit.
    """

    images: np.ndarray
    present: np.ndarray
    orbit: np.ndarray
    representatives: np.ndarray


@lru_cache(maxsize=8)
def site_frames(host: Host) -> SiteFrames:
    """The frames of a host's sites (cached)."""
    permutations = host.symmetry
    first = permutations.min(axis=0)
    representatives, orbit = np.unique(first, return_inverse=True)
    frames = [np.flatnonzero(permutations[:, i] == first[i]) for i in range(len(first))]
    most = max(len(f) for f in frames)
    images = np.empty((len(first), most, len(first)), dtype=np.int32)
    present = np.zeros((len(first), most), dtype=bool)
    for i, rows in enumerate(frames):
        images[i] = permutations[rows[0]]
        images[i, : len(rows)] = permutations[rows]
        present[i, : len(rows)] = True
    return SiteFrames(images, present, orbit.astype(np.int64), representatives.astype(np.int64))


@dataclass(frozen=True)
class NeighbourTable:
    """Every way in which one kind of defect can lie to another, in the frame of the first.

    Attributes
    ----------
    rows : ndarray of int64, shape (orbits, kinds, kinds, n_sites)
        Number of the way: orbit of the first's site, both kinds, and the second's site when the
        first is at its representative; -1 where the kinds do not fit the sites.
    kinds : ndarray of int64, shape (ways,)
        ``a * n_kinds + b``.
    distance, height : ndarray, shape (ways,)
        Å; the height with its sign.
    """

    rows: np.ndarray
    kinds: np.ndarray
    distance: np.ndarray
    height: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)


@lru_cache(maxsize=16)
def neighbour_table(host: Host, defects: tuple[str, ...]) -> NeighbourTable:
    """The ways of a host and vocabulary (cached)."""
    frames, species = site_frames(host), np.array(host.species)
    was = np.array([parse_defect(d)[1] for d in defects])
    centre = species[frames.representatives]
    fits = (
        (centre[:, None, None, None] == was[None, :, None, None])
        & (species == was[:, None])[None, None]
        & (np.arange(host.n_sites) != frames.representatives[:, None])[:, None, None]
    )
    rows = np.full(fits.shape, -1, dtype=np.int64)
    rows[fits] = np.arange(fits.sum())
    orbit, a, b, site = np.nonzero(fits)
    start = frames.representatives[orbit]
    z = host.cart_coords[:, 2]
    return NeighbourTable(
        rows, a * len(defects) + b, host.distances[start, site], z[site] - z[start]
    )


@dataclass(frozen=True)
class FrameGraph:
    """n configurations of at most m defects as padded arrays.

    Attributes
    ----------
    kinds : ndarray of int64, shape (n, m)
        Of each defect; the number of kinds where there is none.
    neighbours : ndarray of int64, shape (n, m, f, m)
        The other defects in the frames of each, as rows of the `NeighbourTable`; its length where
        there is none.
    frames : ndarray of bool, shape (n, m, f)
        Which frames are a defect's own.
    distance : ndarray of float32, shape (n, m, m)
        Å; infinite where there is no pair.
    state : ndarray of float32, shape (n, kinds + 3)
        Of the whole: counts, their sum, and logarithms of the orders of the stabiliser.
    """

    kinds: np.ndarray
    neighbours: np.ndarray
    frames: np.ndarray
    distance: np.ndarray
    state: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, rows: slice | np.ndarray) -> FrameGraph:
        return FrameGraph(
            self.kinds[rows],
            self.neighbours[rows],
            self.frames[rows],
            self.distance[rows],
            self.state[rows],
        )


def frame_graph(arrays: DefectArrays, host: Host, defects: tuple[str, ...]) -> FrameGraph:
    """The graph of configurations given as arrays."""
    frames, table = site_frames(host), neighbour_table(host, defects)
    pairs = pair_table(host)
    sites, kinds = arrays.sites, arrays.kinds
    m = sites.shape[1]
    present = kinds >= 0
    # Axes: configuration, defect, frame, other defect.
    images = frames.images[
        sites[:, :, None, None], np.arange(frames.images.shape[1])[:, None], sites[:, None, None, :]
    ]
    rows = table.rows[
        frames.orbit[sites][:, :, None, None],
        kinds[:, :, None, None],
        kinds[:, None, None, :],
        images,
    ]
    both = present[:, :, None] & present[:, None, :] & ~np.eye(m, dtype=bool)
    distance = pairs.distance[pairs.orbit[sites[:, :, None], sites[:, None, :]]]
    counts = arrays.counts(len(defects))
    orders = np.log2(stabiliser_orders(arrays, host))
    state = np.concatenate([counts / 2, counts.sum(axis=1, keepdims=True) / 2, orders], axis=1)
    return FrameGraph(
        kinds=np.where(present, kinds, len(defects)),
        neighbours=np.where(both[:, :, None], rows, len(table)),
        frames=frames.present[sites],
        distance=np.where(both, distance, np.inf).astype(np.float32),
        state=state.astype(np.float32),
    )
