"""Hosts: a pristine 2D crystal as a supercell with numbered, named sites."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from defects.errors import HostError
from defects.symmetry import site_permutations


@dataclass(frozen=True, eq=False)
class Host:
    """A pristine 2D crystal: a unit cell, repeated.

    Sites are numbered unit-cell atom first, then cell (i, j, k) with k fastest, the order in which
    pymatgen builds supercells and 2DMD writes its files.

    Attributes
    ----------
    name : str
        Name in configuration files and instructions.
    supercell : tuple of int
        Repetitions along the three lattice vectors.
    unit_lattice : ndarray, shape (3, 3)
        Lattice vectors of the unit cell as rows, Å.
    unit_species : tuple of str
        Elements of the unit cell.
    unit_frac_coords : ndarray, shape (n_atoms, 3)
    chemical_potentials : dict
        eV per atom of the elements that defects exchange with their reservoirs; may be empty.
    pristine : dict
        Reference facts of the pristine crystal (``supercell``, ``energy`` in eV, ...).
    """

    name: str
    supercell: tuple[int, int, int]
    unit_lattice: np.ndarray
    unit_species: tuple[str, ...]
    unit_frac_coords: np.ndarray
    chemical_potentials: dict[str, float] = field(default_factory=dict)
    pristine: dict[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Host) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Host({self.key})"

    @cached_property
    def key(self) -> str:
        """Name and supercell; a crystal that is not the built-in of that name adds a hash."""
        size = "x".join(map(str, self.supercell))
        builtin = _facts().get(self.name)
        if builtin is not None and _same_crystal(self, builtin):
            return f"{self.name}-{size}"
        content = json.dumps(
            [
                np.round(self.unit_lattice, 3).tolist(),
                list(self.unit_species),
                np.round(self.unit_frac_coords, 4).tolist(),
            ]
        )
        return f"{self.name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}-{size}"

    @cached_property
    def n_cells(self) -> int:
        return math.prod(self.supercell)

    @cached_property
    def n_sites(self) -> int:
        return len(self.unit_species) * self.n_cells

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Pristine element of every site."""
        return tuple(s for s in self.unit_species for _ in range(self.n_cells))

    @cached_property
    def sublattice(self) -> np.ndarray:
        """Unit-cell atom of every site, shape (n_sites,)."""
        return np.repeat(np.arange(len(self.unit_species)), self.n_cells)

    @cached_property
    def cell_index(self) -> np.ndarray:
        """Cell (i, j, k) of every site, shape (n_sites, 3)."""
        cells = np.array(list(product(*(range(n) for n in self.supercell))))
        return np.tile(cells, (len(self.unit_species), 1))

    @cached_property
    def lattice(self) -> np.ndarray:
        """Lattice vectors of the supercell as rows, Å, shape (3, 3)."""
        return self.unit_lattice * np.array(self.supercell)[:, None]

    @cached_property
    def frac_coords(self) -> np.ndarray:
        """Fractional coordinates in the supercell, shape (n_sites, 3)."""
        coords = self.unit_frac_coords[self.sublattice] + self.cell_index
        return coords / np.array(self.supercell)

    @cached_property
    def cart_coords(self) -> np.ndarray:
        """Cartesian coordinates, Å, shape (n_sites, 3)."""
        return self.frac_coords @ self.lattice

    @cached_property
    def heights(self) -> np.ndarray:
        """Height of every atom of the unit cell above the crystal's bottom, Å, shape (n_atoms,).

        The crystal may lie across the cell's boundary: it begins behind the widest gap.
        """
        z = self.unit_frac_coords[:, 2] % 1.0
        order = np.sort(z)
        gaps = np.diff(np.append(order, order[0] + 1.0))
        bottom = order[(int(gaps.argmax()) + 1) % len(order)]
        a, b, c = self.unit_lattice
        normal = np.cross(a, b)
        # Rounded, or an atom of the bottom layer a hair below it would come out on top.
        above = np.round((z - bottom) % 1.0, 6) % 1.0
        return above * abs(c @ normal) / np.linalg.norm(normal)

    @cached_property
    def distances(self) -> np.ndarray:
        """Shortest periodic distances between sites, Å, shape (n_sites, n_sites).

        Periodic in the plane; images along the third vector never are nearer in a 2D cell.
        """
        delta = self.frac_coords[:, None, :] - self.frac_coords[None, :, :]
        delta[..., :2] -= np.round(delta[..., :2])
        best = np.full(delta.shape[:2], np.inf)
        # Nothing lies farther off in the plane than half of both vectors; how many cells that is
        # depends on the cell's shape: one where its sides are alike, more in 8x1.
        plane = self.lattice[:2]
        farthest = np.linalg.norm(plane, axis=1).sum() / 2
        reach = (farthest * np.linalg.norm(np.linalg.pinv(plane), axis=0) + 0.5).astype(int)
        for i, j in product(*(range(-n, n + 1) for n in reach)):
            shifted = (delta + np.array([i, j, 0])) @ self.lattice
            best = np.minimum(best, np.linalg.norm(shifted, axis=-1))
        return best

    @cached_property
    def symmetry(self) -> np.ndarray:
        """Site permutations of the space group, shape (n_ops, n_sites), identity first."""
        return site_permutations(
            self.unit_lattice, self.unit_frac_coords, self.unit_species, self.supercell
        )

    def site_label(self, site: int) -> str:
        """Sublattice and cell of a site as the compact text writes it: ``S1 3 0``."""
        i, j, k = (int(x) for x in self.cell_index[site])
        atom = int(self.sublattice[site])
        label = f"{self.unit_species[atom]}{atom} {i} {j}"
        return label if self.supercell[2] == 1 else f"{label} {k}"

    @cached_property
    def site_of_label(self) -> dict[str, int]:
        """Site number of every label."""
        return {self.site_label(s): s for s in range(self.n_sites)}

    def with_supercell(self, supercell: tuple[int, int, int]) -> Host:
        """The same crystal in another supercell."""
        return Host(
            self.name,
            tuple(supercell),
            self.unit_lattice,
            self.unit_species,
            self.unit_frac_coords,
            self.chemical_potentials,
            self.pristine,
        )


