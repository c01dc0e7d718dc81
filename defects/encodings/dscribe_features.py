"""SOAP, Coulomb and sine matrix of a configuration, for comparison with the sparse encodings.

All three describe the whole crystal and know nothing of a host's sites. What makes them invariant
under the host's group differs:

- SOAP (Bartók et al. 2013) is invariant itself. Its centres are the changed sites, so that what it
  sees is the neighbourhood of the defects, and it is averaged over the defects of each kind. It is
  taken of the canonical configuration all the same and rounded, or trees would split on the last
  bits of columns that are constant but for rounding errors.
- The Coulomb matrix (Rupp et al. 2012) takes the cell for a molecule, so where the cell is cut
  matters; the sine matrix (Faber et al. 2015) is periodic, but its squared sines of lattice
  coordinates change under the rotations of an oblique cell. Both therefore are those of the
  canonical configuration; their eigenvalues are used, which do not depend on the atoms' order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from defects.configuration import Configuration
from defects.encodings.arrays import defect_arrays
from defects.errors import ModelError
from defects.hosts import Host
from defects.properties import VACANCY
from defects.rules import parse_defect
from defects.structures import to_atoms

#: To which SOAP vectors are rounded; their larger components are of the order of 1 to 100.
DECIMALS = 4


@dataclass(frozen=True)
class SoapSettings:
    """What of SOAP can be chosen.

    Attributes
    ----------
    cutoff : float
        How far around a defect atoms count, Å.
    n_max, l_max : int
        Number of radial functions, largest degree of the spherical harmonics.
    sigma : float
        Width of the Gaussians that stand for atoms, Å.
    """

    cutoff: float = 8.0
    n_max: int = 4
    l_max: int = 3
    sigma: float = 0.5


class SoapEncoder:
    """SOAP vectors around the defects, averaged over the defects of each kind.

    The columns are the count of each defect, then for every defect its mean vector (``outer``
    average: zero where there is none).

    Parameters
    ----------
    host : Host
    defects : sequence of str
        Vocabulary; its order fixes the columns.
    settings : SoapSettings

    Raises
    ------
    ModelError
        When dscribe is not installed.
    """

    name: ClassVar[str] = "soap"

    def __init__(
        self, host: Host, defects: Sequence[str], settings: SoapSettings | None = None
    ) -> None:
        self.host, self.defects = host, tuple(defects)
        self.settings = settings or SoapSettings()
        added = {parse_defect(name)[0] for name in defects} - {VACANCY}
        self.species = sorted({*host.species, *added})

    @cached_property
    def _soap(self) -> Any:
        s = self.settings
        return _dscribe().SOAP(
            species=self.species,
            r_cut=s.cutoff,
            n_max=s.n_max,
            l_max=s.l_max,
            sigma=s.sigma,
            periodic=True,
        )

    def transform(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Features of configurations.

        Returns
        -------
        ndarray of float32, shape (n, kinds + kinds * features of SOAP)

        Raises
        ------
        ModelError
            When a configuration is on another host or has a defect outside the vocabulary.
        """
        canonical = [c.canonical() for c in configurations]
        arrays = defect_arrays(canonical, self.host, self.defects)
        n_kinds, width = len(self.defects), self._soap.get_number_of_features()
        counts = arrays.counts(n_kinds)
        mean = np.zeros((len(configurations), n_kinds, width), dtype=np.float32)
        for row, configuration in enumerate(canonical):
            for kind in np.flatnonzero(counts[row]):
                sites = arrays.sites[row][arrays.kinds[row] == kind]
                around = self._around(configuration, sites)
                mean[row, kind] = around.mean(axis=0).round(DECIMALS)
        return np.concatenate([counts, mean.reshape(len(mean), -1)], axis=1, dtype=np.float32)

    def _around(self, configuration: Configuration, sites: np.ndarray) -> np.ndarray:
        """SOAP vectors of sites, occupied or not, shape (len(sites), features of SOAP)."""
        return self._soap.create(to_atoms(configuration), self.host.cart_coords[sites])

    def spec(self) -> dict[str, Any]:
        """The settings, as plain data."""
        return asdict(self.settings)


