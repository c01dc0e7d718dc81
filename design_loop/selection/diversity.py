"""Greedy trade of an order against the distance to what is chosen already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder


def greedy(
    ordered: Sequence[Configuration],
    count: int,
    diversity: float,
    chosen: Sequence[Configuration] = (),
) -> list[tuple[int, float]]:
    """Choose so many of an ordered list (maximal marginal relevance, Carbonell & Goldstein 1998).

    Parameters
    ----------
    ordered : sequence of Configuration
        The best first; the place is all that counts.
    count : int
    diversity : float
        0: order alone, 1: distance alone, in the space of the sparse features.
    chosen : sequence of Configuration
        Chosen before, to keep away from.

    Returns
    -------
    list of (int, float)
        Places in `ordered` in the order chosen, and the distance of each to the nearest one chosen
        before, as a share of the largest distance of all; 1 for the first of all.
    """
    if not ordered or count < 1:
        return []
    n = len(ordered)
    distance = distances([*ordered, *chosen])
    largest = max(float(distance.max()), 1e-12)
    merit = 1.0 - np.arange(n) / n
    nearest = np.full(n, np.inf)
    for j in range(n, len(distance)):
        nearest = np.minimum(nearest, distance[j, :n])
    found: list[tuple[int, float]] = []
    taken = np.zeros(n, dtype=bool)
    while len(found) < min(count, n):
        spread = np.where(np.isinf(nearest), 1.0, nearest / largest)
        score = (1 - diversity) * merit + diversity * spread
        score[taken] = -np.inf
        best = int(score.argmax())
        found.append((best, float(spread[best])))
        taken[best] = True
        nearest = np.minimum(nearest, distance[best, :n])
    return found


def distances(configurations: Sequence[Configuration]) -> np.ndarray:
    """Distances between configurations in standardised sparse features, shape (n, n)."""
    kinds = tuple(sorted({name for c in configurations for name in c.counts()}))
    most = max(c.n_defects for c in configurations)
    features = SparseEncoder(configurations[0].host, kinds, most).transform(configurations)
    features = np.asarray(features, dtype=float)
    features = np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    squares = (features**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0.0))
