"""GFN1-xTB by tblite: a real quantum-chemical label in seconds.

A single point on the ideal sites, or on relaxed ones with `relax`; Γ only, periodic in three
directions, fractional occupation at 300 K: the method of the shipped dataset. Grimme et al., J.
Chem. Theory Comput. 13, 1989 (2017); Katbashev et al., J. Phys. Chem. A 129, 2667 (2025).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import Host
from defects.oracles.ase_calculator import key_settings
from defects.oracles.base import FORMATION, Computed, NotConvergedError, with_derived
from defects.oracles.functions import Functions, evaluate, fingerprints
from defects.oracles.references import reference_potentials, reference_pristine
from defects.oracles.relax import RelaxSettings, relax
from defects.structures import to_atoms

if TYPE_CHECKING:
    from ase import Atoms

#: Raised when the way of computing labels changes, so that old labels are not taken for new ones.
CODE_VERSION = "1"


class XtbSettings(BaseModel):
    """Settings of the xTB oracle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["GFN1-xTB", "GFN2-xTB", "IPEA1-xTB"] = Field("GFN1-xTB")
    electronic_temperature: float = Field(300.0, gt=0, le=20000, description="K")
    accuracy: float = Field(1.0, gt=0, le=1000, description="tblite's; smaller is tighter")
    max_iterations: int = Field(250, ge=1, le=10000, description="of the self-consistent field")
    threads: int = Field(1, ge=1, le=256, description="OpenMP threads per call")
    chemical_potentials: dict[str, float] = Field(
        default_factory=dict, description="eV per atom; add to and replace the shipped ones"
    )
    pristine_energies: dict[str, float] = Field(
        default_factory=dict,
        description="eV by host key (MoS2-5x5x1): computed when absent, once per process",
    )
    relax: RelaxSettings | None = Field(
        None, description="move the atoms first; by default a single point on the ideal sites"
    )
    functions: Functions


