"""An ASE calculator for tests of the pool: it records its calls, and certain elements upset it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes


class Moody(Calculator):
    """Energy: minus the sum of atomic numbers, after `seconds`.

    Every call appends its formula and process to the file `log`. A structure with Te kills its
    process, with O hangs (holding the interpreter's lock), with F does not converge, with Cl fails
    the first time, with I is killed from outside, with Br runs out of memory, with N gives NaN.
    """

    implemented_properties = ("energy",)

    def __init__(self, log: str, seconds: float = 0.0) -> None:
        super().__init__()
        self._log = Path(log)
        self._seconds = seconds

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        formula = atoms.get_chemical_formula()
        before = self._log.read_text() if self._log.exists() else ""
        with self._log.open("a") as file:
            file.write(f"{formula} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\n")
        if "Te" in formula:
            os._exit(7)
        if "O" in atoms.get_chemical_symbols():
            ctypes.PyDLL(None).sleep(300)
        if "F" in atoms.get_chemical_symbols():
            raise SCFError("never converges")
        if "Cl" in formula and formula not in before:
            raise OSError("the licence server did not answer")
        if "I" in atoms.get_chemical_symbols():
            os.kill(os.getpid(), signal.SIGKILL)
        if "Br" in formula:
            np.zeros(2**50)
        if "N" in atoms.get_chemical_symbols():
            self.results["energy"] = float("nan")
            return
        time.sleep(self._seconds)
        self.results["energy"] = -float(atoms.numbers.sum())


def threads(atoms, results) -> float:
    """An own property: how many threads the process was told to use."""
    assert os.environ["HOW_TO_RUN"] == "srun"
    return float(os.environ["OMP_NUM_THREADS"])
