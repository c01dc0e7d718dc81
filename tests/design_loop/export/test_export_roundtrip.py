"""What is exported is read back: the same crystal, the same numbers, in every format."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from fake_campaign import FakeCampaign

from defects.configuration import Configuration
from defects.errors import ConfigError
from defects.hosts import get_host
from defects.oracles.relax import relaxed_atoms
from defects.properties import Property
from defects.structures import from_structure, read_structure, to_atoms
from defects.vasp import VaspInputs, parse_incar
from design_loop.config.properties import OwnProperty, column_problems
from design_loop.export import ExportError, export_candidates
from design_loop.export.items import relaxed_structures
from design_loop.imports.incoming import Setting
from design_loop.imports.readers import read_labels
from design_loop.ledger import Ledger, Prediction, Selection
from design_loop.summary import CampaignSummary, summarise_campaign

HOST = get_host("MoS2", "4x4")


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> CampaignSummary:
    folder = tmp_path_factory.mktemp("export")
    with Ledger(folder / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, folder, samples=16, budget=4).run(1)
        return summarise_campaign(ledger, campaign)


def _rows(folder) -> list[dict[str, str]]:
    with (folder / "candidates.csv").open() as stream:
        return list(csv.DictReader(stream))


def _labels(row: dict[str, str], names) -> dict[str, float]:
    return {name: float(row[name]) for name in names}


def _key(structure) -> str:
    return from_structure(structure, HOST).key


@pytest.mark.parametrize("fmt", ["cif", "poscar"])
def test_structure_files_and_their_table(summary, tmp_path, fmt):
    export_candidates(summary, fmt, tmp_path)
    rows = _rows(tmp_path)
    assert len(rows) == len(summary.candidates) == 3
    for row, candidate in zip(rows, summary.candidates, strict=True):
        assert _key(read_structure(tmp_path / row["file"])) == row["_id"] == candidate.key
        assert _labels(row, candidate.properties) == candidate.properties


def _as_label(atoms):
    from pymatgen.io.ase import AseAtomsAdaptor

    info = dict(atoms.info)
    found = {"energy": atoms.get_potential_energy()} | {
        n: v for n, v in info.items() if isinstance(v, float)
    }
    atoms = atoms.copy()
    atoms.info = {}
    return _key(AseAtomsAdaptor.get_structure(atoms)), info["candidate"], found


def test_extended_xyz_holds_the_labels_too(summary, tmp_path):
    from ase.io import read

    export_candidates(summary, "extxyz", tmp_path)
    for row, candidate in zip(_rows(tmp_path), summary.candidates, strict=True):
        key, name, labels = _as_label(read(tmp_path / row["file"]))
        assert (key, name) == (candidate.key, f"key-{candidate.key}")
        assert labels == pytest.approx(candidate.properties, rel=1e-7)


def test_database_of_ase(summary, tmp_path):
    from ase.db import connect

    [path] = export_candidates(summary, "ase-db", tmp_path)
    rows = list(connect(path).select())
    assert len(rows) == len(summary.candidates)
    for row, candidate in zip(rows, summary.candidates, strict=True):
        atoms = row.toatoms()
        atoms.info = dict(row.key_value_pairs)
        key, name, labels = _as_label(atoms)
        assert (key, name) == (candidate.key, f"key-{candidate.key}")
        assert labels == pytest.approx(candidate.properties, rel=1e-12)
        assert row.data["properties"] == candidate.properties
        assert row.data["campaign"] == summary.campaign.id
    # Again is the same, not twice as much.
    export_candidates(summary, "ase-db", tmp_path)
    assert len(list(connect(path).select())) == len(rows)


def test_no_column_of_the_table_may_be_an_own_property(summary, tmp_path):
    """Two columns of one name: the first, the rank, was read back as the label."""
    predicted = Prediction("k", {"homo": 1.0}, {"homo": 0.1}, 0.0)
    candidates = tuple(replace(c, prediction=predicted) for c in summary.candidates)
    made = replace(summary, candidates=candidates)
    export_candidates(made, "cif", tmp_path)
    header = list(_rows(tmp_path)[0])
    assert {"rank", "source", "file", "homo_std"} < set(header)
    free = {"_id", *candidates[0].properties}
    own = {name: OwnProperty() for name in {*header, "structure", "candidate", "gap", "x_std"}}
    refused = {problem.loc[1] for problem in column_problems(own)}
    assert refused == {*header, "structure", "candidate"} - free | {"_id"}


@pytest.mark.parametrize("fmt", ["extxyz", "ase-db"])
def test_own_properties_may_have_names_that_ase_keeps_for_itself(summary, tmp_path, fmt):
    names = ("magmom", "free_energy", "stress", "age", "rank", "charge")
    own = {name: Property(name, "", name) for name in names}
    values = {name: 1.5 + i for i, name in enumerate(names)} | {"homo_lumo_gap": 0.7}
    candidates = tuple(replace(c, properties=values) for c in summary.candidates)
    export_candidates(replace(summary, candidates=candidates), fmt, tmp_path)
    files = sorted(tmp_path.glob("*.db" if fmt == "ase-db" else "*.extxyz"))
    rows = [row for file in files for row in read_labels(file, Setting(HOST, own))[0]]
    assert {row.key: row.properties for row in rows} == {c.key: values for c in candidates}
    assert not [row.problem for row in rows if row.problem]


def test_json_of_pymatgen(summary, tmp_path):
    from pymatgen.core import Structure

    [path] = export_candidates(summary, "json", tmp_path)
    for entry, candidate in zip(
        json.loads(path.read_text())["candidates"], summary.candidates, strict=True
    ):
        assert _key(Structure.from_dict(entry["structure"])) == candidate.key == entry["key"]
        assert entry["properties"] == candidate.properties


def test_csv_alone_has_every_digit(summary, tmp_path):
    export_candidates(summary, "csv", tmp_path)
    for row, candidate in zip(_rows(tmp_path), summary.candidates, strict=True):
        assert _labels(row, candidate.properties) == candidate.properties
        configuration = Configuration.from_dict(candidate.configuration, HOST)
        assert row["_id"] == configuration.key


def test_vasp_inputs(summary, tmp_path):
    from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

    settings = VaspInputs(relax=True, incar=parse_incar(["ENCUT=520", "LASPH=none"]))
    export_candidates(summary, "vasp", tmp_path, vasp=settings)
    for row, candidate in zip(_rows(tmp_path), summary.candidates, strict=True):
        folder = tmp_path / row["file"]
        structure = Poscar.from_file(folder / "POSCAR", check_for_potcar=False).structure
        assert _key(structure) == candidate.key
        assert _labels(row, candidate.properties) == candidate.properties
        incar = Incar.from_file(folder / "INCAR")
        assert (incar["ENCUT"], incar["NSW"], incar["ISIF"]) == (520, 200, 2)
        assert "LASPH" not in incar and incar["ISPIN"] == 2 and incar["LDIPOL"] is True
        assert incar["DIPOL"][2] == pytest.approx(structure.frac_coords[:, 2].mean(), abs=1e-3)
        # One moment per atom, and the neighbours of defects begin with one.
        assert len(incar["MAGMOM"]) == len(structure)
        assert {0.1, 1.0} == set(incar["MAGMOM"])
        [mesh] = Kpoints.from_file(folder / "KPOINTS").kpts
        assert tuple(mesh) == (2, 2, 1)
        symbols = (folder / "POTCAR.spec").read_text().split()
        elements = list(dict.fromkeys(str(s.specie.symbol) for s in structure))
        assert [s.partition("_")[0] for s in symbols] == elements
        assert {p.name for p in folder.iterdir()} == {"POSCAR", "INCAR", "KPOINTS", "POTCAR.spec"}
    assert set(Incar.from_file(tmp_path / "pristine" / "INCAR")["MAGMOM"]) == {0.1}


def test_the_elements_of_a_poscar_stand_together(summary, tmp_path):
    """Substitutions must not repeat an element: VASP would ask for its potential twice."""
    export_candidates(summary, "vasp", tmp_path)
    for folder in tmp_path.iterdir():
        if folder.is_dir():
            line = (folder / "POSCAR").read_text().splitlines()[5].split()
            assert len(line) == len(set(line))


@pytest.mark.parametrize("pair", ["ENCUT", "=5", "ENCUT=a b\nNSW=1", "EN CUT=3"])
def test_a_wrong_tag_is_refused(pair):
    with pytest.raises(ConfigError, match="--incar"):
        parse_incar([pair])


@pytest.mark.parametrize("fmt", ["cif", "poscar", "extxyz", "json", "ase-db", "vasp"])
def test_relaxed_structures_are_exported_as_they_are(tmp_path, fmt):
    """The relaxed structure goes through every format and still tells which candidate it is."""
    from ase.io import read

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        fake = FakeCampaign(ledger, tmp_path, samples=8, budget=3)
        fake.run(1)
        # The last of the selected ones failed in the fake; now it gets a relaxed label.
        [left] = [s for s in ledger.selections(fake.id, 1) if s.rank == 2]
        assert isinstance(left, Selection)
        configuration = fake.known[left.candidate]
        # Oracles relax the canonical member of the class, not the one that was proposed.
        atoms = to_atoms(configuration.canonical())
        atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
        moved = {
            "cell": np.asarray(atoms.cell).tolist(),
            "symbols": atoms.get_chemical_symbols(),
            "positions": atoms.positions.tolist(),
        }
        ledger.record_label(
            fake.id, 1, left.candidate, left.oracle_key,
            {"energy": -1.5, "homo_lumo_gap": 0.7, "formation_energy_per_site": 0.3},
            details={"relaxed": moved},
        )  # fmt: skip
        summary = summarise_campaign(ledger, fake.id)
        relaxed = relaxed_structures(ledger, summary.candidates)
    assert set(relaxed) == {left.candidate}
    out = tmp_path / "out"
    export_candidates(summary, fmt, out, relaxed=relaxed)
    if fmt == "json":
        from pymatgen.core import Structure

        content = json.loads((out / "candidates.json").read_text())["candidates"]
        [entry] = [e for e in content if e["relaxed"]]
        found, key = Structure.from_dict(entry["structure"]), entry["key"]
    elif fmt == "ase-db":
        from ase.db import connect

        [row] = connect(out / "candidates.db").select(relaxed=1)
        found, key = row.toatoms(), row.data["key"]
    else:
        [row] = [r for r in _rows(out) if r["relaxed"] == "yes"]
        key = row["_id"]
        path = out / row["file"]
        found = (
            read(path)
            if fmt == "extxyz"
            else read_structure(path / "POSCAR" if fmt == "vasp" else path)
        )
    assert key == left.candidate
    if not hasattr(found, "lattice"):
        from pymatgen.io.ase import AseAtomsAdaptor

        found.info, found.calc = {}, None
        found = AseAtomsAdaptor.get_structure(found)
    assert _key(found) == key
    ideal, there = to_atoms(configuration.canonical()), relaxed_atoms(relaxed[key])
    shift = np.linalg.norm(ideal.positions - there.positions, axis=1).max()
    assert 0.05 < shift < 0.3
    if fmt == "vasp":
        from pymatgen.io.vasp.inputs import Incar

        defects = configuration.canonical().defects
        centres = [HOST.lattice.T @ HOST.frac_coords[d.site] for d in defects]
        near = [
            min(
                found.lattice.get_distance_and_image(
                    site.frac_coords, found.lattice.get_fractional_coords(c)
                )[0]
                for c in centres
            )
            for site in found
        ]
        moments = Incar.from_file(path / "INCAR")["MAGMOM"]
        assert moments == [1.0 if d <= 3.0 else 0.1 for d in near]
    # It is the relaxed one, atom by atom, whatever the order.
    expected = np.sort(there.positions[:, 2])
    assert np.sort(found.cart_coords[:, 2]) == pytest.approx(expected, abs=2e-4)


def test_nothing_to_export_is_said(summary, tmp_path):
    from dataclasses import replace

    with pytest.raises(ExportError, match="no candidate with a label yet"):
        export_candidates(replace(summary, candidates=()), "cif", tmp_path)
