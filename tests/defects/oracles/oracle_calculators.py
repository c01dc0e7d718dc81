"""ASE calculators that misbehave or know the answer."""

from __future__ import annotations

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes


class Counting(Calculator):
    """Energy: minus the sum of atomic numbers. Two k-points, one spin, three levels."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = -float(atoms.numbers.sum())

    def get_number_of_spins(self) -> int:
        return 1

    def get_ibz_k_points(self) -> np.ndarray:
        return np.zeros((2, 3))

    def get_eigenvalues(self, kpt: int = 0, spin: int = 0) -> np.ndarray:
        return np.array([[-5.0, -4.0, 1.0], [-5.5, -3.5, 0.5]])[kpt]

    def get_occupation_numbers(self, kpt: int = 0, spin: int = 0) -> np.ndarray:
        return np.array([2.0, 2.0, 0.0])

    def get_fermi_level(self) -> float:
        return -1.5


class Unconverged(Calculator):
    implemented_properties = ("energy",)

    def calculate(self, *args, **kwargs) -> None:
        raise SCFError("no convergence in 60 steps")


class NotANumber(Counting):
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float("nan")


class Program(Counting):
    """A code that runs as a program and whose program is missing."""

    def calculate(self, *args, **kwargs) -> None:
        raise FileNotFoundError("vasp_std")


class Repelling(Calculator):
    """Pushes the first atom straight out of the layer, until it is 3 Å away."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        rise = float(atoms.positions[0, 2] - atoms.positions[1:, 2].mean())
        left = max(3.0 - rise, 0.0)
        self.results["energy"] = 0.5 * left**2
        self.results["forces"] = np.zeros((len(atoms), 3))
        self.results["forces"][0, 2] = left