class XtbOracle:
    """Labels by GFN1-xTB through tblite.

    Parameters
    ----------
    settings : XtbSettings, optional

    Raises
    ------
    OracleError
        When tblite is not installed.
    """

    name = "xtb"

    def __init__(self, settings: XtbSettings | None = None) -> None:
        if importlib.util.find_spec("tblite") is None:
            raise OracleError("the xTB oracle needs tblite: pip install 'design-loop[xtb]'")
        self._settings = settings or XtbSettings()
        self._pristine = dict(self._settings.pristine_energies)
        self._functions = fingerprints(self._settings.functions)
        levels = ("homo", "lumo", "homo_lumo_gap")
        own = tuple(self._settings.functions)
        self.properties = ("energy", "energy_per_atom", *levels, *FORMATION, *own)
        self.version = f"{CODE_VERSION}; tblite {importlib.metadata.version('tblite')}"

    def settings(self) -> dict[str, Any]:
        """Method and potentials; threads and energies that follow from the method are left out."""
        return key_settings(self._settings, self._functions, {"threads", "pristine_energies"})

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """Shipped potentials (at 300 K electronic temperature), then those of the settings."""
        shipped = reference_potentials(host, self._settings.method) if self._has_references else {}
        return shipped | self._settings.chemical_potentials

    @property
    def _has_references(self) -> bool:
        return self._settings.electronic_temperature == 300.0

    def _known_pristine(self, host: Host) -> float | None:
        if host.key in self._pristine or not self._has_references or self._settings.relax:
            return self._pristine.get(host.key)
        return reference_pristine(host, self._settings.method)

    def knows_pristine(self, host: Host) -> bool:
        """Whether the pristine energy is in the settings, shipped, or already computed."""
        return self._known_pristine(host) is not None

    def pristine_energy(self, host: Host) -> float:
        """Energy of the pristine supercell, eV; as slow as one label the first time."""
        known = self._known_pristine(host)
        if known is None:
            labels, _, _ = self._run(Configuration(host, ()))
            known = self._pristine[host.key] = labels["energy"]
        return known

    def label(self, configuration: Configuration) -> dict[str, float]:
        """The properties of `compute`."""
        return self.compute(configuration).properties

    def compute(self, configuration: Configuration) -> Computed:
        """Energy, levels and, where potentials are known, formation energies; own properties.

        The canonical image is computed, so that equivalent configurations get one label.

        Raises
        ------
        NotConvergedError
            When the self-consistent field does not converge or gives no finite numbers, or forces
            are left after all steps of a relaxation.
        StructureChangedError
            When an atom left its site.
        """
        labels, details, atoms = self._run(configuration.canonical())
        host, potentials = configuration.host, self.chemical_potentials(configuration.host)
        if not configuration.n_defects and not self.knows_pristine(host):
            self._pristine[host.key] = labels["energy"]
        pristine = self.pristine_energy(host) if potentials else None
        found = with_derived(labels, configuration, pristine, potentials)
        return Computed(found | evaluate(self._settings.functions, atoms, found), details)

    def _run(self, configuration: Configuration) -> tuple[dict[str, float], dict[str, Any], Atoms]:
        atoms = to_atoms(configuration)
        if self._settings.relax is None:
            return self.single_point(configuration), {}, atoms
        self._set_threads()
        from ase.calculators.calculator import CalculatorError, SCFError
        from tblite.ase import TBLite

        atoms.calc = TBLite(
            method=self._settings.method,
            accuracy=self._settings.accuracy,
            electronic_temperature=self._settings.electronic_temperature,
            max_iterations=self._settings.max_iterations,
            verbosity=0,
        )
        try:
            moved = relax(atoms, configuration, self._settings.relax)
        except (CalculatorError, SCFError, RuntimeError, ValueError) as error:
            raise NotConvergedError(f"{self._what(configuration)} failed: {error}") from error
        return self.single_point(configuration, atoms), {"relaxed": moved}, atoms

    def _what(self, configuration: Configuration) -> str:
        where = f"{configuration.description} on {configuration.host.key}"
        return f"{self._settings.method} of {where}"

    def _set_threads(self) -> None:
        # OpenMP reads this once, when the library is loaded.
        os.environ.setdefault("OMP_NUM_THREADS", str(self._settings.threads))

    def single_point(
        self, configuration: Configuration, atoms: Atoms | None = None
    ) -> dict[str, float]:
        """Energy, HOMO and LUMO of exactly this structure (by default the ideal one), eV.

        Raises
        ------
        NotConvergedError
            When tblite gives up (GFN1-xTB does on every crystal with indium: use GFN2-xTB).
        """
        self._set_threads()
        from ase.units import Bohr, Hartree, kB
        from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
        from tblite.interface import Calculator

        atoms = to_atoms(configuration) if atoms is None else atoms
        try:
            calculator = Calculator(
                self._settings.method,
                atoms.numbers,
                atoms.positions / Bohr,
                lattice=np.asarray(atoms.cell) / Bohr,
                periodic=np.asarray(atoms.pbc),
            )
            calculator.set("verbosity", 0)
            calculator.set("accuracy", self._settings.accuracy)
            calculator.set("max-iter", self._settings.max_iterations)
            calculator.set("temperature", self._settings.electronic_temperature * kB / Hartree)
            result = calculator.singlepoint()
        except (TBLiteRuntimeError, TBLiteValueError) as error:
            raise NotConvergedError(f"{self._what(configuration)} failed: {error}") from error
        levels = np.ravel(result.get("orbital-energies")) * Hartree
        # A half-filled level (odd number of electrons) counts as empty, whatever its rounding.
        occupied = np.flatnonzero(np.ravel(result.get("orbital-occupations")) > 1 + 1e-6)
        if not len(occupied) or occupied[-1] + 1 >= len(levels):
            raise NotConvergedError(f"{configuration.description}: no occupied or no empty orbital")
        return {
            "energy": float(result.get("energy")) * Hartree,
            "homo": float(levels[occupied[-1]]),
            "lumo": float(levels[occupied[-1] + 1]),
        }
