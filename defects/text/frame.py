"""The frame in which the `full` format writes fractional coordinates.

A crystal has no preferred origin and several equivalent choices of lattice vectors. A frame is one
of them: an operation of the lattice (not only of the crystal) and a shift of the origin in the
plane. Drawn at random per training sample, it keeps the model from tying symbols to coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from defects.hosts import Host


@dataclass(frozen=True)
class Frame:
    """Choice of lattice vectors and origin: x' = x Mᵀ + shift (mod 1).

    Attributes
    ----------
    matrix : tuple of four int
        In-plane part of M, row by row; the third axis stays.
    shift : tuple of two float
        Origin shift in fractional coordinates of the supercell.
    """

    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    shift: tuple[float, float] = (0.0, 0.0)

    def coordinates(self, host: Host) -> np.ndarray:
        """Fractional coordinates of the host's sites in this frame, in 0..1, shape (n, 3)."""
        coords = host.frac_coords.copy()
        turned = coords[:, :2] @ np.array(self.matrix).reshape(2, 2).T
        coords[:, :2] = (turned + np.array(self.shift)) % 1.0
        return coords


def lattice_rotations(host: Host) -> list[tuple[int, int, int, int]]:
    """In-plane operations that map the supercell's lattice onto itself with the same lengths.

    Unimodular integer matrices that keep the metric tensor: 12 for a hexagonal lattice with equal
    sides, 8 for a square, 4 for a rectangular one.
    """
    plane = host.lattice[:2, :2]
    metric = plane @ plane.T
    found = []
    for entries in product((-1, 0, 1), repeat=4):
        matrix = np.array(entries).reshape(2, 2)
        # x' = M x leaves lengths alone when Mᵀ G M = G with G the metric of the row vectors.
        if abs(round(np.linalg.det(matrix))) == 1 and np.allclose(
            matrix.T @ metric @ matrix, metric, rtol=1e-4, atol=1e-3
        ):
            found.append(entries)
    return found


def random_frame(host: Host, rng: np.random.Generator) -> Frame:
    """A random operation of the lattice with a random shift of the origin."""
    rotations = lattice_rotations(host)
    i = int(rng.integers(len(rotations)))
    # Two decimals: the precision in which coordinates are written.
    shift = np.round(rng.random(2), 2)
    return Frame(rotations[i], (float(shift[0]), float(shift[1])))
