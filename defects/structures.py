"""Structure ↔ configuration, and structure files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.errors import StructureMismatchError
from defects.hosts import Host
from defects.properties import VACANCY

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

#: Formats that `write_structure` writes, with the ending of their files.
FORMATS = {"cif": ".cif", "poscar": ".vasp", "extxyz": ".extxyz", "json": ".json"}


def occupied_sites(configuration: Configuration) -> np.ndarray:
    """Sites that hold an atom, ascending: the order of the atoms in all structures made here."""
    empty = [d.site for d in configuration.defects if d.species == VACANCY]
    return np.setdiff1d(np.arange(configuration.host.n_sites), empty)


def _occupied(configuration: Configuration) -> tuple[list[str], np.ndarray]:
    """Symbols and fractional coordinates of the atoms, in site order."""
    host, changes = configuration.host, configuration.changes
    sites = occupied_sites(configuration)
    return [changes.get(int(s), host.species[s]) for s in sites], host.frac_coords[sites]


def site_distances(frac: np.ndarray, host: Host, cell: np.ndarray) -> np.ndarray:
    """Distances between points and the sites of a host, Å, shape (n, n_sites).

    Parameters
    ----------
    frac : ndarray, shape (n, 3)
        Fractional coordinates.
    host : Host
    cell : ndarray, shape (3, 3)
        Lattice vectors in which distances are measured; a strained one carries the sites along.
    """
    delta = frac[:, None, :] - host.frac_coords[None, :, :]
    delta -= np.round(delta)
    return np.linalg.norm(delta @ cell, axis=-1)


def to_structure(configuration: Configuration) -> Structure:
    """Ideal, unrelaxed structure as a pymatgen object."""
    from pymatgen.core import Lattice, Structure

    symbols, coords = _occupied(configuration)
    return Structure(Lattice(configuration.host.lattice), symbols, coords)


def to_atoms(configuration: Configuration) -> Atoms:
    """Ideal, unrelaxed structure as an ASE object, periodic in three directions."""
    from ase import Atoms

    symbols, coords = _occupied(configuration)
    return Atoms(symbols, scaled_positions=coords, cell=configuration.host.lattice, pbc=True)


def from_structure(structure: Structure, host: Host, tolerance: float = 0.3) -> Configuration:
    """Read the point defects off a structure on the sites of a host.

    Parameters
    ----------
    structure : pymatgen.core.Structure
        The defective crystal; its vacuum and height in the cell may differ from the host's.
    host : Host
    tolerance : float
        How far an atom may sit from its site, Å (unrelaxed structures sit on it).

    Raises
    ------
    StructureMismatchError
        When the cell is another one, or an atom is on no site; the message names it.
    """
    ours = np.linalg.norm(host.lattice, axis=1)[:2]
    theirs = np.array(structure.lattice.abc[:2])
    gamma = np.degrees(np.arccos(host.lattice[0] @ host.lattice[1] / (ours[0] * ours[1])))
    if not np.allclose(ours, theirs, atol=0.1) or abs(gamma - structure.lattice.gamma) > 1:
        raise StructureMismatchError(
            f"cell {theirs[0]:.2f} × {theirs[1]:.2f} Å, {structure.lattice.gamma:.0f}° is not that "
            f"of {host.key} ({ours[0]:.2f} × {ours[1]:.2f} Å, {gamma:.0f}°): another host or "
            "supercell?"
        )
    symbols = [str(s.specie.symbol) for s in structure]
    frac = np.asarray(structure.frac_coords)
    heights = frac[:, 2] * structure.lattice.c
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for offset in _height_offsets(host, heights):
        sites, distances = _nearest_sites(host, frac[:, :2], heights + offset)
        if best is None or distances.max() < best[0]:
            best = (float(distances.max()), sites, distances)
    if best is None:
        raise StructureMismatchError(f"an empty structure is no configuration of {host.key}")
    _, sites, distances = best
    far = np.flatnonzero(distances > tolerance)
    if len(far):
        i = int(far[0])
        place = ", ".join(f"{x:.3f}" for x in frac[i])
        raise StructureMismatchError(
            f"{len(far)} of {len(symbols)} atoms sit on no site of {host.key}; the first is "
            f"{symbols[i]} number {i} at ({place}), {distances[i]:.2f} Å from site "
            f"{host.site_label(int(sites[i]))}"
        )
    taken: dict[int, str] = {}
    for i, site in enumerate(sites):
        if int(site) in taken:
            raise StructureMismatchError(
                f"two atoms ({taken[int(site)]} and {symbols[i]} number {i}) share site "
                f"{host.site_label(int(site))} of {host.key}"
            )
        taken[int(site)] = symbols[i]
    return Configuration.from_changes(
        host,
        {
            s: taken.get(s, VACANCY)
            for s, pristine in enumerate(host.species)
            if taken.get(s) != pristine
        },
    )


def site_tolerance(host: Host) -> float:
    """How far an atom of a relaxed structure may be from its site and still be told, Å.

    Just under half of the smallest distance between two sites.
    """
    distance = site_distances(host.frac_coords, host, host.lattice)
    np.fill_diagonal(distance, np.inf)
    return 0.45 * float(distance.min())


def _height_offsets(host: Host, heights: np.ndarray) -> list[float]:
    """Shifts along the normal to try: none, then those that align the layers' faces."""
    ours = host.cart_coords[:, 2]
    if not len(heights):
        return []
    return [0.0, float(ours.min() - heights.min()), float(ours.max() - heights.max())]


def _nearest_sites(
    host: Host, frac_xy: np.ndarray, heights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest site of every atom and its distance, Å; periodic in the plane."""
    delta = frac_xy[:, None, :] - host.frac_coords[None, :, :2]
    delta -= np.round(delta)
    planar = np.linalg.norm(delta @ host.lattice[:2, :2], axis=-1)
    rise = heights[:, None] - host.cart_coords[None, :, 2]
    distance = np.hypot(planar, rise)
    return distance.argmin(axis=1), distance.min(axis=1)


def read_structure(path: str | Path) -> Structure:
    """A structure from any file that pymatgen reads (CIF, POSCAR, JSON, ...).

    Raises
    ------
    StructureMismatchError
        When the file is missing or no structure.
    """
    from pymatgen.core import Structure

    path = Path(path)
    if not path.is_file():
        raise StructureMismatchError(f"no such structure file: {path}")
    try:
        return Structure.from_file(path, primitive=False)
    except (ValueError, KeyError, IndexError, AssertionError) as error:
        raise StructureMismatchError(f"{path} is not a readable structure: {error}") from error


def write_structure(configuration: Configuration, path: str | Path, fmt: str = "cif") -> Path:
    """Write the ideal structure; `fmt` is one of `FORMATS`."""
    path = Path(path)
    if fmt == "extxyz":
        from ase.io import write

        write(path, to_atoms(configuration), format="extxyz")
    elif fmt in FORMATS:
        to_structure(configuration).to(filename=str(path), fmt=fmt)
    else:
        raise ValueError(f"format {fmt!r} is none of {', '.join(FORMATS)}")
    return path
