"""Fast reading of plain CIF files and matching of their atoms to the sites of a host.

A dataset of 2DMD holds up to 5,933 structures of 192 atoms; pymatgen takes minutes for them. Plain
files (one block, P1, no quotes among the atoms) are read here, all others by pymatgen. What comes
out is what `defects.structures.from_structure` gives.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np

from defects.configuration import Configuration
from defects.errors import StructureMismatchError
from defects.hosts import Host
from defects.properties import VACANCY
from defects.structures import from_structure

_CELL = re.compile(r"^_cell_(length|angle)_(\w+)\s+([\d.]+)\s*$", re.M)
_OPERATIONS = re.compile(
    r"^\s*_(?:symmetry_equiv_pos_as_xyz|space_group_symop_operation_xyz)\s*\n(.*?)(?=^\s*loop_|\Z)",
    re.M | re.S,
)
_SPACE_GROUP = re.compile(r"_(?:Int_Tables_number|space_group_IT_number)\s+(\d+)")
_ATOMS = re.compile(
    r"^loop_\s*\n((?:[ \t]*_atom_site_\w+[ \t]*\n)+)(.*?)(?=^\s*(?:loop_|_|#|data_)|\Z)",
    re.M | re.S,
)
_SYMBOL = re.compile(r"[A-Z][a-z]?")


@dataclass(frozen=True)
class Crystal:
    """Cell and atoms of a structure file.

    Attributes
    ----------
    lengths, angles : tuple of float
        Å and degrees.
    symbols : list of str, length n
    frac_coords : ndarray, shape (n, 3)
    """

    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    symbols: list[str]
    frac_coords: np.ndarray


def parse_cif(text: str) -> Crystal:
    """Cell and atoms of a CIF file.

    Raises
    ------
    StructureMismatchError
        When the text is no crystal structure with one element per site.
    """
    return parse_plain_cif(text) or _parse_any(text)


def parse_plain_cif(text: str) -> Crystal | None:
    """The structure if the file is plain (one block, P1, every site full), else None."""
    operations = _OPERATIONS.search(text)
    if operations is None:
        group = _SPACE_GROUP.search(text)
        if group is None or group.group(1) != "1":
            return None
    elif len(operations.group(1).strip().splitlines()) != 1:
        return None
    cell = {f"{kind}_{axis}": float(value) for kind, axis, value in _CELL.findall(text)}
    atoms = _ATOMS.search(text)
    if len(cell) != 6 or atoms is None or text.count("data_") != 1:
        return None
    columns = [name.strip().removeprefix("_atom_site_") for name in atoms.group(1).split()]
    cells = atoms.group(2).split()
    needed = ("type_symbol", "fract_x", "fract_y", "fract_z")
    if not cells or len(cells) % len(columns) or not all(c in columns for c in needed):
        return None
    by_column = {name: cells[i :: len(columns)] for i, name in enumerate(columns)}
    if any(float_or_nan(o) != 1 for o in set(by_column.get("occupancy", ()))):
        return None
    symbols = by_column["type_symbol"]
    if not all(_SYMBOL.fullmatch(s) for s in set(symbols)):
        return None
    try:
        coords = np.array([by_column[f"fract_{x}"] for x in "xyz"], dtype=float).T
    except ValueError:
        return None
    return Crystal(
        (cell["length_a"], cell["length_b"], cell["length_c"]),
        (cell["angle_alpha"], cell["angle_beta"], cell["angle_gamma"]),
        symbols,
        coords,
    )


def float_or_nan(text: str) -> float:
    """A number, or NaN for text that is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _parse_any(text: str) -> Crystal:
    """Any CIF file, by pymatgen."""
    from pymatgen.core import Structure

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_str(text, fmt="cif")
    except (ValueError, KeyError, IndexError, AssertionError) as error:
        raise StructureMismatchError(f"no readable crystal structure: {error}") from error
    if not structure.is_ordered:
        raise StructureMismatchError("partly occupied sites; a configuration has one element each")
    return Crystal(
        structure.lattice.abc,
        structure.lattice.angles,
        [str(s.specie.symbol) for s in structure],
        np.asarray(structure.frac_coords),
    )


class SiteMatcher:
    """Reads configurations of one host off crystals, quickly.

    Parameters
    ----------
    host : Host
    tolerance : float
        How far an atom may sit from its site, Å.
    """

    def __init__(self, host: Host, tolerance: float = 0.3) -> None:
        self.host = host
        self.tolerance = tolerance
        self._pristine = np.array(host.species, dtype=object)
        self._lengths = np.linalg.norm(host.lattice, axis=1)
        cosine = host.lattice[0] @ host.lattice[1] / (self._lengths[0] * self._lengths[1])
        self._gamma = np.degrees(np.arccos(cosine))
        self._heights = (host.unit_frac_coords @ host.unit_lattice)[:, 2]

    def match(self, crystal: Crystal) -> Configuration:
        """The configuration that a crystal is.

        Raises
        ------
        StructureMismatchError
            When the cell is another one or an atom is on no site; the message names it.
        """
        sites = self._sites(crystal)
        if sites is None:
            return self._match_slowly(crystal)
        found = np.full(self.host.n_sites, VACANCY, dtype=object)
        found[sites] = crystal.symbols
        changed = np.flatnonzero(found != self._pristine)
        return Configuration.from_changes(self.host, {int(s): found[s] for s in changed})

    def _sites(self, crystal: Crystal) -> np.ndarray | None:
        """Site of every atom, shape (n,); None unless every atom is clearly on its own site."""
        host = self.host
        same_cell = (
            host.supercell[2] == 1
            and np.allclose(crystal.lengths[:2], self._lengths[:2], atol=0.1)
            and abs(crystal.angles[2] - self._gamma) <= 1
        )
        if not same_cell or not crystal.symbols:
            return None
        # In units of the unit cell: the nearest cell of every sublattice is a rounding away.
        shape = np.array(host.supercell[:2])
        delta = (crystal.frac_coords[:, :2] * shape)[:, None, :] - host.unit_frac_coords[:, :2]
        cell = np.round(delta)
        planar = np.linalg.norm((delta - cell) @ host.unit_lattice[:2, :2], axis=-1)
        heights = crystal.frac_coords[:, 2] * crystal.lengths[2]
        best: tuple[float, np.ndarray] | None = None
        for offset in self._offsets(heights):
            distance = np.hypot(planar, heights[:, None] + offset - self._heights)
            worst = float(distance.min(axis=1).max())
            if best is None or worst < best[0]:
                best = worst, distance.argmin(axis=1)
            if worst < 0.01:
                break
        if best is None or best[0] > self.tolerance:
            return None
        sublattice = best[1]
        index = cell[np.arange(len(sublattice)), sublattice].astype(int) % shape
        sites = sublattice * host.n_cells + index[:, 0] * shape[1] + index[:, 1]
        return sites if len(np.unique(sites)) == len(sites) else None

    def _offsets(self, heights: np.ndarray) -> tuple[float, float, float]:
        low, high = self._heights.min() - heights.min(), self._heights.max() - heights.max()
        return 0.0, float(low), float(high)

    def _match_slowly(self, crystal: Crystal) -> Configuration:
        """The general path: other cells, and errors that name the site."""
        from pymatgen.core import Lattice, Structure

        lattice = Lattice.from_parameters(*crystal.lengths, *crystal.angles)
        structure = Structure(lattice, crystal.symbols, crystal.frac_coords)
        return from_structure(structure, self.host, self.tolerance)
