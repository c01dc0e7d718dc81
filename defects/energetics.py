"""Formation energies.

E_f = E(defective) - E(pristine) + Σ n_removed μ - Σ n_added μ, as in 2DMD (Huang et al. 2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from defects.configuration import Configuration
from defects.errors import DatasetError
from defects.properties import VACANCY


def exchanged_atoms(configuration: Configuration) -> Counter[str]:
    """Atoms removed (positive) and added (negative), per element."""
    exchanged: Counter[str] = Counter()
    for defect in configuration.defects:
        exchanged[configuration.host.species[defect.site]] += 1
        if defect.species != VACANCY:
            exchanged[defect.species] -= 1
    return Counter({element: n for element, n in exchanged.items() if n})


def formation_energy(
    energy: float,
    configuration: Configuration,
    pristine_energy: float,
    chemical_potentials: Mapping[str, float],
) -> float:
    """Formation energy of all defects together, eV.

    Parameters
    ----------
    energy : float
        Total energy of the defective supercell, eV.
    configuration : Configuration
    pristine_energy : float
        Total energy of the pristine supercell of the same size, eV.
    chemical_potentials : mapping
        eV per atom, for every exchanged element.

    Raises
    ------
    DatasetError
        When a chemical potential is missing.
    """
    total = energy - pristine_energy
    for element, n in exchanged_atoms(configuration).items():
        if element not in chemical_potentials:
            raise DatasetError(
                f"no chemical potential for {element} (known: "
                f"{', '.join(sorted(chemical_potentials)) or 'none'}); add it to the host"
            )
        total += n * chemical_potentials[element]
    return total


def formation_energy_per_site(total: float, configuration: Configuration) -> float:
    """Formation energy per defect, eV; 0 for the pristine crystal."""
    return total / configuration.n_defects if configuration.n_defects else 0.0
