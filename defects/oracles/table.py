"""A table of known labels as an oracle, looked up by the class under symmetry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.datasets import Dataset, resolve_dataset
from defects.hosts import Host
from defects.oracles.base import Computed, NotInTableError
from defects.oracles.columns import with_columns
from defects.oracles.functions import Functions

CODE_VERSION = "1"


class TableSettings(BaseModel):
    """Settings of the table oracle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(description="name of a shipped dataset, or folder in the 2DMD layout")
    properties: tuple[str, ...] = Field(
        (), description="a row must have all of these to count; any property when empty"
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="own property -> column of the dataset that holds it"
    )
    functions: Functions


class TableOracle:
    """Labels from a dataset.

    Parameters
    ----------
    dataset : Dataset, str or Path
        The dataset, or where it is.
    properties : tuple of str
        Only rows that have all of these are in the table.
    columns, functions : mapping, optional
        A user's own properties, see `defects.oracles.columns.with_columns`.
    """

    name = "table"

    def __init__(
        self,
        dataset: Dataset | str | Path,
        properties: tuple[str, ...] = (),
        columns: Mapping[str, str] | None = None,
        functions: Mapping[str, str] | None = None,
    ) -> None:
        held = dataset if isinstance(dataset, Dataset) else resolve_dataset(dataset)
        self.dataset = with_columns(held, columns or {}, functions or {})
        self._rows: dict[str, dict[str, float]] = {}
        for record in self.dataset.labelled(*properties):
            self._rows.setdefault(record.configuration.key, record.properties)
        self.properties = properties or self.dataset.properties
        content = json.dumps(sorted(self._rows.items()), sort_keys=True)
        self.version = f"{CODE_VERSION}; {hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, configuration: Configuration) -> bool:
        return configuration.key in self._rows

    def settings(self) -> dict[str, Any]:
        """Nothing: the version is a hash of the table, wherever it lies."""
        return {}

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """The dataset's."""
        return dict(self.dataset.chemical_potentials)

    def knows_pristine(self, host: Host) -> bool:
        """Always: there is nothing to compute."""
        return True

    def pristine_energy(self, host: Host) -> float | None:
        """The dataset's, for its own supercell."""
        return self.dataset.pristine.get("energy") if host == self.dataset.host else None

    def compute(self, configuration: Configuration) -> Computed:
        """See `label`."""
        return Computed(self.label(configuration))

    def label(self, configuration: Configuration) -> dict[str, float]:
        """The known properties of the configuration or of an equivalent one.

        Raises
        ------
        NotInTableError
            When there are none.
        """
        found = self._rows.get(configuration.key)
        if found is None:
            raise NotInTableError(
                f"not in table: {configuration.description} on {configuration.host.key} "
                f"(class {configuration.key}; {self.dataset.source or 'the table'} has "
                f"{len(self._rows)} labels on {self.dataset.host.key})"
            )
        return dict(found)
