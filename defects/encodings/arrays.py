"""Configurations as padded arrays of sites and defect kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defects.configuration import Configuration
from defects.errors import ModelError
from defects.hosts import Host
from defects.rules import parse_defect


@dataclass(frozen=True)
class DefectArrays:
    """Sites and kinds of the defects of n configurations, sorted by kind, then site.

    Attributes
    ----------
    sites : ndarray of int64, shape (n, m)
        Site of each defect; 0 where there is none.
    kinds : ndarray of int64, shape (n, m)
        Index into the vocabulary of defect names; -1 where there is none.
    """

    sites: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.sites)

    def __getitem__(self, rows: slice | np.ndarray) -> DefectArrays:
        return DefectArrays(self.sites[rows], self.kinds[rows])

    def counts(self, n_kinds: int) -> np.ndarray:
        """Number of defects of each kind, shape (n, n_kinds)."""
        return (self.kinds[:, :, None] == np.arange(n_kinds)).sum(axis=1)


def defect_arrays(
    configurations: Sequence[Configuration], host: Host, defects: Sequence[str]
) -> DefectArrays:
    """Sites and kinds of the defects.

    Parameters
    ----------
    configurations : sequence of Configuration
        All on `host`.
    host : Host
    defects : sequence of str
        Vocabulary of defect names; the kind of a defect is its index here.

    Raises
    ------
    ModelError
        When a configuration is on another host or has a defect outside the vocabulary.
    """
    by_change = {parse_defect(name): index for index, name in enumerate(defects)}
    species, n_sites = host.species, host.n_sites
    rows: list[list[int]] = []
    checked: Host | None = None
    for number, configuration in enumerate(configurations):
        if configuration.host is not checked:
            if configuration.host != host:
                raise ModelError(
                    f"configuration {number} is on {configuration.host.key}, the model on "
                    f"{host.key}: train a surrogate on that host"
                )
            checked = configuration.host
        try:
            row = [
                by_change[d.species, species[d.site]] * n_sites + d.site
                for d in configuration.defects
            ]
        except KeyError:
            unknown = sorted(set(configuration.counts()) - set(defects))
            raise ModelError(
                f"configuration {number} ({configuration.description}) has "
                f"{', '.join(unknown)}, which the model has never seen (it knows "
                f"{', '.join(defects)}): train it on labels with these defects"
            ) from None
        row.sort()
        rows.append(row)
    width = max((len(r) for r in rows), default=0)
    codes = np.full((len(rows), max(width, 1)), -1, dtype=np.int64)
    for number, row in enumerate(rows):
        codes[number, : len(row)] = row
    present = codes >= 0
    return DefectArrays(
        sites=np.where(present, codes % n_sites, 0),
        kinds=np.where(present, codes // n_sites, -1),
    )
