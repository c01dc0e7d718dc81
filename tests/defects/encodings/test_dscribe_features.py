from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings.dscribe_features import MatrixEncoder, SoapEncoder, new_encoder
from defects.errors import ModelError
from defects.hosts import get_host
from defects.structures import to_atoms

pytest.importorskip("dscribe")
MOS2 = ("V_Mo", "V_S", "W_Mo", "Se_S")
HOST = get_host("MoS2", (4, 4, 1))
SOME = [
    Configuration.from_changes(HOST, changes)
    for changes in ({}, {0: "VAC"}, {20: "VAC", 33: "Se"}, {0: "W", 20: "VAC", 36: "VAC"})
]


class OldSystem:
    """What dscribe's sine matrix asks of its own crystal class, which ASE >= 3.27 broke."""

    def __init__(self, atoms: Any) -> None:
        self.atoms = atoms

    from_atoms = classmethod(lambda cls, atoms: cls(atoms))

    def set_pbc(self, pbc: bool) -> None:
        self.atoms.set_pbc(pbc)

    def get_cell(self) -> np.ndarray:
        return np.array(self.atoms.cell)

    def get_cell_inverse(self) -> np.ndarray:
        return np.linalg.inv(np.array(self.atoms.cell))

    def get_displacement_tensor(self) -> np.ndarray:
        return self.atoms.get_all_distances(mic=True, vector=True)

    def get_atomic_numbers(self) -> np.ndarray:
        return self.atoms.get_atomic_numbers()


def test_sine_matrix_equals_dscribes(monkeypatch: pytest.MonkeyPatch) -> None:
    from dscribe.descriptors import SineMatrix, sinematrix

    monkeypatch.setattr(sinematrix, "System", OldSystem)
    theirs = SineMatrix(n_atoms_max=HOST.n_sites, permutation="eigenspectrum")
    features = MatrixEncoder(HOST, MOS2, periodic=True).transform(SOME)
    for row, configuration in zip(features, SOME, strict=True):
        expected = theirs.create(to_atoms(configuration.canonical()))
        np.testing.assert_allclose(np.sort(row), np.sort(expected), rtol=1e-4, atol=1e-3)


def test_coulomb_matrix_by_hand() -> None:
    host = get_host("hBN", (1, 1, 1))
    row = MatrixEncoder(host, ("V_B",), periodic=False).transform(
        [Configuration.from_changes(host, {})]
    )[0]
    off = 35 / np.linalg.norm(host.cart_coords[0] - host.cart_coords[1])
    expected = np.linalg.eigvalsh([[0.5 * 5**2.4, off], [off, 0.5 * 7**2.4]])
    np.testing.assert_allclose(np.sort(row), expected, rtol=1e-5)


def test_vacancies_leave_zeros_at_the_end() -> None:
    for periodic in (False, True):
        features = MatrixEncoder(HOST, MOS2, periodic).transform(SOME)
        assert [(row[-3:] == 0).sum() for row in features] == [0, 1, 1, 2]


def test_sine_matrix_itself_is_not_invariant() -> None:
    """Why it is that of the canonical configuration."""
    encoder = MatrixEncoder(HOST, MOS2, periodic=True)
    images = [SOME[2].transform(g) for g in HOST.symmetry[::31]]
    raw = np.array([encoder._sine(c) for c in images])
    assert np.ptp(raw, axis=0).max() > 1e-3


def test_soap_is_an_average_over_the_defects_of_a_kind() -> None:
    encoder = SoapEncoder(HOST, MOS2)
    features = encoder.transform(SOME)
    width = (features.shape[1] - 4) // 4
    blocks = features[:, 4:].reshape(len(SOME), 4, width)
    assert features[:, :4].tolist() == [[0] * 4, [1, 0, 0, 0], [0, 1, 0, 1], [0, 2, 1, 0]]
    present = (np.abs(blocks).max(axis=-1) > 0).tolist()
    assert present == (features[:, :4] > 0).tolist()
    each = encoder._around(SOME[3], np.array([20, 36]))
    np.testing.assert_allclose(blocks[3, 1], each.mean(axis=0), atol=1e-4)


def test_unknown_names_settings_and_defects_are_refused() -> None:
    with pytest.raises(ModelError, match="no encoding 'acsf'"):
        new_encoder("acsf", HOST, MOS2)
    with pytest.raises(ModelError, match="r_cut"):
        new_encoder("soap", HOST, MOS2, {"r_cut": 3})
    with pytest.raises(ModelError, match="sine"):
        new_encoder("sine", HOST, MOS2, {"cutoff": 3})
    for kind in ("soap", "coulomb", "sine"):
        with pytest.raises(ModelError, match="W_Mo"):
            new_encoder(kind, HOST, ("V_S",)).transform(
                [Configuration.from_changes(HOST, {0: "W"})]
            )
