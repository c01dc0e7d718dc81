"""Labels from outside: told by key or by structure, checked, recorded once."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_campaign import FakeCampaign

from defects.configuration import Configuration
from defects.datasets import Dataset, Record, write_dataset
from defects.energetics import formation_energy
from defects.hosts import get_host
from defects.structures import to_atoms, to_structure
from design_loop.config import load_preset
from design_loop.config.oracle import OracleConfig
from design_loop.export import export_candidates
from design_loop.export.items import relaxed_structures
from design_loop.imports import References, import_labels
from design_loop.imports.incoming import ImportLabelsError
from design_loop.imports.units import factor, heading
from design_loop.ledger import Ledger, Source
from design_loop.summary import summarise_campaign

sys.path.insert(0, str(Path(__file__).parents[2] / "defects" / "vasp"))
from vasp_runs import write_vasprun

HOST = get_host("MoS2", "4x4")
SETTINGS = {
    "method": "PBE",
    "properties": ["energy", "homo_lumo_gap"],
    "chemical_potentials": {"S": -4.0, "Mo": -11.0, "W": -13.0, "Se": -3.5},
}


class Played:
    """A finished campaign whose last candidate was never labelled, and the names of two others."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.fake = FakeCampaign(ledger, folder, samples=24, budget=4)
        self.id = self.fake.run(1)
        self.labelled = {x.candidate: dict(x.properties) for x in ledger.labels(self.id)}
        self.free = [k for k in self.fake.known if k not in self.labelled]

    def take(self, path: Path, name: str = "dft", **how):
        return import_labels(self.ledger, self.id, path, name, **how)


@pytest.fixture
def played(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Played(ledger, tmp_path)


def _table(path: Path, head: list[str], *rows: list) -> Path:
    with path.open("w") as stream:
        csv.writer(stream).writerows([head, *rows])
    return path


def test_a_table_by_key_twice(played, tmp_path):
    one, two = played.free[:2]
    path = _table(
        tmp_path / "dft.csv",
        ["_id", "homo (eV)", "lumo [meV]", "remark"],
        [one, "-6.0", "-5250", "good"],
        [two, "-6.1", "", "no LUMO"],
        ["0123456789abcdef", "-6", "-5000", ""],
    )
    report = played.take(path)
    assert len(report.recorded) == 2 and len(report.unmatched) == 1
    assert "row 4: no candidate of this campaign (0123456789abcdef)" in report.unmatched[0]
    assert "columns that are no properties are left out: remark" in report.warnings[0]
    labels = {x.candidate: x for x in played.ledger.labels(played.id, Source.ORACLE)}
    assert labels[one].properties == pytest.approx(
        {"homo": -6.0, "lumo": -5.25, "homo_lumo_gap": 0.75}
    )
    assert labels[two].properties == {"homo": -6.1}
    assert {labels[k].origin for k in (one, two)} == {"imported:dft"}
    again = played.take(path)
    assert (again.recorded, len(again.unchanged), again.conflicts) == ([], 2, [])
    assert len(played.ledger.labels(played.id)) == len(played.labelled) + 2


def test_a_label_that_contradicts_the_oracle_is_refused(played, tmp_path):
    key, known = next(iter(played.labelled.items()))
    gap = known["homo_lumo_gap"]
    same = _table(tmp_path / "same.csv", ["_id", "homo_lumo_gap"], [key, repr(gap)])
    assert len(played.take(same).unchanged) == 1
    other = _table(tmp_path / "other.csv", ["_id", "homo_lumo_gap"], [key, gap + 0.1])
    report = played.take(other)
    assert "another label is recorded (homo_lumo_gap" in report.conflicts[0]
    [label] = [x for x in played.ledger.labels(played.id) if x.candidate == key]
    assert (label.properties, label.origin) == (known, None)


def test_one_candidate_twice_in_a_file(played, tmp_path):
    key = played.free[0]
    path = _table(tmp_path / "t.csv", ["key", "homo_lumo_gap"], [key, "0.7"], [key, "0.8"])
    report = played.take(path)
    assert (len(report.recorded), len(report.conflicts)) == (1, 1)


@pytest.mark.parametrize(
    ("head", "cells", "message"),
    [
        (["homo_lumo_gap"], ["750"], "a gap of 750 eV; write its unit into the heading"),
        (["homo_lumo_gap"], ["nan"], "leave unknown cells empty"),
        (["homo_lumo_gap"], ["0,7"], "'0,7', no number"),
        (
            ["homo", "lumo", "homo_lumo_gap"],
            ["-6", "-5", "0.7"],
            "homo_lumo_gap is 0.7, but lumo - homo is 1; are they all in one unit?",
        ),
    ],
)
def test_values_that_are_no_labels(played, tmp_path, head, cells, message):
    path = _table(tmp_path / "t.csv", ["_id", *head], [played.free[0], *cells])
    report = played.take(path)
    assert report.recorded == [] and message in report.problems[0]
    assert report.problems[0].startswith(("t.csv, row 2", played.free[0]))


def test_outliers_are_recorded_and_told(played, tmp_path):
    path = _table(tmp_path / "t.csv", ["_id", "homo_lumo_gap"], [played.free[0], "9.5"])
    report = played.take(path)
    assert len(report.recorded) == 1
    assert "spreads from the surrogate's" in report.warnings[0]  # it says 0.08 eV everywhere


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (["homo_lumo_gap"], "no column says whose labels these are"),
        (["_id", "homo (K)"], "is in K, the campaign's homo in eV"),
        (["_id", "gap"], "no column is a property that the campaign knows"),
    ],
)
def test_tables_that_say_nothing(played, tmp_path, head, message):
    path = _table(tmp_path / "t.csv", head, ["1"] * len(head))
    with pytest.raises(ImportLabelsError, match=message.replace("(", r"\(")):
        played.take(path)


