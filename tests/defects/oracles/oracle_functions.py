"""Functions of a calculator's results, as users write them."""

from __future__ import annotations


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
