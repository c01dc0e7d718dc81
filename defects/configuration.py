"""Configurations: a host and what changed on it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from defects.errors import DatasetError
from defects.hosts import Host, get_host
from defects.properties import VACANCY


@dataclass(frozen=True, order=True)
class PointDefect:
    """One changed site.

    Attributes
    ----------
    site : int
        Site number in the host.
    species : str
        What is there now: an element symbol, or ``VAC``.
    """

    site: int
    species: str

    def name(self, host: Host) -> str:
        """Kröger-Vink style name without charge: ``V_S``, ``Se_S``."""
        there = "V" if self.species == VACANCY else self.species
        return f"{there}_{host.species[self.site]}"


@dataclass(frozen=True)
class Configuration:
    """A host crystal with point defects, sites in ascending order.

    Attributes
    ----------
    host : Host
    defects : tuple of PointDefect
        Sorted by site, one per site, each different from the pristine element.
    """

    host: Host
    defects: tuple[PointDefect, ...]

    def __post_init__(self) -> None:
        sites = [d.site for d in self.defects]
        if sites != sorted(set(sites)):
            raise ValueError("defects must be sorted by site and name each site once")
        for defect in self.defects:
            if not 0 <= defect.site < self.host.n_sites:
                raise ValueError(f"site {defect.site} is not one of {self.host.n_sites} sites")
            if defect.species == self.host.species[defect.site]:
                raise ValueError(f"site {defect.site} holds {defect.species} in the pristine host")

    @classmethod
    def from_changes(cls, host: Host, changes: Mapping[int, str]) -> Configuration:
        """Build from ``{site: species}``."""
        return cls(host, tuple(PointDefect(int(s), changes[s]) for s in sorted(changes)))

    @property
    def changes(self) -> dict[int, str]:
        """``{site: species}`` of the changed sites."""
        return {d.site: d.species for d in self.defects}

    @property
    def n_defects(self) -> int:
        return len(self.defects)

    def counts(self) -> Counter[str]:
        """How many of each defect: ``{"V_S": 2, "Se_S": 1}``."""
        return Counter(d.name(self.host) for d in self.defects)

    @property
    def description(self) -> str:
        """Defect names in alphabetical order joined by ``+``; ``pristine`` without defects."""
        return "+".join(sorted(self.counts().elements())) or "pristine"

    def transform(self, permutation: np.ndarray) -> Configuration:
        """The image under a site permutation (a row of `Host.symmetry`)."""
        return Configuration.from_changes(
            self.host, {int(permutation[d.site]): d.species for d in self.defects}
        )

    @cached_property
    def _canonical_code(self) -> np.ndarray:
        """Smallest image under the group, codes site * n_species + species, shape (n_defects,)."""
        if not self.defects:
            return np.empty(0, dtype=np.int64)
        names = sorted({d.species for d in self.defects})
        species = np.array([names.index(d.species) for d in self.defects])
        sites = np.array([d.site for d in self.defects])
        images = self.host.symmetry[:, sites].astype(np.int64) * len(names) + species
        images.sort(axis=1)
        return images[np.lexsort(images.T[::-1])[0]]

    def canonical(self) -> Configuration:
        """The representative of this configuration's class under the host's symmetry group.

        Equal for two configurations exactly when an operation of the group carries one into the
        other: the lexicographically smallest image.
        """
        names = sorted({d.species for d in self.defects})
        return Configuration.from_changes(
            self.host,
            {int(c) // len(names): names[int(c) % len(names)] for c in self._canonical_code},
        )

    @cached_property
    def key(self) -> str:
        """Content key of the class under symmetry, 16 hexadecimal digits."""
        canonical = self.canonical()
        content = ";".join(f"{d.site}:{d.species}" for d in canonical.defects)
        return hashlib.sha256(f"{self.host.key}|{content}".encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: ``{"host", "supercell", "defects": [[site, species], ...]}``."""
        return {
            "host": self.host.name,
            "supercell": list(self.host.supercell),
            "defects": [[d.site, d.species] for d in self.defects],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], host: Host | None = None) -> Configuration:
        """Inverse of `to_dict`; `host` is needed for hosts that are not built in.

        Raises
        ------
        DatasetError
            When the data is not a configuration of the host.
        """
        try:
            found = host or get_host(str(data["host"]), tuple(data["supercell"]))
            if list(found.supercell) != list(data["supercell"]):
                raise ValueError(f"supercell {data['supercell']} is not the host's")
            changes = {int(site): str(species) for site, species in data["defects"]}
            if len(changes) != len(data["defects"]):
                raise ValueError("a site is named twice")
            return cls.from_changes(found, changes)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"not a configuration: {error}") from error