def test_what_is_no_labels_at_all(played, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("1")
    for name, message in (
        ("empty", "no vasprun.xml"), ("nowhere.csv", "no such file"), ("x.txt", "labels come as"),
    ):  # fmt: skip
        with pytest.raises(ImportLabelsError, match=message):
            played.take(tmp_path / name)


def _moved(configuration: Configuration, seed: int = 0):
    """Another member of the class, a little relaxed, with all atoms shifted along the vacuum."""
    image = configuration.transform(HOST.symmetry[17 + seed])
    atoms = to_atoms(image)
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0, 0.06, atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("kind", ["extxyz", "db", "structures", "dataset"])
def test_told_by_structure(played, tmp_path, kind):
    """Atoms that have moved, of another image under symmetry: still the same candidate."""
    from ase.db import connect
    from ase.io import write

    keys = played.free[:3]
    configurations = [played.fake.known[k] for k in keys]
    values = [{"homo_lumo_gap": 0.5 + 0.1 * i} for i in range(3)]
    path = tmp_path / f"labels.{kind}"
    images = [_moved(c, i) for i, c in enumerate(configurations)]
    if kind == "extxyz":
        for atoms, value in zip(images, values, strict=True):
            atoms.info = {**value, "comment": "converged"}
        write(path, images, format="extxyz")
    elif kind == "db":
        with connect(path, type="db") as database:
            for atoms, value in zip(images, values, strict=True):
                database.write(atoms, key_value_pairs=value)
    elif kind == "structures":
        path = tmp_path / "labels.csv"
        rows = []
        for i, (atoms, value) in enumerate(zip(images, values, strict=True)):
            write(tmp_path / f"{i}.vasp", atoms, format="vasp")
            rows.append([f"{i}.vasp", value["homo_lumo_gap"]])
        _table(path, ["structure", "homo_lumo_gap"], *rows)
    else:
        records = [
            Record(f"s{i}", c.transform(HOST.symmetry[5]), v)
            for i, (c, v) in enumerate(zip(configurations, values, strict=True))
        ]
        write_dataset(Dataset(HOST, tuple(records)), path)
    report = played.take(path)
    assert report.problems == report.unmatched == []
    labels = {
        x.candidate: dict(x.properties)
        for x in played.ledger.labels(played.id, Source.ORACLE)
        if x.origin == "imported:dft"
    }
    assert labels == {k: pytest.approx(v) for k, v in zip(keys, values, strict=True)}


def test_runs_of_vasp(played, tmp_path):
    """Initial structures tell the candidate, the pristine run the reference, failures are told."""
    good, moved, wandered, failed = played.free[:4]
    structures = {k: to_structure(played.fake.known[k]) for k in played.free[:4]}
    levels = np.array([[[-6.0, -5.2]]])
    filled = np.array([[[1.0, 0.0]]])
    runs = tmp_path / "runs"

    def run(name: str, structure, energy: float, **how) -> None:
        path = runs / name / "vasprun.xml"
        write_vasprun(path, structure.get_sorted_structure(), energy, levels, filled, **how)

    run("pristine", to_structure(Configuration(HOST, ())), -300.0)
    run("good", structures[good], -290.0)
    after = structures[moved].get_sorted_structure()
    after.perturb(0.05)
    run("moved", structures[moved], -280.0, final=after, nsw=99)
    # A sulphur atom that a relaxation carried a whole cell away.
    far = structures[wandered].get_sorted_structure()
    last = len(far) - 1
    far.translate_sites([last], [0.0, 0.0, 0.2])
    run("wandered", structures[wandered], -280.0, final=far, nsw=99)
    run("failed", structures[failed], -270.0, steps=60, nelm=60)
    potentials = SETTINGS["chemical_potentials"]
    report = played.take(runs, references=References(None, potentials))
    assert len(report.recorded) == 2
    problems = "\n".join(report.problems)
    assert "wandered/vasprun.xml: the relaxed structure is no configuration any more" in problems
    assert "failed/vasprun.xml: the electrons did not converge in 60 steps" in problems
    # What was relaxed elsewhere is kept, and exported.
    summary = summarise_campaign(played.ledger, played.id)
    relaxed = relaxed_structures(played.ledger, summary.candidates)
    assert set(relaxed) == {moved}
    assert np.allclose(relaxed[moved]["positions"], after.cart_coords, atol=1e-5)
    labels = {x.candidate: x.properties for x in played.ledger.labels(played.id, Source.ORACLE)}
    assert labels[good]["homo_lumo_gap"] == pytest.approx(0.8)
    expected = formation_energy(-290.0, played.fake.known[good], -300.0, potentials)
    assert labels[good]["formation_energy"] == pytest.approx(expected)
    n = played.fake.known[good].n_defects
    assert labels[good]["formation_energy_per_site"] == pytest.approx(expected / n)


def test_labels_that_a_campaign_waits_for(tmp_path):
    """Completed by the campaign's references; what it was promised must be there."""
    config = load_preset("quickstart", check=False)
    settings = SETTINGS | {"pristine_energies": {HOST.key: -300.0}}
    oracle = OracleConfig(kind="external", settings=settings)
    config = config.model_copy(update={"oracle": oracle})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        fake = FakeCampaign(ledger, tmp_path, samples=16, budget=4, config=config)
        fake.oracle = {"kind": "external", "settings": settings}
        fake._verify = lambda number, chosen: None  # nothing is computed here
        campaign = fake.run(1)
        waiting = list(ledger.external_calls(campaign))
        assert len(waiting) == 4
        path = _table(
            tmp_path / "t.csv",
            ["_id", "energy", "homo_lumo_gap"],
            [waiting[0], "-290", "0.7"],
            [waiting[1], "", "0.8"],
            [waiting[2], "", ""],
        )
        report = import_labels(ledger, campaign, path, "dft")
        assert len(report.recorded) == 1 and report.waiting == 3
        assert "lacks energy, which oracle.settings.properties promises" in report.problems[0]
        [label] = ledger.labels(campaign, Source.ORACLE)
        assert label.round == 1 and label.oracle_key == f"call-{waiting[0]}"
        assert {"formation_energy", "energy_per_atom"} <= label.properties.keys()
        done = import_labels(ledger, campaign, path, "dft", give_up_rest=True)
        assert len(done.given_up) == 3 and done.waiting == 0


def test_units():
    assert heading("homo_lumo_gap (meV)") == ("homo_lumo_gap", "meV")
    assert heading(" energy [Ha] ") == ("energy", "Ha")
    assert heading("energy") == ("energy", None)
    assert factor("meV", "eV") == 1e-3 and factor(None, "eV") == factor("1/Å", "1/Å") == 1
    assert factor("Ry", "meV") == pytest.approx(13605.693122994)
    assert factor("K", "eV") is None and factor("eV", "1/Å") is None


def test_an_exported_table_comes_back_unchanged(played, tmp_path):
    """What was exported and not touched is no news."""
    for fmt in ("csv", "ase-db"):
        [path] = export_candidates(
            summarise_campaign(played.ledger, played.id), fmt, tmp_path / fmt
        )
        report = played.take(path)
        assert len(report.unchanged) == len(played.labelled)
        assert report.problems == report.conflicts == report.unmatched == []
