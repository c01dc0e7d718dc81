"""Structures from requests, read as configurations of a host.

Nothing here hands a client's text to a general parser: a CIF file is read when it is plain (one
block, P1, as pymatgen, ASE and this project write them), anything else comes as numbers.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from defects.configuration import Configuration
from defects.datasets.cif import Crystal, SiteMatcher, parse_plain_cif
from defects.errors import StructureMismatchError
from defects.hosts import Host

Number = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Vector = tuple[Number, Number, Number]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PlainStructure(_Body):
    """A crystal as numbers: lattice vectors as rows in Å, elements, fractional coordinates."""

    lattice: tuple[Vector, Vector, Vector]
    species: list[Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]] = Field(
        min_length=1, max_length=20_000
    )
    frac_coords: list[Vector] = Field(min_length=1, max_length=20_000)

    @model_validator(mode="after")
    def _as_many(self) -> PlainStructure:
        if len(self.species) != len(self.frac_coords):
            raise ValueError("species and frac_coords must be of the same length")
        return self


class CifStructure(_Body):
    """A crystal as the text of a CIF file."""

    cif: str = Field(min_length=1, max_length=2_000_000)


def read_structure(structure: PlainStructure | CifStructure, host: Host) -> Configuration:
    """The configuration of a host that a structure is.

    Raises
    ------
    StructureMismatchError
        It is no crystal, or not this host with point defects; the message names the atom.
    """
    try:
        crystal = _crystal(structure)
        if len(crystal.symbols) > host.n_sites:
            raise StructureMismatchError(
                f"{len(crystal.symbols)} atoms, but {host.key} has {host.n_sites} sites"
            )
        return SiteMatcher(host).match(crystal)
    except (ValueError, ArithmeticError, LookupError) as error:
        # Numbers that describe no crystal: a flat cell, an angle of 200 degrees.
        raise StructureMismatchError(f"not a crystal structure: {error}"[:300]) from error


def _crystal(structure: PlainStructure | CifStructure) -> Crystal:
    if isinstance(structure, PlainStructure):
        vectors = np.array(structure.lattice)
        lengths = np.linalg.norm(vectors, axis=1)
        if not (lengths > 0).all() or abs(np.linalg.det(vectors)) < 1e-3:
            raise StructureMismatchError("the lattice vectors span no volume")
        a, b, c = vectors / lengths[:, None]
        angles = np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1, 1)))
        coords = np.array(structure.frac_coords)
        return Crystal(_three(lengths), _three(angles), list(structure.species), coords)
    # Without blank lines and indentation, on which patterns over lines would take long.
    lines = (line.strip() for line in structure.cif.splitlines())
    crystal = parse_plain_cif("\n".join(line for line in lines if line))
    if crystal is None:
        raise StructureMismatchError(
            "only plain CIF files are read here (one block, P1, all sites full); send other "
            "structures as lattice, species and frac_coords"
        )
    numbers = np.concatenate([crystal.lengths, crystal.angles, crystal.frac_coords.ravel()])
    if not (np.abs(numbers) <= 1e4).all():
        raise StructureMismatchError("a number of the CIF file is not finite or out of range")
    return crystal


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
