"""Any ASE calculator as an oracle: VASP, GPAW, MACE, CHGNet, EMT, ..."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import Host
from defects.oracles.base import FORMATION, NotConvergedError, with_derived
from defects.structures import to_atoms

CODE_VERSION = "1"

#: Wrong arguments, a program that is missing or ran out of memory, half a result file.
_BROKEN = (TypeError, OSError, RuntimeError, ValueError, KeyError, IndexError)


class AseSettings(BaseModel):
    """Settings of an oracle by an ASE calculator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calculator: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="import path of the calculator's class or factory: ase.calculators.emt:EMT",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the calculator"
    )
    levels: bool = Field(
        False, description="also read HOMO, LUMO and Fermi level; the calculator must give them"
    )
    chemical_potentials: dict[str, float] = Field(
        default_factory=dict,
        description="eV per atom by this calculator; without them no formation energies",
    )
    pristine_energies: dict[str, float] = Field(
        default_factory=dict, description="eV by host key (MoS2-5x5x1): computed when absent"
    )


class AseOracle:
    """Labels by an ASE calculator: a single point on the ideal sites.

    Parameters
    ----------
    settings : AseSettings

    Raises
    ------
    OracleError
        When the calculator cannot be imported.
    """

    name = "ase"

    def __init__(self, settings: AseSettings) -> None:
        self._settings = settings
        self._pristine = dict(settings.pristine_energies)
        module, _, attribute = settings.calculator.partition(":")
        try:
            loaded = importlib.import_module(module)
            self._make = getattr(loaded, attribute)
        except (ImportError, AttributeError) as error:
            raise OracleError(
                f"calculator {settings.calculator} cannot be imported ({error}); install it, or "
                "correct `calculator` (module.path:Class)"
            ) from error
        top = importlib.import_module(module.partition(".")[0])
        self.version = f"{CODE_VERSION}; {top.__name__} {getattr(top, '__version__', 'unknown')}"
        levels = ("fermi_level", "homo", "lumo", "homo_lumo_gap") if settings.levels else ()
        formation = FORMATION if settings.chemical_potentials else ()
        self.properties = ("energy", "energy_per_atom", *levels, *formation)

    def settings(self) -> dict[str, Any]:
        """Calculator, its arguments and the potentials."""
        return self._settings.model_dump(exclude={"pristine_energies"})

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """Those of the settings: potentials of another method would be wrong here."""
        return dict(self._settings.chemical_potentials)

    def knows_pristine(self, host: Host) -> bool:
        """Whether the pristine energy is in the settings or already computed."""
        return host.key in self._pristine

    def pristine_energy(self, host: Host) -> float:
        """Energy of the pristine supercell, eV; computed the first time."""
        if host.key not in self._pristine:
            energy = self._single_point(Configuration(host, ()), levels=False)["energy"]
            self._pristine[host.key] = energy
        return self._pristine[host.key]

    def label(self, configuration: Configuration) -> dict[str, float]:
        """Energy and, as far as the settings ask for them, levels and formation energies.

        The canonical image is computed, so that equivalent configurations get one label.

        Raises
        ------
        OracleError
            When the calculator fails or lacks the levels.
        """
        labels = self._single_point(configuration.canonical(), self._settings.levels)
        host, potentials = configuration.host, self._settings.chemical_potentials
        if not configuration.n_defects:
            self._pristine.setdefault(host.key, labels["energy"])
        pristine = self.pristine_energy(host) if potentials else None
        return with_derived(labels, configuration, pristine, potentials)

    def _single_point(self, configuration: Configuration, levels: bool) -> dict[str, float]:
        from ase.calculators.calculator import CalculatorError, SCFError

        what = (
            f"{self._settings.calculator} on {configuration.host.key} {configuration.description}"
        )
        with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
            arguments = dict(self._settings.arguments)
            if _takes_folder(self._make):  # codes that run as programs write files
                arguments.setdefault("directory", folder)
            atoms = to_atoms(configuration)
            try:
                atoms.calc = self._make(**arguments)
                found = {"energy": float(atoms.get_potential_energy())}
                if levels:
                    found |= _levels(atoms.calc)
            except SCFError as error:
                raise NotConvergedError(f"{what}: {error}") from error
            except (CalculatorError, NotImplementedError, *_BROKEN) as error:
                raise OracleError(f"{what} failed: {type(error).__name__}: {error}") from error
        return found


def _takes_folder(make: Any) -> bool:
    try:
        return "directory" in inspect.signature(make).parameters
    except (TypeError, ValueError):
        return False


_LEVEL_METHODS = (
    "number_of_spins",
    "ibz_k_points",
    "eigenvalues",
    "occupation_numbers",
    "fermi_level",
)


def _levels(calculator: Any) -> dict[str, float]:
    """Highest occupied and lowest empty level over all k-points and spins, and the Fermi level."""
    if not all(hasattr(calculator, f"get_{name}") for name in _LEVEL_METHODS):
        raise OracleError(f"{type(calculator).__name__} gives no levels; set `levels` to false")
    spins = calculator.get_number_of_spins()
    full = 2.0 / spins
    occupied, empty = [], []
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
