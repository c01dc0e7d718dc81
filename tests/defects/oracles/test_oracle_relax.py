"""Relaxation: what moves, when it has failed, and whether the defects are still the same."""

from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import get_host
from defects.oracles import (
    PERMANENT,
    NotConvergedError,
    RelaxSettings,
    StructureChangedError,
    make_oracle,
    oracle_key,
)
from defects.oracles.relax import departures, relax, relaxed_atoms
from defects.structures import occupied_sites, to_atoms

HOST = get_host("hBN", "3x3")
CONFIGURATION = Configuration.from_changes(HOST, {0: "VAC", 12: "C"})  # V_B, C_N
LJ = {"calculator": "ase.calculators.lj:LennardJones", "arguments": {"sigma": 1.3, "rc": 4.0}}


def test_a_relaxed_label_is_lower_and_says_how_it_was_found():
    ideal = make_oracle("ase", LJ).label(CONFIGURATION)
    found = make_oracle("ase", LJ, relax={"fmax": 0.02}).compute(CONFIGURATION)
    assert found.properties["energy"] < ideal["energy"] - 1e-3
    relaxed = found.details["relaxed"]
    assert relaxed["fmax"] <= 0.02 and relaxed["steps"] > 0 and relaxed["changed"] is None
    atoms = relaxed_atoms(relaxed)
    canonical = to_atoms(CONFIGURATION.canonical())
    moved = np.linalg.norm(atoms.positions - canonical.positions, axis=1)
    assert moved.max() > 0.01 and abs(moved.max() - relaxed["drift"]) < 0.1
    assert np.allclose(atoms.cell, canonical.cell)
    # The energy belongs to the structure that is kept.
    from ase.calculators.lj import LennardJones

    atoms.calc = LennardJones(**LJ["arguments"])
    assert atoms.get_potential_energy() == pytest.approx(found.properties["energy"], abs=1e-4)


def test_no_details_without_relaxation():
    assert make_oracle("ase", LJ).compute(CONFIGURATION).details == {}


def test_what_stays_where_it_is():
    atoms = to_atoms(CONFIGURATION)
    from ase.calculators.lj import LennardJones

    atoms.calc = LennardJones(**LJ["arguments"])
    before = atoms.positions.copy()
    relax(atoms, CONFIGURATION, RelaxSettings(within=2.0, fixed_elements=("C",), steps=500))
    moved = np.linalg.norm(atoms.positions - before, axis=1) > 1e-9
    sites = occupied_sites(CONFIGURATION)
    centres = HOST.cart_coords[[0, 12]]
    for i, site in enumerate(sites):
        gap = HOST.frac_coords[site] - HOST.frac_coords[[0, 12]]
        gap -= np.round(gap)
        near = np.linalg.norm(gap @ HOST.lattice, axis=1).min() <= 2.0
        assert not moved[i] or (near and atoms.symbols[i] != "C")
    assert moved.any() and not moved.all() and len(centres) == 2


def test_the_cell_of_the_layer_can_relax_and_the_vacuum_does_not():
    found = make_oracle("ase", LJ, relax={"cell": "in-plane", "fmax": 0.05, "steps": 500}).compute(
        CONFIGURATION
    )
    cell = np.array(found.details["relaxed"]["cell"])
    assert not np.allclose(cell[:2, :2], HOST.lattice[:2, :2], atol=1e-3)
    assert np.allclose(cell[2], HOST.lattice[2], atol=1e-6)


def test_forces_that_are_left_are_a_failure_with_a_reason():
    oracle = make_oracle("ase", LJ, relax={"fmax": 1e-6, "steps": 2})
    with pytest.raises(
        NotConvergedError, match=r"not relaxed after 2 steps, a force of .* is left"
    ):
        oracle.compute(CONFIGURATION)


def test_a_calculator_without_forces_is_told(tmp_path):
    oracle = make_oracle("ase", calculator="oracle_calculators:Counting", relax={})
    with pytest.raises(OracleError, match=r"oracle_calculators:Counting on .* failed"):
        oracle.compute(CONFIGURATION)


def test_an_atom_that_went_into_a_vacancy_changes_the_configuration():
    atoms = to_atoms(CONFIGURATION)
    sites = list(occupied_sites(CONFIGURATION))
    drift, changed = departures(atoms, CONFIGURATION, 1.5)
    assert (drift, changed) == (pytest.approx(0, abs=1e-9), None)
    atoms.positions += [0.3, 0.1, -0.2]  # the crystal as a whole may drift
    atoms.positions[3] += [0.0, 0.0, 0.4]
    drift, changed = departures(atoms, CONFIGURATION, 1.5)
    assert changed is None and 0.3 < drift < 0.45
    neighbour = 4
    atoms.positions[sites.index(neighbour)] += HOST.cart_coords[0] - HOST.cart_coords[neighbour]
    _, changed = departures(atoms, CONFIGURATION, 1.5)
    assert changed.startswith(f"1 atom left their sites; B of site {HOST.site_label(neighbour)}")
    assert f"sits at site {HOST.site_label(0)}" in changed
    atoms = to_atoms(CONFIGURATION)
    atoms.positions[5] += [0.0, 0.0, 3.0]
    assert "Å away" in departures(atoms, CONFIGURATION, 1.5)[1]


