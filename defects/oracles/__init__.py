"""Oracles: trusted sources of labels."""

from __future__ import annotations

from defects.oracles.ase_calculator import AseOracle, AseSettings
from defects.oracles.base import (
    Computed,
    NotConvergedError,
    NotInTableError,
    Oracle,
    missing_potentials,
    oracle_key,
    properties_for,
    require_properties,
)
from defects.oracles.external import ExternalOracle, ExternalSettings
from defects.oracles.failures import PERMANENT
from defects.oracles.functions import PropertyFunctionError
from defects.oracles.relax import RelaxSettings, StructureChangedError
from defects.oracles.spec import OracleSpec, check_settings, make_oracle
from defects.oracles.table import TableOracle, TableSettings
from defects.oracles.xtb import XtbOracle, XtbSettings

__all__ = [
    "PERMANENT",
    "AseOracle",
    "AseSettings",
    "Computed",
    "ExternalOracle",
    "ExternalSettings",
    "NotConvergedError",
    "NotInTableError",
    "Oracle",
    "OracleSpec",
    "PropertyFunctionError",
    "RelaxSettings",
    "StructureChangedError",
    "TableOracle",
    "TableSettings",
    "XtbOracle",
    "XtbSettings",
    "check_settings",
    "make_oracle",
    "missing_potentials",
    "oracle_key",
    "properties_for",
    "require_properties",
]
