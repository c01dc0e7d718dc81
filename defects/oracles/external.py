"""Labels that somebody computes elsewhere and hands in: no calculation runs here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import Host
from defects.oracles.base import FORMATION, Computed, with_derived
from defects.oracles.functions import Functions

CODE_VERSION = "1"

_STANDARD = ("energy", "homo", "lumo", "homo_lumo_gap")


class ExternalSettings(BaseModel):
    """Settings of labels from outside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(
        min_length=1,
        max_length=200,
        description="how the labels are computed, in words (PBE, VASP 6.4, 500 eV): labels are "
        "shared among campaigns that say the same",
    )
    properties: tuple[str, ...] = Field(
        _STANDARD, min_length=1, description="what every label will have"
    )
    chemical_potentials: dict[str, float] = Field(
        default_factory=dict,
        description="eV per atom by this method; without them no formation energies",
    )
    pristine_energies: dict[str, float] = Field(
        default_factory=dict, description="eV by host key (MoS2-5x5x1), by this method"
    )
    functions: Functions


class ExternalOracle:
    """Labels from outside; asked to compute one it refuses.

    Parameters
    ----------
    settings : ExternalSettings
    """

    name = "external"
    version = CODE_VERSION

    def __init__(self, settings: ExternalSettings) -> None:
        self._settings = settings
        given = dict.fromkeys((*settings.properties, *settings.functions))
        if "energy" in given:
            given["energy_per_atom"] = None
            if settings.chemical_potentials and settings.pristine_energies:
                given |= dict.fromkeys(FORMATION)
        if {"homo", "lumo"} <= given.keys():
            given["homo_lumo_gap"] = None
        self.properties = tuple(given)

    @property
    def required(self) -> tuple[str, ...]:
        """What a label that is handed in has to hold."""
        return self._settings.properties

    def settings(self) -> dict[str, Any]:
        """The method in words and the references; what is asked of it changes no label."""
        return self._settings.model_dump(include={"method", "chemical_potentials"})

    def chemical_potentials(self, host: Host) -> dict[str, float]:
        """Those of the settings."""
        return dict(self._settings.chemical_potentials)

    def knows_pristine(self, host: Host) -> bool:
        """Always: there is nothing to compute here."""
        return True

    def pristine_energy(self, host: Host) -> float | None:
        """That of the settings."""
        return self._settings.pristine_energies.get(host.key)

    def complete(self, configuration: Configuration, labels: dict[str, float]) -> dict[str, float]:
        """Labels with what follows from them by the references of the settings.

        Values that are given stay as they are.

        Raises
        ------
        NotConvergedError
            When a value is no finite number.
        """
        host = configuration.host
        potentials = self._settings.chemical_potentials
        derived = with_derived(labels, configuration, self.pristine_energy(host), potentials)
        return derived | labels

    def label(self, configuration: Configuration) -> dict[str, float]:
        """Refused; see `compute`."""
        return self.compute(configuration).properties

    def compute(self, configuration: Configuration) -> Computed:
        """Refused: the label has to be imported.

        Raises
        ------
        OracleError
            Always.
        """
        raise OracleError(
            f"{configuration.description} on {configuration.host.key}: labels of oracle external "
            "come from outside; import them with `design-loop campaign import-labels`"
        )
