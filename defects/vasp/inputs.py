"""VASP's input files for a layer with point defects.

Written are POSCAR, INCAR, KPOINTS and POTCAR.spec (the symbols only: the potentials themselves are
licensed and lie with whoever runs VASP). What the INCAR sets and why:

- ``ISYM = 0``, ``ISPIN = 2``: a defect breaks symmetry and may carry a moment. Atoms that replace
  others, and the neighbours of every defect, begin with 1 µB, all others with 0.1.
- ``LDIPOL``, ``IDIPOL = 3``, ``DIPOL`` at the centre of the layer: periodic images along the vacuum
  must not see each other's dipole (Neugebauer & Scheffler, Phys. Rev. B 46, 16067 (1992)).
- ``ISMEAR = 0`` with a narrow ``SIGMA``: levels in the gap stay where they are.
- no k-points along the vacuum; in the plane so many that their distance is at most `k_spacing`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import ConfigError
from defects.structures import site_distances

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: Atoms so near to a defect begin with a magnetic moment, Å.
_NEIGHBOURS = 3.0


class VaspInputs(BaseModel):
    """How inputs are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    relax: bool = Field(False, description="relax the atoms (ISIF = 2); else a single point")
    encut: float = Field(500.0, gt=0, le=5000, description="plane-wave cutoff, eV")
    k_spacing: float = Field(0.3, gt=0, le=10, description="largest k-point distance, 1/Å")
    incar: dict[str, Any] = Field(
        default_factory=dict, description="tags that replace or (None) remove those made here"
    )
    potcar: dict[str, str] = Field(
        default_factory=dict, description="element -> symbol of its potential, as W_pv"
    )


def parse_incar(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` from a command line as INCAR tags; ``KEY=none`` removes one.

    Raises
    ------
    ConfigError
        When a pair is not written so, or the value is none of what VASP reads for the tag.
    """
    from pymatgen.io.vasp.inputs import Incar

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key, value = key.strip().upper(), value.strip()
        if not equals or not key.isidentifier() or not value or "\n" in value:
            raise ConfigError(f"--incar {pair}: write TAG=VALUE, such as ENCUT=520 or LDIPOL=none")
        if value.lower() == "none":
            found[key] = None
            continue
        try:
            found |= Incar.from_str(f"{key} = {value}")
        except (ValueError, IndexError, KeyError) as error:
            raise ConfigError(f"--incar {pair}: {error}") from error
    return found


def write_inputs(
    folder: Path, structure: Structure, configuration: Configuration, settings: VaspInputs
) -> None:
    """Write the four files of one calculation.

    Parameters
    ----------
    folder : Path
        There already.
    structure : pymatgen.core.Structure
        Ideal or relaxed.
    configuration : Configuration
        That of the structure, with the defects on the sites where it has them.
    settings : VaspInputs

    Raises
    ------
    ConfigError
        When no potential of an element is known.
    """
    from pymatgen.io.vasp.inputs import Incar, Poscar

    # VASP wants the atoms of an element together.
    symbols = [str(site.specie.symbol) for site in structure]
    order = sorted(range(len(symbols)), key=lambda i: (symbols[i], i))
    moments = magnetic_moments(structure, configuration)
    grouped = structure.__class__.from_sites([structure[i] for i in order])
    name = f"{configuration.description} on {configuration.host.key}"
    Poscar(grouped, comment=name, sort_structure=False).write_file(folder / "POSCAR")
    tags = incar_tags(grouped, [moments[i] for i in order], settings)
    Incar(tags | {"SYSTEM": name.replace("+", " ")}).write_file(folder / "INCAR")
    kpoints(grouped, settings.k_spacing).write_file(folder / "KPOINTS")
    potentials = potential_symbols(list(dict.fromkeys(symbols[i] for i in order)), settings.potcar)
    (folder / "POTCAR.spec").write_text("\n".join(potentials) + "\n")


def incar_tags(
    structure: Structure, moments: Sequence[float], settings: VaspInputs
) -> dict[str, Any]:
    """INCAR tags of one calculation; see the module's text for the choices."""
    centre = np.mean(structure.frac_coords, axis=0)
    tags: dict[str, Any] = {
        "PREC": "Accurate",
        "ENCUT": settings.encut,
        "EDIFF": 1e-6,
        "NELM": 200,
        "ALGO": "Normal",
        "ISMEAR": 0,
        "SIGMA": 0.05,
        "ISPIN": 2,
        "MAGMOM": list(moments),
        "ISYM": 0,
        "LASPH": True,
        "LREAL": "Auto" if len(structure) > 16 else False,
        "LORBIT": 11,
        "LWAVE": False,
        "LCHARG": False,
        "LDIPOL": True,
        "IDIPOL": 3,
        # In the plane the layer has no centre; along the normal it is where the atoms are.
        "DIPOL": [0.5, 0.5, round(float(centre[2]), 4)],
        "IBRION": -1,
        "NSW": 0,
    }
    if settings.relax:
        tags |= {"IBRION": 2, "NSW": 200, "ISIF": 2, "EDIFFG": -0.02}
    for key, value in settings.incar.items():
        if value is None:
            tags.pop(key, None)
        else:
            tags[key] = value
    return tags


def magnetic_moments(structure: Structure, configuration: Configuration) -> list[float]:
    """Moments to begin with, µB, one per atom: 1 on and next to defects, 0.1 elsewhere."""
    if not configuration.n_defects:
        return [0.1] * len(structure)
    centres = [d.site for d in configuration.defects]
    lattice = np.asarray(structure.lattice.matrix)
    distance = site_distances(structure.frac_coords, configuration.host, lattice)[:, centres]
    return [1.0 if close else 0.1 for close in distance.min(axis=1) <= _NEIGHBOURS]


def kpoints(structure: Structure, spacing: float) -> Any:
    """A Γ-centred mesh: none along the vacuum, in the plane at most `spacing` apart (1/Å)."""
    from pymatgen.io.vasp.inputs import Kpoints

    lengths = structure.lattice.reciprocal_lattice.abc  # with 2π
    mesh = [max(1, math.ceil(length / spacing - 1e-9)) for length in lengths[:2]]
    return Kpoints.gamma_automatic((*mesh, 1))


def potential_symbols(elements: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Symbols of the PAW potentials: those that were chosen, else the Materials Project's (PBE_54).

    Raises
    ------
    ConfigError
        For an element that neither names.
    """
    from pymatgen.io.vasp.sets import MPScanRelaxSet

    known = MPScanRelaxSet.CONFIG["POTCAR"] | dict(chosen)
    missing = [element for element in elements if element not in known]
    if missing:
        raise ConfigError(
            f"no VASP potential of {missing[0]} is known; name one with --potcar "
            f"{missing[0]}=SYMBOL"
        )
    return [known[element] for element in elements]
