"""A user's own properties, as a campaign file names them."""

from __future__ import annotations


def mid_gap(atoms, results) -> float:
    """Middle of the gap, from labels alone."""
    return (results["homo"] + results["lumo"]) / 2


def heaviest(atoms, results) -> float:
    """Largest atomic number, from the structure alone."""
    return float(atoms.numbers.max())


def nowhere(atoms, results) -> float:
    return float("nan")


def broken(atoms, results) -> float:
    raise KeyError("dos")


not_a_function = 3
