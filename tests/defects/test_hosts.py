"""Hosts: facts, site order, keys, CIF files."""

from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import HostError
from defects.hosts import builtin_hosts, get_host, host_from_cif, parse_supercell
from defects.structures import to_structure


def test_the_six_hosts_of_2dmd_ship():
    assert set(builtin_hosts()) == {"MoS2", "WSe2", "hBN", "GaSe", "InSe", "BP"}


@pytest.mark.parametrize("name", ["MoS2", "WSe2", "hBN", "GaSe", "InSe", "BP"])
def test_bond_lengths_are_physical(name):
    host = get_host(name, "3x3")
    distances = host.distances + 99 * np.eye(host.n_sites)
    assert 1.3 < distances.min() < 2.7


def test_distances_agree_with_pymatgen():
    host = get_host("GaSe", "3x4")
    expected = to_structure(Configuration(host, ())).distance_matrix
    assert np.allclose(host.distances, expected, atol=1e-6)


def test_site_labels_are_unique_and_invertible():
    host = get_host("MoS2", "4x4")
    labels = [host.site_label(s) for s in range(host.n_sites)]
    assert labels[0] == "Mo0 0 0"
    assert labels[16 + 7] == "S1 1 3"
    assert [host.site_of_label[label] for label in labels] == list(range(48))


@pytest.mark.parametrize(
    ("text", "wanted"), [("8x8", (8, 8, 1)), ("4x6x1", (4, 6, 1)), ([3, 3], (3, 3, 1))]
)
def test_supercell_forms(text, wanted):
    assert parse_supercell(text) == wanted


@pytest.mark.parametrize("text", ["", "8", "0x4", "4x-4", "99x99", "4x4x1x1", "axb"])
def test_bad_supercells_are_refused(text):
    with pytest.raises(HostError, match="supercell"):
        parse_supercell(text)


def test_unknown_host_names_the_known_ones():
    with pytest.raises(HostError, match="MoS2, WSe2, hBN"):
        get_host("MoS3")


def test_aliases():
    assert get_host("BN", "4x4").key == "hBN-4x4x1" == get_host("h-bn", "4x4").key


def test_a_cif_of_a_builtin_crystal_is_that_host(tmp_path):
    cell = to_structure(Configuration(get_host("MoS2", "1x1"), ()))
    cell.translate_sites(range(3), [0, 0, 0.1])
    path = tmp_path / "MoS2.cif"
    cell.to(filename=str(path))
    host = host_from_cif(path, (4, 4, 1))
    assert host.key == "MoS2-4x4x1"
    assert host.chemical_potentials["S"] == -4.127


def test_another_crystal_under_a_known_name_gets_another_key(tmp_path):
    cell = to_structure(Configuration(get_host("MoS2", "1x1"), ()))
    cell.scale_lattice(cell.volume * 1.2)
    path = tmp_path / "MoS2.cif"
    cell.to(filename=str(path))
    assert host_from_cif(path, (4, 4, 1)).key != "MoS2-4x4x1"


@pytest.mark.filterwarnings("ignore:No structure parsed for section 1 in CIF:UserWarning:pymatgen")
def test_a_cif_that_is_none_says_which_file(tmp_path):
    path = tmp_path / "broken.cif"
    path.write_text("data_x\n_cell_length_a oops\n")
    with pytest.raises(HostError, match=r"broken\.cif"):
        host_from_cif(path, (4, 4, 1))
    with pytest.raises(HostError, match="no such CIF"):
        host_from_cif(tmp_path / "absent.cif", (4, 4, 1))
