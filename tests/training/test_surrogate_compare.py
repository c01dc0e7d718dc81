"""The comparison of kinds: what is in the table, what is skipped, what is not done twice."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from surrogate_data import dataset

from defects.errors import DatasetError, ModelError
from training import surrogate_compare
from training.surrogate_cells import Settings
from training.surrogate_compare import compare, markdown
from training.surrogate_kinds import FITTERS, Fitter
from training.surrogate_metrics import best_quarter, random_quarter

QUICK = Settings(folds=3, quick=True, iterations=10)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(surrogate_compare, "resolve_dataset", lambda _: dataset())


def test_one_table_whatever_becomes_of_each_kind(tmp_path, monkeypatch):
    monkeypatch.setitem(FITTERS, "soap", Fitter("training.x", "f", "descriptors", ("no_such",)))
    monkeypatch.setitem(FITTERS, "slices", Fitter("no_such_module", "fit"))
    told = []
    kinds = ["trees", "soap", "slices", "related"]
    rows = compare("d", ["homo_lumo_gap"], tmp_path, kinds=kinds, settings=QUICK, tell=told.append)
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["trees"]["labels"] == 90
    assert 0 < by_kind["trees"]["mae"] < 0.1
    assert by_kind["trees"]["predictions_per_s"] > 0
    assert by_kind["soap"]["reason"] == "needs no_such: pip install 'design-loop[descriptors]'"
    assert by_kind["slices"]["status"] == "failed"
    assert "no_such_module" in by_kind["slices"]["reason"]
    assert by_kind["related"] == {
        "property": "homo_lumo_gap",
        "kind": "related",
        "labels": 90,
        "status": "skipped",
        "reason": "no property is known to be related",
    }
    assert json.loads((tmp_path / "table.json").read_text())["rows"] == rows
    with (tmp_path / "table.csv").open() as stream:
        assert [r["kind"] for r in csv.DictReader(stream)] == kinds
    assert (tmp_path / "table.md").read_text() == markdown(rows)
    drawing = (tmp_path / "parity" / "homo_lumo_gap--trees.svg").read_text()
    assert drawing.count("<circle") == 90
    assert "href" not in drawing and "url(" not in drawing


def test_finished_parts_are_reused_and_others_are_not(tmp_path, monkeypatch):
    calls = []
    real = surrogate_compare.evaluate

    def counted(problem, kind, settings):
        calls.append(kind)
        return real(problem, kind, settings)

    monkeypatch.setattr(surrogate_compare, "evaluate", counted)
    first = compare("d", ["homo_lumo_gap"], tmp_path, kinds=["trees"], settings=QUICK)
    again = compare("d", ["homo_lumo_gap"], tmp_path, kinds=["trees", "pairs"], settings=QUICK)
    assert calls == ["trees", "pairs"]
    assert again[0] == first[0]
    other = Settings(folds=3, quick=True, iterations=11)
    compare("d", ["homo_lumo_gap"], tmp_path, kinds=["trees"], settings=other)
    assert calls == ["trees", "pairs", "trees"]
    part = tmp_path / "parts" / "homo_lumo_gap--trees.json"
    part.write_text(part.read_text()[:100])
    compare("d", ["homo_lumo_gap"], tmp_path, kinds=["trees"], settings=other)
    assert len(calls) == 4


def test_nested_folds_ask_whole_surrogates(tmp_path):
    settings = Settings(folds=2, iterations=10)
    (row,) = compare("d", ["lumo"], tmp_path, kinds=["auto"], settings=settings)
    assert row["labels"] == 30
    assert set(row["chosen"].split("/")) <= {"trees", "pairs", "related", "stack"}
    saved = json.loads((tmp_path / "parts" / "lumo--auto.json").read_text())["predictions"]
    assert len(set(saved["key"])) == 30
    error = np.abs(np.array(saved["mean"]) - saved["truth"])
    assert row["mae"] == pytest.approx(error.mean(), abs=1e-6)


def test_mistakes_are_said_before_anything_is_computed(tmp_path):
    with pytest.raises(ModelError, match="forest"):
        compare("d", ["homo_lumo_gap"], tmp_path / "a", kinds=["forest"])
    with pytest.raises(DatasetError, match="no labels of homo; there are lumo, homo_lumo_gap"):
        compare("d", ["homo"], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_the_best_quarter_flatters_and_random_shows_how_much():
    rng = np.random.default_rng(0)
    truth, mean = rng.normal(size=(2, 400))
    assert best_quarter(truth, mean)["r2_best_quarter"] > 0.8
    assert random_quarter(truth)["r2_random_quarter"] > 0.8
    exact = best_quarter(truth, truth + 0.01)
    assert exact["rmse_best_quarter"] == pytest.approx(0.01)
