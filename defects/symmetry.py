"""The symmetry group of a host as permutations of its sites.

Two configurations are the same crystal when an operation of the host's space group, a point
operation with or without a lattice translation of the unit cell, carries one into the other. On the
sites of a periodic supercell every such operation is a permutation.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from defects.errors import HostError

#: Tolerance in angstrom within which atoms count as mapped onto each other.
SYMPREC = 1e-2


def point_operations(
    lattice: np.ndarray, frac_coords: np.ndarray, species: tuple[str, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Space group operations of a unit cell, modulo its translations.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3)
        Lattice vectors as rows, Å.
    frac_coords : ndarray, shape (n, 3)
    species : tuple of str, length n

    Returns
    -------
    list of (rotation (3, 3) int, translation (3,) float)
        In fractional coordinates of the unit cell: x' = W x + w (found by spglib).
    """
    import spglib

    numbers = [sorted(set(species)).index(s) + 1 for s in species]
    found = spglib.get_symmetry((lattice, frac_coords, numbers), symprec=SYMPREC)
    if found is None:
        raise HostError("spglib finds no symmetry for the unit cell; are two atoms on one place?")
    return list(zip(found["rotations"], found["translations"], strict=True))


def site_permutations(
    lattice: np.ndarray,
    frac_coords: np.ndarray,
    species: tuple[str, ...],
    supercell: tuple[int, int, int],
) -> np.ndarray:
    """All permutations of the supercell's sites by the host's space group.

    Sites are ordered as `Host` orders them: unit-cell atom first, then cell (i, j, k), k fastest.

    Returns
    -------
    ndarray of int32, shape (n_ops, n_sites)
        ``perm[g, s]`` is the site to which operation g carries site s. The first row is the
        identity. Operations that the shape of the supercell breaks (a threefold axis in 4×6) are
        left out.
    """
    shape = np.array(supercell)
    n_atoms, n_cells = len(species), int(np.prod(shape))
    cells = np.array(list(product(*(range(n) for n in supercell))))
    scale = np.diag(shape).astype(float)
    strides = np.array([shape[1] * shape[2], shape[2], 1])

    point_perms = []
    for rotation, translation in point_operations(lattice, frac_coords, species):
        in_supercell = np.linalg.inv(scale) @ rotation @ scale
        if not np.allclose(in_supercell, np.round(in_supercell), atol=1e-9):
            continue
        perm = np.empty(n_atoms * n_cells, dtype=np.int32)
        for atom in range(n_atoms):
            image = rotation @ frac_coords[atom] + translation
            target, shift = _matching_atom(lattice, frac_coords, species, atom, image)
            moved = (cells @ np.asarray(rotation).T + shift) % shape
            perm[atom * n_cells : (atom + 1) * n_cells] = target * n_cells + moved @ strides
        point_perms.append(perm)

    translations = []
    atoms = np.repeat(np.arange(n_atoms), n_cells) * n_cells
    all_cells = np.tile(cells, (n_atoms, 1))
    for cell in cells:
        translations.append(atoms + ((all_cells + cell) % shape) @ strides)
    group = np.array([t[p] for p in point_perms for t in translations], dtype=np.int32)
    group = np.unique(group, axis=0)
    identity = np.flatnonzero((group == np.arange(n_atoms * n_cells)).all(axis=1))[0]
    group[[0, identity]] = group[[identity, 0]]
    return group


def _matching_atom(
    lattice: np.ndarray,
    frac_coords: np.ndarray,
    species: tuple[str, ...],
    atom: int,
    image: np.ndarray,
) -> tuple[int, np.ndarray]:
    """The unit-cell atom on which `image` lies, and the lattice vector between them."""
    difference = image - frac_coords
    shift = np.round(difference)
    distance = np.linalg.norm((difference - shift) @ lattice, axis=1)
    same = np.array([s == species[atom] for s in species])
    target = int(np.argmin(np.where(same, distance, np.inf)))
    if distance[target] > 10 * SYMPREC:
        raise HostError(f"a symmetry operation carries atom {atom} of the unit cell onto no atom")
    return target, shift[target].astype(int)
