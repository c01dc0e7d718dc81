"""Content keys, requirements and settings of oracles."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.datasets import bundled_dataset
from defects.errors import ConfigError, DatasetError, OracleError
from defects.hosts import get_host
from defects.oracles import (
    NotConvergedError,
    NotInTableError,
    Oracle,
    OracleSpec,
    TableOracle,
    check_settings,
    make_oracle,
    oracle_key,
    properties_for,
    require_properties,
)
from defects.oracles.base import with_derived
from defects.oracles.references import reference_potentials, reference_pristine, xtb_references
from defects.rules import Rules

HOST = get_host("MoS2")
CONFIGURATION = Configuration.from_changes(HOST, {0: "W", 20: "VAC", 41: "Se"})
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"))


def test_key_is_the_same_for_images_and_differs_for_all_else() -> None:
    xtb = make_oracle("xtb")
    key = oracle_key(CONFIGURATION, xtb)
    for row in (1, 50, 191):
        assert oracle_key(CONFIGURATION.transform(HOST.symmetry[row]), xtb) == key
    vacuum = HOST.unit_lattice * np.array([[1], [1], [1.5]])
    heights = HOST.unit_frac_coords / np.array([1, 1, 1.5])
    thicker = replace(HOST, unit_lattice=vacuum, unit_frac_coords=heights)
    others = [
        oracle_key(Configuration.from_changes(HOST, {0: "W", 20: "VAC"}), xtb),
        oracle_key(Configuration.from_changes(thicker, CONFIGURATION.changes), xtb),
        oracle_key(CONFIGURATION, make_oracle("xtb", method="GFN2-xTB")),
        oracle_key(CONFIGURATION, make_oracle("xtb", chemical_potentials={"S": -100.0})),
        oracle_key(CONFIGURATION, TableOracle("xtb-mos2-4x4")),
    ]
    assert len({key, *others}) == 6


def test_key_ignores_what_does_not_change_labels() -> None:
    key = oracle_key(CONFIGURATION, make_oracle("xtb"))
    same = make_oracle("xtb", threads=4, pristine_energies={"MoS2-4x4x1": -4184.29})
    assert oracle_key(CONFIGURATION, same) == key
    version = make_oracle("xtb")
    version.version = "next"
    assert oracle_key(CONFIGURATION, version) != key


def test_the_version_of_a_program_behind_ase_is_part_of_the_key_where_it_is_given() -> None:
    lj = {"calculator": "ase.calculators.lj:LennardJones", "arguments": {"sigma": 1.4}}
    plain = make_oracle("ase", lj)
    # Word for word what ledgers hold: another entry would be another key for all their labels.
    assert plain.settings() == {**lj, "levels": False, "chemical_potentials": {}}
    keys = [
        oracle_key(CONFIGURATION, oracle)
        for oracle in (
            plain,
            make_oracle("ase", lj, version="6.4.2, potpaw.54"),
            make_oracle("ase", lj, version="6.4.2, potpaw.64"),
        )
    ]
    assert len(set(keys)) == 3
    assert oracle_key(CONFIGURATION, make_oracle("ase", lj, version="6.4.2, potpaw.54")) == keys[1]
    # A number out of a file without quotes may have lost digits: 6.10 is 6.1.
    with pytest.raises(ConfigError, match=r"version.*valid string"):
        check_settings("ase", {**lj, "version": 6.4})


def test_a_unit_cell_from_the_dataset_and_the_built_in_one_share_keys() -> None:
    read = Configuration.from_changes(bundled_dataset("xtb-mos2-4x4").host, CONFIGURATION.changes)
    xtb = make_oracle("xtb")
    assert oracle_key(read, xtb) == oracle_key(CONFIGURATION, xtb)


def test_references() -> None:
    assert reference_potentials(HOST, "GFN1-xTB") == (
        bundled_dataset("xtb-mos2-4x4").chemical_potentials
    )
    assert reference_pristine(HOST, "GFN1-xTB") == -4184.291891
    assert reference_pristine(get_host("MoS2", "5x5"), "GFN1-xTB") is None
    thick = replace(HOST, unit_lattice=HOST.unit_lattice * np.array([[1], [1], [2]]))
    assert reference_pristine(thick, "GFN1-xTB") is None
    for method, hosts in xtb_references()["methods"].items():
        for name, facts in hosts.items():
            if "failed" not in facts:
                exchanged = set(get_host(name).chemical_potentials)
                assert exchanged <= facts["potentials"].keys(), (method, name)


def test_formation_energies_need_potentials_and_the_message_says_which() -> None:
    xtb = make_oracle("xtb")
    assert properties_for(xtb, HOST, RULES) == xtb.properties
    require_properties(xtb, HOST, RULES, ("formation_energy_per_site", "homo_lumo_gap"))
    rules = Rules(defects=("V_S", "Te_S"))
    assert properties_for(xtb, HOST, rules) == xtb.properties[:5]
    require_properties(xtb, HOST, rules, ("homo_lumo_gap",))
    with pytest.raises(OracleError, match=r"no chemical potential of Te for host MoS2.*\{Te: "):
        require_properties(xtb, HOST, rules, ("formation_energy",))
    given = make_oracle("xtb", chemical_potentials={"Te": -90.0})
    require_properties(given, HOST, rules, ("formation_energy",))
    with pytest.raises(OracleError, match="gives no fermi_level"):
        require_properties(xtb, HOST, RULES, ("fermi_level",))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("dft", {}, "none of xtb, ase, table"),
        ("xtb", {"metod": "GFN1-xTB"}, "metod.*settings are method"),
        ("xtb", {"electronic_temperature": -3}, "electronic_temperature"),
        ("ase", {}, "calculator"),
        ("ase", {"calculator": "os.system"}, "calculator"),
        ("table", {}, "dataset"),
    ],
)
def test_bad_settings(kind: str, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_settings(kind, settings)


def test_missing_calculator_and_dataset() -> None:
    with pytest.raises(OracleError, match="cannot be imported"):
        make_oracle("ase", calculator="no_such_code:Calc")
    with pytest.raises(DatasetError, match="no dataset"):
        make_oracle("table", dataset="nowhere")


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(NotConvergedError, match=r"lumo, homo_lumo_gap is no finite"):
        with_derived({"energy": -1.0, "homo": 0.0, "lumo": float("inf")}, CONFIGURATION, None, {})


def test_table_gives_labels_of_any_image() -> None:
    table = make_oracle("table", dataset="xtb-mos2-4x4")
    assert isinstance(table, Oracle) and isinstance(table, TableOracle)
    record = table.dataset.records[100]
    image = record.configuration.transform(HOST.symmetry[33])
    assert image in table
    assert table.label(image) == record.properties
    absent = Configuration.from_changes(HOST, dict.fromkeys(range(8), "VAC"))
    with pytest.raises(NotInTableError, match="not in table: V_Mo"):
        table.label(absent)
    assert table.pristine_energy(HOST) == -4184.291891


def test_table_of_rows_with_a_property() -> None:
    dataset = bundled_dataset("xtb-mos2-4x4")
    first = replace(dataset.records[0], properties={"energy": -1.0})
    some = TableOracle(replace(dataset, records=(first, *dataset.records[1:])), ("homo_lumo_gap",))
    assert len(some) == 958
    assert some.version != TableOracle(dataset).version


def test_spec_round_trip_and_reuse() -> None:
    spec = OracleSpec("xtb", {"threads": 2})
    assert OracleSpec.from_dict(spec.to_dict()) == spec
    assert spec.build() is OracleSpec.from_dict(spec.to_dict()).build()
    host = get_host("MoS2", "5x5")
    assert not spec.build().knows_pristine(host)
    known = spec.with_pristine(host.key, -6538.0).with_pristine("other", -1.0).build()
    assert known.knows_pristine(host) and known.pristine_energy(host) == -6538.0


def test_importing_oracles_and_datasets_is_light() -> None:
    code = (
        "import sys, defects.oracles, defects.datasets\n"
        "heavy = ['torch', 'ray', 'pandas', 'pymatgen', 'ase', 'tblite', 'vllm']\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
