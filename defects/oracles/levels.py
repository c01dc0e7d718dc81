"""HOMO, LUMO and Fermi level of an ASE calculator that gives eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np

from defects.errors import OracleError
from defects.oracles.base import NotConvergedError

_METHODS = (
    "number_of_spins",
    "ibz_k_points",
    "eigenvalues",
    "occupation_numbers",
    "fermi_level",
)


def read_levels(calculator: Any) -> dict[str, float]:
    """Highest occupied and lowest empty level over all k-points and spins, and the Fermi level.

    A level counts as occupied where more than half of what it may hold is in it. GPAW, VASP,
    ABINIT, SIESTA and other density functional codes have the methods; force fields and learned
    potentials (EMT, MACE, CHGNet) give energies only, and so does tblite's calculator for ASE.

    Returns
    -------
    dict
        ``fermi_level``, ``homo``, ``lumo``, eV.

    Raises
    ------
    OracleError
        When the calculator has no such methods.
    NotConvergedError
        When there is no occupied or no empty level.
    """
    if not all(hasattr(calculator, f"get_{name}") for name in _METHODS):
        raise OracleError(f"{type(calculator).__name__} gives no levels; set `levels` to false")
    spins = calculator.get_number_of_spins()
    full = 2.0 / spins
    occupied: list[float] = []
    empty: list[float] = []
    for spin in range(spins):
        for k in range(len(calculator.get_ibz_k_points())):
            energies = np.asarray(calculator.get_eigenvalues(kpt=k, spin=spin))
            weights = np.asarray(calculator.get_occupation_numbers(kpt=k, spin=spin))
            occupied.extend(energies[weights > full / 2])
            empty.extend(energies[weights <= full / 2])
    if not occupied or not empty:
        raise NotConvergedError("the calculator gave no occupied or no empty level")
    return {
        "fermi_level": float(calculator.get_fermi_level()),
        "homo": float(max(occupied)),
        "lumo": float(min(empty)),
    }
