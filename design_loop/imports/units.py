"""Units of incoming values."""

from __future__ import annotations

import re

#: Energies in eV; CODATA 2018.
_ENERGY = {
    "ev": 1.0,
    "mev": 1e-3,
    "hartree": 27.211386245988,
    "ha": 27.211386245988,
    "ry": 13.605693122994,
    "kj/mol": 0.010364269656262,
    "kcal/mol": 0.043364104241800,
}

_HEADING = re.compile(r"^\s*(?P<name>\w+)\s*(?:[(\[](?P<unit>[^)\]]+)[)\]])?\s*$")


def heading(text: str) -> tuple[str, str | None]:
    """Name and unit of a column: ``homo (meV)``, ``homo [eV]``, ``homo``."""
    match = _HEADING.match(text)
    return (match["name"], match["unit"] and match["unit"].strip()) if match else (text, None)


def factor(given: str | None, wanted: str) -> float | None:
    """By what a value is multiplied; None where the units are of different kinds.

    Without a unit the value is taken to be in the wanted one.
    """
    if given is None or given == wanted:
        return 1.0
    theirs, ours = _ENERGY.get(given.lower()), _ENERGY.get(wanted.lower())
    return None if theirs is None or ours is None else theirs / ours
