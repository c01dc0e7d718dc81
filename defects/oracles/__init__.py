"""Oracles: trusted sources of labels."""

from __future__ import annotations

from defects.oracles.ase_calculator import AseOracle, AseSettings
from defects.oracles.base import (
    PERMANENT,
    NotConvergedError,
    NotInTableError,
    Oracle,
    missing_potentials,
    oracle_key,
    properties_for,
    require_properties,
)
from defects.oracles.spec import OracleSpec, check_settings, make_oracle
from defects.oracles.table import TableOracle, TableSettings
from defects.oracles.xtb import XtbOracle, XtbSettings

__all__ = [
    "PERMANENT",
    "AseOracle",
    "AseSettings",
    "NotConvergedError",
    "NotInTableError",
    "Oracle",
    "OracleSpec",
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