class MatrixEncoder:
    """Eigenvalues of the Coulomb or the sine matrix of the canonical configuration.

    The diagonal is 0.5 Z^2.4, the rest Z_i Z_j over a distance (Å); eigenvalues are ordered by
    their absolute value, largest first, and padded with zeros to the host's number of sites.

    Parameters
    ----------
    host : Host
    defects : sequence of str
        Vocabulary; others are refused.
    periodic : bool
        Sine matrix if true, otherwise Coulomb matrix.

    Raises
    ------
    ModelError
        When dscribe is not installed.
    """

    def __init__(self, host: Host, defects: Sequence[str], periodic: bool) -> None:
        self.host, self.defects, self.periodic = host, tuple(defects), periodic

    @property
    def name(self) -> str:
        return "sine" if self.periodic else "coulomb"

    def transform(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Features of configurations.

        Returns
        -------
        ndarray of float32, shape (n, n_sites)

        Raises
        ------
        ModelError
            When a configuration is on another host or has a defect outside the vocabulary.
        """
        defect_arrays(configurations, self.host, self.defects)
        out = np.zeros((len(configurations), self.host.n_sites), dtype=np.float32)
        for row, configuration in enumerate(configurations):
            canonical = configuration.canonical()
            values = self._sine(canonical) if self.periodic else self._coulomb(canonical)
            out[row, : len(values)] = values
        return out

    def spec(self) -> dict[str, Any]:
        """No settings."""
        return {}

    @cached_property
    def _matrix(self) -> Any:
        return _dscribe().CoulombMatrix(n_atoms_max=self.host.n_sites, permutation="eigenspectrum")

    def _coulomb(self, configuration: Configuration) -> np.ndarray:
        return self._matrix.create(to_atoms(configuration))

    @cached_property
    def _inverse_sine(self) -> np.ndarray:
        """1 / |B sin²(π B⁻¹ (r_i - r_j))| between the host's sites, shape (n_sites, n_sites).

        Written here because dscribe 2.1.2's own stops with ASE >= 3.27 (its issue 165); the tests
        compare the two.
        """
        frac = self.host.frac_coords
        squared = np.sin(np.pi * (frac[None] - frac[:, None])) ** 2
        length = np.linalg.norm(squared @ self.host.lattice, axis=-1)
        np.fill_diagonal(length, 1.0)
        return 1 / length

    def _sine(self, configuration: Configuration) -> np.ndarray:
        from ase.data import atomic_numbers

        changes = configuration.changes
        now = [changes.get(s, e) for s, e in enumerate(self.host.species)]
        keep = [s for s, e in enumerate(now) if e != VACANCY]
        charge = np.array([atomic_numbers[now[s]] for s in keep], dtype=float)
        matrix = self._inverse_sine[np.ix_(keep, keep)] * np.outer(charge, charge)
        np.fill_diagonal(matrix, 0.5 * charge**2.4)
        values = np.linalg.eigvalsh(matrix)
        return values[np.argsort(-np.abs(values), kind="stable")]


def new_encoder(
    name: str, host: Host, defects: Sequence[str], settings: Mapping[str, Any] | None = None
) -> SoapEncoder | MatrixEncoder:
    """An encoder by its name, ``soap``, ``coulomb`` or ``sine``.

    Raises
    ------
    ModelError
        When there is none of that name, or the settings are not its own.
    """
    try:
        if name == "soap":
            return SoapEncoder(host, defects, SoapSettings(**(settings or {})))
        if name in ("coulomb", "sine") and not settings:
            return MatrixEncoder(host, defects, periodic=name == "sine")
    except TypeError as error:
        raise ModelError(f"settings of {name} that it has not: {error}") from error
    raise ModelError(f"no encoding {name!r} with settings {dict(settings or {})}")


def _dscribe() -> Any:
    """dscribe's descriptors (imports the library)."""
    try:
        from dscribe import descriptors
    except ImportError as error:
        raise ModelError(
            "SOAP and Coulomb matrices need dscribe: pip install 'design-loop[descriptors]'"
        ) from error
    return descriptors
