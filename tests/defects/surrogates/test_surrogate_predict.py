"""``surrogate predict`` on structure files."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import DatasetError, ModelError, StructureMismatchError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import write_structure
from defects.surrogates import load_surrogate, predict_structures

HOST = get_host("MoS2", (4, 4, 1))
RULES = Rules(defects=("V_S", "Se_S", "W_Mo"), max_defects=3)


def sample(n: int, seed: int) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.surrogate import fit_surrogate

    known = sample(60, 0)
    values = {
        "homo_lumo_gap": np.array([2.0 - 0.5 * c.counts()["V_S"] for c in known]),
        "homo": np.array([-1.0 * c.n_defects for c in known]),
    }
    folder = tmp_path_factory.mktemp("models") / "m"
    fit_surrogate(known, values, HOST, folder, rules=RULES, iterations=30, threads=1)
    return folder


@pytest.fixture
def structures(tmp_path: Path) -> dict[str, Configuration]:
    named = {f"s{i}": c for i, c in enumerate(sample(5, 1))}
    (tmp_path / "cifs").mkdir()
    for name, configuration in named.items():
        write_structure(configuration, tmp_path / "cifs" / f"{name}.cif")
    with tarfile.open(tmp_path / "cifs.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "cifs", "cifs")
    return named


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("what", ["cifs", "cifs.tar.gz"])
def test_folder_and_archive(
    what: str, model: Path, structures: dict[str, Configuration], tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert predict_structures(model, tmp_path / what, out) == 5
    rows = read(out)
    names = ["_id", "homo_lumo_gap", "homo_lumo_gap_std", "homo", "homo_std", "ood"]
    assert list(rows[0]) == names
    assert {r["ood"] for r in rows} == {"0"}
    assert {r["_id"] for r in rows} == set(structures)
    expected = load_surrogate(model).predict([structures[r["_id"]] for r in rows])
    found = [[float(r["homo_lumo_gap"]), float(r["homo"])] for r in rows]
    np.testing.assert_allclose(found, expected.mean, rtol=1e-5)


def test_one_file(model: Path, structures: dict[str, Configuration], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.csv"
    assert predict_structures(model, tmp_path / "cifs" / "s3.cif", out) == 1
    assert [r["_id"] for r in read(out)] == ["s3"]


def test_more_defects_than_any_label_are_marked(model: Path, tmp_path: Path) -> None:
    sulphur = [i for i, s in enumerate(HOST.species) if s == "S"]
    (tmp_path / "in").mkdir()
    for n in (1, 4):
        many = Configuration.from_changes(HOST, dict.fromkeys(sulphur[:n], "VAC"))
        write_structure(many, tmp_path / "in" / f"v{n}.cif")
    predict_structures(model, tmp_path / "in", tmp_path / "out.csv")
    assert {r["_id"]: r["ood"] for r in read(tmp_path / "out.csv")} == {"v1": "0", "v4": "1"}


def test_dataset_folder(model: Path, tmp_path: Path) -> None:
    from defects.datasets import bundled_dataset
    from defects.datasets.bundled import bundled_path

    with pytest.raises(ModelError, match="V_Mo"):
        predict_structures(model, bundled_path("xtb-mos2-4x4"), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    assert len(bundled_dataset("xtb-mos2-4x4")) > 900


def test_another_host_names_the_file(model: Path, tmp_path: Path) -> None:
    other = get_host("WSe2", (4, 4, 1))
    write_structure(Configuration.from_changes(other, {0: "VAC"}), tmp_path / "wse2.cif")
    with pytest.raises(StructureMismatchError, match="wse2"):
        predict_structures(model, tmp_path / "wse2.cif", tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["wse2.cif"]


def test_errors_of_paths(model: Path, structures: dict[str, Configuration], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        predict_structures(model, tmp_path / "nowhere.cif", tmp_path / "out.csv")
    (tmp_path / "notes.txt").write_text("no structure")
    with pytest.raises(DatasetError, match=r"notes\.txt"):
        predict_structures(model, tmp_path / "notes.txt", tmp_path / "out.csv")
    whole = (tmp_path / "cifs.tar.gz").read_bytes()
    for end in (len(whole) // 2, len(whole) - 4):
        (tmp_path / "cut.tar.gz").write_bytes(whole[:end])
        with pytest.raises(DatasetError, match=r"cut\.tar\.gz: truncated .* fetch it again"):
            predict_structures(model, tmp_path / "cut.tar.gz", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
