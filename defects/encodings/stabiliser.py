"""Which operations of the host's group leave a configuration as it is.

The symmetry that a configuration keeps decides which levels stay degenerate or may cross. In the
2DMD labels of MoS2 no configuration with a Mo vacancy and a mirror plane normal to the layer has a
gap above 0.36 eV, while most without one have 0.39 to 0.43 eV.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from defects.encodings.arrays import DefectArrays
from defects.hosts import Host


def stabiliser_orders(arrays: DefectArrays, host: Host) -> np.ndarray:
    """Number of operations that carry each configuration into itself.

    Parameters
    ----------
    arrays : DefectArrays, n configurations of at most m defects
    host : Host

    Returns
    -------
    ndarray of int64, shape (n, 2)
        All such operations, and those among them that keep every site at its height (so without a
        mirror in the layer's plane). A pristine crystal counts as having the identity only.
    """
    operations, keeps_height = _operations_between(host)
    permutations = host.symmetry
    sites, kinds = arrays.sites, arrays.kinds
    # Sites and kinds as one number; padding stays in place, far above all others.
    absent = (kinds.max(initial=0) + 1) * host.n_sites
    offset = np.where(kinds >= 0, kinds * host.n_sites, absent)
    target = np.sort(np.where(kinds >= 0, sites + offset, absent), axis=1)
    orders = np.zeros((len(arrays), 2), dtype=np.int64)
    for j in range(sites.shape[1]):
        # An operation of the stabiliser carries the first defect to one of its own kind.
        found = operations[sites[:, 0], sites[:, j]]
        possible = (found >= 0) & ((kinds[:, 0] >= 0) & (kinds[:, j] == kinds[:, 0]))[:, None]
        rows, slots = np.nonzero(possible)
        g = found[rows, slots]
        images = permutations[g[:, None], sites[rows]] + offset[rows]
        images = np.sort(np.where(kinds[rows] >= 0, images, absent), axis=1)
        same = (images == target[rows]).all(axis=1)
        np.add.at(orders[:, 0], rows, same)
        np.add.at(orders[:, 1], rows, same & keeps_height[g])
    return np.maximum(orders, 1)


@lru_cache(maxsize=16)
def _operations_between(host: Host) -> tuple[np.ndarray, np.ndarray]:
    """Operations that carry one site to another, and which operations keep heights.

    Returns
    -------
    operations : ndarray of int32, shape (n_sites, n_sites, most)
        Rows of `Host.symmetry`; -1 where there are fewer.
    keeps_height : ndarray of bool, shape (n_ops,)
    """
    permutations = host.symmetry
    n = host.n_sites
    codes = np.arange(n) * n + permutations
    order = np.argsort(codes, axis=None, kind="stable")
    sorted_codes = codes.ravel()[order]
    starts = np.searchsorted(sorted_codes, np.arange(n * n))
    rank = np.arange(codes.size) - starts[sorted_codes]
    operations = np.full((n * n, int(rank.max()) + 1), -1, dtype=np.int32)
    operations[sorted_codes, rank] = order // n
    heights = host.cart_coords[:, 2]
    keeps_height = np.abs(heights[permutations] - heights).max(axis=1) < 0.05
    return operations.reshape(n, n, -1), keeps_height
