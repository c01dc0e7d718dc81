"""A made-up oracle that takes a while and notes when it begins, for disturbed campaigns."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

#: Names the file that every call adds a line to: beginning of the call, s; process; structure.
LOG = "SLOW_ORACLE_LOG"


class Slow(Calculator):
    """An energy that follows from numbers and places of the atoms, after `seconds`."""

    implemented_properties = ("energy",)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        with Path(os.environ[LOG]).open("a") as file:
            file.write(f"{time.time()} {os.getpid()} {structure_key(atoms)}\n")
        time.sleep(self._seconds)
        places = float((atoms.numbers[:, None] * np.cos(atoms.positions)).sum())
        self.results["energy"] = -float(atoms.numbers.sum()) + 1e-3 * places


def structure_key(atoms: Atoms) -> str:
    """The same for the same atoms at the same places."""
    content = atoms.numbers.tobytes() + (np.round(atoms.positions, 4) + 0.0).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]
