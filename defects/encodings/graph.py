"""The sparse defect graph of one configuration (Kazeev et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from defects.configuration import Configuration
from defects.encodings.pairs import pair_table


@dataclass(frozen=True)
class SparseGraph:
    """Defects as nodes, every ordered pair of them as an edge.

    Attributes
    ----------
    now, was : tuple of str, length n
        What is on the site (an element or ``VAC``), and what the pristine host has there.
    edges : ndarray of int64, shape (e, 2)
        Ordered pairs (i, j), i != j, of node numbers.
    distance : ndarray, shape (e,)
        Shortest periodic distance, Å.
    height : ndarray, shape (e,)
        Absolute difference in height along the normal, Å.
    shell : ndarray of int, shape (e,)
        Rank of the distance among site pairs of the same two elements, 0 for the nearest.
    orbit : ndarray of int, shape (e,)
        Orbit of the ordered site pair under the host's symmetry group.
    """

    now: tuple[str, ...]
    was: tuple[str, ...]
    edges: np.ndarray
    distance: np.ndarray
    height: np.ndarray
    shell: np.ndarray
    orbit: np.ndarray


def sparse_graph(configuration: Configuration) -> SparseGraph:
    """The sparse graph of a configuration; nodes in the order of its sites."""
    table = pair_table(configuration.host)
    sites = np.array([d.site for d in configuration.defects], dtype=np.int64)
    i, j = np.nonzero(~np.eye(len(sites), dtype=bool))
    orbit = table.orbit[sites[i], sites[j]]
    return SparseGraph(
        now=tuple(d.species for d in configuration.defects),
        was=tuple(configuration.host.species[s] for s in sites),
        edges=np.stack([i, j], axis=1),
        distance=table.distance[orbit],
        height=table.height[orbit],
        shell=table.shell[orbit],
        orbit=orbit,
    )
