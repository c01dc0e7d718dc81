"""Structure ↔ configuration."""

from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import StructureMismatchError
from defects.hosts import builtin_hosts, get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import (
    FORMATS,
    from_structure,
    read_structure,
    to_structure,
    write_structure,
)

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"))


@pytest.mark.parametrize("name", builtin_hosts())
def test_round_trip_on_every_host(name):
    host = get_host(name, "3x3")
    rules = Rules(defects=tuple(f"V_{e}" for e in dict.fromkeys(host.species)))
    rng = np.random.default_rng(0)
    for _ in range(10):
        c = random_configuration(host, rules, rng)
        assert from_structure(to_structure(c), host) == c


def test_height_in_the_cell_and_order_of_atoms_do_not_matter():
    c = random_configuration(HOST, RULES, np.random.default_rng(3), 5)
    structure = to_structure(c)
    structure.translate_sites(range(len(structure)), [0, 0, 0.13])
    structure.sort(key=lambda site: -site.frac_coords[0])
    assert from_structure(structure, HOST) == c


def test_a_displaced_atom_is_named():
    structure = to_structure(random_configuration(HOST, RULES, np.random.default_rng(1)))
    structure.translate_sites([7], [0.06, 0, 0])
    with pytest.raises(StructureMismatchError, match=r"Mo number 7 at .* Å from site"):
        from_structure(structure, HOST)


def test_another_host_is_named():
    other = to_structure(Configuration(get_host("GaSe", "4x4"), ()))
    with pytest.raises(StructureMismatchError, match="MoS2-4x4x1"):
        from_structure(other, HOST)


def test_two_atoms_on_a_site():
    structure = to_structure(Configuration(HOST, ()))
    structure.append("Se", structure[20].frac_coords)
    with pytest.raises(StructureMismatchError, match="share site S1 1 0"):
        from_structure(structure, HOST)


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f != "extxyz"])
def test_files_read_back(tmp_path, fmt):
    c = random_configuration(HOST, RULES, np.random.default_rng(4), 4)
    path = write_structure(c, tmp_path / f"a{FORMATS[fmt]}", fmt)
    if fmt == "poscar":
        path = path.rename(tmp_path / "POSCAR")
    assert from_structure(read_structure(path), HOST) == c


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StructureMismatchError, match=r"nowhere\.cif"):
        read_structure(tmp_path / "nowhere.cif")
