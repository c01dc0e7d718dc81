"""Relaxation of a defective crystal, and whether it is still the crystal that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.oracles.base import NotConvergedError
from defects.structures import occupied_sites, site_distances

if TYPE_CHECKING:
    from ase import Atoms


class StructureChangedError(OracleError):
    """The relaxed structure is another configuration, so its properties label no candidate."""


class RelaxSettings(BaseModel):
    """How atoms move before the properties are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["BFGS", "LBFGS", "FIRE", "BFGSLineSearch", "MDMin"] = Field(
        "BFGS", description="of ase.optimize"
    )
    fmax: float = Field(0.05, gt=0, le=10, description="largest force left, eV/Å")
    steps: int = Field(200, ge=1, le=100_000, description="at most so many; more has failed")
    within: float | None = Field(
        None, gt=0, description="only atoms so near to a defect move, Å; by default all"
    )
    fixed_elements: tuple[str, ...] = Field((), description="elements whose atoms stay")
    cell: Literal["fixed", "in-plane"] = Field(
        "fixed", description="in-plane also relaxes the lattice vectors of the layer (needs stress)"
    )
    max_drift: float = Field(
        1.5, gt=0, le=20, description="an atom further from its site has left it, Å"
    )
    on_change: Literal["fail", "keep"] = Field(
        "fail",
        description="an atom left its site: the call has failed, or the label counts and says so",
    )


def relax(atoms: Atoms, configuration: Configuration, settings: RelaxSettings) -> dict[str, Any]:
    """Relax atoms in place and say what came of it.

    Parameters
    ----------
    atoms : ase.Atoms
        `to_atoms(configuration)` with a calculator that gives forces.
    configuration : Configuration
    settings : RelaxSettings

    Returns
    -------
    dict
        ``steps``, ``fmax`` (largest force left, eV/Å), ``drift`` (largest distance from a site,
        Å), ``changed`` (what left its site, or None), ``cell``, ``symbols``, ``positions`` (Å).

    Raises
    ------
    NotConvergedError
        When forces are left after all steps.
    StructureChangedError
        When an atom left its site and ``on_change`` is ``fail``.
    """
    from ase import optimize
    from ase.constraints import FixAtoms
    from ase.filters import FrechetCellFilter

    still = _still(configuration, settings)
    atoms.set_constraint(FixAtoms(indices=still) if len(still) else None)
    moving: Any = atoms
    if settings.cell == "in-plane":
        moving = FrechetCellFilter(atoms, mask=[1, 1, 0, 0, 0, 1])
    optimizer = getattr(optimize, settings.optimizer)(moving, logfile=None)
    converged = optimizer.run(fmax=settings.fmax, steps=settings.steps)
    left = float(np.linalg.norm(np.reshape(moving.get_forces(), (-1, 3)), axis=1).max())
    if not converged:
        raise NotConvergedError(
            f"{configuration.description} on {configuration.host.key}: not relaxed after "
            f"{settings.steps} steps, a force of {left:.3g} eV/Å is left (asked for "
            f"{settings.fmax:g}); raise relax.steps or relax.fmax"
        )
    drift, changed = departures(atoms, configuration, settings.max_drift)
    if changed is not None and settings.on_change == "fail":
        raise StructureChangedError(
            f"{configuration.description} on {configuration.host.key} became another structure: "
            f"{changed}"
        )
    return {
        "steps": int(optimizer.get_number_of_steps()),
        "fmax": round(left, 6),
        "drift": round(drift, 4),
        "changed": changed,
        "cell": np.round(np.asarray(atoms.cell), 6).tolist(),
        "symbols": atoms.get_chemical_symbols(),
        "positions": np.round(atoms.positions, 6).tolist(),
    }


def departures(
    atoms: Atoms, configuration: Configuration, max_drift: float
) -> tuple[float, str | None]:
    """How far atoms are from their sites, and what left its own.

    Parameters
    ----------
    atoms : ase.Atoms
        In the order of the configuration's occupied sites. A common shift and the strain of the
        cell do not count.
    configuration : Configuration
    max_drift : float
        Å; an atom further away has left its site even where no other site is nearer.

    Returns
    -------
    float
        Largest distance from a site, Å.
    str or None
        The first atom that left and where it is now.
    """
    host = configuration.host
    sites = occupied_sites(configuration)
    frac = atoms.get_scaled_positions(wrap=False)
    shift = frac - host.frac_coords[sites]
    shift -= np.round(shift)
    frac = frac - shift.mean(axis=0)
    distance = site_distances(frac, host, np.asarray(atoms.cell))
    own = distance[np.arange(len(sites)), sites]
    nearest = distance.argmin(axis=1)
    gone = np.flatnonzero((nearest != sites) | (own > max_drift))
    largest = float(own.max()) if len(own) else 0.0
    if not len(gone):
        return largest, None
    first = int(gone[np.argmax(own[gone])])
    where = (
        f"sits at site {host.site_label(int(nearest[first]))}"
        if nearest[first] != sites[first]
        else f"is {own[first]:.2f} Å away"
    )
    return largest, (
        f"{len(gone)} {'atom' if len(gone) == 1 else 'atoms'} left their sites; "
        f"{atoms[first].symbol} of site {host.site_label(int(sites[first]))} {where}"
    )


def relaxed_atoms(details: dict[str, Any]) -> Atoms:
    """The structure that `relax` left, from its record."""
    from ase import Atoms

    return Atoms(details["symbols"], positions=details["positions"], cell=details["cell"], pbc=True)


def _still(configuration: Configuration, settings: RelaxSettings) -> np.ndarray:
    """Indices of the atoms that do not move."""
    host = configuration.host
    sites = occupied_sites(configuration)
    changes = configuration.changes
    symbols = np.array([changes.get(int(s), host.species[s]) for s in sites])
    still = np.isin(symbols, settings.fixed_elements)
    if settings.within is not None:
        centres = [d.site for d in configuration.defects]
        distance = site_distances(host.frac_coords[sites], host, host.lattice)[:, centres]
        still |= distance.min(axis=1, initial=np.inf) > settings.within
    return np.flatnonzero(still)