def test_a_structure_that_changed_fails_or_is_kept_with_a_mark():
    name = "oracle_calculators:Repelling"
    with pytest.raises(StructureChangedError, match=r"became another structure: .* left their"):
        make_oracle("ase", calculator=name, relax={"fmax": 0.1}).compute(CONFIGURATION)
    assert StructureChangedError in PERMANENT  # trying again gives the same
    kept = make_oracle("ase", calculator=name, relax={"fmax": 0.1, "on_change": "keep"})
    assert "left their" in kept.compute(CONFIGURATION).details["relaxed"]["changed"]


def test_relaxation_and_functions_are_part_of_the_content_key():
    plain = make_oracle("ase", LJ)
    others = [
        make_oracle("ase", LJ, relax={}),
        make_oracle("ase", LJ, relax={"fmax": 0.01}),
        make_oracle("ase", LJ, functions={"spread": "oracle_functions:spread"}),
        make_oracle("ase", LJ, functions={"spread": "oracle_functions:twice"}),
    ]
    keys = {oracle_key(CONFIGURATION, o) for o in (plain, *others)}
    assert len(keys) == 5
    # Without either a key is what it was before there were such settings.
    assert set(plain.settings()) == {"calculator", "arguments", "levels", "chemical_potentials"}


def test_a_changed_function_means_new_labels(tmp_path, monkeypatch):
    from defects.oracles.functions import fingerprint, load_function

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "changing_one.py").write_text("def f(atoms, results):\n    return 1.0\n")
    (tmp_path / "changing_two.py").write_text("def f(atoms, results):\n    return 2.0\n")
    prints = {fingerprint(f"changing_{n}:f") for n in ("one", "two")}
    assert len(prints) == 2
    load_function.cache_clear()
    assert fingerprint("changing_one:f") in prints


def test_functions_see_the_calculator_and_the_labels():
    functions = {
        "spread": "oracle_functions:spread",
        "per_atom": "oracle_functions:per_atom",
    }
    oracle = make_oracle("ase", LJ, functions=functions)
    assert oracle.properties == ("energy", "energy_per_atom", "spread", "per_atom")
    labels = oracle.label(CONFIGURATION)
    assert labels["per_atom"] == pytest.approx(labels["energy_per_atom"])
    assert labels["spread"] > 0  # of the atoms' energies, which only the calculator knows


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan", "property dos: oracle_functions:nan gave nan, no finite number"),
        ("broken", "property dos: oracle_functions:broken failed: KeyError: 'dos'"),
        ("words", "failed: ValueError"),
    ],
)
def test_a_function_that_gives_no_number_is_a_permanent_failure(name, message):
    oracle = make_oracle("ase", LJ, functions={"dos": f"oracle_functions:{name}"})
    with pytest.raises(PERMANENT, match=message):
        oracle.label(CONFIGURATION)


def test_labels_from_outside_are_never_computed_but_completed():
    settings = {
        "method": "PBE",
        "properties": ["energy", "homo", "lumo"],
        "chemical_potentials": {"B": -6.0, "N": -8.0, "C": -9.0},
        "pristine_energies": {HOST.key: -160.0},
    }
    oracle = make_oracle("external", settings)
    with pytest.raises(OracleError, match="come from outside"):
        oracle.compute(CONFIGURATION)
    labels = oracle.complete(CONFIGURATION, {"energy": -150.0, "homo": -6.0, "lumo": -4.0})
    assert labels["homo_lumo_gap"] == 2.0
    # V_B and C_N: boron and nitrogen out, carbon in.
    assert labels["formation_energy"] == pytest.approx(10 - 6.0 - 8.0 + 9.0)
    assert set(labels) == set(oracle.properties)
    other = make_oracle("external", settings | {"method": "HSE"})
    assert oracle_key(CONFIGURATION, oracle) != oracle_key(CONFIGURATION, other)


@pytest.mark.slow
def test_xtb_relaxes_with_tblite():
    host = get_host("MoS2", "2x2")
    swap = Configuration.from_changes(host, {5: "Se"})
    settings = {"within": 2.0, "fmax": 0.3, "steps": 20}
    oracle = make_oracle("xtb", relax=settings, pristine_energies={host.key: -1045.0})
    found = oracle.compute(swap)
    ideal = make_oracle("xtb").single_point(swap.canonical())
    assert found.properties["energy"] < ideal["energy"]
    assert found.details["relaxed"]["fmax"] <= 0.3
    assert {"homo", "lumo", "homo_lumo_gap", "formation_energy"} <= found.properties.keys()
    # The shipped pristine energy is that of ideal sites: not to be mixed with relaxed ones.
    assert not make_oracle("xtb", relax=settings).knows_pristine(get_host("MoS2", "4x4"))
