"""Functions of a calculator's results, as users write them."""

from __future__ import annotations

from ase.units import Hartree


def spread(atoms, results) -> float:
    return float(results["energies"].max() - results["energies"].min())


def twice(atoms, results) -> float:
    return 2 * spread(atoms, results)


def per_atom(atoms, results) -> float:
    return results["energy"] / len(atoms)


def nan(atoms, results) -> float:
    return float("nan")


def broken(atoms, results) -> float:
    return results["dos"]


def words(atoms, results) -> str:
    return "large"


def homo_of_tblite(atoms, results) -> float:
    """What tblite's calculator for ASE has, but gives nobody."""
    return _levels_of_tblite(atoms)[0]


def lumo_of_tblite(atoms, results) -> float:
    return _levels_of_tblite(atoms)[1]


def _levels_of_tblite(atoms) -> tuple[float, float]:
    found = atoms.calc._res
    occupied = found.get("orbital-occupations").ravel() > 1
    levels = found.get("orbital-energies").ravel() * Hartree
    return levels[occupied].max(), levels[~occupied].min()
