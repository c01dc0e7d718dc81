"""A covariance between configurations made of their pairs of defects.

A cluster expansion as a Gaussian process: a property is a sum of terms of single defects, of pairs
(one value per orbit, smooth in the distance and fading with it), and of products of pairs, which
stand for three and more bodies; the coefficients may differ between compositions. Everything is
built from orbits of site pairs, so the model is invariant under the host's group.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from defects.encodings.arrays import DefectArrays
from defects.encodings.pairs import pair_table
from defects.encodings.sparse import pair_codes
from defects.hosts import Host
from defects.rules import parse_defect


@dataclass(frozen=True)
class PairKernelSettings:
    """Hyperparameters of the covariance; all positive, `independent` at most 1."""

    decay: float = 3.0
    """Length over which a pair's term fades, Å."""
    smoothing: float = 0.3
    """Width in ln r within which orbits of one kind of pair share their term."""
    independent: float = 0.3
    """Share of a pair's term that is its orbit's own."""
    count_width: float = 0.6
    """How different the numbers of defects of two compositions may be to share terms."""
    constant: float = 1.0
    linear: float = 1.0
    composition: float = 1.0
    pair: float = 0.1
    mixed1: float = 1.0
    mixed2: float = 0.3
    mixed3: float = 0.1
    """Weights: constant, counts, composition, pairs, and composition times powers of pairs."""
    noise: float = 0.05
    """Standard deviation of the labels' noise, in units of the labels' spread."""

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def scaled(self, **factors: float) -> PairKernelSettings:
        """A copy with some hyperparameters multiplied."""
        return replace(self, **{k: getattr(self, k) * f for k, f in factors.items()})


@dataclass(frozen=True)
class PairOccupancy:
    """Counts and pair occupancies of n configurations.

    Attributes
    ----------
    counts : ndarray, shape (n, kinds)
    pairs : ndarray, shape (n, columns)
        Number of pairs in each column of `pair_columns`.
    """

    counts: np.ndarray
    pairs: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows: slice | np.ndarray) -> PairOccupancy:
        return PairOccupancy(self.counts[rows], self.pairs[rows])


@lru_cache(maxsize=16)
def pair_columns(host: Host, defects: tuple[str, ...]) -> np.ndarray:
    """Kinds and orbit of every pair that can occur, shape (columns, 2): code and orbit.

    The code is that of `pair_codes`.
    """
    table = pair_table(host)
    first = np.unique(table.orbit, return_index=True)[1]
    i, j = np.divmod(first, host.n_sites)
    species = np.array(host.species)
    was = [parse_defect(d)[1] for d in defects]
    columns = []
    for a in range(len(defects)):
        for b in range(a, len(defects)):
            fits = (species[i] == was[a]) & (species[j] == was[b]) & (table.distance > 0)
            if a == b:
                fits &= np.arange(table.n_orbits) <= table.reverse
            columns += [(a * len(defects) + b, o) for o in np.flatnonzero(fits)]
    return np.array(columns, dtype=np.int64)


def pair_occupancy(arrays: DefectArrays, host: Host, defects: tuple[str, ...]) -> PairOccupancy:
    """Occupancies of configurations given as arrays."""
    table, n_kinds = pair_table(host), len(defects)
    columns = pair_columns(host, defects)
    lookup = np.full((n_kinds**2, table.n_orbits), -1, dtype=np.int64)
    lookup[columns[:, 0], columns[:, 1]] = np.arange(len(columns))
    code, orbit = pair_codes(arrays, table, n_kinds)
    rows, slots = np.nonzero(code >= 0)
    occupancy = np.zeros((len(arrays), len(columns)))
    np.add.at(occupancy, (rows, lookup[code[rows, slots], orbit[rows, slots]]), 1.0)
    return PairOccupancy(arrays.counts(n_kinds).astype(float), occupancy)


class PairKernel:
    """The covariance for one host, vocabulary and set of hyperparameters."""

    def __init__(self, host: Host, defects: tuple[str, ...], settings: PairKernelSettings) -> None:
        self.settings = settings
        self._transform = similarity_root(host, defects, settings)

    def matrix(self, left: PairOccupancy, right: PairOccupancy) -> np.ndarray:
        """Covariance of every left with every right configuration, shape (n, m)."""
        s = self.settings
        pairs = (left.pairs @ self._transform) @ (right.pairs @ self._transform).T
        dot = left.counts @ right.counts.T
        mixed = pairs * (s.mixed1 + pairs * (s.mixed2 + pairs * s.mixed3))
        same = self.same(left, right)
        return s.constant + s.linear * dot + s.pair * pairs + same * (s.composition + mixed)

    def same(self, left: PairOccupancy, right: PairOccupancy) -> np.ndarray:
        """How alike the compositions are, 0 to 1, shape (n, m)."""
        dot = left.counts @ right.counts.T
        squared = (left.counts**2).sum(1)[:, None] + (right.counts**2).sum(1)[None] - 2 * dot
        return np.exp(-np.maximum(squared, 0) / (2 * self.settings.count_width**2))


def similarity_root(
    host: Host, defects: tuple[str, ...], settings: PairKernelSettings
) -> np.ndarray:
    """Matrix R with R Rᵀ the similarity of pair columns, shape (columns, columns)."""
    table, columns = pair_table(host), pair_columns(host, defects)
    root = np.zeros((len(columns), len(columns)))
    nearest = table.distance[table.distance > 0].min()
    for code in np.unique(columns[:, 0]):
        at = np.flatnonzero(columns[:, 0] == code)
        orbits = columns[at, 1]
        distance, height = table.distance[orbits], table.height[orbits]
        log = np.log(distance)
        smooth = np.exp(-((log[:, None] - log) ** 2) / (2 * settings.smoothing**2))
        smooth *= np.abs(height[:, None] - height) < 0.1
        alike = settings.independent * np.eye(len(at)) + (1 - settings.independent) * smooth
        fade = np.exp((nearest - distance) / settings.decay)
        alike *= fade[:, None] * fade
        values, vectors = np.linalg.eigh(alike)
        root[np.ix_(at, at)] = vectors * np.sqrt(np.maximum(values, 0))
    return root
