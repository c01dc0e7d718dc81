"""Reading, writing and round trips of the 2DMD layout."""

from __future__ import annotations

import csv
import errno
import gzip
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.datasets import (
    Dataset,
    Record,
    bundled_datasets,
    read_dataset,
    resolve_dataset,
    write_dataset,
    write_labels,
)
from defects.datasets.writer import base_name
from defects.energetics import formation_energy
from defects.errors import DatasetError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import from_structure, read_structure

REAL = Path(__file__).parents[4] / "shared" / "2dmd"


def same(a: Dataset, b: Dataset) -> bool:
    return (
        a.host == b.host
        and a.records == b.records
        and a.pristine == b.pristine
        and a.chemical_potentials == b.chemical_potentials
    )


def test_shipped_dataset_is_what_its_readme_says(shipped: Dataset) -> None:
    assert bundled_datasets() == ("xtb-mos2-4x4",)
    assert len(shipped) == 959 == len(shipped.by_key)
    assert shipped.host.key == "MoS2-4x4x1"
    assert len(shipped.labelled("formation_energy", "homo_lumo_gap")) == 959
    pairs = [r for r in shipped if r.configuration.n_defects <= 2]
    assert len(pairs) == 57
    # The host carries the potentials of the labels, not those of 2DMD.
    assert shipped.host.chemical_potentials["S"] == pytest.approx(-100.750505)
    for record in shipped:
        total = formation_energy(
            record.properties["energy"],
            record.configuration,
            shipped.pristine["energy"],
            shipped.chemical_potentials,
        )
        assert total == pytest.approx(record.properties["formation_energy"], abs=2e-5)


def test_round_trip_keeps_everything_and_is_deterministic(few: Dataset, tmp_path: Path) -> None:
    extra = replace(few.records[0], properties={**few.records[0].properties, "E_1": -61.5})
    unlabelled = replace(few.records[1], properties={})
    dataset = replace(few, records=(extra, unlabelled, *few.records[2:]))
    first = write_dataset(dataset, tmp_path / "a")
    assert same(read_dataset(first), dataset)
    second = write_dataset(read_dataset(first), tmp_path / "b")
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert [str(f) for f in files] == [
        "defects.csv.gz",
        "descriptors.csv",
        "elements.csv",
        "initial.tar.gz",
        "initial_structures.csv",
        "targets.csv.gz",
        "unit_cells/MoS2.cif",
    ]
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("name", "supercell", "base", "defects"),
    [
        ("BP", "3x3", "P", ("V_P", "N_P")),
        ("hBN", "4x4", "BN", ("V_N", "C_B")),
        ("GaSe", "3x4", "GaSe", ("V_Ga", "S_Se")),
    ],
)
def test_other_hosts_round_trip_under_2dmds_names(
    name: str, supercell: str, base: str, defects: tuple[str, ...], tmp_path: Path
) -> None:
    host = get_host(name, supercell)
    rng = np.random.default_rng(1)
    rules = Rules(defects=defects, max_defects=4)
    records = tuple(Record(f"x{i}", random_configuration(host, rules, rng), {}) for i in range(5))
    dataset = Dataset(host, records, dict(host.chemical_potentials))
    write_dataset(dataset, tmp_path)
    assert base_name(host) == base
    assert (tmp_path / "unit_cells" / f"{base}.cif").is_file()
    read = read_dataset(tmp_path)
    assert read.host.key == host.key
    assert read.records == records


def test_a_host_from_a_cif_keeps_its_key(tmp_path: Path) -> None:
    cell = tmp_path / "graphene.cif"
    write_dataset(Dataset(get_host("hBN", "1x1"), ()), tmp_path / "bn")
    text = (tmp_path / "bn/unit_cells/BN.cif").read_text()
    cell.write_text(text.replace("  B  B0", "  C  C0").replace("  N  N1", "  C  C1"))
    host = get_host(str(cell), "3x3")
    records = (Record("v", Configuration.from_changes(host, {4: "VAC", 9: "N"}), {"energy": -1.5}),)
    write_dataset(Dataset(host, records), tmp_path / "out")
    read = read_dataset(tmp_path / "out")
    assert read.host.key == host.key != "graphene-3x3x1"
    assert read.records == records


def test_written_structures_are_read_alike_by_pymatgen(folder: Path, few: Dataset) -> None:
    (folder / "initial").mkdir()
    with tarfile.open(folder / "initial.tar.gz") as tar:
        for member in tar:  # not every Python 3.11 has extractall(filter=...)
            (folder / member.name).write_bytes(tar.extractfile(member).read())
    for record in few.records[:4]:
        structure = read_structure(folder / "initial" / f"{record.id}.cif")
        assert from_structure(structure, few.host) == record.configuration
    # A folder initial/ takes the place of the archive.
    (folder / "initial.tar.gz").unlink()
    assert same(read_dataset(folder), few)


def test_optional_files_and_plain_csv(folder: Path, few: Dataset) -> None:
    for name in ("elements.csv", "initial_structures.csv", "targets.csv.gz"):
        (folder / name).unlink()
    table = folder / "defects.csv.gz"
    (folder / "defects.csv").write_bytes(gzip.decompress(table.read_bytes()))
    table.unlink()
    read = read_dataset(folder)
    assert read.pristine == {} == read.chemical_potentials
    assert "formation_energy" not in read.properties
    assert [r.configuration for r in read] == [r.configuration for r in few]


def test_labels_as_csv_and_json(few: Dataset, tmp_path: Path) -> None:
    with write_labels(few, tmp_path / "l.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["energy"]) for r in rows] == [r.properties["energy"] for r in few]
    first = json.loads(write_labels(few, tmp_path / "l.json").read_text())[0]
    assert Configuration.from_dict(first) == few.records[0].configuration
    with pytest.raises(DatasetError, match=r"\.csv or \.json"):
        write_labels(few, tmp_path / "l.xlsx")


def test_a_full_disk_leaves_the_old_files(
    folder: Path, few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        write_dataset(replace(few, records=few.records[:3]), folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_two_records_with_one_id_are_refused(few: Dataset, tmp_path: Path) -> None:
    twice = replace(few, records=(few.records[0], replace(few.records[1], id=few.records[0].id)))
    with pytest.raises(DatasetError, match=few.records[0].id):
        write_dataset(twice, tmp_path)


def test_unknown_names_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="xtb-mos2-4x4"):
        resolve_dataset("no-such-dataset")
    with pytest.raises(DatasetError, match=r"no defects\.csv\.gz"):
        read_dataset(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="2DMD is not here")
class TestReal2DMD:
    def test_low_density_mos2(self) -> None:
        dataset = read_dataset(REAL / "low_density_defects/MoS2")
        assert len(dataset) == 5933 and dataset.host.key == "MoS2-8x8x1"
        assert len(dataset.labelled("homo_lumo_gap")) == 2468
        assert len(dataset.labelled("formation_energy")) == 157
        assert dataset.pristine["E_VBM"] == -0.709
        assert max(r.configuration.n_defects for r in dataset) == 3

    @pytest.mark.parametrize("name", ["BP_spin_500", "hBN_spin_500", "InSe_spin_500"])
    def test_high_density(self, name: str) -> None:
        dataset = read_dataset(REAL / "high_density_defects" / name)
        assert len(dataset) == 500
        assert dataset.host.name == name.split("_")[0]

    def test_a_folder_of_datasets_names_them(self) -> None:
        with pytest.raises(DatasetError, match=r"several datasets.*WSe2"):
            read_dataset(REAL / "low_density_defects")
