"""Names and units of properties, as in the 2DMD dataset (Huang et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

VACANCY = "VAC"


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
    """

    name: str
    unit: str
    description: str


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