def parse_supercell(text: str | tuple[int, ...] | list[int]) -> tuple[int, int, int]:
    """``"8x8"``, ``"8x8x1"`` or a sequence of two or three integers, as three integers.

    Raises
    ------
    HostError
        When it is none of these or a repetition is not in 1..64.
    """
    parts = (
        re.split(r"[x×]", text.strip().lower()) if isinstance(text, str) else [str(x) for x in text]
    )
    if len(parts) not in (2, 3) or not all(re.fullmatch(r"\d{1,2}", p.strip()) for p in parts):
        raise HostError(f"supercell {text!r} is not of the form 4x4 or 4x4x1")
    numbers = [int(p) for p in parts] + [1] * (3 - len(parts))
    if not all(1 <= n <= 64 for n in numbers):
        raise HostError(f"supercell {text!r}: every repetition must be between 1 and 64")
    return numbers[0], numbers[1], numbers[2]


@lru_cache(maxsize=1)
def _facts() -> dict[str, dict[str, Any]]:
    text = resources.files("defects").joinpath("data/hosts.json").read_text()
    return json.loads(text)["hosts"]


def builtin_hosts() -> tuple[str, ...]:
    """Names of the hosts whose facts ship with the package (the six of 2DMD)."""
    return tuple(_facts())


def _builtin_name(name: str) -> str | None:
    for known, facts in _facts().items():
        if name.lower() in {known.lower(), *(a.lower() for a in facts["aliases"])}:
            return known
    return None


