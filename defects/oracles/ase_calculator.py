"""Any ASE calculator as an oracle: VASP, GPAW, MACE, CHGNet, EMT, ..."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import Host
from defects.oracles.base import FORMATION, Computed, NotConvergedError, with_derived
from defects.oracles.functions import (
    Functions,
    ImportPath,
    evaluate,
    fingerprints,
    load_function,
)
from defects.oracles.levels import read_levels
from defects.oracles.relax import RelaxSettings, relax
from defects.structures import to_atoms
from defects.versions import module_version

CODE_VERSION = "1"

#: Wrong arguments, a program that is missing or ran out of memory, half a result file.
_BROKEN = (TypeError, OSError, RuntimeError, ValueError, KeyError, IndexError)


class AseSettings(BaseModel):
    """Settings of an oracle by an ASE calculator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calculator: ImportPath = Field(
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
    relax: RelaxSettings | None = Field(
        None, description="move the atoms first; by default a single point on the ideal sites"
    )
    version: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="what else decides its results, in words and quotes: the program's version, "
        "its pseudopotentials (VASP 6.4.2, potpaw.54); part of the content key",
    )
    functions: Functions


class AseOracle:
    """Labels by an ASE calculator: a single point on the ideal sites, or relaxed.

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
        try:
            self._make = load_function(settings.calculator)
        except OracleError as error:
            raise OracleError(f"calculator {error}") from error
        # Of ASE, where the calculator drives a program: that one's is in `settings.version`.
        top = importlib.import_module(settings.calculator.partition(":")[0].partition(".")[0])
        self._functions = fingerprints(settings.functions)
        self.version = f"{CODE_VERSION}; {top.__name__} {module_version(top)}"
        levels = ("fermi_level", "homo", "lumo", "homo_lumo_gap") if settings.levels else ()
        formation = FORMATION if settings.chemical_potentials else ()
        own = tuple(settings.functions)
        self.properties = ("energy", "energy_per_atom", *levels, *formation, *own)

    def settings(self) -> dict[str, Any]:
        """Calculator, its arguments and version, potentials, relaxation and own properties."""
        return key_settings(self._settings, self._functions, {"pristine_energies"})

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """Those of the settings: potentials of another method would be wrong here."""
        return dict(self._settings.chemical_potentials)

    def knows_pristine(self, host: Host) -> bool:
        """Whether the pristine energy is in the settings or already computed."""
        return host.key in self._pristine

    def pristine_energy(self, host: Host) -> float:
        """Energy of the pristine supercell, eV; computed the first time."""
        if host.key not in self._pristine:
            self._pristine[host.key] = self._run(Configuration(host, ()), False)[0]["energy"]
        return self._pristine[host.key]

    def label(self, configuration: Configuration) -> dict[str, float]:
        """The properties of `compute`."""
        return self.compute(configuration).properties

    def compute(self, configuration: Configuration) -> Computed:
        """Energy and, as far as the settings ask for them, levels, formation energies and more.

        The canonical image is computed, so that equivalent configurations get one label.

        Raises
        ------
        OracleError
            When the calculator fails or lacks the levels, the relaxation does not converge or
            leaves the configuration, or a user's function gives no number.
        """
        labels, details = self._run(configuration.canonical(), True)
        return Computed(labels, details)

    def _run(
        self, configuration: Configuration, everything: bool
    ) -> tuple[dict[str, float], dict[str, Any]]:
        from ase.calculators.calculator import CalculatorError, SCFError

        settings = self._settings
        what = f"{settings.calculator} on {configuration.host.key} {configuration.description}"
        with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
            arguments = dict(settings.arguments)
            if _takes_folder(self._make):  # codes that run as programs write files
                arguments.setdefault("directory", folder)
            atoms = to_atoms(configuration)
            details: dict[str, Any] = {}
            try:
                atoms.calc = self._make(**arguments)
                if settings.relax is not None:
                    details["relaxed"] = relax(atoms, configuration, settings.relax)
                found = {"energy": float(atoms.get_potential_energy())}
                if everything and settings.levels:
                    found |= read_levels(atoms.calc)
            except SCFError as error:
                raise NotConvergedError(f"{what}: {error}") from error
            except (CalculatorError, NotImplementedError, *_BROKEN) as error:
                raise OracleError(f"{what} failed: {type(error).__name__}: {error}") from error
            if not everything:
                return found, details
            found = self._derived(found, configuration)
            results = dict(getattr(atoms.calc, "results", {}))
            return found | evaluate(settings.functions, atoms, results | found), details

    def _derived(self, labels: dict[str, float], configuration: Configuration) -> dict[str, float]:
        host, potentials = configuration.host, self._settings.chemical_potentials
        if not configuration.n_defects:
            self._pristine.setdefault(host.key, labels["energy"])
        pristine = self.pristine_energy(host) if potentials else None
        return with_derived(labels, configuration, pristine, potentials)


def key_settings(
    settings: BaseModel, functions: dict[str, list[str]], without: set[str]
) -> dict[str, Any]:
    """Settings as part of a content key; what is not asked for leaves keys as they always were."""
    found = settings.model_dump(exclude={*without, "functions"})
    for name in ("relax", "version"):
        if found.get(name) is None:
            found.pop(name, None)
    return found | ({"functions": functions} if functions else {})


def _takes_folder(make: Any) -> bool:
    try:
        return "directory" in inspect.signature(make).parameters
    except (TypeError, ValueError):
        return False
