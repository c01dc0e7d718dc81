"""What an oracle is: the trusted source of a configuration's properties."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from defects.configuration import Configuration
from defects.energetics import exchanged_atoms, formation_energy, formation_energy_per_site
from defects.errors import OracleError
from defects.hosts import Host
from defects.properties import VACANCY
from defects.rules import Rules, parse_defect

FORMATION = ("formation_energy", "formation_energy_per_site")


class NotConvergedError(OracleError):
    """The calculation ended without a result; trying again gives the same."""


class NotInTableError(OracleError):
    """The table has no label of this configuration."""


@dataclass(frozen=True)
class Computed:
    """What an oracle found out about a configuration.

    Attributes
    ----------
    properties : dict
        Property -> value, in its unit.
    details : dict
        JSON-able facts beside them: ``relaxed`` holds what `defects.oracles.relax.relax` returned.
    """

    properties: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Oracle(Protocol):
    """A source of labels.

    Attributes
    ----------
    name : str
        Kind of oracle, for records.
    version : str
        Of the code that computes the labels.
    properties : tuple of str
        What it can give; formation energies only where chemical potentials are known.
    """

    name: str
    version: str
    properties: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """Everything that determines the labels, as plain data; part of `oracle_key`."""

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """eV per atom of the elements that can be exchanged with a host; may be empty."""

    def knows_pristine(self, host: Host) -> bool:
        """Whether `pristine_energy` answers without computing."""

    def pristine_energy(self, host: Host) -> float | None:
        """Energy of the pristine supercell, eV, computed when unknown; None when it has none."""

    def compute(self, configuration: Configuration) -> Computed:
        """Properties of a configuration, and what else came out.

        Raises
        ------
        OracleError
            When they cannot be had.
        """

    def label(self, configuration: Configuration) -> dict[str, float]:
        """The properties alone; errors as `compute`."""


def oracle_key(configuration: Configuration, oracle: Oracle) -> str:
    """Content key of a label: the same key means the same label, whoever computed it.

    Returns
    -------
    str
        SHA-256 over the canonical structure (cell and sites to 1e-4, so that a unit cell read from
        a file and the built-in one agree), the oracle's name, settings and version.
    """
    host = configuration.host
    content = {
        "cell": _rounded(host.lattice @ host.lattice.T, 3),
        "sites": _rounded(host.frac_coords, 4),
        "species": list(host.species),
        "defects": [[d.site, d.species] for d in configuration.canonical().defects],
        "oracle": oracle.name,
        "settings": oracle.settings(),
        "version": oracle.version,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return (np.round(values, digits) + 0.0).tolist()  # + 0.0: no negative zeros


def with_derived(
    labels: dict[str, float],
    configuration: Configuration,
    pristine_energy: float | None,
    potentials: Mapping[str, float],
) -> dict[str, float]:
    """Add what follows from the energy and the levels, and refuse values that are no numbers.

    Formation energies are added where the pristine energy and all potentials are known.

    Raises
    ------
    NotConvergedError
        When a value is NaN or infinite.
    """
    found = dict(labels)
    vacancies = sum(d.species == VACANCY for d in configuration.defects)
    if "energy" in found:
        found["energy_per_atom"] = found["energy"] / (configuration.host.n_sites - vacancies)
        known = all(e in potentials for e in exchanged_atoms(configuration))
        if pristine_energy is not None and known:
            total = formation_energy(found["energy"], configuration, pristine_energy, potentials)
            found["formation_energy"] = total
            found["formation_energy_per_site"] = formation_energy_per_site(total, configuration)
    if "homo" in found and "lumo" in found:
        found["homo_lumo_gap"] = found["lumo"] - found["homo"]
    bad = [name for name, value in found.items() if not math.isfinite(value)]
    if bad:
        raise NotConvergedError(
            f"{configuration.description} on {configuration.host.key}: {', '.join(bad)} is no "
            "finite number"
        )
    return found


def properties_for(oracle: Oracle, host: Host, rules: Rules) -> tuple[str, ...]:
    """What an oracle gives for every configuration of a host under some rules."""
    if missing_potentials(oracle, host, rules):
        return tuple(p for p in oracle.properties if p not in FORMATION)
    return oracle.properties


def require_properties(
    oracle: Oracle, host: Host, rules: Rules, properties: tuple[str, ...]
) -> None:
    """Refuse to ask an oracle for what it does not give.

    Raises
    ------
    OracleError
        Naming the property and what to do about it.
    """
    for name in properties:
        if name not in oracle.properties:
            raise OracleError(
                f"oracle {oracle.name} gives no {name} (it gives {', '.join(oracle.properties)}); "
                "an own property needs a `function` for it"
            )
        missing = missing_potentials(oracle, host, rules) if name in FORMATION else ()
        if missing:
            raise OracleError(
                f"{name}: oracle {oracle.name} knows no chemical potential of "
                f"{', '.join(missing)} for host {host.name}; give it in the oracle's settings as "
                f"chemical_potentials: {{{missing[0]}: <eV per atom>}}, or ask for other properties"
            )


def missing_potentials(oracle: Oracle, host: Host, rules: Rules) -> tuple[str, ...]:
    """Elements that the rules exchange and whose chemical potential the oracle lacks."""
    if not set(FORMATION) & set(oracle.properties):
        return ()
    elements = {e for name in rules.defects for e in parse_defect(name)} - {VACANCY}
    return tuple(sorted(elements - oracle.chemical_potentials(host).keys()))