@lru_cache(maxsize=64)
def get_host(name: str, supercell: tuple[int, int, int] | str = (4, 4, 1)) -> Host:
    """A built-in host by name, or any other from a CIF file of its unit cell.

    Parameters
    ----------
    name : str
        One of `builtin_hosts` (or an alias such as ``BN``), or the path of a CIF file.
    supercell : tuple of int or str
        Repetitions, ``(4, 4, 1)`` or ``"4x4"``.

    Raises
    ------
    HostError
        When the name is neither, or the file is no crystal.
    """
    size = parse_supercell(supercell)
    known = _builtin_name(name)
    if known is not None:
        facts = _facts()[known]
        return Host(
            known,
            size,
            lattice_vectors(facts["lengths"], facts["angles"]),
            tuple(facts["species"]),
            np.array(facts["frac_coords"]),
            dict(facts["chemical_potentials"]),
            dict(facts["pristine"]),
        )
    if name.lower().endswith(".cif") or Path(name).exists():
        return host_from_cif(name, size)
    raise HostError(
        f"unknown host {name!r}: give one of {', '.join(builtin_hosts())}, "
        "or the path of a CIF file with its unit cell"
    )


def host_from_cif(
    path: str | Path, supercell: tuple[int, int, int], name: str | None = None
) -> Host:
    """A host from the CIF file of its unit cell (vacuum along the third vector).

    Raises
    ------
    HostError
        When the file is missing, holds no structure or has partly occupied sites.
    """
    from pymatgen.core import Structure

    path = Path(path)
    if not path.is_file():
        raise HostError(f"no such CIF file: {path}")
    try:
        structure = Structure.from_file(path, primitive=False)
    except (ValueError, KeyError, IndexError, AssertionError) as error:
        raise HostError(f"{path} holds no readable crystal structure: {error}") from error
    if not structure.is_ordered:
        raise HostError(f"{path} has partly occupied sites; a host needs one element per site")
    title = name or (path.stem if re.fullmatch(r"[A-Za-z0-9-]{1,32}", path.stem) else None)
    title = title or structure.composition.reduced_formula
    known = _builtin_name(title)
    facts = _facts().get(known or "", {})
    host = Host(
        known or title,
        supercell,
        np.array(structure.lattice.matrix),
        tuple(str(s.specie.symbol) for s in structure),
        np.array(structure.frac_coords),
    )
    if known and _same_crystal(host, facts):
        host.chemical_potentials.update(facts["chemical_potentials"])
        host.pristine.update(facts["pristine"])
    return host


def lattice_vectors(lengths: list[float], angles: list[float]) -> np.ndarray:
    """Lattice vectors as rows from lengths (Å) and angles (degrees), a along x, shape (3, 3)."""
    a, b, c = lengths
    alpha, beta, gamma = np.radians(angles)
    bx, by = b * np.cos(gamma), b * np.sin(gamma)
    cx = c * np.cos(beta)
    cy = c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    matrix = [[a, 0, 0], [bx, by, 0], [cx, cy, np.sqrt(c * c - cx * cx - cy * cy)]]
    return np.round(np.array(matrix), 12)


def _same_crystal(host: Host, facts: dict[str, Any]) -> bool:
    """Whether a cell is the built-in crystal, whatever its vacuum and position along the normal."""
    if tuple(facts.get("species", ())) != host.unit_species:
        return False
    lengths = np.linalg.norm(host.unit_lattice, axis=1)
    if not np.allclose(lengths[:2], facts["lengths"][:2], atol=0.02):
        return False
    known = np.array(facts["frac_coords"])
    in_plane = host.unit_frac_coords[:, :2] - known[:, :2]
    if not np.allclose(in_plane - np.round(in_plane), 0, atol=2e-3):
        return False
    heights = host.unit_frac_coords[:, 2] * lengths[2]
    reference = known[:, 2] * facts["lengths"][2]
    # Mirror images in the plane count: which of two like atoms lies above is a matter of naming.
    relative, wanted = heights - heights[0], reference - reference[0]
    return bool(np.allclose(relative, wanted, atol=0.2) or np.allclose(relative, -wanted, atol=0.2))
