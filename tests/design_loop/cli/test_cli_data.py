"""``design-loop data`` and ``design-loop surrogate`` on small datasets."""

from __future__ import annotations

import csv
import shutil

import pytest

from defects.configuration import Configuration
from defects.datasets import Dataset, Record, bundled_dataset, write_dataset
from defects.structures import write_structure


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with the first 120 rows of the shipped dataset."""
    full = bundled_dataset("xtb-mos2-4x4")
    folder = tmp_path_factory.mktemp("data") / "small"
    records = tuple(Record(r.id, r.configuration, r.properties) for r in full.records[:120])
    write_dataset(
        Dataset(full.host, records, full.chemical_potentials, full.pristine, "small"), folder
    )
    return folder


@pytest.fixture(scope="module")
def fitted(small, tmp_path_factory):
    """A surrogate fitted by the command."""
    import sys

    from design_loop.cli import main

    out = tmp_path_factory.mktemp("model") / "surrogate"
    words = ["surrogate", "train", "--data", small, "--property", "homo_lumo_gap", "--property",
             "formation_energy_per_site", "--model", "trees", "--iterations", 10, "--threads", 1,
             "--out", out]  # fmt: skip
    before, sys.argv = sys.argv, ["design-loop", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code
    finally:
        sys.argv = before
    return out


def test_check_of_a_sound_dataset(cli, small):
    done = cli("data", "check", small)
    assert done.code == 0
    assert "0 errors" in done.out


def test_check_of_a_truncated_dataset_lists_the_errors(cli, small, tmp_path):
    broken = shutil.copytree(small, tmp_path / "broken")
    archive = broken / "initial.tar.gz"
    archive.write_bytes(archive.read_bytes()[:4000])
    done = cli("data", "check", broken)
    assert done.code == 1
    first, summary = done.out.splitlines()
    assert first.startswith("error: initial.tar.gz: truncated") and "fetch it again" in first
    assert summary.endswith("1 errors, 0 warnings")
    found = cli("data", "check", broken, "--format", "json").json
    assert found["sound"] is False
    assert any("initial.tar.gz" in p["file"] + p["message"] for p in found["problems"])


def test_describe(cli, small):
    assert "120, 120 labelled" in cli("data", "describe", small).out
    facts = cli("data", "describe", small, "--format", "json").json
    assert facts["structures"] == 120
    assert facts["properties"]["homo_lumo_gap"]["unit"] == "eV"


def test_describe_of_nothing(cli):
    done = cli("data", "describe", "nowhere")
    assert done.code == 1
    assert "xtb-mos2-4x4" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to label"),
        (["--defect", "V_S"], "--num 100"),
        (["--defect", "S_S", "--num", 3], "changes nothing"),
        (["--defect", "V_S", "--num", 3, "--min-defects", 4, "--max-defects", 2], "min_defects"),
        (["--defect", "V_S", "--num", 3, "--setting", "accuracy"], "KEY=VALUE"),
        (["--defect", "V_S", "--num", 3, "--setting", "acuracy=1"], "acuracy"),
        (["--defect", "V_S", "--num", 3, "--oracle", "dft"], "dft"),
        (["--structures", "xtb-mos2-4x4", "--supercell", "5x5"], "MoS2-5x5x1"),
    ],
)
def test_label_refuses_before_ray_starts(cli, tmp_path, monkeypatch, words, said):
    import serve.cluster

    def never(*_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(serve.cluster, "ensure_ray", never)
    done = cli("data", "label", "MoS2", "--out", tmp_path / "out", *words)
    assert done.code in (1, 2)
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_train_leaves_a_folder_with_a_manifest(fitted):
    assert (fitted / "manifest.json").is_file()


def test_predict_has_the_promised_columns(cli, fitted, small, tmp_path):
    out = tmp_path / "predictions.csv"
    done = cli("surrogate", "predict", "--model", fitted, "--structures", small, "--out", out)
    assert done.code == 0, done.err
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 120
    assert list(rows[0]) == [
        "_id", "homo_lumo_gap", "homo_lumo_gap_std",
        "formation_energy_per_site", "formation_energy_per_site_std", "ood",
    ]  # fmt: skip
    assert {row["ood"] for row in rows} == {"0"}
    assert all(float(row["homo_lumo_gap_std"]) > 0 for row in rows)


def test_compare_prints_the_table_that_it_saves(cli, small, tmp_path):
    out = tmp_path / "compared"
    words = ["surrogate", "compare", "--data", small, "--property", "homo_lumo_gap", "--kind",
             "trees", "--quick", "--folds", 2, "--iterations", 5, "--out", out]  # fmt: skip
    done = cli(*words)
    assert done.code == 0, done.err
    assert done.out == (out / "table.md").read_text()
    assert "| homo_lumo_gap | trees | 120 |" in done.out
    again = cli(*words, "--format", "json")
    assert "finished before" in again.err
    assert [row["kind"] for row in again.json] == ["trees"]
    assert (out / "parity" / "homo_lumo_gap--trees.svg").is_file()


def test_predict_of_another_host_names_what_does_not_fit(cli, fitted, tmp_path):
    from defects.hosts import get_host

    host = get_host("WSe2", "4x4")
    path = write_structure(Configuration.from_changes(host, {0: "VAC"}), tmp_path / "other.cif")
    done = cli("surrogate", "predict", "--model", fitted, "--structures", path, "--out",
               tmp_path / "p.csv")  # fmt: skip
    assert done.code == 1
    assert "other" in done.err
    assert "MoS2-4x4x1" in done.err
    assert not (tmp_path / "p.csv").exists()


def test_predict_without_a_model(cli, small, tmp_path):
    done = cli("surrogate", "predict", "--model", tmp_path, "--structures", small, "--out",
               tmp_path / "p.csv")  # fmt: skip
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.startswith("design-loop: ")


@pytest.mark.slow
def test_label_again_does_nothing_twice(cli, tmp_path):
    out = tmp_path / "labels"
    words = ("data", "label", "MoS2", "--supercell", "2x2", "--defect", "V_S", "--defect", "Se_S",
             "--max-defects", 2, "--num", 3, "--out", out, "--format", "json")  # fmt: skip
    import ray

    try:
        first = cli(*words)
        assert first.code == 0, first.err
        assert first.json["labelled"] == 3
        again = cli(*words).json
        assert (again["labelled"], again["structures"]) == (0, 3)
    finally:
        ray.shutdown()
    assert cli("data", "check", out).code == 0
