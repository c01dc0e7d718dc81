"""Three-body features: the closest triangle of every three kinds of defects."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from defects.encodings.arrays import DefectArrays
from defects.encodings.pairs import PairTable

#: What is said of a triangle.
TERMS = ("perimeter", "longest", "cosine")
#: Numbers of an array of triangles at a time, which bounds its memory.
LARGEST = 2_000_000


def triple_names(defects: tuple[str, ...]) -> list[str]:
    """Names of the columns of `triple_features`."""
    kinds = combinations_with_replacement(defects, 3)
    return [f"{term}[{','.join(three)}]" for three in kinds for term in TERMS]


def triple_features(arrays: DefectArrays, table: PairTable, n_kinds: int) -> np.ndarray:
    """The triangle with the smallest perimeter among the defects of every three kinds.

    Distances are the shortest periodic ones, of pairs; the cosine is that of the angle opposite to
    the longest side, by the law of cosines, clipped where three shortest distances in a small cell
    close no triangle. Where there is no such triple the perimeter and longest side are those of a
    triangle with sides of twice the host's largest distance.

    Parameters
    ----------
    arrays : DefectArrays, n configurations of at most m defects
    table : PairTable
    n_kinds : int

    Returns
    -------
    ndarray of float32, shape (n, 3 * number of unordered triples of kinds)
    """
    m = arrays.sites.shape[1]
    corner = np.array([(i, j, k) for i in range(m) for j in range(i) for k in range(j)])
    triples = list(combinations_with_replacement(range(n_kinds), 3))
    far = 2 * float(table.distance.max())
    out = np.tile(np.float32([3 * far, far, 0.5]), (len(arrays), len(triples)))
    if not len(corner):
        return out
    step = max(1, LARGEST // len(corner))
    for start in range(0, len(arrays), step):
        rows = slice(start, start + step)
        out[rows] = _closest(arrays[rows], table, corner, triples, out[rows])
    return out


def _closest(
    arrays: DefectArrays,
    table: PairTable,
    corner: np.ndarray,
    triples: list[tuple[int, int, int]],
    out: np.ndarray,
) -> np.ndarray:
    i, j, k = corner.T
    # Sites are sorted by kind and the padding comes last: i is present only with j and k.
    kinds = arrays.kinds[:, np.stack([k, j, i])]
    sides = np.stack([_distance(arrays, table, a, b) for a, b in ((i, j), (i, k), (j, k))])
    sides.sort(axis=0)
    perimeter = sides.sum(axis=0)
    for number, three in enumerate(triples):
        here = (kinds == np.array(three)[:, None]).all(axis=1)
        around = np.where(here, perimeter, np.inf)
        # Of equal perimeters the shortest longest side counts, whatever the sites' order, and then
        # the others: sides that differ in their last bits only would give another cosine.
        for side in (sides[2], sides[0], sides[1]):
            around = np.where(around == around.min(axis=1, keepdims=True), side, np.inf)
        best = around.argmin(axis=1)
        row = np.flatnonzero(here.any(axis=1))
        a, b, c = sides[:, row, best[row]]
        cosine = np.clip((a**2 + b**2 - c**2) / (2 * a * b), -1, 1)
        out[row, 3 * number : 3 * number + 3] = np.stack([a + b + c, c, cosine], axis=1)
    return out


def _distance(arrays: DefectArrays, table: PairTable, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of pairs, to the last bit the same for equivalent ones, shape (n, len(a))."""
    orbit = table.orbit[arrays.sites[:, a], arrays.sites[:, b]]
    return table.distance[np.minimum(orbit, table.reverse[orbit])]
