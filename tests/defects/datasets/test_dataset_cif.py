"""The fast reader of CIF files gives what pymatgen and `from_structure` give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from defects.configuration import Configuration
from defects.datasets.cif import SiteMatcher, parse_cif, parse_plain_cif
from defects.datasets.writer import CifWriter
from defects.errors import StructureMismatchError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import from_structure, to_structure

HOSTS = {"MoS2": ("V_Mo", "V_S", "W_Mo"), "BP": ("V_P", "N_P"), "GaSe": ("V_Ga", "S_Se")}


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(sorted(HOSTS)), seed=st.integers(0, 10**6), noise=st.floats(0, 0.1))
def test_fast_and_general_matching_agree(name: str, seed: int, noise: float) -> None:
    host = get_host(name, "3x4")
    rng = np.random.default_rng(seed)
    configuration = random_configuration(host, Rules(defects=HOSTS[name]), rng)
    structure = to_structure(configuration)
    structure.perturb(noise, seed=seed)
    structure = Structure.from_sites([structure[i] for i in rng.permutation(len(structure))])
    text = structure.to(fmt="cif")
    assert parse_plain_cif(text) is not None
    assert SiteMatcher(host).match(parse_cif(text)) == configuration
    assert from_structure(structure, host) == configuration


def test_another_vacuum_and_height_are_the_same_configuration() -> None:
    host = get_host("MoS2", "3x3")
    configuration = Configuration.from_changes(host, {0: "W", 12: "VAC", 20: "Se"})
    structure = to_structure(configuration)
    cart = structure.cart_coords + np.array([0, 0, 3.7])
    lattice = structure.lattice.matrix.copy()
    lattice[2, 2] = 25.0
    moved = Structure(lattice, structure.species, cart, coords_are_cartesian=True)
    assert SiteMatcher(host).match(parse_cif(moved.to(fmt="cif"))) == configuration


def test_files_that_are_not_plain_go_through_pymatgen() -> None:
    host = get_host("MoS2", "2x2")
    pristine = to_structure(Configuration(host, ()))
    text = pristine.to(fmt="cif", symprec=0.01)  # only the asymmetric unit, with operations
    assert parse_plain_cif(text) is None
    assert len(parse_cif(text).symbols) in (3, 12)  # pymatgen reduces the cell or not
    charged = CifWriter(host).text("x", Configuration(host, ())).replace("  S  S", "  S2-  S")
    assert parse_plain_cif(charged) is None
    assert SiteMatcher(host).match(parse_cif(charged)).n_defects == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("0.16666667", "0.26666667", 1), r"Mo number 0 at .* site Mo0 0 0"),
        (lambda t: t.replace("_cell_length_a   6.38", "_cell_length_a   7.38"), "another host"),
        (lambda t: t[: t.index("loop_")], "no readable crystal structure"),
        (lambda t: t.replace("  1\n  S  ", "  0.5\n  S  ", 1), "partly occupied"),
        (lambda t: t + "  S  S99  1  0.33333333  0.16666667  0.14482600  1\n", "share site"),
    ],
)
def test_what_does_not_fit_is_named(change, message: str) -> None:
    host = get_host("MoS2", "2x2")
    text = CifWriter(host).text("x", Configuration(host, ()))
    assert change(text) != text
    with pytest.raises(StructureMismatchError, match=message):
        SiteMatcher(host).match(parse_cif(change(text)))
