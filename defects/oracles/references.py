"""Reference energies for formation energies by xTB, computed once and shipped.

``defects/data/xtb_references.json`` holds, per method and built-in host, the chemical potentials
and the energies of pristine supercells; ``benchmarks/xtb_references.py`` computes them anew.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from defects.errors import HostError
from defects.hosts import Host, get_host


@lru_cache(maxsize=1)
def xtb_references() -> dict[str, Any]:
    """Content of the shipped file."""
    file = resources.files("defects").joinpath("data/xtb_references.json")
    return json.loads(file.read_text())


def reference_potentials(host: Host, method: str) -> dict[str, float]:
    """Chemical potentials for a host, eV per atom; empty for a crystal that is not built in."""
    return dict(_facts(host, method).get("potentials", {}))


def reference_pristine(host: Host, method: str) -> float | None:
    """Energy of the pristine supercell, eV, where it is known for exactly this cell."""
    energies = _facts(host, method).get("pristine_energies", {})
    return energies.get("x".join(map(str, host.supercell))) if _same_cell(host) else None


def _facts(host: Host, method: str) -> dict[str, Any]:
    known = xtb_references()["methods"].get(method, {})
    # An "@" in the key: another crystal under a known name.
    return {} if "@" in host.key else known.get(host.name, {})


def _same_cell(host: Host) -> bool:
    """Whether also vacuum and position in the cell are the built-in ones (images interact)."""
    try:
        known = get_host(host.name, host.supercell)
    except HostError:
        return False
    metric = host.unit_lattice @ host.unit_lattice.T
    return bool(
        np.allclose(metric, known.unit_lattice @ known.unit_lattice.T, atol=1e-2)
        and np.allclose(host.unit_frac_coords, known.unit_frac_coords, atol=1e-4)
    )
