"""How much single points add to the volume that a front dominates."""

from __future__ import annotations

import numpy as np


def improvements(points: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Volume that each point dominates beyond a front, within a reference point.

    Exact and in one go for one and two objectives; moocore's hypervolume for more.

    Parameters
    ----------
    points : ndarray, shape (n, m)
        To be minimised.
    front : ndarray, shape (k, m)
        May be empty; only its non-dominated points matter.
    reference : ndarray, shape (m,)

    Returns
    -------
    ndarray, shape (n,)
    """
    if points.shape[1] == 1:
        ceiling = min(float(reference[0]), float(front.min())) if len(front) else reference[0]
        return np.maximum(ceiling - points[:, 0], 0.0)
    if points.shape[1] == 2:
        return _of_two(points, front, reference)
    return _of_many(points, front, reference)


def _of_two(points: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Sum over the strips between neighbours of the front, under the steps of its staircase."""
    inside = front[(front < reference).all(axis=1)]
    order = np.lexsort((inside[:, 1], inside[:, 0]))
    ordered = inside[order]
    lowest = np.minimum.accumulate(np.append(reference[1], ordered[:, 1]))
    # Left edges of the strips, and how high above the second axis each of them reaches.
    left = np.append(-np.inf, ordered[:, 0])
    right = np.append(ordered[:, 0], reference[0])
    width = np.maximum(right[None, :] - np.maximum(left[None, :], points[:, :1]), 0.0)
    height = np.maximum(lowest[None, :] - points[:, 1:], 0.0)
    return (width * height).sum(axis=1)


def _of_many(points: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    import moocore

    volume = moocore.Hypervolume(ref=reference)
    inside = front[(front < reference).all(axis=1)] if len(front) else front
    before = volume(inside) if len(inside) else 0.0
    found = np.zeros(len(points))
    for i in np.flatnonzero((points < reference).all(axis=1)):
        if len(inside) and (inside <= points[i]).all(axis=1).any():
            continue
        found[i] = volume(np.vstack([inside, points[i : i + 1]])) - before
    return np.maximum(found, 0.0)
