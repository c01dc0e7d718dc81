"""Fixed-length features from the sparse graph of point defects, for trees.

After the sparse representation of Kazeev et al. (2023): only the defects are described, what is
there and what was, and how they lie to each other. All features are made of orbits of site pairs,
so they are invariant under the host's symmetry group by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.encodings.arrays import DefectArrays, defect_arrays
from defects.encodings.pairs import PairTable, pair_table
from defects.encodings.stabiliser import stabiliser_orders
from defects.encodings.triples import triple_features, triple_names
from defects.errors import ModelError
from defects.hosts import Host
from defects.rules import parse_defect

#: Configurations encoded at a time; bounds the memory of the pair arrays.
CHUNK = 4096


class SparseEncoder:
    """Configurations of one host as rows of numbers.

    The columns are, in this order: the count of each defect and of all; how many operations of the
    host's group leave the configuration as it is (`stabiliser_orders`); then for every unordered
    pair of defect kinds the distances of its `n_sorted` closest pairs (an absent pair counts as
    twice the largest distance of the host: far away), the ranks of their orbits (which tell apart
    what the distance does not), and how many pairs lie in each of the first `n_shells` shells; with
    `triples`, last, the closest triangle of every three kinds (`triple_features`).

    Parameters
    ----------
    host : Host
    defects : sequence of str
        Vocabulary, such as ``("V_Mo", "V_S", "W_Mo", "Se_S")``. Its order fixes the columns.
    max_defects : int
        Most defects in a configuration that the columns must hold without loss; configurations
        with more are encoded too, but beyond what a model saw (`exceeds`).
    n_sorted, n_shells : int
        See above.
    triples : bool
        Whether to add three-body features. With more than three defects they help; with at most
        three the distances of pairs say the same (docs/results.md).

    Raises
    ------
    ModelError
        When the vocabulary is empty or names no defect of the host.
    """

    def __init__(
        self,
        host: Host,
        defects: Sequence[str],
        max_defects: int = 6,
        n_sorted: int = 3,
        n_shells: int = 8,
        triples: bool = False,
    ) -> None:
        if not defects:
            raise ModelError("an encoder needs at least one defect in its vocabulary")
        self.host = host
        self.defects = tuple(dict.fromkeys(defects))
        for name in self.defects:
            if parse_defect(name)[1] not in host.species:
                raise ModelError(f"{name}: host {host.name} has no such site")
        self.max_defects = max_defects
        self.n_sorted = n_sorted
        self.n_shells = n_shells
        self.triples = triples

    @cached_property
    def table(self) -> PairTable:
        return pair_table(self.host)

    @property
    def kind_pairs(self) -> list[tuple[int, int]]:
        """Unordered pairs of kinds, as indices into the vocabulary."""
        n = len(self.defects)
        return [(a, b) for a in range(n) for b in range(a, n)]

    def _slots(self, a: int, b: int) -> int:
        """Columns for sorted distances of a pair of kinds."""
        m = self.max_defects
        most = m * (m - 1) // 2 if a == b else (m // 2) * ((m + 1) // 2)
        return max(1, min(self.n_sorted, most))

    @cached_property
    def feature_names(self) -> list[str]:
        """Name of every column."""
        names = [f"n[{d}]" for d in self.defects] + ["n", "symmetry", "symmetry[height]"]
        for a, b in self.kind_pairs:
            pair = f"[{self.defects[a]},{self.defects[b]}]"
            for letter in ("distance", "orbit"):
                names += [f"{letter}{i}{pair}" for i in range(self._slots(a, b))]
            names += [f"shell{i}{pair}" for i in range(self.n_shells)]
        return names + (triple_names(self.defects) if self.triples else [])

    def transform(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Features of configurations.

        Returns
        -------
        ndarray of float32, shape (n, len(feature_names))

        Raises
        ------
        ModelError
            When a configuration is on another host or has a defect outside the vocabulary.
        """
        return self.encode(defect_arrays(configurations, self.host, self.defects))

    def encode(self, arrays: DefectArrays) -> np.ndarray:
        """Features of configurations that are arrays already."""
        out = np.empty((len(arrays), len(self.feature_names)), dtype=np.float32)
        for start in range(0, len(arrays), CHUNK):
            out[start : start + CHUNK] = self._encode(arrays[start : start + CHUNK])
        return out

    def _encode(self, arrays: DefectArrays) -> np.ndarray:
        table, n_kinds = self.table, len(self.defects)
        counts = arrays.counts(n_kinds)
        columns = [counts, counts.sum(axis=1, keepdims=True)]
        columns.append(stabiliser_orders(arrays, self.host))
        code, orbit = pair_codes(arrays, table, n_kinds)
        shell = table.shell[orbit]
        absent = table.n_orbits
        distance = np.append(table.distance, 2 * table.distance.max())
        for a, b in self.kind_pairs:
            here = code == a * n_kinds + b
            slots = self._slots(a, b)
            ranks = np.where(here, orbit, absent)
            if ranks.shape[1] < slots:
                fill = ((0, 0), (0, slots - ranks.shape[1]))
                ranks = np.pad(ranks, fill, constant_values=absent)
            ranks = np.sort(ranks, axis=1)[:, :slots]
            shells = np.where(here, shell, -1)
            columns += [distance[ranks], ranks]
            columns += [(shells == s).sum(axis=1)[:, None] for s in range(self.n_shells)]
        if self.triples:
            columns.append(triple_features(arrays, table, n_kinds))
        return np.concatenate(columns, axis=1)

    def exceeds(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Which configurations have more defects than the encoder was made for, shape (n,)."""
        return np.array([c.n_defects > self.max_defects for c in configurations], dtype=bool)

    def spec(self) -> dict[str, Any]:
        """Plain data from which `from_spec` builds the same encoder, given the host."""
        return {
            "encoding": "sparse",
            "host": self.host.key,
            "defects": list(self.defects),
            "max_defects": self.max_defects,
            "n_sorted": self.n_sorted,
            "n_shells": self.n_shells,
            "triples": self.triples,
            "n_orbits": self.table.n_orbits,
            "n_features": len(self.feature_names),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], host: Host) -> SparseEncoder:
        """Inverse of `spec`.

        Raises
        ------
        ModelError
            When the specification is not one, or of another host.
        """
        if spec.get("encoding") != "sparse" or spec.get("host") != host.key:
            raise ModelError(
                f"not a sparse encoding of {host.key}: {spec.get('encoding')!r} of "
                f"{spec.get('host')!r}"
            )
        try:
            encoder = cls(
                host,
                [str(d) for d in spec["defects"]],
                int(spec["max_defects"]),
                int(spec["n_sorted"]),
                int(spec["n_shells"]),
                bool(spec.get("triples", False)),
            )
            n_orbits, n_features = int(spec["n_orbits"]), int(spec["n_features"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"incomplete encoder specification: {error!r}") from error
        if n_orbits != encoder.table.n_orbits:
            raise ModelError(
                f"the encoder was made for {n_orbits} orbits of site pairs, {host.key} has "
                f"{encoder.table.n_orbits}: the host changed, train the surrogate again"
            )
        if n_features != len(encoder.feature_names):
            raise ModelError(
                f"the encoder was made with {n_features} columns, this version of the project "
                f"makes {len(encoder.feature_names)}: train the surrogate again"
            )
        return encoder


def pair_codes(
    arrays: DefectArrays, table: PairTable, n_kinds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and orbit of every pair of defects.

    Parameters
    ----------
    arrays : DefectArrays, n configurations of at most m defects
    table : PairTable
    n_kinds : int

    Returns
    -------
    code : ndarray of int64, shape (n, m (m - 1) / 2)
        ``a * n_kinds + b`` with kinds a <= b, -1 where there is no pair.
    orbit : ndarray of int64, same shape
        Orbit of the pair. Two defects of one kind are interchangeable, so of the two orders the
        one with the smaller rank stands.
    """
    i, j = np.triu_indices(arrays.sites.shape[1], k=1)
    a, b = arrays.kinds[:, i], arrays.kinds[:, j]
    orbit = table.orbit[arrays.sites[:, i], arrays.sites[:, j]]
    orbit = np.where(a == b, np.minimum(orbit, table.reverse[orbit]), orbit)
    # Defects are sorted by kind, the padding comes last: the second is present only with the first.
    return np.where(b >= 0, a * n_kinds + b, -1), orbit.astype(np.int64)
