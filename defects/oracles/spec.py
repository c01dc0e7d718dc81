"""Oracles by kind and settings: what a configuration file says and what travels to workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from defects.errors import ConfigError
from defects.oracles.ase_calculator import AseOracle, AseSettings
from defects.oracles.base import Oracle
from defects.oracles.external import ExternalOracle, ExternalSettings
from defects.oracles.table import TableOracle, TableSettings
from defects.oracles.xtb import XtbOracle, XtbSettings

SETTINGS: dict[str, type[BaseModel]] = {
    "xtb": XtbSettings,
    "ase": AseSettings,
    "table": TableSettings,
    "external": ExternalSettings,
}


def make_oracle(
    kind: str, settings: Mapping[str, Any] | BaseModel | None = None, /, **more: Any
) -> Oracle:
    """An oracle by its kind and settings.

    Parameters
    ----------
    kind : str
        ``xtb``, ``ase``, ``table`` or ``external``.
    settings : mapping or settings model, optional
        Fields of the kind's model in `SETTINGS`; keyword arguments add to them.

    Raises
    ------
    ConfigError
        When the kind is unknown or a setting is not acceptable.
    OracleError, DatasetError
        When what the oracle needs (tblite, the calculator, the dataset) is missing.
    """
    checked = check_settings(kind, settings, **more)
    if isinstance(checked, XtbSettings):
        return XtbOracle(checked)
    if isinstance(checked, AseSettings):
        return AseOracle(checked)
    if isinstance(checked, ExternalSettings):
        return ExternalOracle(checked)
    assert isinstance(checked, TableSettings)
    return TableOracle(checked.dataset, checked.properties, checked.columns, checked.functions)


def check_settings(
    kind: str, settings: Mapping[str, Any] | BaseModel | None = None, /, **more: Any
) -> BaseModel:
    """Settings of an oracle as their model; errors as `make_oracle`, but nothing is loaded."""
    if kind not in SETTINGS:
        raise ConfigError(f"oracle {kind!r} is none of {', '.join(SETTINGS)}")
    if isinstance(settings, BaseModel):
        settings = settings.model_dump()
    try:
        return SETTINGS[kind](**{**(settings or {}), **more})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(x) for x in first["loc"])
        known = ", ".join(SETTINGS[kind].model_fields)
        raise ConfigError(
            f"oracle {kind}, setting {place}: {first['msg']} (settings are {known})"
        ) from error


@dataclass(frozen=True)
class OracleSpec:
    """An oracle as plain data.

    Attributes
    ----------
    kind : str
        ``xtb``, ``ase``, ``table`` or ``external``.
    settings : dict
        JSON-able settings of that kind.
    """

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Oracle:
        """The oracle; the same one each time within a process. Errors as `make_oracle`."""
        return _build(self.kind, json.dumps(self.settings, sort_keys=True))

    def with_pristine(self, host_key: str, energy: float) -> OracleSpec:
        """The same oracle knowing the energy of one more pristine supercell, eV."""
        known = {**self.settings.get("pristine_energies", {}), host_key: energy}
        return OracleSpec(self.kind, {**self.settings, "pristine_energies": known})

    def to_dict(self) -> dict[str, Any]:
        """``{"kind", "settings"}``."""
        return {"kind": self.kind, "settings": self.settings}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OracleSpec:
        """Inverse of `to_dict`."""
        return cls(str(data["kind"]), dict(data.get("settings", {})))


@lru_cache(maxsize=16)
def _build(kind: str, settings: str) -> Oracle:
    return make_oracle(kind, json.loads(settings))
