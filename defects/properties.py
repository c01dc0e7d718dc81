"""Names and units of properties, as in the 2DMD dataset (Huang et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VACANCY = "VAC"

#: Decimals of a property in requests: 1 meV, well under the 20 meV within which a gap is a hit.
DECIMALS = 3


@dataclass(frozen=True)
class Property:
    """A labelled quantity of a defective crystal.

    Attributes
    ----------
    name : str
        Column name in datasets and name in instructions.
    unit : str
        Unit of the value.
    description : str
        One line for people.
    decimals : int
        How precisely its values are written in instructions.
    """

    name: str
    unit: str
    description: str
    decimals: int = DECIMALS


PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
        Property("energy", "eV", "total energy of the defective supercell"),
        Property("energy_per_atom", "eV", "total energy divided by the number of atoms"),
        Property("fermi_level", "eV", "Fermi level"),
        Property("homo", "eV", "highest occupied level"),
        Property("lumo", "eV", "lowest unoccupied level"),
        Property("homo_lumo_gap", "eV", "LUMO minus HOMO"),
        Property("formation_energy", "eV", "energy of making all defects from the pristine host"),
        Property(
            "formation_energy_per_site", "eV", "formation energy divided by the number of defects"
        ),
    )
}


def property_named(name: str, own: Mapping[str, Property] | None = None) -> Property | None:
    """A standard property, or one of a user's own; None for a name that is neither."""
    return PROPERTIES.get(name) or (own or {}).get(name)


def properties_from(entries: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Property]:
    """A user's own properties as ledgers and adapters keep them: name -> unit, decimals, ..."""
    return {
        name: Property(
            name,
            str(entry.get("unit", "")),
            str(entry.get("description") or name),
            int(entry.get("decimals", DECIMALS)),
        )
        for name, entry in (entries or {}).items()
    }


def unit_of(name: str, own: Mapping[str, Property] | None = None) -> str:
    """Unit of a property, empty where it has none or is unknown."""
    found = property_named(name, own)
    return found.unit if found is not None else ""
