"""``design-loop surrogate`` on bad input: one line on stderr, code 1, no trace, nothing written."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.datasets import Dataset, Record, write_dataset
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import write_structure
from training.surrogate_kinds import FITTERS, missing

HOST = get_host("MoS2", (3, 3, 1))
RULES = Rules(defects=("V_S", "Se_S", "W_Mo"), max_defects=3)
KINDS = tuple(kind for kind in FITTERS if missing(kind) is None)


def configurations(n: int) -> list[Configuration]:
    rng = np.random.default_rng(0)
    found: dict[str, Configuration] = {}
    while len(found) < n:
        configuration = random_configuration(HOST, RULES, rng)
        found[configuration.key] = configuration
    return list(found.values())


def dataset(folder: Path, gaps: list[float]) -> Path:
    known = configurations(len(gaps))
    records = tuple(Record(f"r{i}", known[i], {"homo_lumo_gap": gap}) for i, gap in enumerate(gaps))
    return write_dataset(Dataset(HOST, records, {}, {}, "bad"), folder)


def told(done) -> str:
    """The message of a command that refused."""
    assert done.code == 1
    assert "Traceback" not in done.err
    assert 0 < len(done.err.strip().splitlines()) <= 3
    return " ".join(done.err.split())


@pytest.mark.parametrize("kind", KINDS)
def test_train_refuses_labels_that_teach_nothing(cli, kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["surrogate", "train", "--property", "homo_lumo_gap", "--model", kind, "--out", out]
    three = dataset(tmp_path / "three", [1.0, 1.5, 2.0])
    assert "3 labelled configurations" in told(cli(*words, "--data", three))
    constant = dataset(tmp_path / "constant", [1.25] * 30)
    assert "all 30 labels are 1.25" in told(cli(*words, "--data", constant))
    assert not out.exists()


def test_train_refuses_a_label_that_is_no_number(cli, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "nan", [1.0 + 0.01 * i for i in range(30)])
    table = folder / "defects.csv.gz"
    lines = gzip.decompress(table.read_bytes()).decode().splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index("homo_lumo_gap")] = "nan"
    lines[3] = ",".join(cells)
    table.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    done = cli("surrogate", "train", "--property", "homo_lumo_gap", "--out", tmp_path / "out",
               "--data", folder)  # fmt: skip
    message = told(done)
    assert "homo_lumo_gap is 'nan'" in message
    assert "row 3" in message or "row 4" in message
    assert not (tmp_path / "out").exists()


def test_train_refuses_an_unknown_kind_and_property(cli, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data", [1.0 + 0.01 * i for i in range(30)])
    words = ["surrogate", "train", "--data", folder, "--out", tmp_path / "out"]
    message = told(cli(*words, "--property", "homo_lumo_gap", "--model", "forest"))
    assert "'forest'" in message
    assert "trees" in message
    assert "no labels of beauty" in told(cli(*words, "--property", "beauty"))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.surrogate import fit_surrogate

    known = configurations(40)
    gaps = np.array([2 - 0.6 * c.counts()["V_S"] + 0.05 * c.counts()["W_Mo"] for c in known])
    folder = tmp_path_factory.mktemp("model") / "m"
    fit_surrogate(known, {"homo_lumo_gap": gaps}, HOST, folder, model="trees", iterations=5)
    return folder


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    write_structure(configurations(1)[0], tmp_path / "one.cif")
    return tmp_path / "one.cif"


def test_predict_refuses_another_host(cli, fitted: Path, tmp_path: Path) -> None:
    other = Configuration.from_changes(get_host("WSe2", (3, 3, 1)), {0: "VAC"})
    write_structure(other, tmp_path / "wse2.cif")
    out = tmp_path / "out.csv"
    done = cli("surrogate", "predict", "--model", fitted, "--structures", tmp_path / "wse2.cif",
               "--out", out)  # fmt: skip
    assert "wse2" in told(done)
    assert not out.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flip", "was altered"),
        ("lose", "lacks"),
        ("cut", "was altered or is incomplete"),
        ("manifest", "no finished surrogate"),
        ("folder", "no surrogate folder"),
    ],
)
def test_predict_refuses_a_damaged_folder(
    cli, damage: str, message: str, fitted: Path, structure: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(fitted, tmp_path / "copy"))
    file = sorted(copy.rglob("*.cbm"))[0]
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
    elif damage == "lose":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(bytes(data[: len(data) // 2]))
    elif damage == "manifest":
        (copy / "manifest.json").unlink()
    else:
        shutil.rmtree(copy)
    out = tmp_path / "out.csv"
    done = cli("surrogate", "predict", "--model", copy, "--structures", structure, "--out", out)
    assert message in told(done)
    assert not out.exists()
