"""A dataset in memory: configurations of one host with the properties known of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from defects.configuration import Configuration
from defects.hosts import Host
from defects.properties import PROPERTIES


@dataclass(frozen=True)
class Record:
    """One structure of a dataset.

    Attributes
    ----------
    id : str
        Name of the structure in its dataset.
    configuration : Configuration
    properties : dict
        Known values only, in the units of `defects.properties`; columns beyond those keep the name
        and unit that the dataset gives them.
    """

    id: str
    configuration: Configuration
    properties: dict[str, float]


@dataclass(frozen=True)
class Dataset:
    """Configurations of one host, with labels.

    Attributes
    ----------
    host : Host
        Carries this dataset's chemical potentials and pristine energy.
    records : tuple of Record
    chemical_potentials : dict
        eV per atom, of the method that made the labels.
    pristine : dict
        Facts of the pristine supercell (``supercell``, ``energy`` in eV, ...); may be empty.
    source : str
        Where it was read from, for messages.
    """

    host: Host
    records: tuple[Record, ...]
    chemical_potentials: dict[str, float] = field(default_factory=dict)
    pristine: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """Names of all properties that at least one record has, the standard ones first."""
        found = {name for record in self.records for name in record.properties}
        return (*(p for p in PROPERTIES if p in found), *sorted(found - PROPERTIES.keys()))

    def labelled(self, *properties: str) -> list[Record]:
        """Records that have all of these properties (any property at all when none is named)."""
        if not properties:
            return [r for r in self.records if r.properties]
        return [r for r in self.records if all(p in r.properties for p in properties)]

    @cached_property
    def by_key(self) -> dict[str, Record]:
        """First record of every class under symmetry, by `Configuration.key`."""
        found: dict[str, Record] = {}
        for record in self.records:
            found.setdefault(record.configuration.key, record)
        return found
